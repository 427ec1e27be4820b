"""Stage `odometry`: learn how far an action carries the player, walls included, from true poses alone.

Cheap and apart from all else: it trains only the odometry head, over ticks of all episodes. Worth its own stage,
since its error sums up over a session: at 64 ticks a centimetre a tick can be half a metre.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from worldsim.data.latents import Latents
from worldsim.model.generator import Generator

BATCH = 4096


class OdometryStage:
    """Trains a Generator's odometry on the ticks of `latents`; the rest of the network stays as it is."""

    name = "odometry"

    def __init__(self, generator: Generator, latents: Latents, export: Callable[[], None]) -> None:
        self.model, self._latents, self._export = generator, latents, export
        generator.requires_grad_(False)
        generator.odometry.requires_grad_(True)

    def loss(self, step_seed: int, step: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.Generator(np.random.Philox(key=step_seed))
        error = odometry_error(self.model, self._latents, rng, BATCH)
        distance_m = error.detach().norm(dim=-1) * self.model.odometry.step_m
        return error.abs().mean() + error.square().mean(), {"error_mm": float(distance_m.mean()) * 1e3}

    def sample(self) -> None:
        return None

    def export(self) -> None:
        self._export()


def odometry_error(generator: Generator, latents: Latents, rng: np.random.Generator, count: int) -> Tensor:
    """Errors of predicted displacements (count, 2), in steps of the longest length; float32 also under autocast."""
    device = next(generator.parameters()).device
    before, after = latents.draw_ticks(rng, count)
    action, yaw = latents.action[after].to(device), latents.look[after, 0].to(device)
    here, there = latents.position[before].to(device), latents.position[after].to(device)
    with torch.autocast(device.type, enabled=False):
        return (generator.odometry(action, here, yaw) - (there - here)) / generator.odometry.step_m
