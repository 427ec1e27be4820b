"""Quality: are the dreamed pictures right, and as sharp as true ones? PSNR, SSIM, FLIP, sharpness, Frechet distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from worldsim.data.episodes import Episode
from worldsim.evaluate import report
from worldsim.evaluate.frechet import frechet
from worldsim.evaluate.metric import Measurement, Metric, Part, Strip, average, compare, dreamed
from worldsim.evaluate.metrics import flip, gradient_energy, ssim
from worldsim.evaluate.nulls import CEILING, DREAM, LAST_FRAME_REPEATED
from worldsim.psnr import psnr

HORIZONS = (1, 16, 64, 256, 512)
MEAN_FRAME = "mean_frame"
_SHOWN = 6  # rollouts in a film strip


class Quality(Metric):
    """Dreams from the true beginning of held-out walks, with their actions, compared picture by picture."""

    title = "Quality"
    about = "Held-out walks against the true engine: same beginning, same actions. Numbers in names are ticks."
    needs_pose = False

    def run(self, measurement: Measurement) -> Part:
        """Figures at every horizon: PSNR in dB, SSIM, FLIP (with the extra), and sharpness, the median ratio of
        gradient energy over the truth's (PSNR alone rewards blur). All else are means over rollouts."""
        dreamer, ticks = measurement.dreamer, measurement.sizes.ticks
        walks = measurement.walks(measurement.sizes.rollouts, ticks)
        dreams = dreamer.dream_all(walks, ticks, "quality", measurement.quiet)
        truths = [w.frames[dreamer.window :] for w in walks]
        made = {row: [d.frames for d in some] for row, some in dreams.items()}
        horizons = [h for h in HORIZONS if h <= ticks]
        picks = [h - 1 for h in horizons]
        looked_at = {row: [frames[picks] for frames in some] for row, some in made.items()}
        looked_at[CEILING] = [dreamer.after_codec(truth[picks]) for truth in truths]
        looked_at[MEAN_FRAME] = [np.stack([_mean_frame(walks)] * len(picks))] * len(walks)
        at_horizons = [truth[picks] for truth in truths]
        rows = {row: _figures(frames, at_horizons, horizons) for row, frames in looked_at.items()}
        far = frechet({**made, CEILING: None}, truths, dreamer.after_codec)
        if far is not None:
            for row, value in far.items():
                rows[row]["frechet"] = value
        less = ["frechet", *(f"flip_at_{h}" for h in horizons)]
        # A true picture is as sharp as the truth, wherever it was taken.
        unfair = {f"sharpness_at_{h}": (LAST_FRAME_REPEATED, MEAN_FRAME) for h in horizons}
        curves = {row: np.mean([_curve(m, t) for m, t in zip(made[row], truths, strict=True)], axis=0) for row in made}
        sizes = {"rollouts": len(walks), "ticks": ticks, "steps": dreamer.steps}
        figures = {
            "sizes": sizes,
            **compare(rows, less, unfair),
            "psnr_curve_db": {row: np.round(curve, 2).tolist() for row, curve in curves.items()},
        }
        strips = [Strip(t, m) for t, m in zip(truths[:_SHOWN], made[DREAM], strict=False)]
        return Part(figures, _sections(curves, strips, ticks), strips)

    def judge(self, figures: Mapping[str, Any]) -> float:
        """Mean PSNR over horizons, and 5 points for the truth's sharpness, which PSNR alone would trade away."""
        horizons = [h for h in HORIZONS if f"psnr_db_at_{h}" in figures]
        sharp_at = max((h for h in horizons if h <= 64), default=1)
        sharp = dreamed(figures, f"sharpness_at_{sharp_at}")
        return float(np.mean([dreamed(figures, f"psnr_db_at_{h}") for h in horizons])) + 5 * min(sharp, 1.0)


def film_strip(strips: Sequence[Strip], ticks: Sequence[int]) -> np.ndarray:
    """Truth above dream at the given ticks, one pair of rows a rollout. uint8 (H, W, 3)."""
    rows = []
    for strip in strips:
        picks = [t - 1 for t in ticks if t <= len(strip.truth)]
        rows += [np.concatenate([frames[i] for i in picks], axis=1) for frames in (strip.truth, strip.dream)]
    return np.concatenate(rows, axis=0)


def _figures(
    made: Sequence[np.ndarray], truths: Sequence[np.ndarray], horizons: Sequence[int]
) -> dict[str, float | None]:
    """A row's figures at horizons, of rollouts of one frame a horizon, uint8 (len(horizons), H, W, 3) each."""
    found: dict[str, float | None] = {}
    for i, h in enumerate(horizons):
        pairs = [(m[i], t[i]) for m, t in zip(made, truths, strict=True)]
        found[f"psnr_db_at_{h}"] = average([psnr(m, t) for m, t in pairs], 2)
        found[f"ssim_at_{h}"] = average([ssim(m, t) for m, t in pairs])
        found[f"flip_at_{h}"] = average([flip(m, t) for m, t in pairs], 4)
        ratios = [gradient_energy(m) / max(gradient_energy(t), 1e-9) for m, t in pairs]
        found[f"sharpness_at_{h}"] = round(float(np.median(ratios)), 3)
    return found


def _curve(made: np.ndarray, truth: np.ndarray) -> list[float]:
    return [psnr(a, b) for a, b in zip(made, truth, strict=True)]


def _mean_frame(walks: Sequence[Episode]) -> np.ndarray:
    """The mean of all walks' pictures, uint8 (H, W, 3)."""
    some = [w.frames[:: max(1, len(w.frames) // 16)].mean(axis=0) for w in walks]
    return np.mean(some, axis=0).round().astype(np.uint8)


def _sections(curves: Mapping[str, np.ndarray], strips: list[Strip], ticks: int) -> list[str]:
    along = list(range(1, ticks + 1))
    shown = [t for t in (1, 8, 16, 32, 64, 128, 256, 512) if t <= ticks]
    caption = f"Truth above dream at ticks {', '.join(map(str, shown))}."
    return [
        report.curves({row: (along, curve.tolist()) for row, curve in curves.items()}, "tick", "PSNR, dB"),
        report.picture(film_strip(strips, shown), caption),
    ]
