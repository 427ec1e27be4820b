"""Where everything stands when an episode begins, and states near contact: all that is drawn at random."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from worldsim.errors import SceneError
from worldsim.event import FADE, Event, Happening
from worldsim.scene import Scene
from worldsim.source.rooms.collisions import Disc, Leaf, gap_to_leaf
from worldsim.source.rooms.dynamics import Dynamics
from worldsim.source.rooms.entities.base import Row, in_quanta
from worldsim.source.rooms.layout import rooms_of

_TRIES = 10_000  # to find a free place, before there seems to be none


class FreePlaces:
    """Draws places of a building where nothing stands, and remembers what is placed."""

    def __init__(self, scene: Scene, dynamics: Dynamics, rng: np.random.Generator) -> None:
        self._scene, self._dynamics, self._rng = scene, dynamics, rng
        self.taken: list[Disc] = []
        self.leaves: list[Leaf] = []
        rects = [r.rect for r in rooms_of(scene).rooms]
        areas = np.array([(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in rects])
        self._rects, self._upto = rects, np.cumsum(areas / areas.sum())

    def free(self, radius: float) -> tuple[float, float]:
        """A random place where a disc of this radius touches nothing. Raises SceneError if there seems to be none."""
        for _ in range(_TRIES):
            a, b, c = self._rng.random(3).tolist()
            x0, y0, x1, y1 = self._rects[min(int(np.searchsorted(self._upto, a)), len(self._rects) - 1)]
            x, y = x0 + b * (x1 - x0), y0 + c * (y1 - y0)
            if self.is_free(x, y, radius):
                return x, y
        name = self._scene.name[:40]
        raise SceneError(f"scene {name} has no room for what lives in it; make a room larger or list fewer entities")

    def is_free(self, x: float, y: float, radius: float) -> bool:
        """Whether a disc touches neither wall, solid, leaf nor what is placed."""
        if any(math.hypot(x - tx, y - ty) < radius + r for tx, ty, r in self.taken):
            return False
        if any(gap_to_leaf(x, y, leaf) < radius for leaf in self.leaves):
            return False
        return self._dynamics.is_free(x, y, radius)

    def overlaps(self, leaf: Leaf) -> bool:
        """Whether a door's leaf touches what is already placed."""
        return any(gap_to_leaf(x, y, leaf) < radius for x, y, radius in self.taken)


def scattered(scene: Scene, rng: np.random.Generator, places: FreePlaces) -> list[Row]:
    """A row for each entity: doors first, since nothing else may stand where a leaf is. Adds them to `places`."""
    entities = rooms_of(scene).entities
    rows: list[Row] = [[] for _ in entities]
    for i in sorted(range(len(entities)), key=lambda i: entities[i].leaf(list(entities[i].slot().rest)) is None):
        found = entities[i].scatter(rng, places)
        rows[i] = found if entities[i].turn == 2 else in_quanta(found)  # balls are in no quanta
        leaf, body = entities[i].leaf(rows[i]), entities[i].body(rows[i])
        if leaf:
            places.leaves.append(leaf)
        if body:
            places.taken.append(body)
    return rows


def random_happening(events: Sequence[Event], rng: np.random.Generator, tick_hz: float) -> Happening:
    """Half the time one event is under way: fully faded in, with what is left of its time."""
    shown = [i for i, event in enumerate(events) if event.shows]
    none = Happening.none(events)
    if not shown or rng.random() < 0.5:
        return none
    chosen = shown[int(rng.integers(len(shown)))]
    ticks = round(events[chosen].seconds * tick_hz)
    left = int(rng.integers(1, ticks + 1)) if ticks else -1
    return Happening(
        tuple(FADE if i == chosen else step for i, step in enumerate(none.steps)),
        tuple(left if i == chosen else ticks for i, ticks in enumerate(none.left)),
    )
