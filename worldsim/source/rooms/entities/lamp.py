"""A lamp with its switch: the switch on a wall, turned by hand, lights the room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from worldsim.config import require
from worldsim.entities import Slot
from worldsim.source.rooms.entities.base import Colour, EntityConfig, row


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
