"""A ball: rolls, slows down, bounces off all that stands in its way, and is kicked by walking into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from worldsim.config import require
from worldsim.entities import Slot
from worldsim.source.rooms.entities.base import Colour, EntityConfig, row


@dataclass(frozen=True)
class Ball(EntityConfig):
    """radius in metres. bounce: the share of speed that a bounce keeps. friction_m_s2: how fast it slows down. kick:
    how many times the player's own speed towards it the player gives it."""

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
        return Slot(self.name, "ball", (wide, wide, wide), row(x=self.at[0], y=self.at[1], z=self.radius, on=1))
