"""Something to pick up: it hovers and turns, is gone once it is touched, and counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from worldsim.config import require
from worldsim.entities import HEADING, ON, Slot, X, Y
from worldsim.source.rooms.entities.base import Colour, EntityConfig, Moment, Places, Row, row

REACH_M = 0.55
_TURN_DEG_S = 90.0


@dataclass(frozen=True)
class Pickup(EntityConfig):
    """looks: what it is. up: how high its middle hovers. size: how wide and high it is."""

    kind: Literal["pickup"]
    looks: Literal["gem", "coin", "star"] = "gem"
    up: float = 0.9
    size: float = 0.3
    colour: Colour = (0.15, 0.75, 0.9)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.up <= 5, f"up must lie in (0, 5], got {self.up:g}")
        require(0.05 <= self.size <= 2, f"size must lie in [0.05, 2], got {self.size:g}")

    def slot(self) -> Slot:
        rest = row(x=self.at[0], y=self.at[1], z=self.up, on=1)
        return Slot(self.name, "pickup", (self.size, self.size, self.size), rest, counted=True)

    def scatter(self, rng: np.random.Generator, places: Places) -> Row:
        """Half the time where it rests, else anywhere free; a quarter are already taken."""
        found = list(self.slot().rest)
        if rng.random() < 0.5:
            found[X], found[Y] = places.free(max(self.size / 2, 0.2))
        found[HEADING] = rng.uniform(0, 360)
        found[ON] = float(rng.random() >= 0.25)
        return found

    def step(self, row: Row, dice: Sequence[float], seen: Moment) -> Row:
        """It turns until the player touches it, then it is gone for good."""
        after = list(row)
        if row[ON] > 0.5:
            after[HEADING] += max(1, round(4096 * _TURN_DEG_S / 360 * seen.dt)) * 360 / 4096
            after[ON] = float(math.hypot(seen.after.x - row[X], seen.after.y - row[Y]) > REACH_M)
        return after
