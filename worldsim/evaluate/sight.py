"""Where an entity is, read from a picture: it is compared with the true engine's pictures of where it could be.

Only the entity's own pixels are looked at, and only the nearest of many places counts: a ball that never moved differs
from the truth in few pixels of a frame, so no measure over a whole frame would see it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from worldsim.camera import Camera, Pose, rotation
from worldsim.entities import X, Y
from worldsim.evaluate.living import Truth, away, changed, difference, error, grown, nearest
from worldsim.scene import Scene
from worldsim.world import Frame, State

RIGHT_M = 0.45
"""How far from the truth a place may be and still be right."""

_LEAST_SHARE = 0.002  # of a frame's pixels that an entity must cover to be looked for
_RINGS = ((0.3, 4), (0.7, 6))  # metres from the truth, and how many places there
_CLEAR_SHARE = 0.3  # of the pixels at the true place that another place must show to be told from none
_SEEN_M = (0.5, 5.5)


@dataclass(frozen=True)
class Sighting:
    """What a picture says of one entity: whether it is there at all, and at its right place."""

    present: bool
    placed: bool


def may_see(scene: Scene, pose: Pose, x: float, y: float, z: float) -> bool:
    """Whether a point lies well within the view, walls aside, at a distance at which it can be told where it is."""
    camera = scene.camera or Camera()
    right, up, forward = rotation(pose.look) @ np.array([x - pose.x, y - pose.y, z - camera.eye_height_m])
    half = math.tan(math.radians(camera.fov_deg) / 2)
    far = math.hypot(x - pose.x, y - pose.y)
    in_frame = forward > 0 and abs(right) < 0.85 * half * scene.frame.aspect * forward and abs(up) < half * forward
    return bool(in_frame and _SEEN_M[0] < far < _SEEN_M[1])


def mask_of(truth: Truth, state: State, pose: Pose, slot: int) -> np.ndarray | None:
    """The pixels of an entity in a view, bool (H, W); None if it is hidden or small."""
    mask = difference(truth.draw(state, pose), truth.without(state, pose, slot))
    return mask if mask.mean() >= _LEAST_SHARE else None


def in_view(truth: Truth, state: State, slot: int) -> bool:
    """Whether the true player sees an entity."""
    x, y, z = truth.values(state)[slot, :3].tolist()
    return may_see(truth.scene, state.pose, x, y, z) and mask_of(truth, state, state.pose, slot) is not None


def sight(truth: Truth, state: State, slot: int, frame: Frame, also: Sequence[tuple[float, float]] = ()) -> Sighting:
    """What a dreamed frame says of a mover. state: the true one. also: other places (x, y) that a wrong dream may show
    it at, as where it began.

    All else is drawn as the dream believes it: in a room that it holds to be dark, a ball is looked for in the dark.
    """
    values, pose, picture = truth.values(state).copy(), frame.pose or state.pose, frame.pixels
    if frame.entities is not None:
        values[np.arange(len(values)) != slot] = np.delete(frame.entities, slot, axis=0)
    x, y = values[slot, X], values[slot, Y]
    turns = [(m, 2 * math.pi * i / n) for m, n in _RINGS for i in range(n)]
    places = [(x, y), *((x + m * math.cos(a), y + m * math.sin(a)) for m, a in turns), *also]
    gone = truth.draw(state, pose, away(values, slot))
    drawn = [truth.draw(state, pose, changed(values, slot, {X: px, Y: py})) for px, py in places]
    masks = [difference(one, gone) for one in drawn]
    if not masks[0].any():
        return Sighting(False, False)  # the dream is where the entity cannot be seen
    # A place where it is all but hidden looks like the view without it: only noise would tell them apart.
    clear = [i for i, one in enumerate(masks) if one.sum() >= _CLEAR_SHARE * masks[0].sum()]
    places, drawn = [places[i] for i in clear], [drawn[i] for i in clear]
    mask = np.any([masks[i] for i in clear], axis=0)
    found = nearest(picture, [gone, *drawn], grown(mask, 1))
    if found == 0:
        return Sighting(False, False)
    px, py = places[found - 1]
    return Sighting(True, math.hypot(px - x, py - y) <= RIGHT_M)


def margin_db(picture: np.ndarray, own: np.ndarray, other: np.ndarray, grow: int = 2) -> float | None:
    """By how many dB a picture is nearer to its own truth than to another one, where the two differ; at most 20 either
    way. None if they look alike."""
    mask = difference(own, other)
    if mask.mean() < _LEAST_SHARE:
        return None
    mask = grown(mask, grow)
    ratio = max(error(picture, other, mask), 1e-3) / max(error(picture, own, mask), 1e-3)
    return float(np.clip(10 * math.log10(ratio), -20, 20))
