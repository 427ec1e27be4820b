"""What the renderer of a building is asked to draw: all that decides a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from worldsim.camera import Pose


@dataclass(frozen=True)
class RoomsView:
    """One picture of a building.

    entities: float64 (slots, FIELDS), see worldsim.entities; None: none is drawn. levels: how far each event has faded
    in, by name. episode: what is hung anew each episode, by number. seconds: of the clock by which fire, water and
    screens move; every episode begins at another. gaits: of each slot, the metres that it has walked.
    """

    pose: Pose
    entities: np.ndarray | None = None
    levels: Mapping[str, float] = field(default_factory=dict)
    episode: int = 0
    seconds: float = 0.0
    gaits: tuple[float, ...] = ()
