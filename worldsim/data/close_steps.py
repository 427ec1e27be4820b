"""Single steps of the player from close to entities and from within them, nothing drawn: what odometry learns from
besides walks.

Nobody walks into a leaf; a believed place, a little wrong, lies in one. So the poses are spread over the entities'
boxes and what is around them, from where the true engine pushes out.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from worldsim.action import Action
from worldsim.camera import Look, Pose
from worldsim.data.entity_steps import in_parts
from worldsim.data.transitions import FARTHEST_M, Transitions
from worldsim.entities import HEADING, X, Y
from worldsim.scene import Scene
from worldsim.source.base import LivingSource

AROUND_M = 0.5  # beyond a box
_EACH = 12  # steps from each state of the scene


def draw_close_steps(scene: Scene, states: int, seed: int) -> Transitions:
    """Random actions from random poses around the entities of so many states; without those of which the engine throws
    the player far."""
    parts = in_parts(_steps, scene, states, seed)
    return Transitions(*(torch.from_numpy(np.concatenate(arrays)) for arrays in zip(*parts, strict=True)))


def _steps(scene: Scene, numbers: range, seed: int) -> tuple[np.ndarray, ...]:
    """The arrays of Transitions, from some of the states."""
    source, space = scene.source.open(scene), scene.action_space
    assert isinstance(source, LivingSource)
    half = np.array([slot.size for slot in scene.slots]) / 2 + AROUND_M
    bounds = np.array([c.bounds for c in space.controls])
    moves, before, entities = [], [], []
    for number in numbers:
        rng = np.random.Generator(np.random.Philox(key=[seed, number]))
        state = source.somewhere(rng)
        rows = source.facts(state)[1]
        for _ in range(_EACH):
            slot = int(rng.integers(len(rows)))
            across, along = rng.uniform(-half[slot, :2], half[slot, :2]).tolist()
            turn = math.radians(rows[slot, HEADING])
            x = float(rows[slot, X] + across * math.cos(turn) + along * math.sin(turn))
            y = float(rows[slot, Y] - across * math.sin(turn) + along * math.cos(turn))
            action = Action(tuple(rng.integers(bounds[:, 0], bounds[:, 1] + 1).tolist()))
            here = Pose(x, y, Look(float(rng.uniform(0, 360))))
            after = source.facts(source.step(source.elsewhere(state, here), action))[0]
            if math.hypot(after.x - x, after.y - y) <= FARTHEST_M:
                moves.append(space.scaled(action))
                before.append((x, y, math.radians(after.look.yaw_deg % 360.0), after.x - x, after.y - y))
                entities.append(rows)
    table = np.array(before, np.float32).reshape(-1, 5)
    return np.array(moves, np.float32), table[:, :2], table[:, 2], table[:, 3:], np.array(entities, np.float32)
