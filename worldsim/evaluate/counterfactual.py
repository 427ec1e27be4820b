"""Counterfactual consistency (CRONOS): the same event under other wall colours or from another viewpoint.

The event is a walk into a wall. Recoloured: the start pictures have their colours exchanged. Another viewpoint: the
same way is walked backwards or sideways, looking elsewhere. Outcomes are read from the last picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from worldsim.camera import Look, Pose
from worldsim.data.episodes import Episode
from worldsim.evaluate.memory import BUMP_TICKS, facing_a_wall
from worldsim.evaluate.metric import Measurement, Metric, Part, Row, average, compare
from worldsim.evaluate.nulls import CEILING
from worldsim.evaluate.outcome import likeness, not_stopped_here, shows
from worldsim.evaluate.rollouts import Dream, pose_of, poses, scripted_walk
from worldsim.psnr import psnr

_VIEWS = {"backwards": (180.0, {"walk": -1}), "sideways": (90.0, {"strafe": -1})}
_EXCHANGED = [2, 0, 1]  # red becomes green, green blue, blue red
_LOOKS = (1, 16, BUMP_TICKS)


class Counterfactual(Metric):
    """The same walk into a wall, in other colours and from other viewpoints."""

    title = "Counterfactual consistency"
    about = (
        "The same walk into a wall: with the start's colours exchanged, where a dream that follows its pictures keeps "
        "the new colours and the outcome; walked backwards; walked sideways."
    )
    # A promotion does not ask this part: what it asks of a checkpoint, memory and persistence ask as well.

    def run(self, measurement: Measurement) -> Part:
        """recoloured_kept_after_N: how far the picture of tick N has stayed with the new colours, 1, or gone back to
        the place's own, 0. recoloured_outcome, backwards_outcome, sideways_outcome: share of events whose last picture
        is that of the place where the truth stops, in the colours given. backwards_psnr_db, sideways_psnr_db: of the
        last picture. `kept_by_truth` among the sizes: share of events that end at the same place in the truth."""
        source, dreamer = measurement.posed, measurement.dreamer
        starts = [
            p for s in measurement.starts(measurement.sizes.events) if (p := facing_a_wall(source, s)) is not None
        ]
        sizes = {"events": len(starts), "steps": dreamer.steps}
        if not starts:
            return Part({"sizes": sizes})
        walks = {name: [_walk(measurement, pose, *view) for pose in starts] for name, view in _all_views().items()}
        headings = [pose.look.yaw_deg for pose in starts]
        others = {
            name: [not_stopped_here(source, pose_of(poses(w)[-1]), h) for w, h in zip(some, headings, strict=True)]
            for name, some in walks.items()
        }
        recoloured = np.stack([w.frames[: dreamer.window][..., _EXCHANGED] for w in walks["ahead"]])
        coloured = dreamer.dream_all(walks["ahead"], BUMP_TICKS, "recoloured", measurement.quiet, start=recoloured)
        coloured[CEILING] = [
            Dream(dreamer.after_codec(w.frames[dreamer.window :][..., _EXCHANGED]), None) for w in walks["ahead"]
        ]
        found: dict[str, dict[str, float | None]] = {
            row: _recoloured(dreams, walks["ahead"], others["ahead"], dreamer.window)
            for row, dreams in coloured.items()
        }
        for name in _VIEWS:
            dreams = dreamer.dream_all(walks[name], BUMP_TICKS, name, measurement.quiet)
            dreams[CEILING] = [Dream(dreamer.after_codec(w.frames[dreamer.window :]), None) for w in walks[name]]
            for row, some in dreams.items():
                found[row] |= _view(name, some, walks[name], others[name])
        rows: dict[str, Row] = dict(found)
        kept = [np.hypot(*(poses(a)[-1, :2] - poses(b)[-1, :2])) < 0.1 for name in _VIEWS
                for a, b in zip(walks["ahead"], walks[name], strict=True)]  # fmt: skip
        return Part({"sizes": {**sizes, "kept_by_truth": round(float(np.mean(kept)), 3)}, **compare(rows)})


def _all_views() -> dict[str, tuple[float, dict[str, int]]]:
    return {"ahead": (0.0, {"walk": 1}), **_VIEWS}


def _walk(measurement: Measurement, start: Pose, degrees: float, keys: dict[str, int]) -> Episode:
    """The way ahead of `start`, looking so many degrees away from it."""
    source = measurement.posed
    pose = Pose(start.x, start.y, Look(start.look.yaw_deg + degrees, 0.0))
    actions = [source.scene.action_space.make(**keys)] * BUMP_TICKS
    return scripted_walk(source, source.at(pose), actions, measurement.dreamer.window)


def _recoloured(
    dreams: Sequence[Dream], walks: Sequence[Episode], others: Sequence[Sequence[np.ndarray]], window: int
) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for tick in _LOOKS:
        kept = []
        for dream, walk in zip(dreams, walks, strict=True):
            place = walk.frames[window + tick - 1]
            kept.append(likeness(dream.frames[tick - 1], place[..., _EXCHANGED], place))
        found[f"recoloured_kept_after_{tick}"] = average(kept)
    outcomes = [shows(d.frames[-1], w.frames[-1][..., _EXCHANGED], [o[..., _EXCHANGED] for o in some])
                for d, w, some in zip(dreams, walks, others, strict=True)]  # fmt: skip
    return {**found, "recoloured_outcome": average(outcomes)}


def _view(
    name: str, dreams: Sequence[Dream], walks: Sequence[Episode], others: Sequence[Sequence[np.ndarray]]
) -> dict[str, float | None]:
    outcomes = [shows(d.frames[-1], w.frames[-1], some) for d, w, some in zip(dreams, walks, others, strict=True)]
    fits = [psnr(d.frames[-1], w.frames[-1]) for d, w in zip(dreams, walks, strict=True)]
    return {f"{name}_outcome": average(outcomes), f"{name}_psnr_db": average(fits, 2)}
