"""A lamp with its switch: the switch on a wall, turned by hand, lights the room."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from worldsim.config import require
from worldsim.entities import ON, TIMER, Slot
from worldsim.source.rooms.entities.base import LOCK_S, Colour, EntityConfig, Moment, Places, Row, locked, row, used

REACH_M = 1.4
_LOOK_DEG = 40.0


@dataclass(frozen=True)
class Lamp(EntityConfig):
    """at: the switch's place on the wall. heading_deg: where one looks who stands in front of it. room: whose lamp it
    turns; starts: whether that is lit at first. up: the switch's height."""

    kind: Literal["lamp"]
    room: str
    heading_deg: float = 0.0
    up: float = 1.3
    starts: Literal["lit", "dark"] = "lit"
    colour: Colour = (0.94, 0.92, 0.86)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.up <= 5, f"up must lie in (0, 5], got {self.up:g}")
        require(abs(self.heading_deg) <= 360, f"heading_deg must lie in [-360, 360], got {self.heading_deg:g}")

    def slot(self) -> Slot:
        rest = row(
            x=self.at[0], y=self.at[1], z=self.up, heading_deg=self.heading_deg % 360, on=float(self.starts == "lit")
        )
        return Slot(self.name, "lamp", (0.14, 0.06, 0.2), rest, lights=True)

    def scatter(self, rng: np.random.Generator, places: Places) -> Row:
        """Lit or dark."""
        found = list(self.slot().rest)
        found[ON] = float(rng.random() < 0.5)
        return found

    def step(self, row: Row, dice: Sequence[float], seen: Moment) -> Row:
        """Turned by who uses the switch."""
        after = list(row)
        after[TIMER] = locked(row[TIMER], seen)
        gap = math.hypot(seen.after.x - self.at[0], seen.after.y - self.at[1])
        if row[TIMER] <= 0 and used(seen, self.at, gap, REACH_M, _LOOK_DEG):
            after[ON], after[TIMER] = 1.0 - row[ON], LOCK_S
        return after
