"""The World protocol: anything that yields frames for actions. No torch here.

`advance` is pure: the same state and action give the same result, always. So a draft is a call, accepting it is an
assignment, and a branch is a kept state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from worldsim.action import Action
from worldsim.camera import Look, Pose
from worldsim.scene import Scene

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


class World(Protocol):
    """Anything with `start` and `advance` that yields frames."""

    @property
    def scene(self) -> Scene: ...

    def start(self, seed: int, spawn: Spawn) -> tuple[State, Frame]:
        """The state and picture of tick 0. seed: of all randomness of the session."""
        ...

    def advance(self, state: State, action: Action) -> tuple[State, Frame]:
        """The next state and its picture."""
        ...
