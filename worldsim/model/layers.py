"""Building blocks of the generator: Fourier features, rotary positions, feed-forward.

Shapes: B batch, T frames, N tokens a frame, D width, `heads`, d width of a head.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldsim.kernels.qk_norm_rotary import rotate_pairs
from worldsim.kernels.swiglu import swiglu

# Whole harmonics of the circle. A rotation by n * azimuth is the same after a full turn, so azimuth never needs to be
# wrapped and a key keeps its rotation for ever. 21 is about the Nyquist limit of tokens 8.7 degrees apart.
_HARMONICS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 21)


def fourier(x: Tensor, frequencies: Tensor) -> Tensor:
    """(..., K) and (F,) -> (..., 2 * K * F): cosines and sines of every product, x in radians at frequency 1."""
    angles = (x.unsqueeze(-1) * frequencies).flatten(-2)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class Mlp(nn.Module):
    """Linear, SiLU, Linear."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.inner = nn.Linear(inputs, hidden)
        self.outer = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(F.silu(self.inner(x)))


class SwiGlu(nn.Module):
    """Gated feed-forward (Shazeer 2020, eq. 6)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate_and_up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(swiglu(self.gate_and_up(x)))


class RotarySplit:
    """How the width of a head is shared out: time first, then azimuth, then elevation, the rest unrotated.

    Each axis takes pairs of numbers (first half cosine side, second half sine side of its own stretch).
    """

    def __init__(self, head_width: int) -> None:
        self.time = head_width // 8  # pairs
        self.azimuth = 3 * head_width // 16
        self.elevation = head_width // 8
        self.rotated = 2 * (self.time + self.azimuth + self.elevation)
        self.space_frequencies = torch.cat([_spread(self.azimuth), _spread(self.elevation)])
        # A slot apart turns the fastest pair by 1.5 rad, the slowest by 0.1: distinct over any window up to 32.
        self.time_frequencies = 1.5 * (0.1 / 1.5) ** (torch.arange(self.time) / max(self.time - 1, 1))

    def cosine_sides(self) -> list[int]:
        """The numbers of a head that are the cosine sides of its pairs in space."""
        first = 2 * self.time
        return list(range(first, first + self.azimuth + self.elevation))

    def space_angles(self, azimuth: Tensor, elevation: Tensor, frequencies: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine tables (..., N, pairs) for world angles of each token's ray, (..., N), in radians.

        frequencies: `space_frequencies`, on the device of the angles.
        """
        shape = *azimuth.shape, 1
        around = azimuth.reshape(shape).expand(*shape[:-1], self.azimuth)
        up = elevation.reshape(shape).expand(*shape[:-1], self.elevation)
        angles = torch.cat([around, up], dim=-1) * frequencies
        return angles.cos(), angles.sin()

    def slot_angles(self, slots: int) -> tuple[Tensor, Tensor]:
        """Cosine and sine tables (slots, time pairs) of past frames, oldest first; the new frame comes after them and
        stands at angle 0."""
        position = torch.arange(slots, dtype=torch.float32) - slots
        angles = position[:, None] * self.time_frequencies
        return angles.cos(), angles.sin()

    def rotate_time(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Rotate time pairs of x (..., d) by tables broadcastable to (..., time pairs)."""
        return rotate_pairs(x, cos, sin, 0)


def _spread(count: int) -> Tensor:
    """So many of the harmonics, lowest to highest."""
    picks = torch.linspace(0, len(_HARMONICS) - 1, count).round().long()
    return torch.tensor(_HARMONICS, dtype=torch.float32)[picks]


def octaves(longest: float, count: int) -> Tensor:
    """Angular frequencies of waves of length `longest`, longest / 2, ... : (count,)."""
    return 2 * math.pi / longest * 2.0 ** torch.arange(count)
