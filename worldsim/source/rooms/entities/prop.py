"""Something that moves on a path of its own: a pendulum that swings, a lift that goes up and down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from worldsim.config import require
from worldsim.entities import AIM, Slot
from worldsim.source.rooms.entities.base import Colour, EntityConfig, Moment, Places, Row, axes, row


@dataclass(frozen=True)
class Prop(EntityConfig):
    """path: how it moves. period_s: there and back. reach: how far from its middle, in degrees of a pendulum's swing,
    in metres of a lift. up: the height of what the pendulum hangs from, or of the lift's middle. length: of the
    pendulum. heading_deg: where one looks who faces it. size: of the bob or of the cabin, across, along and up."""

    kind: Literal["prop"]
    path: Literal["pendulum", "lift"] = "pendulum"
    period_s: float = 2.0
    reach: float = 14.0
    up: float = 1.6
    length: float = 0.7
    heading_deg: float = 0.0
    size: tuple[float, float, float] = (0.2, 0.06, 0.2)
    colour: Colour = (0.85, 0.68, 0.25)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0.2 <= self.period_s <= 120, f"period_s must lie in [0.2, 120], got {self.period_s:g}")
        require(0 <= self.reach <= 90, f"reach must lie in [0, 90], got {self.reach:g}")
        require(0 < self.up <= 10, f"up must lie in (0, 10], got {self.up:g}")
        require(0 < self.length <= 10, f"length must lie in (0, 10], got {self.length:g}")
        require(abs(self.heading_deg) <= 360, f"heading_deg must lie in [-360, 360], got {self.heading_deg:g}")
        require(0.01 <= min(self.size) <= max(self.size) <= 10, "size must lie in [0.01, 10]")

    def slot(self) -> Slot:
        z = self.up - self.length if self.path == "pendulum" else self.up
        rest = row(x=self.at[0], y=self.at[1], z=z, heading_deg=self.heading_deg % 360, on=1)
        return Slot(self.name, f"prop_{self.path}", self.size, rest)

    def scatter(self, rng: np.random.Generator, places: Places) -> Row:
        """Anywhere in its cycle."""
        return self._standing(rng.integers(4096) * 360 / 4096)

    def step(self, row: Row, dice: Sequence[float], seen: Moment) -> Row:
        """One tick further round its cycle, by whole quanta of an angle."""
        return self._standing((row[AIM] + max(1, round(4096 * seen.dt / self.period_s)) * 360 / 4096) % 360)

    def _standing(self, cycle_deg: float) -> Row:
        """The row so far round the cycle."""
        cycle = math.radians(cycle_deg)
        phase, rate = math.sin(cycle), math.cos(cycle) * 2 * math.pi / self.period_s
        (x, y), z = self.at, self.up
        if self.path == "pendulum":
            ax, ay, _, _ = axes(self.heading_deg)
            swing = math.radians(self.reach * phase)
            x, y = x + ax * self.length * math.sin(swing), y + ay * self.length * math.sin(swing)
            z -= self.length * math.cos(swing)
        else:
            z += self.reach * phase
        heading = self.heading_deg % 360
        return list(row(x=x, y=y, z=z, heading_deg=heading, phase=phase, rate=rate, on=1, aim_deg=cycle_deg))
