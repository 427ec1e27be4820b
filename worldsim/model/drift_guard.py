"""The drift guard's eye: does a latent still look like one of the training frames?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_WIDER = 0.2  # share of the range added on either side: a dream may go a little further than what it was shown


@dataclass(frozen=True)
class LatentRange:
    """What is usual for the latent of a training frame: the range of its strength (root mean square), the range of its
    roughness (difference between neighbouring tokens), and surprise, the largest distance from the place memory's prior
    that is still usual; None without a place memory."""

    rms: tuple[float, float]
    roughness: tuple[float, float]
    surprise: float | None = None

    def holds(self, latent: np.ndarray, rows: int, surprise: float | None = None) -> bool:
        """Whether the latent (1, N, C) of a frame with so many rows of tokens is usual.

        surprise: its distance from the prior. Only this catches a bland dream: most of a place is bare walls, so a grey
        picture is neither too weak nor too smooth, but it is not what should be there.
        """
        if self.surprise is not None and surprise is not None and not surprise <= self.surprise:
            return False
        found = statistics(latent, rows)[0]
        return all(low <= value <= high for value, (low, high) in zip(found, (self.rms, self.roughness), strict=True))


def statistics(latents: np.ndarray, rows: int) -> np.ndarray:
    """Strength and roughness (F, 2) of latents (F, N, C)."""
    frames, tokens, channels = latents.shape
    x = latents.reshape(frames, rows, tokens // rows, channels)
    apart = _mean_square(x[:, 1:] - x[:, :-1]) + _mean_square(x[:, :, 1:] - x[:, :, :-1])
    return np.sqrt(np.stack([_mean_square(x), apart], axis=1))


def distance(latents: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Root mean square difference (F,) of latents (F, N, C): what LatentRange.surprise bounds."""
    return np.sqrt(_mean_square(latents - expected))


def _mean_square(x: np.ndarray) -> np.ndarray:
    """Of each frame (F, ...): (F,)."""
    flat = x.reshape(len(x), -1)
    return np.einsum("fi,fi->f", flat, flat) / max(1, flat.shape[1])


def measure_range(latents: np.ndarray, rows: int, distances: np.ndarray | None = None) -> LatentRange:
    """The range of training latents (F, N, C), without the last thousandth at either end, made a little wider.

    distances (G,): of some of them from what the place memory expects; without the last hundredth, since a few frames
    beside an edge it places wrongly lie very far.
    """
    parts = (latents[begin : begin + 4096].astype(np.float32) for begin in range(0, len(latents), 4096))
    found = np.sort(np.concatenate([statistics(part, rows) for part in parts]), axis=0)
    cut = len(found) // 1000
    low, high = found[cut], found[len(found) - 1 - cut]
    margin = _WIDER * (high - low)
    pairs = np.stack([np.maximum(low - margin, 0), high + margin], axis=1).tolist()
    rms, roughness = ((round(a, 4), round(b, 4)) for a, b in pairs)
    surprise = None if distances is None else round((1 + _WIDER) * float(np.quantile(distances, 0.99)), 4)
    return LatentRange(rms, roughness, surprise)
