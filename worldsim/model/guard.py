"""The drift guard's eye: does a latent still look like one of the training frames?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_WIDER = 0.2  # of the range on either side: the dream may go a little further than what it was shown


@dataclass(frozen=True)
class LatentRange:
    """Least and greatest of two statistics of a frame's latent: strength, and roughness between neighbouring tokens."""

    rms: tuple[float, float]
    roughness: tuple[float, float]

    def holds(self, latent: Tensor, rows: int) -> bool:
        """Whether the latent (1, N, C) of a frame of so many rows of tokens lies within."""
        found = statistics(latent, rows)[0].tolist()
        return all(low <= value <= high for value, (low, high) in zip(found, (self.rms, self.roughness), strict=True))


def statistics(latents: Tensor, rows: int) -> Tensor:
    """Strength and roughness (F, 2) of latents (F, N, C)."""
    x = latents.float().unflatten(1, (rows, -1))
    apart = (x.diff(dim=1).square().mean(dim=(1, 2, 3)) + x.diff(dim=2).square().mean(dim=(1, 2, 3))).sqrt()
    return torch.stack([x.square().mean(dim=(1, 2, 3)).sqrt(), apart], dim=1)


def measure_range(latents: Tensor, rows: int) -> LatentRange:
    """The range of training latents (F, N, C), without the last thousandth at either end, made a little wider."""
    found = torch.cat([statistics(part, rows) for part in latents.split(4096)]).sort(dim=0).values
    cut = len(found) // 1000
    low, high = found[cut], found[len(found) - 1 - cut]
    margin = _WIDER * (high - low)
    pairs = torch.stack([(low - margin).clamp(min=0), high + margin], dim=1).tolist()
    return LatentRange(*((round(a, 4), round(b, 4)) for a, b in pairs))
