"""Noise levels and the sampler."""
