"""Quality of dreams against the true engine: PSNR, SSIM, FLIP, sharpness by horizon, Frechet distance, baselines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from worldsim.data.episodes import Episode
from worldsim.evaluate.frechet import frechet
from worldsim.evaluate.metrics import flip, gradient_energy, mean, psnr, ssim
from worldsim.evaluate.rollouts import Dreamer

HORIZONS = (1, 16, 64, 256, 512)


@dataclass(frozen=True)
class Strip:
    """One rollout to look at: truth and dream, uint8 (T, H, W, 3), first dreamed tick first."""

    truth: np.ndarray
    dream: np.ndarray


def quality(dreamer: Dreamer, walks: list[Episode], ticks: int, quiet: bool) -> tuple[dict[str, Any], list[Strip]]:
    """Dream `ticks` ticks from the true beginning of each walk, with its actions; compare picture by picture.

    All figures are means over rollouts, PSNR in dB; sharpness is the median ratio of gradient energy, dream over
    truth, at the last horizon up to 64 (PSNR alone rewards blur). Returns the figures and the first rollouts.
    """
    window = dreamer.window
    shown = [h for h in HORIZONS if h <= ticks]
    sharp_at = max((h for h in shown if h <= 64), default=1)
    table: dict[str, dict[int, list[float]]] = {
        name: {h: [] for h in shown} for name in ("psnr", "ssim", "flip", "sharp", "copy")
    }
    curve: list[list[float]] = []
    ceiling: list[float] = []
    grey: list[float] = []
    strips: list[Strip] = []
    average = np.mean([w.frames[:: max(1, len(w.frames) // 16)].mean(axis=0) for w in walks], axis=0)
    dreams = dreamer.dream(walks, ticks, "dream", quiet)
    for walk, dream in zip(walks, dreams, strict=True):
        truth, made = walk.frames[window : window + ticks], dream.frames
        if len(strips) < 6:
            strips.append(Strip(truth, made))
        curve.append([psnr(a, b) for a, b in zip(made, truth, strict=True)])
        for h in shown:
            a, b = made[h - 1], truth[h - 1]
            table["psnr"][h].append(curve[-1][h - 1])
            table["ssim"][h].append(ssim(a, b))
            seen = flip(a, b)
            if seen is not None:
                table["flip"][h].append(seen)
            table["sharp"][h].append(gradient_energy(a) / max(gradient_energy(b), 1e-9))
            table["copy"][h].append(psnr(walk.frames[window - 1], b))
            grey.append(psnr(average, b))
            ceiling.append(psnr(dreamer.decode(dreamer.encode(truth[h - 1 : h]))[0], b))
    figures = {
        "rollouts": len(walks),
        "ticks": ticks,
        "steps": dreamer.steps,
        "psnr_db": {str(h): mean(table["psnr"][h]) for h in shown},
        "ssim": {str(h): mean(table["ssim"][h], 3) for h in shown},
        "sharpness": round(float(np.median(table["sharp"][sharp_at])), 3),
        "sharpness_by_tick": {str(h): round(float(np.median(table["sharp"][h])), 3) for h in shown},
        "codec_psnr_db": mean(ceiling),
        "copy_last_psnr_db": {str(h): mean(table["copy"][h]) for h in shown},
        "mean_frame_psnr_db": mean(grey),
        "psnr_curve_db": np.round(np.mean(curve, axis=0), 2).tolist(),
    }
    if all(table["flip"].values()):
        figures["flip"] = {str(h): mean(table["flip"][h], 4) for h in shown}
    far = frechet(dreamer, walks, dreams, ticks)
    if far is not None:
        figures["frechet"] = far
    return figures, strips
