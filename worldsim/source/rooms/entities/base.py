"""What an entity of a building is: what a scene file says of it, and its slot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from worldsim.config import require
from worldsim.entities import FIELDS, Slot
from worldsim.errors import ConfigError, shown
from worldsim.registry import ENTITIES

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class EntityConfig:
    """An entity of a scene file. at: the middle of where it stands at rest, in metres."""

    kind: str
    name: str
    at: tuple[float, float]

    def __post_init__(self) -> None:
        require(0 < len(self.name) <= 40 and self.name.isprintable(), f"name must be a word, got {shown(self.name)}")
        require(all(abs(n) <= 200 for n in self.at), f"at must lie within 200 m of the origin, got {shown(self.at)}")

    @classmethod
    def variant(cls, mapping: dict[str, Any], where: str) -> type[EntityConfig]:
        """The subclass that a mapping's `kind` names. Raises ConfigError."""
        kind = mapping.get("kind")
        if not isinstance(kind, str):
            raise ConfigError(f"{where}.kind must be one of {', '.join(ENTITIES.names())}, got {shown(kind)}")
        return ENTITIES.get(kind, f"{where}.kind")

    def slot(self) -> Slot:
        """What never changes of it."""
        raise NotImplementedError


def row(**values: float) -> tuple[float, ...]:
    """A row of FIELDS by their names, the others 0."""
    return tuple(float(values.get(field, 0.0)) for field in FIELDS)
