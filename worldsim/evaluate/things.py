"""Things of a scene in dreamed views: are they there, in their colour, in their place?

A thing is seen by taking it away: the true engine draws the view without it. Only scenes of rooms can take one away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from worldsim.camera import Pose
from worldsim.evaluate.metric import average
from worldsim.psnr import mse
from worldsim.source.base import PosedSource
from worldsim.source.rooms.layout import RoomsConfig
from worldsim.source.rooms.renderer import RoomsRenderer
from worldsim.source.rooms.view import RoomsView
from worldsim.source.rooms.world import RoomsWorld

_VISIBLE = 18  # grey levels by which a thing must change a pixel
_LEAST_PIXELS = 80
_REACH = 6  # pixels a thing is looked for around its place
_SAME_PLACE_PX = 2.0
_SAME_COLOUR = 16.0  # grey levels


@dataclass(frozen=True)
class Thing:
    """A solid or picture of the scene as seen from one pose: its mask (H, W), and the picture without it."""

    mask: np.ndarray
    without: np.ndarray


def visible_things(source: PosedSource, views: Sequence[Pose]) -> list[list[Thing]]:
    """The things to be seen in each view; none where the source cannot take a thing away."""
    found: list[list[Thing]] = [[] for _ in views]
    if not isinstance(source, RoomsWorld):
        return found
    truths = [source.at(pose)[1].pixels for pose in views]
    for renderer in _without_each(source):
        try:
            for things, truth, pose in zip(found, truths, views, strict=True):
                without = renderer.render(RoomsView(pose))
                mask = np.abs(truth.astype(int) - without).max(axis=2) > _VISIBLE
                if mask.sum() >= _LEAST_PIXELS:
                    things.append(Thing(mask, without))
        finally:
            renderer.close()
    return found


def thing_figures(
    shown: Sequence[tuple[np.ndarray, np.ndarray]], things: Sequence[Sequence[Thing]]
) -> dict[str, float | None]:
    """Shares of all things that are there, of their colour, and in their place. shown: dream and truth of each view,
    uint8 (H, W, 3). There: the squared error to the truth within the mask is less than half of that to the view
    without the thing."""
    there, colour, place = [], [], []
    for (dream, truth), some in zip(shown, things, strict=False):
        for thing in some:
            inside, true, without = (picture[thing.mask] for picture in (dream, truth, thing.without))
            there.append(mse(inside, true) < 0.5 * mse(inside, without))
            colour.append(bool(np.abs(inside.mean(axis=0) - true.mean(axis=0)).max() < _SAME_COLOUR))
            place.append(_offset(dream, truth, thing.mask) <= _SAME_PLACE_PX)
    return {"things_there": average(there), "things_colour": average(colour), "things_place": average(place)}


def _without_each(world: RoomsWorld) -> Iterator[RoomsRenderer]:
    """A renderer of the scene without one of its things, for each."""
    source = world.scene.source
    assert isinstance(source, RoomsConfig)
    for i in range(len(source.solids)):
        less = replace(source, solids=source.solids[:i] + source.solids[i + 1 :])
        yield world.renderer_of(replace(world.scene, source=less))
    for i in range(len(source.pictures)):
        less = replace(source, pictures=source.pictures[:i] + source.pictures[i + 1 :])
        yield world.renderer_of(replace(world.scene, source=less))


def _offset(dream: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """By how many pixels the thing's true picture must be moved to fit the dream best."""
    rows, columns = np.nonzero(mask)
    best, where = np.inf, 0.0
    height, width = mask.shape
    for dy in range(-_REACH, _REACH + 1):
        for dx in range(-_REACH, _REACH + 1):
            y, x = rows + dy, columns + dx
            inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            if inside.sum() < 0.7 * len(rows):
                continue
            error = mse(dream[y[inside], x[inside]], truth[rows[inside], columns[inside]])
            if error < best:
                best, where = error, float(np.hypot(dx, dy))
    return where
