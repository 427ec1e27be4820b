"""A creature that lives in the building: it wanders, stops, turns to who comes near, and gets out of the way.

Its phase is its mood: 0 it stands, 1 it walks, -1 it gets out of the way. Its timer is how long it keeps to that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from worldsim.config import require
from worldsim.entities import AIM, HEADING, PHASE, TIMER, VX, VY, Slot, X, Y
from worldsim.source.rooms.collisions import TOUCH_M, Disc, gap_to_leaf
from worldsim.source.rooms.entities.base import (
    Colour,
    EntityConfig,
    Moment,
    Places,
    Row,
    bearing_deg,
    in_quanta,
    row,
    run_down,
    turn_deg,
)

_SIZES = {"cat": (0.26, 0.72, 0.42), "robot": (0.42, 0.42, 0.75)}  # across, along, up, in metres
STANDS, WALKS, YIELDS = 0.0, 1.0, -1.0
_NOTICE_M = 2.2  # it looks at who is so near
_TURN_DEG = 12.0  # in a tick
_HASTE = 1.8  # times its speed when it gets out of the way
_MARGIN_M = 0.002  # kept from walls: whole quanta may take half of one


@dataclass(frozen=True)
class Creature(EntityConfig):
    """looks: what it is. speed_m_s: how fast it walks. shy_m: how near the player may come before it goes away."""

    turn: ClassVar[int] = 1

    kind: Literal["creature"]
    looks: Literal["cat", "robot"] = "cat"
    speed_m_s: float = 0.9
    shy_m: float = 1.0
    colour: Colour = (0.2, 0.18, 0.17)
    accent: Colour = (0.93, 0.9, 0.84)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.speed_m_s <= 10, f"speed_m_s must lie in (0, 10], got {self.speed_m_s:g}")
        require(0 <= self.shy_m <= 10, f"shy_m must lie in [0, 10], got {self.shy_m:g}")

    def slot(self) -> Slot:
        size = _SIZES[self.looks]
        rest = row(x=self.at[0], y=self.at[1], z=size[2] / 2, on=1)
        return Slot(self.name, "creature", size, rest, round_m=self.radius)

    @property
    def radius(self) -> float:
        """Of its body on the floor."""
        return _SIZES[self.looks][1] / 3

    def scatter(self, rng: np.random.Generator, places: Places) -> Row:
        """Anywhere free, standing or under way."""
        x, y = places.free(self.radius + _MARGIN_M)
        heading, walks = rng.uniform(0, 360), rng.random() < 0.6
        aim = heading + rng.normal(0, 40)
        speed = self.speed_m_s * walks
        sin, cos = math.sin(math.radians(heading)), math.cos(math.radians(heading))
        return list(
            row(x=x, y=y, z=_SIZES[self.looks][2] / 2, heading_deg=heading, vx=speed * sin, vy=speed * cos,
                phase=WALKS if walks else STANDS, on=1, timer=rng.uniform(0, 2), aim_deg=aim % 360)
        )  # fmt: skip

    def body(self, row: Row) -> Disc | None:
        return row[X], row[Y], self.radius

    def step(self, row: Row, dice: Sequence[float], seen: Moment) -> Row:
        """Decide what to do, turn, walk, and keep out of all that stands in the way."""
        mood, aim, timer = self._decide(row, dice, seen)
        off = turn_deg(row[HEADING], aim)
        heading = (row[HEADING] + max(-_TURN_DEG, min(_TURN_DEG, off))) % 360
        speed = 0.0
        if mood != STANDS:  # who still has to turn walks slowly
            speed = self.speed_m_s * (_HASTE if mood == YIELDS else 1.0)
            speed *= max(0.0, math.cos(math.radians(turn_deg(heading, aim))))
        after = list(row)
        after[HEADING], after[PHASE], after[AIM], after[TIMER] = heading, mood, aim, timer
        self._walk(row, after, speed, seen)
        return after

    def _decide(self, row: Row, dice: Sequence[float], seen: Moment) -> tuple[float, float, float]:
        """Its mood, aim and timer of this tick."""
        chance, choice = dice
        dx, dy = seen.after.x - row[X], seen.after.y - row[Y]
        distance, towards = math.hypot(dx, dy), bearing_deg(dx, dy)
        mood, aim, timer = row[PHASE], row[AIM], run_down(row[TIMER], seen)
        if distance < self.shy_m:
            if mood != YIELDS or timer <= 0:  # who cannot go straight away tries to get past
                spread = 240.0 if mood == YIELDS else 60.0
                return YIELDS, (towards + 180 + spread * (chance - 0.5)) % 360, 0.4 + 0.6 * choice
            return mood, aim, timer
        near = distance < _NOTICE_M
        if near and mood == WALKS and choice < 0.1:
            return STANDS, towards, 0.6 + 1.8 * chance
        if timer > 0:
            return mood, towards if near and mood == STANDS else aim, timer
        if choice < (0.5 if near else 0.3):
            return STANDS, towards if near else aim, 0.5 + 1.5 * chance
        return WALKS, 360 * chance, 0.5 + 3.0 * choice

    def _walk(self, row: Row, after: Row, speed: float, seen: Moment) -> None:
        """Fill in the place and the velocity: as far as it comes; it stays where it is if there is no way."""
        heading = math.radians(after[HEADING])
        x = row[X] + speed * seen.dt * math.sin(heading)
        y = row[Y] + speed * seen.dt * math.cos(heading)
        player = seen.after.x, seen.after.y, seen.radius
        if speed:
            keep = self.radius + _MARGIN_M
            x, y = seen.walls.push_out(x, y, keep, seen.leaves, (player, *seen.walkers))
            x, y = in_quanta([x, y, *after[2:]])[:2]
        if self._touches(x, y, row, (player, *seen.walkers), seen):
            x, y = row[X], row[Y]
        after[X], after[Y] = x, y
        after[VX], after[VY] = (x - row[X]) / seen.dt, (y - row[Y]) / seen.dt
        if math.hypot(x - row[X], y - row[Y]) < 0.5 * speed * seen.dt:
            after[TIMER] = 0.0

    def _touches(self, x: float, y: float, row: Row, bodies: Sequence[Disc], seen: Moment) -> bool:
        """Whether it would go into a body or a leaf, or deeper into it."""
        for bx, by, radius in bodies:
            gap = math.hypot(x - bx, y - by)
            if gap < radius + self.radius - TOUCH_M and gap < math.hypot(row[X] - bx, row[Y] - by):
                return True
        for leaf in seen.leaves:
            gap = gap_to_leaf(x, y, leaf)
            if gap < self.radius - TOUCH_M and gap < gap_to_leaf(row[X], row[Y], leaf):
                return True
        return False
