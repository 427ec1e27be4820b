"""Worlds that can be played: what there is, and how each kind is loaded."""
