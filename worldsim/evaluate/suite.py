"""The whole evaluation: its parts in order, their figures in one mapping, the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from worldsim.evaluate import report
from worldsim.evaluate.control import control
from worldsim.evaluate.counterfactual import counterfactual
from worldsim.evaluate.drift import drift
from worldsim.evaluate.memory import memory
from worldsim.evaluate.quality import Strip, quality
from worldsim.evaluate.rollouts import Dreamer, true_walks
from worldsim.source.rooms.world import RoomsWorld

_CONTROL_TICKS, _READINGS = 48, 1152
_EVENTS = 16
_CONTROL = (
    "Read from the pictures alone: the true engine's camera is moved until its picture fits the dream's. The ceilings "
    "are those of the same reading of true frames after the codec."
)
_MEMORY = "What is still there after a full turn, and after turning about, walking away and coming back."
_COUNTERFACTUAL = "The same walk into a wall, with the start's colours exchanged, walked backwards and sideways."


@dataclass(frozen=True)
class Sizes:
    """How much is measured: rollouts and ticks of quality, ticks of drift."""

    rollouts: int
    ticks: int
    drift_ticks: int


@dataclass(frozen=True)
class Evaluation:
    """Figures of all parts side by side, seconds each part took, and the report's sections."""

    figures: dict[str, Any]
    seconds: dict[str, float]
    sections: list[str]
    strips: list[Strip]


def evaluate(
    world: RoomsWorld, dreamer: Dreamer, parts: Sequence[str], sizes: Sizes, data: Path | None, quiet: bool
) -> Evaluation:
    """Run the named parts."""
    figures: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    sections: list[str] = []
    strips: list[Strip] = []

    def walks(ticks: int):
        return true_walks(world, sizes.rollouts, dreamer.window + ticks, data, quiet)

    def run_quality() -> None:
        found, made = quality(dreamer, walks(sizes.ticks), sizes.ticks, quiet)
        figures.update(found)
        strips.extend(made)
        sections.append(_quality_section(found, made))

    def run_control() -> None:
        found = control(world, dreamer, walks(_CONTROL_TICKS), _CONTROL_TICKS, _READINGS, quiet)
        figures.update(found)
        sections.append(_flat_section("Control", _CONTROL, found))

    def run_memory() -> None:
        found, trips = memory(world, dreamer, min(sizes.rollouts, _EVENTS), quiet)
        figures.update(found)
        strip = report.picture(trips, "Turn about, walk away, turn about, walk back: truth above dream.")
        sections.append(_flat_section("Memory", _MEMORY, found, strip))

    def run_counterfactual() -> None:
        found = counterfactual(world, dreamer, min(sizes.rollouts, _EVENTS), quiet)
        figures.update(found)
        sections.append(_flat_section("Counterfactual consistency", _COUNTERFACTUAL, found))

    def run_drift() -> None:
        found, shown = drift(world, dreamer, sizes.drift_ticks, quiet)
        figures.update(found)
        sections.append(_drift_section(found["drift"], shown, world.scene.tick_hz))

    runs: dict[str, Callable[[], None]] = {
        "quality": run_quality, "control": run_control, "memory": run_memory,
        "counterfactual": run_counterfactual, "drift": run_drift,
    }  # fmt: skip
    for part in parts:
        begun = time.monotonic()
        runs[part]()
        seconds[part] = round(time.monotonic() - begun, 1)
    return Evaluation(figures, seconds, sections, strips)


def film_strip(strips: Sequence[Strip], ticks: Sequence[int]) -> np.ndarray:
    """Truth above dream at the given ticks, one pair of rows a rollout. uint8 (H, W, 3)."""
    rows = []
    for strip in strips:
        picks = [t - 1 for t in ticks if t <= len(strip.truth)]
        rows += [np.concatenate([frames[i] for i in picks], axis=1) for frames in (strip.truth, strip.dream)]
    return np.concatenate(rows, axis=0)


def summary(figures: dict[str, Any]) -> str:
    """One line for a README's table: whatever parts were run."""
    cells = []
    if "psnr_db" in figures:
        cells.append(" / ".join(f"{v:.1f}" for v in figures["psnr_db"].values()) + " dB at " +
                     " / ".join(figures["psnr_db"]) + f" ticks, sharpness {figures['sharpness']:.2f}")  # fmt: skip
    if "look" in figures:
        cells.append(f"look error {figures['look']['yaw_error_ratio']:.1%} (ruler {figures['look']['ceiling']:.1%})")
        cells.append(f"keys F1 {figures['keys']['macro_f1']:.2f} (ruler {figures['keys']['ceiling']:.2f})")
    if "loop_psnr_db" in figures:
        cells.append(f"full turn {figures['loop_psnr_db']:.1f} dB")
    if "drift" in figures:
        found = figures["drift"]
        cells.append(f"{found['ticks']} ticks: " + (f"collapsed at {found['collapse_tick']}" if found["collapsed"] else
                     f"{found['psnr_last_tenth_db']:.1f} dB in the last tenth"))  # fmt: skip
    return "; ".join(cells)


def flat(figures: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Name and value of every single figure; curves are left out."""
    rows: list[tuple[str, Any]] = []
    for name, value in figures.items():
        if isinstance(value, dict):
            rows += flat(value, f"{prefix}{name}.")
        elif "curve" not in name:
            rows.append((prefix + name, value))
    return rows


def _flat_section(heading: str, text: str, figures: dict[str, Any], *more: str) -> str:
    return report.section(heading, report.note(text), report.table(("", ""), flat(figures)), *more)


def _quality_section(figures: dict[str, Any], strips: list[Strip]) -> str:
    horizons = list(figures["psnr_db"])
    names = {"psnr_db": "PSNR, dB", "ssim": "SSIM", "flip": "FLIP", "sharpness_by_tick": "sharpness",
             "copy_last_psnr_db": "last frame copied, dB"}  # fmt: skip
    rows = [(label, *(figures[name][h] for h in horizons)) for name, label in names.items() if name in figures]
    curve = figures["psnr_curve_db"]
    ticks = list(range(1, len(curve) + 1))
    ends = [1, len(curve)]
    lines = {
        "dream": (ticks, curve),
        "codec": (ends, [figures["codec_psnr_db"]] * 2),
        "mean frame": (ends, [figures["mean_frame_psnr_db"]] * 2),
    }
    shown = [t for t in (1, 8, 16, 32, 64, 128, 256, 512) if t <= len(ticks)]
    return report.section(
        "Quality",
        report.note(f"{figures['rollouts']} held-out walks against the true engine, {figures['steps']} steps a frame."),
        report.table(("tick", *horizons), rows),
        *_frechet_table(figures),
        report.curves(lines, "tick", "PSNR, dB"),
        report.picture(film_strip(strips, shown), f"Truth above dream at ticks {', '.join(map(str, shown))}."),
    )


def _frechet_table(figures: dict[str, Any]) -> list[str]:
    """A table of the Frechet distances, if they were measured."""
    if "frechet" not in figures:
        return []
    found = figures["frechet"]
    names = {"dream": "dream", "codec": "codec, the ceiling", "copy_last": "last frame copied"}
    head = ("", f"Frechet distance to {found['frames']} true frames")
    return [report.table(head, [(label, found[name]) for name, label in names.items()])]


def _drift_section(figures: dict[str, Any], shown: np.ndarray, tick_hz: float) -> str:
    seconds = [(i + 1) for i in range(len(figures["psnr_curve_db"]))]
    minutes = [s / 60 for s in seconds]
    return report.section(
        "Drift",
        report.note(f"{figures['ticks'] / tick_hz / 60:.1f} minutes of play in one go."),
        report.table(("", ""), flat(figures)),
        report.curves({"dream": (minutes, figures["psnr_curve_db"])}, "minutes", "PSNR at the believed place, dB"),
        report.picture(shown, "The truth at the believed place above the dream, through the session."),
    )
