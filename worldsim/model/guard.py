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
    surprise: float | None = None  # how far, rms, a training frame lies at most from what the place memory expects

    def holds(self, latent: Tensor, rows: int, surprise: float | None = None) -> bool:
        """Whether the latent (1, N, C) of a frame of so many rows of tokens lies within.

        surprise: its own distance from what was expected. This is what sees a bland dream: where most of a place is
        bare walls, a grey picture is neither too weak nor too smooth, but it is not what should be there.
        """
        if self.surprise is not None and surprise is not None and not surprise <= self.surprise:
            return False
        found = statistics(latent, rows)[0].tolist()
        return all(low <= value <= high for value, (low, high) in zip(found, (self.rms, self.roughness), strict=True))


def statistics(latents: Tensor, rows: int) -> Tensor:
    """Strength and roughness (F, 2) of latents (F, N, C)."""
    x = latents.float().unflatten(1, (rows, -1))
    apart = (x.diff(dim=1).square().mean(dim=(1, 2, 3)) + x.diff(dim=2).square().mean(dim=(1, 2, 3))).sqrt()
    return torch.stack([x.square().mean(dim=(1, 2, 3)).sqrt(), apart], dim=1)


def distance(latents: Tensor, expected: Tensor) -> Tensor:
    """Root mean square difference (F,) of latents (F, N, C): what LatentRange.surprise bounds."""
    return (latents.float() - expected.float()).square().mean(dim=(1, 2)).sqrt()


def measure_range(latents: Tensor, rows: int, distances: Tensor | None = None) -> LatentRange:
    """The range of training latents (F, N, C), without the last thousandth at either end, made a little wider.

    distances (G,): of some of them from what the place memory expects; without the last hundredth, since a few frames
    beside an edge it places wrongly lie very far.
    """
    found = torch.cat([statistics(part, rows) for part in latents.split(4096)]).sort(dim=0).values
    cut = len(found) // 1000
    low, high = found[cut], found[len(found) - 1 - cut]
    margin = _WIDER * (high - low)
    pairs = torch.stack([(low - margin).clamp(min=0), high + margin], dim=1).tolist()
    rms, roughness = ((round(a, 4), round(b, 4)) for a, b in pairs)
    surprise = None if distances is None else round((1 + _WIDER) * float(distances.quantile(0.99)), 4)
    return LatentRange(rms, roughness, surprise)
