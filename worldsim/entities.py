"""Entities: things of a world that move, react and keep their state. Numbers only, no torch.

A world has a fixed number of slots, one for each entity. What never changes of an entity stands in its `Slot`; what
does, in one row of numbers, the same ones for every kind (FIELDS). A true engine moves them by its physics, a dream by
transitions that it has learned; both keep to these numbers. In a dream they are whole numbers of QUANTA, so they
neither drift nor differ in a replay.

An entity's own axes: across (to its right), along (where it is headed) and up. Heading 0 is along +y and grows to the
right, as yaw does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from worldsim.config import require
from worldsim.errors import shown

FIELDS = ("x", "y", "z", "heading_deg", "vx", "vy", "phase", "rate", "on", "timer", "aim_deg")
"""x, y, z: the centre of its box in metres. heading_deg: in [0, 360). vx, vy: metres a second. phase: how far it is in
what it does, as a door's opening or a ball's turns, in [-1, 1]. rate: of its phase, a second. on: 1 or 0: lit, there,
wanted open. timer: seconds until it decides anew. aim_deg: an angle that it keeps besides: the heading that it turns
to, or how far it is round its cycle."""
X, Y, Z, HEADING, VX, VY, PHASE, RATE, ON, TIMER, AIM = range(len(FIELDS))
QUANTA = np.array([2**-10, 2**-10, 2**-10, 360 / 4096, 2**-9, 2**-9, 2**-10, 2**-8, 1.0, 2**-10, 360 / 4096])
"""What each number is a whole multiple of in a dream."""
TURNS = (HEADING, AIM)
"""The numbers that come round again after 360 degrees."""
DICE = 2
"""Chances that each entity takes in a tick."""
MOST_SLOTS = 32

Entities: TypeAlias = tuple[tuple[int, ...], ...]
"""All entities of a world at a tick, in whole quanta: a value that is never changed in place."""


@dataclass(frozen=True)
class Slot:
    """What never changes of an entity.

    kind: entities of one kind move by the same learned transition. size: of its box, across, along and up, in metres.
    rest: its FIELDS where nothing has happened yet. lights: what it does changes the picture far from it, as a lamp.
    counted: the player collects it: it counts once `on` is 0. cyclic: its phase goes round and is -1 again at 1, as
    that of a wheel. round_m: the radius of the disc that it takes of the floor; 0: it takes its box, if anything.
    """

    name: str
    kind: str
    size: tuple[float, float, float]
    rest: tuple[float, ...]
    lights: bool = False
    counted: bool = False
    cyclic: bool = False
    round_m: float = 0.0

    def __post_init__(self) -> None:
        require(len(self.rest) == len(FIELDS), f"rest must hold {len(FIELDS)} numbers, got {len(self.rest)}")
        require(all(0.001 <= s <= 100 for s in self.size), f"size must lie in [0.001, 100], got {shown(self.size)}")


def at_rest(slots: tuple[Slot, ...]) -> np.ndarray:
    """Where nothing has happened yet: float64 (slots, FIELDS)."""
    return np.array([s.rest for s in slots], np.float64).reshape(len(slots), len(FIELDS))


def quantised(values: np.ndarray) -> Entities:
    """Numbers (slots, FIELDS) in whole quanta."""
    whole = np.rint(np.asarray(values, np.float64) / QUANTA).astype(np.int64)
    for field in TURNS:
        whole[:, field] %= 4096
    return tuple(tuple(row) for row in whole.tolist())


def values_of(entities: Entities) -> np.ndarray:
    """The inverse of `quantised`: float64 (slots, FIELDS)."""
    return np.array(entities, np.float64).reshape(len(entities), len(FIELDS)) * QUANTA


def dice(seed: int, tick: int, slots: int) -> np.ndarray:
    """The chances of a tick, float64 (slots, DICE) in [0, 1): a function of the arguments alone.

    True engine and dream roll the same ones, so what an entity does by chance is the same in both.
    """
    philox = np.random.Philox(key=seed & (2**64 - 1), counter=[0, 0, 2, tick])
    return np.random.Generator(philox).integers(0, 256, (slots, DICE)) / 256.0


def counted(slots: tuple[Slot, ...], values: np.ndarray) -> tuple[int, int]:
    """How many of the entities that count the player has, and how many there are. values: (slots, FIELDS)."""
    wanted = [i for i, slot in enumerate(slots) if slot.counted]
    return sum(bool(values[i, ON] < 0.5) for i in wanted), len(wanted)
