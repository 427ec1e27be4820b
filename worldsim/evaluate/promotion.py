"""Whether a trained run replaces a shipped checkpoint: better in all, and in no part much worse.

Judged by the scores of the promotion's own walks, which no report shows, so that nobody tunes towards them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from worldsim.checkpoint import Checkpoint
from worldsim.errors import CheckpointError
from worldsim.evaluate.suite import metrics

SCORES = "promotion"
"""Where in a checkpoint's scores the figures of a promotion's walks stand."""

MARGIN = 0.5
"""Points by which a part may get worse. A point is about one dB; two evaluations of one training's checkpoints ten
minutes apart differ by some tenths."""


@dataclass(frozen=True)
class Verdict:
    """points: part -> those of the run and, if one is shipped, of that. reason: why the run is refused, else None."""

    points: dict[str, tuple[float, float | None]]
    reason: str | None

    @property
    def total(self) -> tuple[float, float]:
        return sum(new for new, _ in self.points.values()), sum(old or 0.0 for _, old in self.points.values())


def judge(run: Checkpoint, shipped: Checkpoint | None) -> Verdict:
    """Hold a run against the shipped checkpoint, part by part. Raises CheckpointError if a part is missing or was
    measured over other sizes."""
    points: dict[str, tuple[float, float | None]] = {}
    for name, metric in metrics().items():
        if not metric.is_judged or metric.why_not(run.scene) is not None:
            continue
        new, old = _scores(run, name), None if shipped is None else _scores(shipped, name)
        if old is not None and shipped is not None:
            _must_be_alike(run, shipped, name, new["sizes"], old["sizes"])
        points[name] = round(metric.judge(new), 3), None if old is None else round(metric.judge(old), 3)
    return Verdict(points, _refusal(points) if shipped is not None else None)


def _refusal(points: Mapping[str, tuple[float, float | None]]) -> str | None:
    worse = {name: old - new for name, (new, old) in points.items() if old is not None and new < old - MARGIN}
    if worse:
        said = ", ".join(f"{name} by {much:.2f}" for name, much in worse.items())
        return f"it is worse than the margin of {MARGIN} points in {said}"
    new, old = sum(n for n, _ in points.values()), sum(o or 0.0 for _, o in points.values())
    return None if new > old else f"its {new:.2f} points are no more than the shipped {old:.2f}"


def _scores(checkpoint: Checkpoint, part: str) -> Mapping[str, Any]:
    scores = checkpoint.info.scores.get(SCORES) or {}
    if part not in scores:
        raise CheckpointError(
            f"{checkpoint.path} has no {part} scores to be promoted by; run "
            f"`worldsim evaluate {checkpoint.path} --seeds promote --save` first"
        )
    return scores[part]


def _must_be_alike(
    run: Checkpoint, shipped: Checkpoint, part: str, new: Mapping[str, Any], old: Mapping[str, Any]
) -> None:
    """Figures over other sizes do not compare. Denoising steps may differ: they are part of what is shipped."""
    for name in sorted((new.keys() | old.keys()) - {"steps"}):
        if new.get(name) != old.get(name):
            raise CheckpointError(
                f"{part} of {run.path} was measured with {name} {new.get(name)}, of {shipped.path} with "
                f"{old.get(name)}; evaluate both alike first"
            )
