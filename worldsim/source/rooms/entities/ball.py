"""A ball: rolls, slows down, bounces off all that stands in its way, and is kicked by walking into it.

Its phase is how far it has rolled, in turns; its heading is the line along which it rolls, so that it turns about its
across axis. Straight back from a wall it rolls backwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from worldsim.config import require
from worldsim.entities import HEADING, PHASE, RATE, VX, VY, Slot, X, Y
from worldsim.source.rooms.collisions import Disc, Rolling
from worldsim.source.rooms.entities.base import Colour, EntityConfig, Places, Row, bearing_deg, row, turn_deg

_STILL_M_S = 0.02  # slower than this, a ball that friction slows stops
_FASTEST_START_M_S = 3.0


@dataclass(frozen=True)
class Ball(EntityConfig):
    """radius in metres. bounce: the share of speed that a bounce keeps. friction_m_s2: how fast it slows down. kick:
    how many times the player's own speed towards it the player gives it."""

    turn: ClassVar[int] = 2

    kind: Literal["ball"]
    radius: float = 0.2
    colour: Colour = (0.9, 0.2, 0.15)
    accent: Colour = (0.96, 0.95, 0.9)
    bounce: float = 0.8
    friction_m_s2: float = 0.6
    kick: float = 1.6

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0.05 <= self.radius <= 1, f"radius must lie in [0.05, 1], got {self.radius:g}")
        require(0 <= self.bounce <= 1, f"bounce must lie in [0, 1], got {self.bounce:g}")
        require(0 <= self.friction_m_s2 <= 20, f"friction_m_s2 must lie in [0, 20], got {self.friction_m_s2:g}")
        require(0 <= self.kick <= 4, f"kick must lie in [0, 4], got {self.kick:g}")

    def slot(self) -> Slot:
        wide = 2 * self.radius
        rest = row(x=self.at[0], y=self.at[1], z=self.radius, on=1)
        return Slot(self.name, "ball", (wide, wide, wide), rest, cyclic=True, round_m=self.radius)

    def scatter(self, rng: np.random.Generator, places: Places) -> Row:
        """Anywhere free, half the time rolling."""
        x, y = places.free(self.radius)
        speed, towards = rng.uniform(0.2, _FASTEST_START_M_S) * (rng.random() < 0.5), rng.uniform(0, 2 * math.pi)
        heading = bearing_deg(math.sin(towards), math.cos(towards))
        rate = speed / (2 * math.pi * self.radius)
        return list(
            row(x=x, y=y, z=self.radius, heading_deg=heading, vx=speed * math.sin(towards),
                vy=speed * math.cos(towards), phase=rng.uniform(-1, 1), rate=rate, on=1)
        )  # fmt: skip

    def body(self, row: Row) -> Disc | None:
        return row[X], row[Y], self.radius

    def rolling(self, row: Row, dt: float) -> Rolling:
        """The ball at the start of a tick, slowed by the friction of the whole tick."""
        vx, vy = row[VX], row[VY]
        speed = math.hypot(vx, vy)
        if speed and self.friction_m_s2:
            slower = speed - self.friction_m_s2 * dt
            keep = slower / speed if slower >= _STILL_M_S else 0.0
            vx, vy = vx * keep, vy * keep
        return Rolling(row[X], row[Y], vx, vy, self.radius, self.bounce, self.kick, self.radius**3)

    def rolled(self, before: Row, ball: Rolling, metres: float) -> Row:
        """Its row at the end of a tick in which it rolled so far."""
        after, around = list(before), 2 * math.pi * self.radius
        after[X], after[Y], after[VX], after[VY] = ball.x, ball.y, ball.vx, ball.vy
        speed, side = math.hypot(ball.vx, ball.vy), 1.0
        if speed:
            towards = bearing_deg(ball.vx, ball.vy)
            if abs(turn_deg(before[HEADING], towards)) > 90:
                towards, side = (towards + 180) % 360, -1.0
            after[HEADING] = towards
        after[PHASE] = (before[PHASE] + side * metres / around + 1) % 2 - 1
        after[RATE] = side * speed / around
        return after
