"""A small living source for tests: a yard with two balls that the player kicks, and a lamp it turns. Draws black."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from worldsim.action import Action, Control
from worldsim.camera import Camera, Look, Pose
from worldsim.entities import FIELDS, ON, PHASE, VX, VY, Slot, X, Y, dice, quantised, values_of
from worldsim.event import Event, Happening
from worldsim.scene import FrameSize, Place, Scene, SourceConfig, SpawnPoint
from worldsim.source.base import LivingSource
from worldsim.world import Frame

SIDE_M = 6.0


def _slot(name: str, kind: str, x: float, y: float, on: float) -> Slot:
    return Slot(name, kind, (0.4, 0.4, 0.4), tuple({"x": x, "y": y, "z": 0.2, "on": on}.get(f, 0.0) for f in FIELDS))


@dataclass(frozen=True)
class YardConfig(SourceConfig):
    """A square without walls inside."""

    world: ClassVar[str] = "yard:Yard"
    engine: Literal["yard"] = "yard"

    @property
    def place(self) -> Place:
        return Place((0.0, 0.0, SIDE_M, SIDE_M), (0.0, 0.0, 0.0, SIDE_M, SIDE_M, 3.0), 2.0)

    @property
    def slots(self) -> tuple[Slot, ...]:
        return _slot("a", "ball", 2, 2, 1), _slot("b", "ball", 4, 4, 1), _slot("light", "lamp", 3, 5.8, 0)

    @property
    def known_events(self) -> tuple[str, ...]:
        return ("night",)


@dataclass(frozen=True)
class YardState:
    pose: Pose
    entities: tuple[tuple[int, ...], ...]
    happening: Happening
    seed: int
    tick: int


class Yard(LivingSource):
    """Balls roll, slow down and turn at the edge; one that is touched takes the player's velocity; chance wobbles the
    lamp's phase; `use` near the lamp turns it."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    @property
    def scene(self) -> Scene:
        return self._scene

    def start(self, seed, spawn):
        state = YardState(spawn.pose, quantised(np.array([s.rest for s in self.scene.slots])), self._calm, seed, 0)
        return state, self._frame(state)

    def at(self, pose):
        return self.start(0, SpawnPoint("here", (pose.x, pose.y), pose.look.yaw_deg))

    def advance(self, state, action):
        after = self.step(state, action)
        return after, self._frame(after)

    def move(self, pose: Pose, action: Action) -> Pose:
        space = self.scene.action_space
        yaw = pose.look.yaw_deg + space.degrees(action, "yaw")
        step = 0.1 * space.get(action, "walk")
        x, y = pose.x + step * math.sin(math.radians(yaw)), pose.y + step * math.cos(math.radians(yaw))
        return Pose(min(max(x, 0.0), SIDE_M), min(max(y, 0.0), SIDE_M), Look(yaw % 360))

    def somewhere(self, rng):
        rows = np.array([s.rest for s in self.scene.slots])
        rows[:2, X : Y + 1], rows[:2, VX : VY + 1] = rng.uniform(1, 5, (2, 2)), rng.normal(0, 1, (2, 2))
        pose = Pose(*rng.uniform(0, SIDE_M, 2).tolist(), Look(float(rng.uniform(0, 360))))
        return YardState(pose, quantised(rows), self._calm, int(rng.integers(2**31)), int(rng.integers(1000)))

    def step(self, state, action):
        pose, rows = self.move(state.pose, action), values_of(state.entities)
        chances = dice(state.seed, state.tick + 1, len(rows))
        for i in (0, 1):
            rows[i, VX : VY + 1] *= 0.95
            if math.hypot(rows[i, X] - pose.x, rows[i, Y] - pose.y) < 0.5:
                rows[i, VX : VY + 1] = (pose.x - state.pose.x) * 40, (pose.y - state.pose.y) * 40
            for field, speed in ((X, VX), (Y, VY)):
                rows[i, field] += rows[i, speed] / 20
                if not 0 < rows[i, field] < SIDE_M:
                    rows[i, field], rows[i, speed] = min(max(rows[i, field], 0.0), SIDE_M), -rows[i, speed]
        near = math.hypot(rows[2, X] - pose.x, rows[2, Y] - pose.y) < 1
        if near and self.scene.action_space.get(action, "use"):
            rows[2, ON] = 1 - rows[2, ON]
        rows[2, PHASE] = chances[2, 0]
        happening = state.happening.after(self.scene.events, self.scene.action_space.called(action), 20)
        return YardState(pose, quantised(rows), happening, state.seed, state.tick + 1)

    def elsewhere(self, state, pose):
        return replace(state, pose=pose)

    def facts(self, state):
        return state.pose, values_of(state.entities), state.happening

    @property
    def _calm(self) -> Happening:
        return Happening.none(self.scene.events)

    def _frame(self, state) -> Frame:
        return Frame(self.blank(), state.tick, state.pose.look, state.pose)


def yard() -> Scene:
    controls = (
        Control("walk", "axis", ("s", "w")), Control("use", "button", ("e",)), Control("yaw", "mouse_x"),
    )  # fmt: skip
    return Scene(
        "yard", "The Yard", FrameSize(32, 32), controls, YardConfig(), Camera(), spawns=(SpawnPoint("a", (1.0, 1.0)),),
        events=(Event("night"),),
    )  # fmt: skip
