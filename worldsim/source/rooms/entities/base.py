"""What an entity of a building is: what a scene file says of it, its slot, where it may start, how it lives a tick."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from worldsim.camera import Pose
from worldsim.config import require
from worldsim.entities import FIELDS, QUANTA, TURNS, Slot
from worldsim.errors import ConfigError, shown
from worldsim.registry import ENTITIES
from worldsim.source.rooms.collisions import Box, Disc, Leaf

Colour = tuple[float, float, float]
Row = list[float]
"""The FIELDS of one entity as plain floats."""

_QUANTA = tuple(QUANTA.tolist())
LOCK_S = 0.5  # after it was used, a thing cannot be used again so soon
RELEASE_TICKS = 2  # for which `use` must be let go before it counts again


class Places(Protocol):
    """Finds places of a building where nothing stands."""

    def free(self, radius: float) -> tuple[float, float]:
        """A random place where a disc of this radius touches nothing."""
        ...

    def overlaps(self, leaf: Leaf) -> bool:
        """Whether a door's leaf touches what is already placed."""
        ...


class Walls(Protocol):
    """What stands still in a building, and pushes back."""

    @property
    def boxes(self) -> Sequence[Box]:
        """Walls and boxes."""
        ...

    @property
    def discs(self) -> Sequence[Disc]:
        """Pillars and spheres."""
        ...

    def push_out(
        self, x: float, y: float, radius: float | None = None, leaves: Sequence[Leaf] = (), discs: Sequence[Disc] = ()
    ) -> tuple[float, float]:
        """The nearest place to (x, y) where a body of this radius touches nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Moment:
    """What an entity sees of a tick.

    dt: seconds. before, after: the player's poses. use: whether the player uses something. radius: the player's.
    walkers: discs of the other creatures before the tick; bodies: these and the balls'. leaves: of the doors, after the
    tick for creatures, which move later.
    """

    dt: float
    before: Pose
    after: Pose
    use: bool
    radius: float
    walls: Walls
    walkers: Sequence[Disc] = ()
    bodies: Sequence[Disc] = ()
    leaves: Sequence[Leaf] = ()


@dataclass(frozen=True)
class EntityConfig(ABC):
    """An entity of a scene file. at: the middle of where it stands at rest, in metres."""

    turn: ClassVar[int] = 0
    """When in a tick it moves: things first (0), then creatures (1), then balls (2)."""

    kind: str
    name: str
    at: tuple[float, float]

    def __post_init__(self) -> None:
        require(0 < len(self.name) <= 40 and self.name.isprintable(), f"name must be a word, got {shown(self.name)}")
        require(all(abs(n) <= 200 for n in self.at), f"at must lie within 200 m of the origin, got {shown(self.at)}")

    @classmethod
    def variant(cls, mapping: dict[str, Any], where: str) -> type[EntityConfig]:
        """The subclass that a mapping's `kind` names. Raises ConfigError."""
        kind = mapping.get("kind")
        if not isinstance(kind, str):
            raise ConfigError(f"{where}.kind must be one of {', '.join(ENTITIES.names())}, got {shown(kind)}")
        return ENTITIES.get(kind, f"{where}.kind")

    @abstractmethod
    def slot(self) -> Slot:
        """What never changes of it."""

    def scatter(self, rng: np.random.Generator, places: Places) -> Row:
        """Its row at the start of an episode."""
        return list(self.slot().rest)

    def step(self, row: Row, dice: Sequence[float], seen: Moment) -> Row:
        """Its row one tick later, not yet in whole quanta. dice: its chances in [0, 1). Changes nothing in place."""
        return list(row)

    def body(self, row: Row) -> Disc | None:
        """The disc of the floor that it takes; None if it can be walked through or is a leaf."""
        return None

    def leaf(self, row: Row) -> Leaf | None:
        """The box of the floor that it takes, if it is a door."""
        return None


def row(**values: float) -> tuple[float, ...]:
    """A row of FIELDS by their names, the others 0."""
    found = dict.fromkeys(FIELDS, 0.0)
    found.update(values)
    return tuple(map(float, found.values()))


def in_quanta(values: Row) -> Row:
    """The row with each number at its nearest whole quantum, angles in [0, 360)."""
    whole = [round(value / quantum) * quantum for value, quantum in zip(values, _QUANTA, strict=True)]
    for field in TURNS:
        whole[field] %= 360.0
    return whole


def axes(heading_deg: float) -> tuple[float, float, float, float]:
    """The across axis (x, y), then the along axis (x, y), of who is headed so."""
    sin, cos = math.sin(math.radians(heading_deg)), math.cos(math.radians(heading_deg))
    return cos, -sin, sin, cos


def bearing_deg(dx: float, dy: float) -> float:
    """The heading of a direction, in [0, 360)."""
    return math.degrees(math.atan2(dx, dy)) % 360.0


def turn_deg(heading_deg: float, to_deg: float) -> float:
    """The shorter way round from one heading to another, in [-180, 180)."""
    return (to_deg - heading_deg + 180.0) % 360.0 - 180.0


def used(seen: Moment, at: tuple[float, float], gap_m: float, reach_m: float, off_deg: float) -> bool:
    """Whether the player uses what stands at `at`: near enough, and looking towards it."""
    if not seen.use or gap_m > reach_m:
        return False
    pose = seen.after
    return abs(turn_deg(pose.look.yaw_deg, bearing_deg(at[0] - pose.x, at[1] - pose.y))) <= off_deg


def run_down(timer: float, seen: Moment) -> float:
    """A timer one tick later, by whole quanta of a second."""
    return max(timer - tick_s(seen.dt), 0.0)


def locked(timer: float, seen: Moment) -> float:
    """A lock one tick later: it ends only some ticks after `use` was let go, so that holding it does not flutter."""
    if timer <= 0:
        return 0.0
    return max(timer - tick_s(seen.dt), RELEASE_TICKS * tick_s(seen.dt) if seen.use else 0.0)


def tick_s(dt: float) -> float:
    """A tick's seconds in whole quanta of a timer, at least one."""
    return max(1, round(dt * 1024)) / 1024
