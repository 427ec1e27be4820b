"""Single steps of a scene's dynamics from everywhere, nothing drawn: what odometry learns walls from.

Walks rarely touch a wall, and never stand in one; a believed place, a little wrong, does. So the poses are spread over
the whole plan, walls included, from where the dynamics push out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from worldsim.action import Action
from worldsim.camera import Look, Pose
from worldsim.entities import at_rest, quantised, values_of
from worldsim.scene import Scene
from worldsim.source.base import PosedSource

FARTHEST_M = 0.5


@dataclass(frozen=True)
class Transitions:
    """N steps: action (N, A) in [-1, 1], position (N, 2) metres before, yaw (N,) radians after the turn, displacement
    (N, 2) metres; entities (N, S, FIELDS) before, None in a scene without."""

    action: Tensor
    position: Tensor
    yaw: Tensor
    displacement: Tensor
    entities: Tensor | None = None

    def to(self, device: torch.device) -> Transitions:
        """On another device."""
        return self._each(lambda t: t.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Transitions:
        entities = None if self.entities is None else change(self.entities)
        return Transitions(
            change(self.action), change(self.position), change(self.yaw), change(self.displacement), entities
        )

    def draw(self, rng: np.random.Generator, count: int) -> Transitions:
        """`count` of them at random."""
        index = torch.from_numpy(rng.integers(len(self.yaw), size=count))
        return self._each(lambda t: t[index])


def draw_transitions(scene: Scene, count: int, seed: int) -> Transitions:
    """Steps of random actions from poses spread evenly over the scene's bounds, entities at rest; without those that
    were so deep inside a wall or a solid that they are thrown far."""
    space, place, source = scene.action_space, scene.place, scene.source.open(scene)
    assert place is not None and isinstance(source, PosedSource)  # a scene with poses
    rng = np.random.Generator(np.random.Philox(key=seed))
    x0, y0, x1, y1 = place.bounds
    places = rng.uniform((x0, y0, 0.0), (x1, y1, 360.0), (count, 3))
    bounds = [c.bounds for c in space.controls]
    values = rng.integers([low for low, _ in bounds], [high + 1 for _, high in bounds], (count, len(bounds)))
    rows = []
    for (x, y, yaw), action in zip(places.tolist(), values.tolist(), strict=True):
        taken = Action(tuple(action))
        after = source.move(Pose(x, y, Look(yaw)), taken)
        if math.hypot(after.x - x, after.y - y) > FARTHEST_M:
            continue
        rows.append([*space.scaled(taken), x, y, math.radians(after.look.yaw_deg % 360.0), after.x - x, after.y - y])
    table = torch.tensor(rows, dtype=torch.float64).float()
    size = space.size
    resting = torch.from_numpy(values_of(quantised(at_rest(scene.slots)))).float()
    return Transitions(
        table[:, :size], table[:, size : size + 2], table[:, size + 2], table[:, size + 3 :],
        resting.expand(len(table), -1, -1) if scene.slots else None,
    )  # fmt: skip
