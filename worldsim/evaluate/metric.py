"""What a part of the evaluation is, and how its figures stand beside their null rows.

A new part is one file: a subclass of Metric, and its line in registry.METRICS.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from worldsim.camera import Look, Pose
from worldsim.data.collect import HELD_OUT_SEED
from worldsim.data.episodes import Episode
from worldsim.evaluate.nulls import CEILING, DREAM, DREAM_THERE
from worldsim.evaluate.rollouts import Dreamer, true_walks
from worldsim.scene import Scene
from worldsim.source.base import PosedSource, SourceWorld

Row = Mapping[str, float | None]
"""Figures of one row by name. None, or a name left out: the row has no such figure."""

WORTH = "generator_worth"

SEEDS = {"report": HELD_OUT_SEED, "promote": 3_000_000}
"""First seeds of the walks: those a report shows, and those a promotion is judged by. They never overlap."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured: rollouts and ticks of the quality part, ticks of the drift part, starts of the scripted
    parts, walks and ticks of the control part, cases of each question to a world that lives. Starts and walks are never
    more than rollouts."""

    rollouts: int = 16
    ticks: int = 256
    drift_ticks: int = 12_000
    starts: int = 6
    control_walks: int = 4
    control_ticks: int = 48
    cases: int = 40

    @property
    def events(self) -> int:
        return min(self.rollouts, self.starts)


@dataclass(frozen=True)
class Strip:
    """One rollout to look at: truth and dream, uint8 (T, H, W, 3), first dreamed tick first."""

    truth: np.ndarray
    dream: np.ndarray


@dataclass(frozen=True)
class Part:
    """What a part found. figures: `sizes`, then each figure's rows as `compare` makes them, then curves. sections: of
    the report, as HTML, below the table of figures."""

    figures: dict[str, Any]
    sections: list[str] = field(default_factory=list)
    strips: list[Strip] = field(default_factory=list)


@dataclass(frozen=True)
class Measurement:
    """What a part measures, and with what. seeds: a name in SEEDS. data: a folder of held-out episodes."""

    source: SourceWorld
    dreamer: Dreamer
    sizes: Sizes = Sizes()
    seeds: str = "report"
    data: Path | None = None
    quiet: bool = True

    @property
    def scene(self) -> Scene:
        return self.source.scene

    @property
    def posed(self) -> PosedSource:
        """The source, for parts that put its camera somewhere."""
        assert isinstance(self.source, PosedSource)  # the suite leaves such parts out elsewhere
        return self.source

    def walks(self, count: int, ticks: int) -> list[Episode]:
        """Walks of the source's own player: the dreamer's window, then `ticks` ticks. Raises DataError."""
        data = self.data if self.seeds == "report" else None
        return true_walks(self.source, SEEDS[self.seeds], count, self.dreamer.window + ticks, data, self.quiet)

    def starts(self, count: int) -> list[Pose]:
        """Level views to start from. A report takes the scene's spawns, turned a little further each round; a
        promotion takes places where the source's player begins."""
        if self.seeds != "report":
            begun = [self.source.episode(SEEDS[self.seeds] + 500_000 + i)[2].pose for i in range(count)]
            return [Pose(pose.x, pose.y, Look(pose.look.yaw_deg)) for pose in begun if pose is not None]
        there = [spawn.pose for spawn in self.scene.spawns if spawn.pose is not None]
        rounds = [(there[i % len(there)], 45.0 * (i // len(there))) for i in range(count)]
        return [Pose(pose.x, pose.y, Look(pose.look.yaw_deg + turn)) for pose, turn in rounds]


class Metric(ABC):
    """One part of the evaluation."""

    title: str
    about: str
    """What the part asks, in a sentence or two, for the report."""
    needs_pose: bool = True
    """Whether the part puts the source's camera somewhere or reads poses."""

    def why_not(self, scene: Scene) -> str | None:
        """One sentence if the part does not suit a scene, else None."""
        if self.needs_pose and scene.place is None:
            return "the scene has no camera or its source knows no poses"
        if self.needs_pose and scene.action_space.index("yaw") is None:
            return "the scene has no control called yaw to turn with"
        return None

    @abstractmethod
    def run(self, measurement: Measurement) -> Part:
        """Measure. Raises WorldsimError."""

    def judge(self, figures: Mapping[str, Any]) -> float:
        """How good the figures of `run` are: more is better, a point is about as much as one dB. A part that does not
        say so is not asked by a promotion."""
        return 0.0

    @property
    def is_judged(self) -> bool:
        """Whether a promotion asks this part: it says how good its figures are."""
        return type(self).judge is not Metric.judge


def compare(
    rows: Mapping[str, Row], less_is_better: Collection[str] = (), unfair: Mapping[str, Collection[str]] | None = None
) -> dict[str, dict[str, float]]:
    """Every figure of the dream with those of the null rows and the ceiling, and what the generator adds.

    rows: by row name, the dream's among them. less_is_better: names of figures. unfair: for a figure, rows that the
    worth is not measured against, since they have it by construction (a frozen picture stands still).
    Returns figure -> {row: value, ..., generator_worth: the dream less the best null row}, positive if it is better.
    """
    found: dict[str, dict[str, float]] = {}
    for name, value in rows[DREAM].items():
        if value is None:
            continue
        figure = {row: other for row, values in rows.items() if (other := values.get(name)) is not None}
        skipped = {DREAM, DREAM_THERE, CEILING, *(unfair or {}).get(name, ())}
        nulls = [other for row, other in figure.items() if row not in skipped]
        if nulls:
            own = figure.get(DREAM_THERE, value)  # on the walks of the null rows
            best = min(nulls) - own if name in less_is_better else own - max(nulls)
            figure[WORTH] = round(best, 4)
        found[name] = figure
    return found


def dreamed(figures: Mapping[str, Any], name: str, otherwise: float = 0.0) -> float:
    """The dream's own value of a figure; `otherwise` if it was not found."""
    figure = figures.get(name)
    return float(figure[DREAM]) if isinstance(figure, Mapping) else otherwise


def average(values: Sequence[float | bool | None], digits: int = 3) -> float | None:
    """Rounded mean of what could be measured; None if nothing could."""
    measured = [float(v) for v in values if v is not None]
    return round(float(np.mean(measured)), digits) if measured else None
