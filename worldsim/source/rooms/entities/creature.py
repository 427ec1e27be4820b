"""A creature that lives in the building: it wanders, stops, turns to who comes near, and gets out of the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from worldsim.config import require
from worldsim.entities import Slot
from worldsim.source.rooms.entities.base import Colour, EntityConfig, row

_SIZES = {"cat": (0.26, 0.72, 0.42), "robot": (0.42, 0.42, 0.75)}  # across, along, up, in metres


@dataclass(frozen=True)
class Creature(EntityConfig):
    """looks: what it is. speed_m_s: how fast it walks. shy_m: how near the player may come before it goes away."""

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
        return Slot(self.name, "creature", size, row(x=self.at[0], y=self.at[1], z=size[2] / 2, on=1))
