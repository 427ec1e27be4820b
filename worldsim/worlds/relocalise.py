"""Where could this picture have been taken? The pose whose recalled frame is most like it.

For start pictures that come without a pose: a dream that knows its place holds, one that does not fades in a second. A
picture of somewhere else finds what is most like it here. Deterministic, so that a replay starts at the same pose.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from worldsim.camera import Look, Pose
from worldsim.model.generator import Generator
from worldsim.scene import Bounds

_SPACING_M, _TURNS = 1.0, 10  # of the first look around
_ROUNDS, _TRIES, _BATCH = 5, 64, 40
_CHANNELS = 12  # the strongest: what a picture is of, rather than how its texture lies


@torch.no_grad()
def relocalise(generator: Generator, latent: Tensor, bounds: Bounds) -> Pose | None:
    """The pose within bounds (x0, y0, x1, y1) that recalls the frame's latent (1, N, C) best; None without a memory."""
    if generator.condition.memory is None:
        return None
    tries = _everywhere(bounds).to(latent.device)
    chance = torch.Generator().manual_seed(0)
    reach = tries.new_tensor([_SPACING_M / 2, _SPACING_M / 2, math.pi / _TURNS, math.radians(8)])
    best, least = tries[0], math.inf
    for _ in range(1 + _ROUNDS):
        error = torch.cat([_error(generator, latent, part) for part in tries.split(_BATCH)])
        if float(error.min()) < least:
            best, least = tries[int(error.argmin())], float(error.min())
        tries = best + reach * torch.randn(_TRIES, 4, generator=chance).to(reach)
        reach = reach / 2
    x, y, yaw, pitch = best.tolist()
    x0, y0, x1, y1 = bounds
    return Pose(
        min(max(x, x0), x1), min(max(y, y0), y1), Look(math.degrees(yaw) % 360.0, math.degrees(pitch))
    )  # fmt: skip


def _everywhere(bounds: Bounds) -> Tensor:
    """Level poses all over the place, in all directions: (n, 4) x, y, yaw, pitch in metres and radians."""
    x0, y0, x1, y1 = bounds
    across = torch.linspace(x0 + 0.5, x1 - 0.5, max(2, round((x1 - x0) / _SPACING_M)))
    along = torch.linspace(y0 + 0.5, y1 - 0.5, max(2, round((y1 - y0) / _SPACING_M)))
    turns = torch.arange(_TURNS) * (2 * math.pi / _TURNS)
    return torch.cartesian_prod(across, along, turns, torch.zeros(1))


def _error(generator: Generator, latent: Tensor, poses: Tensor) -> Tensor:
    """How unlike the latent the frames recalled at poses (n, 4) are: (n,)."""
    recalled = generator.condition.expect(generator.shape.still(poses))[0]
    return (recalled - latent)[..., :_CHANNELS].square().mean(dim=(1, 2))
