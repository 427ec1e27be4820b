"""Short stretches of a living scene, nothing drawn: what its entities' transitions are learned from.

Most begin with the player beside an entity and on its way to it: that is where something happens. A stretch starts
from any state that the true engine can be in, and depends on the seed and its own number alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from os import sched_getaffinity
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from worldsim.action import Action, ActionSpace
from worldsim.camera import Pose
from worldsim.data.transitions import Transitions
from worldsim.entities import DICE, FIELDS, ON, QUANTA, VX, VY, X, Y, dice
from worldsim.scene import Scene
from worldsim.source.base import LivingSource
from worldsim.world import State

T = TypeVar("T")

TICKS = 16
_TRIES = 12  # states drawn to find one with the player beside an entity
_BESIDE_M = 1.8
_PART = 500  # stretches that a process makes at a time


@dataclass(frozen=True)
class EntitySteps:
    """N stretches of T ticks.

    poses (N, T + 1, 4): x, y in metres, yaw and pitch in radians; entities (N, T + 1, S, FIELDS); actions (N, T, A) in
    [-1, 1]; levels (N, T, E) after the tick; dice (N, T, S, DICE) of the tick after. All float32.
    """

    poses: Tensor
    entities: Tensor
    actions: Tensor
    levels: Tensor
    dice: Tensor

    @property
    def ticks(self) -> int:
        """How many ticks a stretch has."""
        return self.actions.shape[1]

    def moves(self) -> Transitions:
        """Each tick as a step of the player, with the entities before it."""
        before, after = self.poses[:, :-1].flatten(0, 1), self.poses[:, 1:].flatten(0, 1)
        return Transitions(
            self.actions.flatten(0, 1), before[:, :2], after[:, 2], after[:, :2] - before[:, :2],
            self.entities[:, :-1].flatten(0, 1),
        )  # fmt: skip


def draw_entity_steps(scene: Scene, count: int, seed: int, ticks: int = TICKS) -> EntitySteps:
    """`count` stretches of a scene with entities, made by as many processes as there are cores."""
    made = in_parts(_stretches, scene, count, seed, ticks)
    return EntitySteps(*(torch.from_numpy(np.concatenate(arrays)) for arrays in zip(*made, strict=True)))


def in_parts(make: Callable[..., T], scene: Scene, count: int, *more: int) -> list[T]:
    """What `make(scene, numbers, *more)` makes of the numbers up to `count`, in order, by a process for each core."""
    parts = [(scene, range(i, min(i + _PART, count)), *more) for i in range(0, count, _PART)]
    workers = min(len(sched_getaffinity(0)), len(parts))
    if workers < 2:
        return [make(*part) for part in parts]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        return list(pool.map(make, *zip(*parts, strict=True)))


def _stretches(scene: Scene, numbers: range, seed: int, ticks: int) -> tuple[np.ndarray, ...]:
    """The arrays of EntitySteps, of some of the stretches."""
    source, space, slots = scene.source.open(scene), scene.action_space, len(scene.slots)
    assert isinstance(source, LivingSource)
    count = len(numbers)
    poses, entities = np.empty((count, ticks + 1, 4)), np.empty((count, ticks + 1, slots, len(FIELDS)), np.float32)
    actions, levels = np.empty((count, ticks, space.size)), np.empty((count, ticks, len(scene.events)))
    chances = np.empty((count, ticks, slots, DICE))
    for i, number in enumerate(numbers):
        rng = np.random.Generator(np.random.Philox(key=[seed, number]))
        state = beside(source, rng)
        player = Wanderer(space, rng)
        pose, rows, _ = source.facts(state)
        for t in range(ticks + 1):
            look = pose.look
            poses[i, t] = pose.x, pose.y, math.radians(look.yaw_deg % 360.0), math.radians(look.pitch_deg)
            entities[i, t] = rows
            if t == ticks:
                break
            action = player.act(pose, rows)
            chances[i, t] = dice(state.seed, state.tick + 1, slots)
            state = source.step(state, action)
            pose, rows, happening = source.facts(state)
            actions[i, t], levels[i, t] = space.scaled(action), happening.levels
    return tuple(a.astype(np.float32) for a in (poses, entities, actions, levels, chances))


def beside(source: LivingSource, rng: np.random.Generator) -> State:
    """A random state, in nine of ten with the player near an entity if some tries find one."""
    wanted = _BESIDE_M if rng.random() < 0.9 else math.inf
    for _ in range(_TRIES):
        state = source.somewhere(rng)
        pose, rows, _ = source.facts(state)
        if np.hypot(rows[:, X] - pose.x, rows[:, Y] - pose.y).min() < wanted:
            break
    return state


class Wanderer:
    """Goes to entities and tries all its controls on them. Knows where they are; keeps to an intention a while."""

    def __init__(self, space: ActionSpace, rng: np.random.Generator) -> None:
        self._space, self._rng = space, rng
        self._events = [c.name for c in space.controls if c.kind == "event"]
        self._buttons = [c.name for c in space.controls if c.kind == "button"]
        self._left = 0
        self._goal: int | None = None
        self._walk, self._strafe, self._turn_deg = 0, 0, 0.0
        self._held: dict[str, int] = {}

    def act(self, pose: Pose, rows: np.ndarray) -> Action:
        """The action of a tick that begins with the player here and the entities (S, FIELDS) there."""
        rng = self._rng
        if self._left == 0:
            self._intend(pose, rows)
        self._left -= 1
        turn_deg = self._turn_deg
        if self._goal is not None:
            x, y = rows[self._goal, X] - pose.x, rows[self._goal, Y] - pose.y
            off = (math.degrees(math.atan2(x, y)) - pose.look.yaw_deg + 180) % 360 - 180
            turn_deg = float(np.clip(off * 0.5, -12, 12))
        values = {"walk": self._walk, "strafe": self._strafe, **self._held}
        for control in self._space.controls:
            if control.kind == "mouse_x":
                values[control.name] = round((turn_deg + rng.normal(0, 0.5)) / control.quantum_deg)
            elif control.kind == "mouse_y":
                values[control.name] = round(rng.normal(0, 1) / control.quantum_deg)
        for name in self._events:
            values[name] = int(rng.random() < 0.01)
        return self._space.make(**values)

    def _intend(self, pose: Pose, rows: np.ndarray) -> None:
        """Think of something else to do for some ticks."""
        rng = self._rng
        far = np.hypot(rows[:, X] - pose.x, rows[:, Y] - pose.y)
        moving = np.hypot(rows[:, VX], rows[:, VY]) > 0
        nearest = int(np.argmin(far - 0.5 * moving + rng.exponential(0.3, len(far))))
        self._goal = nearest if rng.random() < 0.75 else None
        self._left = int(rng.integers(2, 12))
        self._walk = int(rng.choice([1, 0, -1], p=[0.65, 0.22, 0.13]))
        self._strafe = int(rng.choice([1, 0, -1], p=[0.12, 0.76, 0.12]))
        self._held = {name: int(rng.random() < 0.35) for name in self._buttons}
        self._turn_deg = float(rng.normal(0, 5))


def liveliness(steps: EntitySteps) -> Tensor:
    """How much there is to be learned of each entity at each tick: (N, T, S), at least 0.03.

    Most where a number jumps, then where something else is near, then where it moves.
    """
    quanta = torch.tensor(QUANTA, dtype=torch.float32)
    rows = steps.entities
    change = (rows[:, 1:] - rows[:, :-1]) / quanta
    usual = torch.cat([change[:, :1], change[:, :-1]], dim=1)
    jumps = ((change - usual).abs() > 64 + 0.2 * usual.abs()).any(-1).float() + (change[..., ON].abs() > 0.5) * 1.5
    moves = (change.abs() > 0.5).any(-1).float()
    at = rows[:, 1:, :, X : Y + 1]
    near = ((at - steps.poses[:, 1:, None, :2]).norm(dim=-1) < 1.2).float()
    gaps = torch.cdist(at.flatten(0, 1), at.flatten(0, 1)).view(*at.shape[:3], -1)
    gaps = gaps + 100 * torch.eye(rows.shape[2])
    crowded = (gaps.amin(-1) < 0.7) * moves if rows.shape[2] > 1 else 0.0
    return 0.03 + 0.2 * moves + 0.7 * near + 0.6 * crowded + 3 * jumps
