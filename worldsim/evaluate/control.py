"""Control: does the dream do what the player does? Read from the pictures alone, by the pose estimator."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from worldsim.camera import Look, Pose
from worldsim.data.episodes import Episode
from worldsim.evaluate.metric import Measurement, Metric, Part, Row, average, compare, dreamed
from worldsim.evaluate.metrics import macro_f1
from worldsim.evaluate.nulls import CEILING
from worldsim.evaluate.pose_estimator import PoseEstimator, Reading
from worldsim.evaluate.rollouts import Dream, pose_of, poses, with_action
from worldsim.psnr import psnr
from worldsim.source.base import PosedSource
from worldsim.source.player import random_action

_EVERY = 4  # ticks between two readings: a step of one tick is near the reading's own error
_APART_M = 0.05  # a claimed place farther from the true one is a start of its own
_UNREAD = 9  # a motion that no picture shows


@dataclass(frozen=True)
class _Track:
    """What was read along one walk: the look with the place given, the pose with the place free."""

    looks: list[Reading]
    places: list[Reading]


class Control(Metric):
    """Turns, steps and the next frame's answer to another action."""

    title = "Control"
    about = (
        "Read from the pictures alone: the true engine's camera is moved until its picture fits the dream's. The "
        "ceiling is the same reading of true frames after the codec."
    )

    def run(self, measurement: Measurement) -> Part:
        """Figures over readings four ticks apart.

        yaw_error_ratio: mean error of the turn seen over the mean turn commanded, read with the place given (a small
        step to the side looks like a small turn); a picture that fits nowhere counts as a turn not made.
        yaw_error_deg: the same in degrees. motion_f1: macro-F1 of forward, not, back and right, not, left, read from
        the pictures, against the way the true player went: where a wall holds the player, a dream that walks on is
        wrong. reaction_db: how much better the next frame under the true action fits the truth than one under a random
        action from the same state.
        """
        source, dreamer = measurement.posed, measurement.dreamer
        count = min(measurement.sizes.rollouts, measurement.sizes.control_walks)
        ticks = measurement.sizes.control_ticks
        walks = measurement.walks(count, ticks)
        dreams = dreamer.dream_all(walks, ticks, "control", measurement.quiet)
        truth = [poses(walk)[dreamer.window : dreamer.window + ticks] for walk in walks]
        after = [dreamer.after_codec(walk.frames[dreamer.window : dreamer.window + ticks]) for walk in walks]
        dreams[CEILING] = [Dream(frames, track[:, :2]) for frames, track in zip(after, truth, strict=True)]
        estimator = PoseEstimator(source, lambda frame: dreamer.after_codec(frame[None])[0])
        step = _longest_step(source)
        reaction = _reactions(measurement, walks)
        rows: dict[str, Row] = {}
        with tqdm(total=len(dreams) * count, desc="pose estimator", unit="walk", disable=measurement.quiet) as bar:
            for row, some in dreams.items():
                tracks = []
                for dream, track in zip(some, truth, strict=True):
                    tracks.append(_read(estimator, dream, track))
                    bar.update()
                rows[row] = {**_figures(tracks, truth, step), "reaction_db": reaction.get(row)}
        sizes = {"walks": count, "ticks": ticks, "steps": dreamer.steps}
        return Part({"sizes": sizes, **compare(rows, ("yaw_error_ratio", "yaw_error_deg"))})

    def judge(self, figures: Mapping[str, Any]) -> float:
        """10 points each for turns without error and motion told apart."""
        turn = 1 - min(1.0, dreamed(figures, "yaw_error_ratio", otherwise=1.0))
        return 10 * (turn + dreamed(figures, "motion_f1"))


def _read(estimator: PoseEstimator, dream: Dream, track: np.ndarray) -> _Track:
    """Readings along a walk, from near the true pose and near the claimed one, whichever fits better."""
    assert dream.position is not None
    rng = np.random.Generator(np.random.Philox(key=11))
    looks, places = [], []
    for tick in range(0, len(track), _EVERY):
        truth = pose_of(track[tick])
        x, y = dream.position[tick].tolist()
        claimed = Pose(x, y, truth.look)
        far = math.hypot(claimed.x - truth.x, claimed.y - truth.y) > _APART_M
        starts = [truth, claimed] if far else [claimed]
        # Not from the very pose: the estimator has to find it.
        off_x, off_y, yaw, pitch = (rng.normal(size=4) * (0.03, 0.03, 0.5, 0.3)).tolist()
        turned = [Pose(s.x, s.y, Look(s.look.yaw_deg + yaw, s.look.pitch_deg + pitch)) for s in starts]
        look = estimator.best_reading(dream.frames[tick], turned, standing=True)
        moved = Pose(look.pose.x + off_x, look.pose.y + off_y, look.pose.look)
        looks.append(look)
        places.append(estimator.best_reading(dream.frames[tick], [moved], fine=True))
    return _Track(looks, places)


def _figures(tracks: Sequence[_Track], truth: Sequence[np.ndarray], step_m: float) -> dict[str, float | None]:
    """Of all walks of one row."""
    errors, commanded, read, true = [], [], [], []
    for track, true_poses in zip(tracks, truth, strict=True):
        at = true_poses[::_EVERY]
        turns = np.diff(at[:, 2])
        for i, turn in enumerate(turns):
            before, after = track.looks[i : i + 2]
            error = abs(after.pose.look.yaw_deg - before.pose.look.yaw_deg - turn)
            errors.append(error if before.fits and after.fits else max(error, abs(turn)))
        commanded.append(np.abs(turns))
        went = _motion([pose_of(row) for row in at])
        seen = _as_keys(_motion([r.pose for r in track.places]), step_m)
        fits = np.array([a.fits and b.fits for a, b in zip(track.places[:-1], track.places[1:], strict=True)])
        seen[~fits] = _UNREAD
        read.append(seen)
        true.append(_as_keys(went, step_m))
    mean_turn = max(float(np.concatenate(commanded).mean()), 1e-9)
    seen, went = np.concatenate(read), np.concatenate(true)
    f1 = float(np.mean([macro_f1(seen[:, axis], went[:, axis]) for axis in (0, 1)]))
    error = float(np.mean(errors))
    return {
        "yaw_error_ratio": round(error / mean_turn, 4),
        "yaw_error_deg": round(error, 3),
        "motion_f1": round(f1, 3),
    }


def _motion(track: Sequence[Pose]) -> np.ndarray:
    """Forward and right displacement between poses, in metres, in the frame of the later one: (T - 1, 2)."""
    rows = []
    for a, b in zip(track[:-1], track[1:], strict=True):
        dx, dy, yaw = b.x - a.x, b.y - a.y, math.radians(b.look.yaw_deg)
        rows.append((dx * math.sin(yaw) + dy * math.cos(yaw), dx * math.cos(yaw) - dy * math.sin(yaw)))
    return np.array(rows)


def _as_keys(motion: np.ndarray, step_m: float) -> np.ndarray:
    """Motion between two readings (T, 2) -> -1, 0 or 1 an axis: moved by more than a quarter of what walking gives."""
    return np.where(np.abs(motion) > step_m * _EVERY / 4, np.sign(motion), 0).astype(int)


def _longest_step(source: PosedSource) -> float:
    """How far one tick of walking, not running, carries a player, in metres: the longest from any spawn."""
    ahead, steps = source.scene.action_space.make(walk=1), []
    for pose in (spawn.pose for spawn in source.scene.spawns):
        if pose is not None:
            end = source.move(pose, ahead)
            steps.append(math.hypot(end.x - pose.x, end.y - pose.y))
    return max([*steps, 0.01])


def _reactions(measurement: Measurement, walks: list[Episode]) -> dict[str, float | None]:
    """For each row, PSNR of the next frame under the true action less that under a random one."""
    source, dreamer = measurement.posed, measurement.dreamer
    window, space = dreamer.window, source.scene.action_space
    rng = np.random.Generator(np.random.Philox(key=7))
    other = []
    for walk in walks:
        action = space.idle
        for _ in range(20):
            action = random_action(space, rng, action)
        other.append(with_action(source, walk, window, action))
    right = dreamer.dream_all(walks, 1, "true action", measurement.quiet)
    wrong = dreamer.dream_all(other, 1, "random action", measurement.quiet)
    truth = [walk.frames[window] for walk in walks]
    return {
        row: average([psnr(a.frames[0], t) - psnr(b.frames[0], t)
                      for a, b, t in zip(right[row], wrong[row], truth, strict=True)], 2)
        for row in right
    }  # fmt: skip
