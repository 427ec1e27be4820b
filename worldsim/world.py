"""The World protocol: anything that yields frames for actions. No torch here.

`advance` is pure: the same state and action give the same result, always. So a draft is a call, accepting it is an
assignment, and a branch is a kept state.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from worldsim.action import Action
from worldsim.camera import Look, Pose
from worldsim.scene import Scene

T = TypeVar("T")

State = Any
"""Everything a world needs to go on, as a value that is never changed in place. Each world has its own type."""


@dataclass(frozen=True)
class Frame:
    """One picture of a world.

    pixels: uint8 (H, W, 3), rows from the top. tick: 0 for the start picture. look: the view the picture was made
    for. pose: the true pose from a source, the believed one from a neural world with a camera; None without one.
    """

    pixels: np.ndarray
    tick: int
    look: Look
    pose: Pose | None = None


@dataclass(frozen=True)
class Spawn:
    """Where a session starts: a picture, with its pose if known. pixels: uint8 (H, W, 3)."""

    name: str
    pixels: np.ndarray
    pose: Pose | None = None


@dataclass(frozen=True)
class Moment:
    """One tick of the past, enough to enter another world of the same scene: what was seen, done and believed."""

    frame: Frame
    action: Action


class World(Protocol):
    """Anything with `start` and `advance` that yields frames."""

    @property
    def scene(self) -> Scene: ...

    def start(self, seed: int, spawn: Spawn) -> tuple[State, Frame]:
        """The state and picture of tick 0. seed: of all randomness of the session."""
        ...

    @property
    def branches(self) -> int:
        """How many actions `passes` takes at most."""
        ...

    def passes(self, state: State, actions: Sequence[Action]) -> Generator[None, None, list[tuple[State, Frame]]]:
        """Make the next state and picture for each of these actions, pausing between passes so that a draft can be
        given up."""
        ...

    def settle(self, state: State) -> None:
        """Do now the work that a state has put off; the state's value does not change."""
        ...

    def strayed(self, state: State) -> bool:
        """Whether the newest picture is unlike anything the world was made from."""
        ...

    def enter(self, seed: int, moments: list[Moment]) -> State:
        """The state of the last of these moments, made from pictures alone: for swapping worlds in mid-play."""
        ...

    def thin(self, state: State) -> Any:
        """What must be kept of a state to rebuild it from the state before: as little as possible."""
        ...

    def show(self, thin: Any) -> Frame:
        """The frame that `passes` made with the state `thin` was taken from, bit for bit. Of a state from `start` or
        `enter`, only one like the picture it began with."""
        ...

    def rebuild(self, before: State, thin: Any) -> State:
        """The state that `thin` was taken from, bit for bit, given the state of the tick before."""
        ...


def advance(world: World, state: State, action: Action) -> tuple[State, Frame]:
    """The next state and its picture."""
    return finish(world.passes(state, [action]))[0]


def finish(work: Generator[None, None, T]) -> T:
    """Run a paused computation to its end."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            return stop.value
