"""Entities: do things in a dream move, react and keep their state as the true engine's do? Read from pictures.

Whole-frame measures hide a ball that never moved. So each picture is compared with the true engine's pictures of what
could have been, at the pose the dream believes in, in the pixels where those differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from worldsim.evaluate import report
from worldsim.evaluate.doorways import Doorways
from worldsim.evaluate.metric import Measurement, Metric, Part, Row, average, compare, dreamed
from worldsim.evaluate.nulls import DREAM
from worldsim.evaluate.pushes import Pushes
from worldsim.evaluate.scripts import NULL_SHARE, Case, Script, Setting, run_rows
from worldsim.evaluate.sightings import InView, LookAway
from worldsim.evaluate.tours import Tours
from worldsim.scene import Scene
from worldsim.source.rooms.layout import RoomsConfig
from worldsim.world import Frame

_JUDGED = ("push_right", "placed_after_64", "placed_away_100", "doors_as_left", "pickups_as_left", "lamps_as_left")
_POINTS = 10.0


class Entities(Metric):
    """Pushes, sightings, looks away, tours past doors, lamps and pickups, and ways through doors."""

    title = "Entities"
    about = (
        "Played as a person plays it, from held-out starts. push: a ball walked into, or not: are both pictures nearer "
        "their own truth, by 3 dB in the ball's pixels? placed, present: what moves, looked at after so many ticks, or "
        "after so many ticks of looking away, at most 0.45 m from its true place. as_left: doors, lamps and pickups "
        "200 ticks after they were used or passed by; the lower of both shares, so that neither a world that changes "
        "nothing nor one that changes all passes. believed: the dream's own numbers against the true ones. Null rows "
        f"are measured over one in {NULL_SHARE} of the walks."
    )

    def why_not(self, scene: Scene) -> str | None:
        if not isinstance(scene.source, RoomsConfig) or not scene.slots:
            return "the scene has no entities"
        return super().why_not(scene)

    def run(self, measurement: Measurement) -> Part:
        """push_right: share of pairs; push_margin_db. placed_after_N, present_after_N: in view after N ticks, of all
        movers and by kind; placed_away_N: after looking away N ticks. doors_as_left, lamps_as_left, pickups_as_left.
        door_open_before_through, closed_door_stops: shares of walks. All else is what the dream believes."""
        setting = Setting(measurement)
        values: dict[str, dict[str, list[float]]] = {}
        sizes: dict[str, Any] = {"steps": measurement.dreamer.steps}
        sections: list[str] = []
        for script in scripts():
            cases = script.cases(setting)
            sizes[script.name.replace(" ", "_")] = sum(len(case.walk.looks) for case in cases)
            found, shown = run_rows(measurement, setting, script, cases)
            for row, figures in found.items():
                values.setdefault(row, {}).update(figures)
            if isinstance(script, Pushes) and shown:
                caption = "Pushes: truth and dream when the ball is walked into, truth and dream when it is not."
                sections.append(report.picture(push_strip(setting, cases, shown), caption))
        rows = {DREAM: {}, **{row: summary(figures) for row, figures in values.items()}}
        compared: dict[str, Row] = dict(rows)
        less = [name for name in rows[DREAM] if name.endswith("_m") or "_off_m_" in name]
        # What the engine's rules say of a state is not the network's doing: only pictures are worth something.
        unfair = {name: tuple(values) for name in rows[DREAM] if "believed" in name}
        return Part({"sizes": sizes, **compare(compared, less, unfair)}, sections)

    def judge(self, figures: Mapping[str, Any]) -> float:
        """10 points for each share that the part is there for."""
        return _POINTS * sum(dreamed(figures, name) for name in _JUDGED)


def summary(values: Mapping[str, Sequence[float]]) -> dict[str, float | None]:
    """One row's figures: means of shares, medians of distances, and the lower share of what was changed and what was
    left alone."""
    figures: dict[str, float | None] = {}
    for name, some in values.items():
        if name.endswith(("_changed", "_left_alone")):
            continue
        far = "_off_m" in name
        figures[name] = round(float(np.median(some)), 3) if far else average(some)
    for what in ("doors", "lamps", "pickups"):
        if f"{what}_changed" in values and f"{what}_left_alone" in values:
            both = [float(np.mean(values[f"{what}_{how}"])) for how in ("changed", "left_alone")]
            figures[f"{what}_as_left"] = round(min(both), 3)
    return figures


def push_strip(setting: Setting, cases: Sequence[Case], shown: Mapping[int, list[Frame]]) -> np.ndarray:
    """A pair a row: truth and dream of the push, truth and dream without it. uint8 (H, W, 3)."""
    rows = []
    for i, frames in shown.items():
        states = cases[i].states
        pictures = [p for s, f in zip(states, frames, strict=True) for p in (setting.truth.draw(s, s.pose), f.pixels)]
        rows.append(np.concatenate(pictures, axis=1))
    return np.concatenate(rows, axis=0)


def scripts() -> tuple[Script, ...]:
    """All scripts of the part, in order."""
    return Pushes(), InView(), LookAway(), Tours(), Doorways()
