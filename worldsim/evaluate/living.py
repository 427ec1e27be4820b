"""What the parts about a world that lives share: walks with side looks, taken by the true engine and by a dream alike.

The true engine is asked for states and for pictures apart: most ticks of a walk are moved and never drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from worldsim.action import Action
from worldsim.camera import Pose
from worldsim.entities import X
from worldsim.event import Happening
from worldsim.scene import Scene
from worldsim.source.base import Player
from worldsim.world import Frame, Spawn, State, World

AWAY_M = 500.0
"""How far an entity is put aside to see the place without it."""


@dataclass(frozen=True)
class SideLook:
    """A look aside from a walk: the actions (none: the walk's own view) from its tick `at` on; the last picture counts.
    note: what the part that made it wants to know of it."""

    at: int
    actions: tuple[Action, ...] = ()
    note: Any = None


@dataclass(frozen=True)
class Walk:
    """A start, what is done from there, and where is looked aside on the way. begin: the true state at the start."""

    seed: int
    spawn: Spawn
    begin: State
    actions: tuple[Action, ...]
    looks: tuple[SideLook, ...] = field(default=())


class Truth:
    """The true engine of a building: its states, and pictures of what it could be like."""

    def __init__(self, source: Any) -> None:
        """source: a source.rooms.world.RoomsWorld of a scene with entities or events."""
        self._source = source

    @property
    def scene(self) -> Scene:
        return self._source.scene

    def begin(
        self, seed: int, pose: Pose, values: np.ndarray | None = None, happening: Happening | None = None
    ) -> tuple[State, Spawn]:
        """Tick 0 at a pose, with entities (slots, FIELDS) and events: the state, and its spawn with the picture."""
        blank = Spawn("start", self._source.blank(), pose, values, happening)
        state, frame = self._source.start(seed, blank)
        return state, Spawn("start", frame.pixels, frame.pose, frame.entities, frame.happening)

    def player(self, seed: int) -> tuple[Player, State]:
        """The source's own player and where it begins."""
        player, state, _ = self._source.episode(seed)
        return player, state

    def after(self, state: State, action: Action) -> State:
        """One tick later. Draws nothing."""
        return self._source.step(state, action)

    def values(self, state: State) -> np.ndarray:
        """The entities of a state, float64 (slots, FIELDS)."""
        return np.asarray(state.entities, np.float64)

    def seen(self, state: State) -> Frame:
        """What a player is told of a state, with a black picture: players that walk by numbers need no drawing."""
        pose = state.pose
        return Frame(self._source.blank(), state.tick, pose.look, pose, None, self.values(state), state.happening)

    def draw(self, state: State, pose: Pose, values: np.ndarray | None = None, **other: Any) -> np.ndarray:
        """The picture of a state from another pose, uint8 (H, W, 3). values: other entities (slots, FIELDS). other:
        what else of the state is different."""
        told = state.entities if values is None else values
        return self._source.render(replace(state, pose=pose, entities=told, **other)).pixels

    def without(self, state: State, pose: Pose, slot: int) -> np.ndarray:
        """The picture without one entity."""
        return self.draw(state, pose, away(self.values(state), slot))

    def states(self, walk: Walk) -> list[State]:
        """The true states at the looks of a walk, in their order."""
        return [found for found, _ in self._looks(walk)]

    def _looks(self, walk: Walk) -> Iterator[tuple[State, SideLook]]:
        along = self.along(walk)
        for look in walk.looks:
            state = along[look.at]
            for action in look.actions:
                state = self.after(state, action)
            yield state, look

    def along(self, walk: Walk) -> list[State]:
        """The true states of a walk: at its start and after each action."""
        states = [walk.begin]
        for action in walk.actions:
            states.append(self.after(states[-1], action))
        return states


def away(values: np.ndarray, slot: int) -> np.ndarray:
    """Entities (slots, FIELDS) with one of them out of sight."""
    return changed(values, slot, {X: values[slot, X] + AWAY_M})


def changed(values: np.ndarray, slot: int, fields: dict[int, float]) -> np.ndarray:
    """Entities (slots, FIELDS) with other numbers of one of them."""
    other = values.copy()
    for field_, value in fields.items():
        other[slot, field_] = value
    return other


def frames_of(world: World, walk: Walk) -> list[Frame]:
    """What a world shows at the looks of a walk, in their order. It walks no further than the last look."""
    state, frame = world.start(walk.seed, walk.spawn)
    found: dict[int, Frame] = {}
    last = max((look.at for look in walk.looks), default=0)
    for tick in range(last + 1):
        if tick:
            state, frame = world.advance(state, walk.actions[tick - 1])
        for i, look in enumerate(walk.looks):
            if look.at != tick:
                continue
            aside, shown = state, frame
            for action in look.actions:
                aside, shown = world.advance(aside, action)
            found[i] = shown
    return [found[i] for i in range(len(walk.looks))]


def plain(scene: Scene, action: Action) -> Action:
    """The action without the events that it calls."""
    controls = scene.action_space.controls
    return Action(tuple(0 if c.kind == "event" else v for c, v in zip(controls, action.values, strict=True)))


def grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    """A mask (H, W) and all within so many pixels of it, along rows and columns."""
    for _ in range(pixels):
        wider = mask.copy()
        wider[1:] |= mask[:-1]
        wider[:-1] |= mask[1:]
        wider[:, 1:] |= mask[:, :-1]
        wider[:, :-1] |= mask[:, 1:]
        mask = wider
    return mask


def difference(a: np.ndarray, b: np.ndarray, levels: int = 16) -> np.ndarray:
    """Where two pictures, uint8 (H, W, 3), differ by more than so many grey levels: a mask (H, W)."""
    return np.abs(a.astype(np.int16) - b).max(axis=2) > levels


def error(picture: np.ndarray, other: np.ndarray, mask: np.ndarray) -> float:
    """Mean squared error within a mask (H, W), of uint8 (H, W, 3)."""
    return float(np.square(picture[mask].astype(np.float64) - other[mask]).mean())


def nearest(picture: np.ndarray, candidates: Sequence[np.ndarray], mask: np.ndarray) -> int:
    """Which of the candidates a picture is most like within a mask."""
    return int(np.argmin([error(picture, c, mask) for c in candidates]))
