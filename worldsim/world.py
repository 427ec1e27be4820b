"""The World: anything that yields frames for actions. No torch here.

`advance` is pure: the same state and action give the same result, always. So a draft is a call, accepting it is an
assignment, and a branch is a kept state.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np

from worldsim.action import Action
from worldsim.camera import Look, Pose
from worldsim.event import Happening
from worldsim.scene import Scene
from worldsim.stepwise import Stepwise

State: TypeAlias = Any
"""Everything a world needs to go on, as a value that is never changed in place. Each world has its own type."""

Snapshot: TypeAlias = Any
"""What a world keeps of a past tick. Each world has its own type."""


@dataclass(frozen=True)
class Frame:
    """One picture of a world.

    pixels: uint8 (H, W, 3), rows from the top. tick: 0 for the start picture. look: the view the picture was made for;
    None without a camera. pose: the true pose from a source, the believed one from a dream; None where there is none.
    entities: float64 (slots, FIELDS), true or believed; None in a world without. happening: how far events are.
    reward: of the tick, None where the world knows none. terminated, truncated: the tick ended an episode, by its own
    rules or by a limit of time; the next `advance` begins a new one.
    """

    pixels: np.ndarray
    tick: int
    look: Look | None = None
    pose: Pose | None = None
    reward: float | None = None
    entities: np.ndarray | None = None
    happening: Happening = Happening()
    terminated: bool = False
    truncated: bool = False


@dataclass(frozen=True)
class Spawn:
    """Where a session starts: a picture, with its pose, and what its entities (slots, FIELDS) and events are, if known.
    pixels: uint8 (H, W, 3)."""

    name: str
    pixels: np.ndarray
    pose: Pose | None = None
    entities: np.ndarray | None = None
    happening: Happening | None = None


@dataclass(frozen=True)
class ObservedFrame:
    """One tick of the past as it was seen: enough to prefill another world of the same scene."""

    frame: Frame
    action: Action


class World(ABC):
    """Anything with `scene`, `start` and `advance`. All other methods are optional capabilities with a default."""

    max_branches: int = 1
    """How many actions `advance_stepwise` takes at most in one go."""

    @property
    @abstractmethod
    def scene(self) -> Scene:
        """What the world is of."""

    @abstractmethod
    def start(self, seed: int, spawn: Spawn) -> tuple[State, Frame]:
        """The state and picture of tick 0. seed: of all randomness of the session."""

    @abstractmethod
    def advance(self, state: State, action: Action) -> tuple[State, Frame]:
        """The next state and its picture."""

    def advance_stepwise(self, state: State, actions: Sequence[Action]) -> Stepwise[list[tuple[State, Frame]]]:
        """`advance` for each of at most `max_branches` actions, pausing where the work can be given up."""
        yield
        return [self.advance(state, action) for action in actions]

    def commit(self, state: State) -> None:
        """Do now the work that a state has put off. The state's value does not change."""

    def has_drifted(self, state: State) -> bool:
        """Whether the newest picture is unlike anything the world was made from."""
        return False

    def prefill(self, seed: int, observed: Sequence[ObservedFrame]) -> State | None:
        """The state after these frames, made from pictures alone, for swapping worlds in mid-play. None if this world
        cannot go on from pictures: it starts at a spawn instead."""
        return None

    def snapshot(self, state: State, frame: Frame) -> Snapshot:
        """What must be kept of a tick to render its frame again and to restore its state: as little as possible."""
        return state, frame

    def render(self, snapshot: Snapshot) -> Frame:
        """The frame of a tick's snapshot, bit for bit. Of a state from `start` or `prefill` it may be only alike."""
        return snapshot[1]

    def restore(self, before: State, snapshot: Snapshot) -> State:
        """The state a snapshot was taken of, bit for bit, given the state of the tick before."""
        return snapshot[0]

    def close(self) -> None:
        """Free what the world holds outside Python's memory. Whoever opened a world closes it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
