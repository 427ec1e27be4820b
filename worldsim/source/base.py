"""What a true engine is: a World that can also collect training data and tell its own start pictures.

A new source is one file: a subclass of scene.SourceConfig, whose `open` returns a subclass of SourceWorld. Its name
goes into registry.SOURCES.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

import numpy as np

from worldsim.action import Action
from worldsim.camera import Pose
from worldsim.event import Happening
from worldsim.source.player import StickyPlayer
from worldsim.world import Frame, Spawn, State, World


class Player(Protocol):
    """Plays a source without a person, to collect training data."""

    def act(self, frame: Frame) -> Action:
        """What the player does in the tick after `frame`."""
        ...


class SourceWorld(World):
    """A true engine behind the World protocol. `scene`, `start` and `advance` are up to each source."""

    @property
    def renderer(self) -> str:
        """What draws: pictures are bit for bit the same only on the same renderer."""
        return type(self).__name__

    def spawns(self) -> list[Spawn]:
        """The scene's places to start from, with their pictures and what lives in them."""
        found = []
        for point in self.scene.spawns:
            _, frame = self.start(0, Spawn(point.name, self.blank(), point.pose))
            happening = frame.happening if frame.happening.steps else None
            found.append(Spawn(point.name, frame.pixels, point.pose, frame.entities, happening))
        return found

    def episode(self, seed: int) -> tuple[Player, State, Frame]:
        """The beginning of an episode for training: a player and where it starts, both a function of the seed."""
        points = self.scene.spawns
        point = points[seed % len(points)]
        state, frame = self.start(seed, Spawn(point.name, self.blank(), point.pose))
        return StickyPlayer(self.scene.action_space, seed), state, frame

    def step(self, state: State, action: Action) -> State:
        """`advance` without its picture: what is cheaper where nobody looks."""
        return self.advance(state, action)[0]

    def blank(self) -> np.ndarray:
        """A black picture of the scene's size, uint8 (H, W, 3): a source draws its own."""
        return np.zeros((self.scene.frame.height, self.scene.frame.width, 3), np.uint8)


class PosedSource(SourceWorld):
    """A source with a camera that can be put anywhere: what the parts of the evaluation that read poses need."""

    @abstractmethod
    def at(self, pose: Pose) -> tuple[State, Frame]:
        """Tick 0 at any pose."""

    @abstractmethod
    def move(self, pose: Pose, action: Action) -> Pose:
        """The pose one tick later, walls included. Draws nothing."""

    def distances(self, pose: Pose, rows: int, columns: int) -> np.ndarray | None:
        """How far it is, from a pose, to what never moves: float32 (rows, columns) in metres along the rays through the
        centres of a grid over the picture, the top row first. None where the source does not know."""
        return None


class LivingSource(PosedSource):
    """A source with entities, which can also be moved without drawing: what transitions are learned from. Its states
    have a `seed` and a `tick`, and are their own snapshots; the chances of a step are entities.dice of the seed and of
    the tick that it makes."""

    @abstractmethod
    def somewhere(self, rng: np.random.Generator) -> State:
        """A random state, nothing drawn, often near a contact: a step from it teaches what entities do to each other
        and to the player."""

    @abstractmethod
    def elsewhere(self, state: State, pose: Pose) -> State:
        """The same state with the player at any pose, be it in a wall or in an entity."""

    def walls(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """How far it is from points (N, 2) to the nearest thing that never moves, in metres, less than 0 within one:
        (N,); and which way leads away from it, of length 1: (N, 2). None where the source does not know."""
        return None

    @abstractmethod
    def facts(self, state: State) -> tuple[Pose, np.ndarray, Happening]:
        """The player's pose, the entities float64 (slots, FIELDS), and how far events are."""
