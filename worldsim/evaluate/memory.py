"""Memory: what is still there after turning away and coming back.

Entity, environment and causal consistency in the sense of MBench: things keep their presence, colour and place, the
place keeps its look, and walls keep stopping. Everything is read from pictures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from worldsim.action import Action
from worldsim.camera import Look, Pose
from worldsim.data.episodes import Episode
from worldsim.evaluate import report
from worldsim.evaluate.metric import Measurement, Metric, Part, Row, average, compare, dreamed
from worldsim.evaluate.metrics import ssim
from worldsim.evaluate.nulls import CEILING, DREAM
from worldsim.evaluate.outcome import can_tell, not_stopped_here, shows
from worldsim.evaluate.pose_estimator import PoseEstimator
from worldsim.evaluate.rollouts import Dream, pose_of, poses, scripted_walk
from worldsim.evaluate.things import Thing, thing_figures, visible_things
from worldsim.psnr import psnr
from worldsim.scene import Scene
from worldsim.source.base import PosedSource

TURN_TICKS, WALK_TICKS, HALF_TURN_TICKS, BUMP_TICKS = 72, 24, 18, 70
_QUARTERS = [TURN_TICKS * quarter // 4 - 1 for quarter in (1, 2, 3, 4)]
_LOST_M = 1.0  # a picture that fits nowhere is taken to be so far off


class Memory(Metric):
    """Full turns, walks away and back, walks into walls."""

    title = "Memory"
    about = (
        "What is still there after a full turn, and after turning about, walking away and coming back. A view on the "
        "way counts as well as the last one, so a frozen picture fails."
    )

    def run(self, measurement: Measurement) -> Part:
        """loop_psnr_db: the lowest PSNR of the views after each quarter of a full turn. trip_psnr_db, trip_ssim: the
        lower of halfway and back, of walks away and back. things_there, things_colour, things_place: shares of the
        visible things, in the one of those two views where they are lower. wall_stopped: share of walks into a wall
        whose last picture is that of the place where the truth stops, rather than of one past or short of it;
        wall_off_m: how far from there the last picture was taken, as read from it, at most 1 m."""
        source, dreamer = measurement.posed, measurement.dreamer
        starts = measurement.starts(measurement.sizes.events)
        loops = [_loop(source, dreamer.window, pose, 1 if i % 2 else -1) for i, pose in enumerate(starts)]
        trips = [trip for pose in starts if (trip := _there_and_back(source, dreamer.window, pose)) is not None]
        length = 2 * (WALK_TICKS + HALF_TURN_TICKS)
        turned = _with_ceiling(measurement, loops, TURN_TICKS, "full turns")
        back = _with_ceiling(measurement, trips, length, "there and back") if trips else {}
        bumps = _bumps(source, starts, dreamer.window)
        bumped = _with_ceiling(measurement, bumps, BUMP_TICKS, "walls") if bumps else {}
        views = (length // 2, length - 1)
        things = visible_things(source, [pose_of(poses(t)[dreamer.window + v]) for t in trips for v in views])
        rows: dict[str, Row] = {}
        for row in turned:
            rows[row] = {
                "loop_psnr_db": average([_lowest(d, w, dreamer.window, _QUARTERS) for d, w in
                                         zip(turned[row], loops, strict=True)], 2),
                **_trip_figures(back.get(row, []), trips, dreamer.window, views, things),
                **_bump_figures(measurement, bumped.get(row, []), bumps),
            }  # fmt: skip
        sizes = {"starts": len(starts), "trips": len(trips), "things": sum(map(len, things)), "bumps": len(bumps),
                 "steps": dreamer.steps}  # fmt: skip
        strip = _strips(dreamer.window, trips[:3], back.get(DREAM, []))
        caption = "Turn about, walk away, turn about, walk back: truth above dream."
        return Part({"sizes": sizes, **compare(rows, ("wall_off_m",))}, [report.picture(strip, caption)])

    def judge(self, figures: Mapping[str, Any]) -> float:
        """Mean of both PSNRs, and 5 points each for things that are there and walls that stop."""
        pictures = (dreamed(figures, "loop_psnr_db") + dreamed(figures, "trip_psnr_db")) / 2
        return pictures + 5 * (dreamed(figures, "things_there") + dreamed(figures, "wall_stopped"))


def turn(scene: Scene, degrees: float, ticks: int) -> list[Action]:
    """Actions that turn by so much in all, evenly."""
    control = scene.controls[scene.action_space.index("yaw") or 0]
    return [scene.action_space.make(yaw=round(degrees / ticks / control.quantum_deg))] * ticks


def _with_ceiling(measurement: Measurement, walks: list[Episode], ticks: int, what: str) -> dict[str, list[Dream]]:
    """The dreams of all rows, and the true frames after the codec."""
    dreamer = measurement.dreamer
    dreams = dreamer.dream_all(walks, ticks, what, measurement.quiet)
    dreams[CEILING] = [
        Dream(dreamer.after_codec(w.frames[dreamer.window :]), poses(w)[dreamer.window :, :2]) for w in walks
    ]
    return dreams


def _lowest(dream: Dream, walk: Episode, window: int, views: Sequence[int]) -> float:
    return min(psnr(dream.frames[v], walk.frames[window + v]) for v in views)


def _trip_figures(
    dreams: Sequence[Dream], trips: Sequence[Episode], window: int, views: Sequence[int], things: list[list[Thing]]
) -> dict[str, float | None]:
    """Of walks away and back. things: those of each view, view by view of trip by trip."""
    pairs = list(zip(dreams, trips, strict=True))
    shown = [(d.frames[v], w.frames[window + v]) for d, w in pairs for v in views]
    structure = [min(ssim(d.frames[v], w.frames[window + v]) for v in views) for d, w in pairs]
    return {
        "trip_psnr_db": average([_lowest(d, w, window, views) for d, w in pairs], 2),
        "trip_ssim": average(structure),
        **_worse(*(thing_figures(shown[i::2], things[i::2]) for i in range(2))),
    }


def _worse(a: Row, b: Row) -> dict[str, float | None]:
    """The lower value of each figure."""
    return {name: min((v for v in (a[name], b[name]) if v is not None), default=None) for name in a}


def _bump_figures(
    measurement: Measurement, dreams: Sequence[Dream], walks: Sequence[Episode]
) -> dict[str, float | None]:
    """Of walks into walls."""
    source, dreamer = measurement.posed, measurement.dreamer
    estimator = PoseEstimator(source, lambda frame: dreamer.after_codec(frame[None])[0])
    stopped, off = [], []
    for dream, walk in zip(dreams, walks, strict=True):
        end, picture = pose_of(poses(walk)[-1]), dream.frames[-1]
        stopped.append(shows(picture, walk.frames[-1], not_stopped_here(source, end, end.look.yaw_deg)))
        assert dream.position is not None
        x, y = dream.position[-1].tolist()
        claimed = Pose(x, y, end.look)
        reading = estimator.best_reading(picture, [end, claimed])
        far = math.hypot(reading.pose.x - end.x, reading.pose.y - end.y)
        off.append(min(far, _LOST_M) if reading.fits else _LOST_M)
    return {"wall_stopped": average(stopped), "wall_off_m": average(off)}


def _strips(window: int, walks: Sequence[Episode], dreams: Sequence[Dream]) -> np.ndarray:
    """Six moments of each walk, truth above dream, uint8 (H, W, 3)."""
    rows = [np.zeros((1, 1, 3), np.uint8)] if not walks else []
    for walk, dream in zip(walks, dreams, strict=False):
        picks = np.linspace(0, len(dream.frames) - 1, 6).astype(int)
        rows += [np.concatenate(list(frames[picks]), axis=1) for frames in (walk.frames[window:], dream.frames)]
    return np.concatenate(rows, axis=0)


def _bumps(source: PosedSource, starts: Sequence[Pose], window: int) -> list[Episode]:
    """Walks straight ahead that end standing at a wall."""
    ahead = source.scene.action_space.make(walk=1)
    facing = [found for pose in starts if (found := facing_a_wall(source, pose)) is not None]
    return [scripted_walk(source, source.at(pose), [ahead] * BUMP_TICKS, window) for pose in facing]


def facing_a_wall(source: PosedSource, start: Pose) -> Pose | None:
    """The start turned to where BUMP_TICKS ticks ahead end standing, in a view that tells where: the first of six
    directions; None if there is none."""
    ahead = source.scene.action_space.make(walk=1)
    for turned in range(0, 360, 60):
        pose = replace(start, look=Look(start.look.yaw_deg + turned))
        track = [pose]
        for _ in range(BUMP_TICKS):
            track.append(source.move(track[-1], ahead))
        end = track[-1]
        stands = math.hypot(end.x - track[-6].x, end.y - track[-6].y) < 0.05
        if stands and can_tell(source.at(end)[1].pixels, not_stopped_here(source, end, pose.look.yaw_deg)):
            return pose
    return None


def _loop(source: PosedSource, window: int, start: Pose, side: int) -> Episode:
    return scripted_walk(source, source.at(start), turn(source.scene, side * 360.0, TURN_TICKS), window)


def _there_and_back(source: PosedSource, window: int, start: Pose) -> Episode | None:
    """Turn about, walk away, turn about, walk back: to the same pose, if no wall is in the way within the circle."""
    walk = [source.scene.action_space.make(walk=1)] * WALK_TICKS
    half = turn(source.scene, 180.0, HALF_TURN_TICKS)
    for off in range(0, 360, 30):
        pose = replace(start, look=Look(start.look.yaw_deg + off))
        track = pose
        for action in [*half, *walk, *half, *walk]:
            track = source.move(track, action)
        if np.hypot(track.x - pose.x, track.y - pose.y) < 0.01:
            return scripted_walk(source, source.at(pose), [*half, *walk, *half, *walk], window)
    return None
