"""Stage `odometry`: learn how far an action carries the player, walls included, from true poses alone.

Cheap and apart from all else: it trains only the odometry head, over ticks of all episodes, over single steps from
everywhere on the plan, and in a living scene over ticks beside its entities and single steps from close to them. Worth
its own stage, since its error sums up over a session: at 64 ticks a centimetre a tick can be half a metre.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from worldsim.data.close_steps import draw_close_steps
from worldsim.data.entity_steps import draw_entity_steps
from worldsim.data.latents import Latents
from worldsim.data.transitions import Transitions, draw_transitions
from worldsim.model.generator import Generator
from worldsim.model.odometry import Odometry
from worldsim.train.setup import Setup
from worldsim.train.stages.base import Stage

BATCH = 2048  # of ticks of episodes, as many of each kind near entities, and twice as many from everywhere
TRANSITIONS = 400_000
STRETCHES = 20_000  # beside entities
CLOSE_STATES = 15_000  # of entities, a dozen steps each


class OdometryStage(Stage):
    """Trains a Generator's odometry on the ticks of `latents` and on `transitions`; all else stays as it is."""

    name = "odometry"

    def __init__(
        self, generator: Generator, latents: Latents, transitions: Transitions, export: Callable[[], None],
        *near: Transitions,
    ) -> None:  # fmt: skip
        """transitions: from everywhere, with no entity in the way. near: with entities near, of several kinds."""
        self._generator, self._latents, self._transitions, self._export = generator, latents, transitions, export
        self._near = near
        generator.requires_grad_(False)
        odometry_of(generator).requires_grad_(True)

    @classmethod
    def create(cls, setup: Setup) -> OdometryStage:
        setup.require_place()
        scene = setup.request.scene
        transitions = draw_transitions(scene, TRANSITIONS, seed=0)
        near = []
        if scene.slots:
            setup.know_walls()
            near = [draw_entity_steps(scene, STRETCHES, seed=2).moves(), draw_close_steps(scene, CLOSE_STATES, seed=4)]
        return cls(setup.generator, setup.latents, transitions, setup.exporter, *near)

    @property
    def model(self) -> nn.Module:
        return self._generator

    def loss(self, step_seed: int, step: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.Generator(np.random.Philox(key=step_seed))
        walked = odometry_error(self._generator, self._latents.draw_ticks(rng, BATCH))
        anywhere = odometry_error(self._generator, self._transitions.draw(rng, 2 * BATCH))
        near = [odometry_error(self._generator, steps.draw(rng, BATCH)) for steps in self._near]
        error = torch.cat([walked, anywhere, *near])
        distance_m = walked.detach().norm(dim=-1) * odometry_of(self._generator).step_m
        return error.abs().mean() + error.square().mean(), {"error_mm": float(distance_m.mean()) * 1e3}

    def export(self) -> None:
        self._export()


def odometry_error(generator: Generator, true: Transitions) -> Tensor:
    """Errors of predicted displacements (N, 2), in steps of the longest length; float32 also under autocast."""
    true = true.to(next(generator.parameters()).device)
    with torch.autocast(true.yaw.device.type, enabled=False):
        walls = generator.known_walls
        made = odometry_of(generator)(true.action, true.position, true.yaw, true.entities, walls)
        return (made - true.displacement) / odometry_of(generator).step_m


def odometry_of(generator: Generator) -> Odometry:
    """The odometry of a generator with a camera."""
    assert generator.odometry is not None
    return generator.odometry
