"""Something to pick up: it hovers and turns, is gone once it is touched, and counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from worldsim.config import require
from worldsim.entities import Slot
from worldsim.source.rooms.entities.base import Colour, EntityConfig, row


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
