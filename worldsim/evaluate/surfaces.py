"""Surfaces: what neither weights nor entities can know: pictures hung anew each episode, fire, water, screens.

The true engine tells where they are: it draws a view twice, of another episode or at another moment. What the dream is
worth over its null rows on those tokens is what the transformer, which alone sees the last frames, is worth there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from worldsim.camera import Look, Pose
from worldsim.evaluate.living import SideLook, Walk, difference, error, frames_of
from worldsim.evaluate.metric import Measurement, Metric, Part, Row, average, compare, dreamed
from worldsim.evaluate.nulls import DREAM, HISTORY_SHUFFLED, LIVING
from worldsim.evaluate.scripts import Case, Found, Script, Setting
from worldsim.scene import Scene
from worldsim.source.rooms.layout import RoomsConfig
from worldsim.world import Frame, State

HORIZONS = (1, 16, 64)
_OTHERWISE: dict[str, dict[str, Any]] = {"hung_anew": {"episode": 1}, "moving": {"clock_s": 0.9}}
"""What is different in the engine's second picture, added to the state's own."""
_SWAY_DEG, _SWAY_TICKS = 24.0, 40
_LEAST_TOKENS = 4
_TOKEN = 16
_TURNS = 8  # directions looked in from each place, until one shows such a surface
_MOST_DB = 60.0


class Surfaces(Metric):
    """A look that sways to and fro before such a surface."""

    title = "Moving surfaces"
    about = (
        "PSNR on the tokens that show pictures hung anew in each episode (hung_anew), and fire, water and screens "
        "(moving), after so many ticks of looking to and fro from one place."
    )

    def why_not(self, scene: Scene) -> str | None:
        if not isinstance(scene.source, RoomsConfig) or not scene.slots:
            return "the scene has nothing that moves"
        return super().why_not(scene)

    def run(self, measurement: Measurement) -> Part:
        """hung_anew_psnr_db_at_N, moving_psnr_db_at_N: means over the views that show such tokens."""
        setting, script = Setting(measurement), Sways()
        cases = script.cases(setting)
        rows: dict[str, Row] = {DREAM: {}}
        for row in (DREAM, *(n for n in (*measurement.dreamer.nulls, *LIVING) if n != HISTORY_SHUFFLED)):
            values: dict[str, list[float]] = {}
            with measurement.dreamer.world(row) as world:
                for case in cases:
                    for name, value in script.judge(setting, case, frames_of(world, case.walk)):
                        values.setdefault(name, []).append(value)
            rows[row] = {name: average(some, 2) for name, some in values.items()}
        return Part({"sizes": {"walks": len(cases), "steps": measurement.dreamer.steps}, **compare(rows)})

    def judge(self, figures: Mapping[str, Any]) -> float:
        """The mean PSNR, at most 10 points: a quarter of a point a dB."""
        found = [dreamed(figures, n) for n in figures if n.startswith(tuple(_OTHERWISE))]
        return 0.25 * float(np.mean(found or [0.0]))


class Sways(Script):
    """Looking to and fro from where a surface that changes is in view."""

    name = "surfaces"

    def cases(self, setting: Setting) -> list[Case]:
        found: list[Case] = []
        count = max(2, setting.count // 4)
        for case in range(4 * count):
            what = tuple(_OTHERWISE)[len(found) % len(_OTHERWISE)]
            made = self._walk(setting, 60_000 + case, what)
            found += [] if made is None else [made]
            if len(found) == count:
                break
        return found

    def judge(self, setting: Setting, case: Case, frames: Sequence[Frame]) -> Found:
        found: Found = []
        for look, state, frame in zip(case.walk.looks, case.states, frames, strict=True):
            pose = state.pose  # only turned: a picture that stands still must not be right at a pose of its own
            true = setting.truth.draw(state, pose)
            for what in _OTHERWISE:
                tokens = tokens_of(setting, state, pose, what)
                if tokens.sum() >= _LEAST_TOKENS * _TOKEN**2:
                    db = 10 * math.log10(255.0**2 / max(error(frame.pixels, true, tokens), 1e-9))
                    found.append((f"{what}_psnr_db_at_{look.at}", min(db, _MOST_DB)))
        return found

    def _walk(self, setting: Setting, case: int, what: str) -> Case | None:
        truth, space = setting.truth, setting.scene.action_space
        state, level = setting.level(case)
        for turn in range(_TURNS):
            pose = replace(level, look=Look(level.look.yaw_deg + 360 / _TURNS * turn, 0.0))
            if tokens_of(setting, state, pose, what).sum() >= 2 * _LEAST_TOKENS * _TOKEN**2:
                break
        else:
            return None
        begin, spawn = truth.begin(setting.seed(case), pose, truth.values(state))
        angles = [_SWAY_DEG * math.sin(2 * math.pi * t / _SWAY_TICKS) for t in range(HORIZONS[-1] + 1)]
        quantum = space.quanta((1.0, 0.0))[0]
        whole = np.rint(np.array(angles) * quantum).astype(int)
        actions = tuple(space.make(yaw=int(step)) for step in np.diff(whole))
        walk = Walk(setting.seed(case), spawn, begin, actions, tuple(SideLook(h) for h in HORIZONS))
        along = truth.along(walk)
        return Case(walk, [along[h] for h in HORIZONS])


def tokens_of(setting: Setting, state: State, pose: Pose, what: str) -> np.ndarray:
    """The pixels, bool (H, W), of whole tokens in a view that another episode or another moment would change."""
    other = {name: getattr(state, name) + more for name, more in _OTHERWISE[what].items()}
    changed = difference(setting.truth.draw(state, pose), setting.truth.draw(state, pose, **other))
    height, width = changed.shape
    tokens = changed.reshape(height // _TOKEN, _TOKEN, width // _TOKEN, _TOKEN).any(axis=(1, 3))
    return tokens.repeat(_TOKEN, axis=0).repeat(_TOKEN, axis=1)
