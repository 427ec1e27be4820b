"""Quality of dreams against the true engine: PSNR by horizon, sharpness, and the baselines beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from worldsim.data.collect import HELD_OUT_SEED, play_episode
from worldsim.data.episodes import Episode, list_episodes, read_episode
from worldsim.errors import DataError
from worldsim.model.codec import Codec, to_pixels, to_tensor
from worldsim.model.generator import Generator
from worldsim.rollout import Course, Rollout, follow
from worldsim.scene import Scene, scene_hash

HORIZONS = (1, 16, 64, 256, 512)


@dataclass(frozen=True)
class Strip:
    """One rollout to look at: truth and dream, uint8 (T, H, W, 3), first dreamed tick first."""

    truth: np.ndarray
    dream: np.ndarray


def true_episodes(scene: Scene, count: int, ticks: int, data: Path | None, quiet: bool) -> list[Episode]:
    """Held-out episodes of `ticks` frames: from disk if they lie there, else played and drawn now, same seeds."""
    episodes: list[Episode] = []
    if data is not None:
        try:
            for file in list_episodes(data, "held_out")[:count]:
                episode = read_episode(file, 0, ticks)
                if len(episode.frames) == ticks and episode.scene_hash == scene_hash(scene):
                    episodes.append(episode)
        except DataError:
            pass
    if len(episodes) >= count:
        return episodes[:count]
    from worldsim.source.source_world import SourceWorld

    world = SourceWorld(scene)
    seeds = range(HELD_OUT_SEED, HELD_OUT_SEED + count)  # the same players as on disk
    made = [play_episode(world, s, ticks) for s in tqdm(seeds, desc="true engine", unit="episode", disable=quiet)]
    world.close()
    return made


def quality(
    scene: Scene, codec: Codec, generator: Generator, steps: int, context_level: float, episodes: list[Episode],
    ticks: int, quiet: bool,
) -> tuple[dict[str, Any], list[Strip]]:  # fmt: skip
    """Dream `ticks` ticks from the true beginning of each episode, with its actions; compare picture by picture.

    All figures are averaged in dB over rollouts. sharpness: gradient energy of the dream over the truth's, at the last
    horizon up to 64. Returns the figures and the first rollouts as strips.
    """
    window = generator.config.window
    shown = [h for h in HORIZONS if h <= ticks]
    sharp_at = max((h for h in shown if h <= 64), default=1)
    bounds = np.array([c.bounds[1] for c in scene.controls], np.float32)
    psnr: dict[int, list[float]] = {h: [] for h in shown}
    ceiling: list[float] = []
    copy: dict[int, list[float]] = {h: [] for h in shown}
    mean: list[float] = []
    sharp: dict[int, list[float]] = {h: [] for h in shown}
    strips: list[Strip] = []
    average = np.mean([e.frames[:: max(1, len(e.frames) // 16)].mean(axis=0) for e in episodes], axis=0)
    rollout = Rollout(generator, steps, context_level)
    batch = 8
    for begin in tqdm(range(0, len(episodes), batch), desc="dream", unit="batch", disable=quiet):
        some = episodes[begin : begin + batch]
        known = np.stack([e.frames[:window] for e in some])
        with torch.no_grad():
            latents = codec.encode(to_tensor(known.reshape(-1, *known.shape[2:])))
        course = Course(
            latents.flatten(2).transpose(1, 2).unflatten(0, (len(some), window)),
            torch.from_numpy(np.stack([e.actions[: window + ticks] / bounds for e in some]).astype(np.float32)),
            torch.stack([_look(e)[: window + ticks] for e in some]),
            torch.from_numpy(np.stack([e.poses[:window, :2] for e in some]).astype(np.float32)),  # type: ignore[index]
        )
        dreamed, _ = follow(rollout, course, torch.Generator().manual_seed(begin))
        for row, episode in enumerate(some):
            truth = episode.frames[window : window + ticks]
            dream = _decode(codec, dreamed[row], generator)
            if len(strips) < 6:
                strips.append(Strip(truth, dream))
            for h in shown:
                psnr[h].append(_psnr(dream[h - 1], truth[h - 1]))
                copy[h].append(_psnr(episode.frames[window - 1], truth[h - 1]))
                mean.append(_psnr(average, truth[h - 1]))
                sharp[h].append(gradient_energy(dream[h - 1]) / max(gradient_energy(truth[h - 1]), 1e-9))
                with torch.no_grad():
                    again = to_pixels(codec.decode(codec.encode(to_tensor(truth[h - 1 : h]))))[0]
                ceiling.append(_psnr(again, truth[h - 1]))
    figures = {
        "rollouts": len(episodes),
        "ticks": ticks,
        "steps": steps,
        "psnr_db": {str(h): _round(psnr[h]) for h in shown},
        "sharpness": round(float(np.median(sharp[sharp_at])), 3),
        "sharpness_by_tick": {str(h): round(float(np.median(sharp[h])), 3) for h in shown},
        "codec_psnr_db": _round(ceiling),
        "copy_last_psnr_db": {str(h): _round(copy[h]) for h in shown},
        "mean_frame_psnr_db": _round(mean),
    }
    return figures, strips


def gradient_energy(frame: np.ndarray) -> float:
    """Mean squared difference of neighbouring pixels of a uint8 frame."""
    f = frame.astype(np.float64)
    return float(np.square(np.diff(f, axis=0)).mean() + np.square(np.diff(f, axis=1)).mean())


def film_strip(strips: list[Strip], ticks: tuple[int, ...]) -> np.ndarray:
    """Truth above dream at the given ticks, one pair of rows a rollout. uint8 (H, W, 3)."""
    rows = []
    for strip in strips:
        picks = [t - 1 for t in ticks if t <= len(strip.truth)]
        rows += [np.concatenate([frames[i] for i in picks], axis=1) for frames in (strip.truth, strip.dream)]
    return np.concatenate(rows, axis=0)


def _look(episode: Episode) -> Tensor:
    """Commanded looks (T, 2) in radians."""
    assert episode.poses is not None
    angles = np.deg2rad(episode.poses[:, 2:])
    angles[:, 0] %= 2 * np.pi
    return torch.from_numpy(angles.astype(np.float32))


def _decode(codec: Codec, latents: Tensor, generator: Generator) -> np.ndarray:
    grid = latents.transpose(1, 2).unflatten(2, (generator.shape.rows, generator.shape.columns))
    with torch.no_grad():
        return np.concatenate([to_pixels(codec.decode(part)) for part in grid.split(64)])


def _psnr(made: np.ndarray, truth: np.ndarray) -> float:
    error = float(np.square(made.astype(np.float64) - truth).mean())
    return min(99.0, 10 * float(np.log10(255.0**2 / max(error, 1e-9))))


def _round(values: list[float]) -> float:
    return round(float(np.mean(values)), 2)
