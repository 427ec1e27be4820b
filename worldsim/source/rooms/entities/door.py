"""A door: a leaf that swings about its hinge or slides aside, opened by hand in front of it or by who comes near.

Its phase is how far it is open. Its place and heading are those of the leaf as it stands: an open leaf is still a thin
box. The leaf stops while it would touch somebody.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from worldsim.config import require
from worldsim.entities import HEADING, ON, PHASE, RATE, TIMER, Slot, X, Y
from worldsim.source.rooms.collisions import TOUCH_M, Disc, Leaf, gap_to_leaf
from worldsim.source.rooms.entities.base import (
    LOCK_S,
    Colour,
    EntityConfig,
    Moment,
    Places,
    Row,
    axes,
    in_quanta,
    locked,
    row,
    run_down,
    used,
)

THICK_M = 0.08
REACH_M = 1.5  # from where the leaf rests to the hand that opens it
_LOOK_DEG = 50.0
_NOTICE_M = 1.6  # a door that opens by itself sees who is so near


@dataclass(frozen=True)
class Door(EntityConfig):
    """at: the middle of the closed leaf. heading_deg: where one looks who walks through it. style: how it moves. opens:
    by the control `use` of a player in front of it, or by itself. closes_s: how long it stays open once it was opened
    by hand, and is then not closed by hand; 0: until it is. moves_s: how long it takes to open or to close."""

    kind: Literal["door"]
    heading_deg: float = 0.0
    width: float = 1.3
    height: float = 2.25
    style: Literal["hinged", "sliding"] = "hinged"
    opens: Literal["by_hand", "by_itself"] = "by_hand"
    closes_s: float = 0.0
    moves_s: float = 0.6
    colour: Colour = (0.42, 0.24, 0.14)
    accent: Colour = (0.85, 0.7, 0.3)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0.3 <= self.width <= 10, f"width must lie in [0.3, 10], got {self.width:g}")
        require(0.3 <= self.height <= 10, f"height must lie in [0.3, 10], got {self.height:g}")
        require(0 <= self.closes_s <= 600, f"closes_s must lie in [0, 600], got {self.closes_s:g}")
        require(0.05 <= self.moves_s <= 10, f"moves_s must lie in [0.05, 10], got {self.moves_s:g}")
        require(abs(self.heading_deg) <= 360, f"heading_deg must lie in [-360, 360], got {self.heading_deg:g}")

    def slot(self) -> Slot:
        rest = row(x=self.at[0], y=self.at[1], z=self.height / 2, heading_deg=self.heading_deg % 360)
        return Slot(self.name, f"door_{self.style}_{self.opens}", (self.width, THICK_M, self.height), rest)

    def scatter(self, rng: np.random.Generator, places: Places) -> Row:
        """Open or closed, as there is room for the leaf."""
        is_open = rng.random() < 0.5
        found = self._standing(float(is_open), is_open)
        if places.overlaps(self.leaf(found)):
            found = self._standing(float(not is_open), not is_open)
        if is_open and self.opens == "by_hand" and self.closes_s:
            found[TIMER] = rng.uniform(0.1, self.closes_s) * found[ON]
        return in_quanta(found)

    def step(self, row: Row, dice: Sequence[float], seen: Moment) -> Row:
        """Decide whether it is wanted open, then move the leaf unless somebody is in its way."""
        wanted, timer = row[ON] > 0.5, row[TIMER]
        rest = self.leaf(list(self.slot().rest))
        if self.opens == "by_itself":
            near = [(seen.after.x, seen.after.y), *((x, y) for x, y, _ in seen.walkers)]
            wanted = any(math.hypot(x - self.at[0], y - self.at[1]) < _NOTICE_M for x, y in near)
        elif self.closes_s and wanted:
            timer = run_down(timer, seen)
            wanted, timer = (timer > 0, timer or LOCK_S)
        elif timer > 0:
            timer = locked(timer, seen)
        elif used(seen, self.at, gap_to_leaf(seen.after.x, seen.after.y, rest), REACH_M, _LOOK_DEG):
            wanted = not wanted
            timer = self.closes_s if wanted and self.closes_s else LOCK_S
        step = max(1, round(1024 * seen.dt / self.moves_s)) / 1024
        phase = min(row[PHASE] + step, 1.0) if wanted else max(row[PHASE] - step, 0.0)
        if phase == row[PHASE]:
            after = list(row)
            after[ON], after[RATE], after[TIMER] = float(wanted), 0.0, timer
            return after
        after = in_quanta(self._standing(phase, wanted))
        if self._blocked(row, after, ((seen.after.x, seen.after.y, seen.radius), *seen.bodies)):
            after = in_quanta(self._standing(row[PHASE], wanted))
        after[RATE], after[TIMER] = (after[PHASE] - row[PHASE]) / seen.dt, timer
        return after

    def leaf(self, row: Row) -> Leaf:
        ax, ay, _, _ = axes(row[HEADING])
        return row[X], row[Y], ax, ay, self.width / 2, THICK_M / 2

    def _standing(self, phase: float, wanted: bool) -> Row:
        """The row with the leaf so far open."""
        ax, ay, fx, fy = axes(self.heading_deg)
        half, heading = self.width / 2, self.heading_deg
        if self.style == "sliding":
            x, y = self.at[0] + ax * self.width * phase, self.at[1] + ay * self.width * phase
        else:
            heading -= 90 * phase
            sin, cos = math.sin(math.radians(90 * phase)), math.cos(math.radians(90 * phase))
            x, y = self.at[0] + half * (ax * (cos - 1) + fx * sin), self.at[1] + half * (ay * (cos - 1) + fy * sin)
        return list(row(x=x, y=y, z=self.height / 2, heading_deg=heading % 360, phase=phase, on=float(wanted)))

    def _blocked(self, before: Row, after: Row, bodies: Sequence[Disc]) -> bool:
        """Whether the leaf would go into a body, or deeper into it."""
        if before[PHASE] == after[PHASE]:
            return False
        old, new = self.leaf(before), self.leaf(after)
        for x, y, radius in bodies:
            gap = gap_to_leaf(x, y, new)
            if gap < radius - TOUCH_M and gap <= gap_to_leaf(x, y, old):
                return True
        return False
