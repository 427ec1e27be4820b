"""Measures between pictures, all on uint8 (H, W, 3)."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F


def ssim(made: np.ndarray, truth: np.ndarray) -> float:
    """Structural similarity (Wang et al. 2004, eq. 13): Gaussian window of 11 pixels, sigma 1.5, mean over channels."""
    reach = torch.arange(11, dtype=torch.float64) - 5
    line = torch.exp(-reach.square() / (2 * 1.5**2))
    line = line / line.sum()
    kernel = torch.outer(line, line)[None, None]
    a, b = (torch.from_numpy(x.copy()).permute(2, 0, 1)[:, None].double() for x in (made, truth))
    mean_a, mean_b, aa, bb, ab = (F.conv2d(x, kernel) for x in (a, b, a * a, b * b, a * b))
    var_a, var_b, cov = aa - mean_a**2, bb - mean_b**2, ab - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    index = (2 * mean_a * mean_b + c1) * (2 * cov + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return float(index.mean())


def flip(made: np.ndarray, truth: np.ndarray) -> float | None:
    """FLIP, the difference seen when flipping between two pictures (Andersson et al. 2020); None without the extra."""
    try:
        import flip_evaluator
    except ImportError:
        return None
    _, error, _ = flip_evaluator.evaluate(
        truth.astype(np.float32) / 255, made.astype(np.float32) / 255, "LDR", applyMagma=False
    )
    return float(error)


def gradient_energy(frame: np.ndarray) -> float:
    """Mean squared difference of neighbouring pixels of a uint8 frame."""
    f = frame.astype(np.float64)
    return float(np.square(np.diff(f, axis=0)).mean() + np.square(np.diff(f, axis=1)).mean())


def macro_f1(read: np.ndarray, true: np.ndarray) -> float:
    """Mean F1 over the classes that occur in `true`."""
    scores = []
    for label in np.unique(true):
        both = np.sum((read == label) & (true == label))
        scores.append(2 * both / max(1, np.sum(read == label) + np.sum(true == label)))
    return float(np.mean(scores))
