"""Drift: ten minutes of play in one go, on the very path that play takes, with the true engine as the judge."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tqdm import tqdm

from worldsim.action import Action
from worldsim.camera import Pose
from worldsim.evaluate import report
from worldsim.evaluate.metric import SEEDS, Measurement, Metric, Part, Row, compare, dreamed
from worldsim.evaluate.metrics import gradient_energy
from worldsim.evaluate.nulls import DREAM, HISTORY_SHUFFLED, LAST_FRAME_REPEATED
from worldsim.psnr import psnr
from worldsim.source.base import PosedSource
from worldsim.world import Frame, Spawn, World

EVERY = 20  # ticks between looks: one a second
_COLLAPSE_LOOKS = 10  # in a row
_BLAND, _STILL = 0.3, 0.1
_MOVED = 1.0  # grey levels by which a picture must change in a tick to count as moving
_SEED_OFFSET = 777  # this walk is none of the other parts'


@dataclass
class _Session:
    """One session as looked at every second. off_m: how far the believed place lies from where the true engine is
    after the same actions. collapsed_at: the tick, or None."""

    believed_db: list[float] = field(default_factory=list)
    true_db: list[float] = field(default_factory=list)
    off_m: list[float] = field(default_factory=list)
    sharpness: list[float] = field(default_factory=list)
    motion: list[float | None] = field(default_factory=list)
    shown: list[np.ndarray] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    collapsed_at: int | None = None


class _Again:
    """A player that does what was done before, whatever it sees."""

    def __init__(self, actions: Sequence[Action]) -> None:
        self._actions = iter(actions)

    def act(self, frame: Frame) -> Action:
        return next(self._actions)


class Drift(Metric):
    """A long session of the source's own player."""

    title = "Drift"
    about = (
        "Minutes of play in one go. Every second the picture is held against the true engine's, from where the dream "
        "believes to be and from where the same actions truly lead; how far these two places are apart stands beside. "
        "The null rows play the first tenth."
    )

    def run(self, measurement: Measurement) -> Part:
        """Figures over the first and the last tenth of the session. psnr_believed_db: at the believed place, blind to
        a pose that has drifted; psnr_true_db: at the true place; believed_off_m: metres between the two; sharpness:
        median ratio of gradient energy over the truth's; motion: median ratio of what changes in a tick, where the
        truth changes. Collapsed: for ten looks in a row less than 0.3 of the sharpness, or less than 0.1 of the
        motion."""
        source, dreamer, ticks = measurement.posed, measurement.dreamer, measurement.sizes.drift_ticks
        player, _, first = source.episode(SEEDS[measurement.seeds] + _SEED_OFFSET)
        assert first.pose is not None
        spawn = Spawn("drift", first.pixels, first.pose)
        session = _play(source, dreamer.world(), spawn, player.act, ticks, "drift", measurement.quiet)
        tenth = max(1, len(session.believed_db) // 10)
        found: dict[str, dict[str, float | None]] = {DREAM: _figures(session, slice(0, tenth), "first")}
        found[DREAM] |= _figures(session, slice(-tenth, None), "last")
        for row in dreamer.nulls:
            start = spawn
            if row == HISTORY_SHUFFLED:
                other = source.episode(SEEDS[measurement.seeds] + _SEED_OFFSET + 1)[2].pixels
                start = Spawn("drift", other, first.pose)
            act = _Again(session.actions).act
            null = _play(source, dreamer.world(row), start, act, tenth * EVERY, row, measurement.quiet)
            found[row] = _figures(null, slice(0, tenth), "first")
        rows: dict[str, Row] = dict(found)
        # A picture that never moves fits the place that it never left, and is as sharp as the truth.
        unfair = {f"{name}_first": (LAST_FRAME_REPEATED,) for name in ("psnr_believed_db", "sharpness")}
        figures = {
            "sizes": {"ticks": ticks, "steps": dreamer.steps},
            **compare(rows, ("believed_off_m_first", "believed_off_m_last"), unfair),
            "collapsed": session.collapsed_at is not None,
            "collapse_tick": session.collapsed_at,
            "psnr_believed_curve_db": np.round(session.believed_db, 2).tolist(),
            "believed_off_curve_m": np.round(session.off_m, 3).tolist(),
        }
        return Part(figures, _sections(session, measurement.scene.tick_hz))

    def judge(self, figures: Mapping[str, Any]) -> float:
        """PSNR at the believed place at the end, 5 points for sharpness, less 5 for a believed place a metre off in
        the first tenth, less 20 for a collapse."""
        points = dreamed(figures, "psnr_believed_db_last") + 5 * min(dreamed(figures, "sharpness_last"), 1.0)
        points -= 5 * min(dreamed(figures, "believed_off_m_first", otherwise=1.0), 1.0)
        return points - 20 * bool(figures.get("collapsed"))


def _play(
    source: PosedSource, world: World, spawn: Spawn, act: Callable[[Frame], Action], ticks: int, what: str, quiet: bool
) -> _Session:
    """Play for so many ticks, looking every second."""
    session, bad = _Session(), 0
    state, frame = world.start(0, spawn)
    pose = true_pose = spawn.pose or Pose()
    for tick in tqdm(range(1, ticks + 1), desc=what, unit="tick", disable=quiet):
        action = act(frame)
        session.actions.append(action)
        before, true_before = frame.pixels, true_pose
        state, frame = world.advance(state, action)
        pose, true_pose = frame.pose or pose, source.move(true_pose, action)
        if tick % EVERY:
            continue
        believed, true = (source.at(p)[1].pixels for p in (pose, true_pose))
        session.believed_db.append(psnr(frame.pixels, believed))
        session.true_db.append(psnr(frame.pixels, true))
        session.off_m.append(math.hypot(pose.x - true_pose.x, pose.y - true_pose.y))
        session.sharpness.append(gradient_energy(frame.pixels) / max(gradient_energy(believed), 1e-9))
        truly = _change(source.at(true_before)[1].pixels, true)
        moved = _change(before, frame.pixels) / truly if truly > _MOVED else None
        session.motion.append(moved)
        bad = bad + 1 if session.sharpness[-1] < _BLAND or (moved is not None and moved < _STILL) else 0
        if bad >= _COLLAPSE_LOOKS and session.collapsed_at is None:
            session.collapsed_at = tick - (_COLLAPSE_LOOKS - 1) * EVERY
        if tick % max(EVERY, ticks // 12 // EVERY * EVERY) == 0 and len(session.shown) < 12:
            session.shown.append(np.concatenate([believed, frame.pixels], axis=0))
    return session


def _figures(session: _Session, part: slice, name: str) -> dict[str, float | None]:
    """Of a part of the looks."""
    moved = [m for m in session.motion[part] if m is not None]
    return {
        f"psnr_believed_db_{name}": round(float(np.mean(session.believed_db[part])), 2),
        f"psnr_true_db_{name}": round(float(np.mean(session.true_db[part])), 2),
        f"believed_off_m_{name}": round(float(np.mean(session.off_m[part])), 3),
        f"sharpness_{name}": round(float(np.median(session.sharpness[part])), 3),
        f"motion_{name}": round(float(np.median(moved)), 3) if moved else None,
    }


def _sections(session: _Session, tick_hz: float) -> list[str]:
    minutes = [(i + 1) * EVERY / tick_hz / 60 for i in range(len(session.believed_db))]
    fits: dict[str, tuple[Sequence[float], Sequence[float]]] = {
        "believed place": (minutes, session.believed_db),
        "true place": (minutes, session.true_db),
    }
    shown = np.concatenate(session.shown, axis=1) if session.shown else np.zeros((1, 1, 3), np.uint8)
    return [
        report.curves(fits, "minutes", "PSNR, dB"),
        report.curves({"believed place": (minutes, session.off_m)}, "minutes", "metres from the true place", floor=0.0),
        report.picture(shown, "The truth at the believed place above the dream, through the session."),
    ]


def _change(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference, in grey levels."""
    return float(np.abs(a.astype(float) - b).mean())
