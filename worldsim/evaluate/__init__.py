"""Measuring dreams against true engines, beside what a blind model would score."""
