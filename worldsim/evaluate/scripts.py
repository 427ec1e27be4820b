"""Scripted cases of a world that lives: who makes them, who judges them, and how their rows are run."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from worldsim.camera import Camera, Look, Pose
from worldsim.entities import HEADING, VX, VY, X, Y
from worldsim.evaluate.living import Truth, Walk, changed, frames_of
from worldsim.evaluate.metric import SEEDS, Measurement
from worldsim.evaluate.nulls import DREAM, DREAM_THERE, FROZEN_ENTITIES, MEMORY_ALONE, NO_ENTITIES
from worldsim.evaluate.walking import Walker, in_front_of
from worldsim.world import Frame, State

NULL_SHARE = 8
"""A null row is measured over one in so many walks: it shows what no skill scores, and need not be exact."""

_OPENING_TICKS = 60  # enough for any door but the slowest
_MOST_DOWN_DEG = 24.0  # that a player looks down to a ball at its feet

Found = list[tuple[str, float]]
"""Values by the name of their figure. One figure has many."""


class Setting:
    """What scripts are made in: the true engine, its walls, and how many cases are wanted."""

    def __init__(self, measurement: Measurement) -> None:
        source: Any = measurement.source
        self.truth, self.dynamics = Truth(source), source.dynamics
        self.scene, self.count, self.quiet = measurement.scene, measurement.sizes.cases, measurement.quiet
        self.all_slots = measurement.scene.slots
        self._eye_m = (measurement.scene.camera or Camera()).eye_height_m
        self._first = SEEDS[measurement.seeds]
        self._opened: dict[int, Sequence[float]] = {}
        self._grid: np.ndarray | None = None

    def slots(self, *kinds: str) -> list[int]:
        """The slots whose kind begins with one of these words."""
        return [i for i, slot in enumerate(self.all_slots) if slot.kind.startswith(kinds)]

    def seed(self, case: int) -> int:
        return self._first + 700_000 + case

    def rng(self, case: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(key=self.seed(case)))

    def level(self, case: int) -> tuple[State, Pose]:
        """Where the source's own player begins, and the level view there."""
        _, state = self.truth.player(self.seed(case))
        pose = state.pose
        return state, Pose(pose.x, pose.y, Look(pose.look.yaw_deg, -4.0))

    def walker(self, state: State) -> Walker:
        walker = Walker(self.truth, self.dynamics, state, self._grid)
        self._grid = walker.grid
        return walker

    def opened(self, slot: int) -> Sequence[float]:
        """A door's FIELDS when it has been opened: the true engine opens it."""
        if slot not in self._opened:
            rest, space = self.all_slots[slot].rest, self.scene.action_space
            values = np.array([one.rest for one in self.all_slots])
            state, _ = self.truth.begin(0, in_front_of(rest[X], rest[Y], rest[HEADING], 0.9), values)
            for action in (space.make(use=1), *[space.idle] * _OPENING_TICKS):
                state = self.truth.after(state, action)
            self._opened[slot] = self.truth.values(state)[slot].tolist()
        return self._opened[slot]

    def is_clear(self, pose: Pose, x: float, y: float) -> bool:
        """Whether a straight way from a pose to a place is free of walls."""
        for share in (0.25, 0.5, 0.75, 1.0):
            px, py = pose.x + share * (x - pose.x), pose.y + share * (y - pose.y)
            qx, qy = self.dynamics.push_out(px, py)
            if math.hypot(qx - px, qy - py) > 1e-6:
                return False
        return True

    def with_ball(
        self, case: int, slot: int, metres: tuple[float, float], speed: tuple[float, float] = (0.0, 0.0)
    ) -> tuple[State, Pose, np.ndarray] | None:
        """A start with a ball ahead of the player, rolling at a speed across the view or away. None if none is free."""
        state, pose = self.level(case)
        values, rng = self.truth.values(state), self.rng(case)
        for _ in range(24):
            yaw, far = float(rng.uniform(0, 360)), float(rng.uniform(*metres))
            heading = yaw + float(rng.uniform(-8, 8))
            x, y = pose.x + far * math.sin(math.radians(heading)), pose.y + far * math.cos(math.radians(heading))
            way, fast = math.radians(heading + float(rng.uniform(-90, 90))), float(rng.uniform(*speed))
            ball = {X: x, Y: y, VX: fast * math.sin(way), VY: fast * math.cos(way)}
            others = np.delete(values, slot, axis=0)
            apart = not len(others) or np.hypot(others[:, X] - x, others[:, Y] - y).min() > 0.6
            if apart and self.is_clear(pose, x, y):
                down = math.degrees(math.atan2(self._eye_m, far))
                turned = replace(pose, look=Look(yaw, -min(down / 2, _MOST_DOWN_DEG)))
                rest = dict(enumerate(self.all_slots[slot].rest))
                return state, turned, changed(values, slot, rest | ball)
        return None


@dataclass(frozen=True)
class Case:
    """A walk, and the true states at its looks."""

    walk: Walk
    states: list[State]


class Script(ABC):
    """One question that is put to a dream by scripted walks."""

    name: str

    @abstractmethod
    def cases(self, setting: Setting) -> list[Case]:
        """The walks; fewer than wanted, or none, where the scene has no use for them."""

    @abstractmethod
    def judge(self, setting: Setting, case: Case, frames: Sequence[Frame]) -> Found:
        """What a world's frames at the looks of a walk say."""


def rows_of(measurement: Measurement) -> list[str]:
    """The dream and the null rows of a world that lives."""
    has_memory = MEMORY_ALONE in measurement.dreamer.nulls
    return [DREAM, NO_ENTITIES, FROZEN_ENTITIES, *([MEMORY_ALONE] if has_memory else [])]


def run_rows(
    measurement: Measurement, setting: Setting, script: Script, cases: Sequence[Case]
) -> tuple[dict[str, dict[str, list[float]]], dict[int, list[Frame]]]:
    """The values of each figure by row, and the dream's frames of the first walks, to look at."""
    found: dict[str, dict[str, list[float]]] = {}
    shown: dict[int, list[Frame]] = {}
    few = max(2, len(cases) // NULL_SHARE)
    for row in rows_of(measurement):
        some = cases if row == DREAM else cases[:few]
        with measurement.dreamer.world(row) as world:
            for i, case in enumerate(tqdm(some, desc=f"{script.name}, {row}", unit="walk", disable=setting.quiet)):
                frames = frames_of(world, case.walk)
                for name, value in script.judge(setting, case, frames):
                    for kept in (row, DREAM_THERE) if row == DREAM and i < few < len(cases) else (row,):
                        found.setdefault(kept, {}).setdefault(name, []).append(float(value))
                if row == DREAM and i < 4:
                    shown[i] = frames
    return found, shown


def pose_of(frame: Frame, state: State) -> Pose:
    """Where a world believes to be; the true pose if it does not say."""
    return frame.pose or state.pose


def believed_off_m(setting: Setting, frame: Frame, state: State, slot: int) -> float | None:
    """Metres between the believed and the true place of an entity; None in a world that believes nothing."""
    if frame.entities is None:
        return None
    off = np.asarray(frame.entities)[slot, :2] - setting.truth.values(state)[slot, :2]
    return float(np.hypot(*off))
