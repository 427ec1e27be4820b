"""The whole evaluation: the parts that suit a scene in order, their figures in one mapping, the report's sections."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from worldsim.errors import ConfigError
from worldsim.evaluate import report
from worldsim.evaluate.metric import WORTH, Measurement, Metric, Part, Strip
from worldsim.evaluate.nulls import DREAM, DREAM_THERE, MEANING
from worldsim.registry import METRICS
from worldsim.source.base import PosedSource


@dataclass
class Evaluation:
    """Figures and seconds by part, the report's sections, rollouts to look at, and why parts were left out."""

    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    sections: list[str] = field(default_factory=list)
    strips: list[Strip] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def metrics() -> dict[str, Metric]:
    """Every registered part by name, in the order of a report."""
    return {name: METRICS.get(name)() for name in METRICS.names()}


def evaluate(measurement: Measurement, only: Collection[str] = ()) -> Evaluation:
    """Run the parts that suit the scene, or only those named. Raises ConfigError if one of those does not suit it,
    DataError if the source's episodes are too short."""
    done = Evaluation()
    for name, metric in metrics().items():
        if only and name not in only:
            continue
        reason = metric.why_not(measurement.scene)
        if reason is None and metric.needs_pose and not isinstance(measurement.source, PosedSource):
            reason = "the source's camera cannot be put at a pose"
        if reason is not None:
            if only:
                raise ConfigError(f"{name} does not suit scene {measurement.scene.name}: {reason}")
            done.left_out[name] = reason
            continue
        begun = time.monotonic()
        part = metric.run(measurement)
        done.figures[name] = part.figures
        done.seconds[name] = round(time.monotonic() - begun, 1)
        done.sections.append(_section(metric, part))
        done.strips += part.strips
    if done.left_out:
        said = [report.note(f"{name}: {reason}.") for name, reason in done.left_out.items()]
        done.sections.append(report.section("Left out", *said))
    return done


def legend() -> str:
    """What the rows mean, for the top of a report."""
    rows = [(name.replace("_", " "), meaning) for name, meaning in MEANING.items()]
    rows.append((DREAM_THERE.replace("_", " "), "the dream on the fewer walks that the other rows are measured over"))
    rows.append((WORTH.replace("_", " "), "the dream less the best null row: what the generator adds, if positive"))
    return report.section("How to read the figures", report.table(("", ""), rows))


def as_text(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """All figures as plain text, a table a part."""
    lines = []
    for part, found in figures.items():
        head, rows = report.figure_rows(found)
        lines += ["", f"{part} ({report.facts(found)})"]
        lines.append(f"  {'':34}" + "".join(f"{name.replace('_', ' '):>20}" for name in head))
        for name, *values in rows:
            lines.append(f"  {name:34}" + "".join(f"{'' if v is None else f'{v:.4g}':>20}" for v in values))
    return "\n".join(lines).strip()


def summary(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """One line for a README's table: main figures of whatever parts were run, each with the generator's worth."""
    wanted = {
        "quality": {"psnr_db_at_": "{:.1f} dB at {}", "sharpness_at_64": "sharpness {:.2f}"},
        "control": {"yaw_error_ratio": "turns off by {:.1%}", "motion_f1": "motion F1 {:.2f}"},
        "memory": {"loop_psnr_db": "full turn {:.1f} dB"},
        "persistence": {"patch_kept_after_16": "patch kept {:.2f}", "patch_kept_after_turn": "after a turn {:.2f}"},
        "entities": {
            "push_right": "pushes {:.2f}",
            "placed_after_64": "placed {:.2f}",
            "placed_away_100": "unseen {:.2f}",
        },
        "events": {"within_20": "events {:.2f}", "after_200": "after 200 ticks {:.2f}"},
        "drift": {"psnr_believed_db_last": "{:.1f} dB in the last tenth", "believed_off_m_first": "{:.2f} m off"},
    }
    cells = []
    for part, names in wanted.items():
        for prefix, text in names.items():
            for name, figure in figures.get(part, {}).items():
                if name.startswith(prefix) and isinstance(figure, Mapping):
                    worth = f" ({figure[WORTH]:+.2g})" if WORTH in figure else ""
                    cells.append(text.format(figure[DREAM], name.removeprefix(prefix)) + worth)
    return "; ".join(cells)


def without_curves(figures: Mapping[str, Any]) -> dict[str, Any]:
    """A part's figures as they are kept in a checkpoint."""
    return {name: value for name, value in figures.items() if "curve" not in name}


def _section(metric: Metric, part: Part) -> str:
    return report.section(
        metric.title,
        report.note(metric.about),
        report.figures_table(part.figures),
        report.note(report.facts(part.figures)),
        *part.sections,
    )
