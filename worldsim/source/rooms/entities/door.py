"""A door: a leaf that swings about its hinge or slides aside, opened by hand in front of it or by who comes near."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from worldsim.config import require
from worldsim.entities import Slot
from worldsim.source.rooms.entities.base import Colour, EntityConfig, row

THICK_M = 0.08


@dataclass(frozen=True)
class Door(EntityConfig):
    """at: the middle of the closed leaf. heading_deg: where one looks who walks through it. style: how it moves. opens:
    by the control `use` of a player in front of it, or by itself. closes_s: how long it stays open once it was opened
    by hand; 0: until it is closed by hand. moves_s: how long it takes to open or to close."""

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
