"""Noise levels: the rectified-flow path, the few-step lists, and how training draws its levels.

Path (Liu et al. 2022): x_s = (1 - s) x0 + s e, s in [0, 1]. Training and sampling share this one vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor

STEP_LEVELS = {n: tuple(1 - i / n for i in range(n)) for n in (1, 2, 4, 8)}
"""Levels at which a sampler of so many steps calls the network; after the last it goes to 0."""

CONTEXT_LEVEL = (
    0.1  # noise on history at play: low enough to keep detail, high enough to forgive the model's own errors
)


def add_noise(x0: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """x_s on the path; level broadcastable to x0."""
    return x0 + level * (noise - x0)


def draw_levels(shape: tuple[int, ...], noise_rng: torch.Generator, mean: float = 0.6, pure: float = 0.2) -> Tensor:
    """Training levels: logit-normal leaning to noise, a share `pure` of them exactly 1, where every sampler starts."""
    levels = torch.sigmoid(torch.randn(shape, generator=noise_rng) + mean)
    return torch.where(torch.rand(shape, generator=noise_rng) < pure, torch.ones(()), levels)


def loss_weight(level: Tensor) -> Tensor:
    """Between x0-loss (1) and v-loss (1 / s^2): 1 / s, with s clamped at 0.2."""
    return 1 / level.clamp(min=0.2)
