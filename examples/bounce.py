"""A source of one's own: a square that bounces in a box, and that the player pushes.

This file and `bounce.yaml` beside it are all that a new world needs. Nothing in worldsim names it; the environment
variable does:

    export PYTHONPATH=examples WORLDSIM_PLUGINS=bounce
    worldsim play examples/bounce.yaml --source           # the game itself
    worldsim collect examples/bounce.yaml --ticks 4000    # what it looks like, to train on
    worldsim train codec examples/bounce.yaml --minutes 1
    worldsim train forcing examples/bounce.yaml --minutes 3
    worldsim play runs/bounce                             # the dream of it
    worldsim evaluate runs/bounce --ticks 16
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from worldsim.action import Action
from worldsim.config import require
from worldsim.registry import SOURCES
from worldsim.scene import Scene, SourceConfig
from worldsim.source.base import SourceWorld
from worldsim.world import Frame, Spawn

WALL, SQUARE, FLOOR = (70, 74, 92), (244, 180, 64), (24, 26, 34)


@dataclass(frozen=True)
class BounceConfig(SourceConfig):
    """The `source` part of the scene file. side: of the square, in pixels; limit: ticks an episode lasts at most."""

    world: ClassVar[str] = "bounce:Bounce"

    engine: Literal["bounce"]
    side: int = 12
    limit: int = 120

    def __post_init__(self) -> None:
        require(2 <= self.side <= 32, f"side must lie in [2, 32], got {self.side}")
        require(self.limit >= 2, f"limit must be at least 2, got {self.limit}")


@dataclass(frozen=True)
class BounceState:
    """Where the square is and where it goes, in pixels; how often this episode's square has hit the left wall."""

    seed: int
    tick: int
    age: int  # ticks since the episode began
    x: int
    y: int
    vx: int
    vy: int
    hits: int = 0


class Bounce(SourceWorld):
    """Pushing changes the square's speed. The right wall is worth 1; a third hit of the left wall ends the episode."""

    def __init__(self, scene: Scene) -> None:
        assert isinstance(scene.source, BounceConfig)
        self._scene, self._config = scene, scene.source
        self._space = scene.action_space

    @property
    def scene(self) -> Scene:
        return self._scene

    def start(self, seed: int, spawn: Spawn) -> tuple[BounceState, Frame]:
        state = self._begin(seed, 0)
        return state, self._frame(state)

    def advance(self, state: BounceState, action: Action) -> tuple[BounceState, Frame]:
        if self._is_over(state):  # a new episode, as chance has it for this seed and tick
            state = self._begin(state.seed, state.tick + 1)
            return state, self._frame(state)
        push = self._space.get(action, "push")
        vx = int(np.clip(state.vx + push, -4, 4))
        (x, vx, low, high), (y, vy, _, _) = (
            self._moved(at, v, size)
            for at, v, size in ((state.x, vx, self._scene.frame.width), (state.y, state.vy, self._scene.frame.height))
        )
        after = replace(
            state, tick=state.tick + 1, age=state.age + 1, x=x, y=y, vx=vx, vy=vy, hits=state.hits + low
        )  # fmt: skip
        return after, self._frame(after, reward=float(high))

    def _begin(self, seed: int, tick: int) -> BounceState:
        """An episode's beginning: a function of the seed and the tick alone."""
        rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, tick]))
        frame, side = self._scene.frame, self._config.side
        x, y = (int(rng.integers(4, size - side - 4)) for size in (frame.width, frame.height))
        vx, vy = (int(rng.choice([-2, -1, 1, 2])) for _ in range(2))
        return BounceState(seed, tick, 0, x, y, vx, vy)

    def _moved(self, at: int, speed: int, size: int) -> tuple[int, int, bool, bool]:
        """Place and speed a tick later along one axis, and whether the low or the high wall was hit."""
        low, high = 4, size - 4 - self._config.side
        at += speed
        if at < low:
            return 2 * low - at, -speed, True, False
        if at > high:
            return 2 * high - at, -speed, False, True
        return at, speed, False, False

    def _is_over(self, state: BounceState) -> bool:
        return state.hits >= 3 or state.age >= self._config.limit

    def _frame(self, state: BounceState, reward: float = 0.0) -> Frame:
        size, side = self._scene.frame, self._config.side
        pixels = np.empty((size.height, size.width, 3), np.uint8)
        pixels[:] = WALL
        pixels[4:-4, 4:-4] = FLOOR
        pixels[state.y : state.y + side, state.x : state.x + side] = SQUARE
        terminated = state.hits >= 3
        return Frame(
            pixels, state.tick, reward=reward, terminated=terminated,
            truncated=not terminated and self._is_over(state),
        )  # fmt: skip


SOURCES.register("bounce", "bounce:BounceConfig")
