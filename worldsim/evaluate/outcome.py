"""What happened, read from a picture: it is held against the true engine's pictures of what could have happened."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from worldsim.camera import Pose
from worldsim.psnr import mse, psnr
from worldsim.source.base import PosedSource

_CLEAR_DB = 25.0  # two outcomes that look more alike cannot be told apart in a dream that errs by about as much
_WALKED_ON_M, _STOPPED_SHORT_M = 0.25, -0.4


def shows(picture: np.ndarray, truth: np.ndarray, others: Sequence[np.ndarray]) -> bool | None:
    """Whether a picture shows the true outcome rather than one of the others, all uint8 (H, W, 3).

    Its squared error to the truth must be less than half of that to every other outcome, so a picture of neither fails.
    None if every other outcome looks like the truth.
    """
    clear = [other for other in others if psnr(other, truth) < _CLEAR_DB]
    if not clear:
        return None
    return mse(picture, truth) < 0.5 * min(mse(picture, other) for other in clear)


def can_tell(truth: np.ndarray, others: Sequence[np.ndarray]) -> bool:
    """Whether a picture could show the true outcome rather than any of the others."""
    return all(psnr(other, truth) < _CLEAR_DB for other in others)


def not_stopped_here(source: PosedSource, end: Pose, heading_deg: float) -> list[np.ndarray]:
    """Pictures of a player who walked towards `heading_deg` and stopped elsewhere: past the end, or short of it."""
    east, north = math.sin(math.radians(heading_deg)), math.cos(math.radians(heading_deg))
    shifts = (_WALKED_ON_M, _STOPPED_SHORT_M)
    return [source.at(replace(end, x=end.x + east * m, y=end.y + north * m))[1].pixels for m in shifts]


def likeness(made: np.ndarray, picture: np.ndarray, place: np.ndarray) -> float:
    """How far a picture has stayed with what was given to it, on the way from the view of the place (0) to the given
    picture (1): 1 less the ratio of squared errors to the given picture, at least 0. A picture of neither scores 0."""
    return max(0.0, 1 - mse(made, picture) / max(mse(place, picture), 1e-9))
