"""Peak signal-to-noise ratio: how far two pictures are apart, in decibels."""

from __future__ import annotations

import numpy as np

MOST_DB = 99.0  # said of pictures that are equal


def mse(made: np.ndarray, truth: np.ndarray) -> float:
    """Mean squared difference of two uint8 pictures of one size, in squared grey levels."""
    return float(np.square(made.astype(np.float64) - truth).mean())


def psnr(made: np.ndarray, truth: np.ndarray) -> float:
    """PSNR in dB of two uint8 pictures of one size, at most MOST_DB."""
    error = mse(made, truth)
    return MOST_DB if error == 0 else min(MOST_DB, 10 * float(np.log10(255.0**2 / error)))
