"""Pictures of a training stage's progress, truth above what the networks make."""

from __future__ import annotations

import numpy as np
import torch

from worldsim.data.latents import Clips, Latents
from worldsim.inference.rollout import Rollout, Trajectory, rollout_trajectory
from worldsim.model.codec import Codec, to_grid, to_pixels
from worldsim.model.generator import Generator


def place_picture(generator: Generator, codec: Codec, held_out: Latents, columns: int = 6, rows: int = 4) -> np.ndarray:
    """Held-out frames, truth above what the place memory makes of their poses. uint8 (H, W, 3)."""
    frames = held_out.draw_frames(np.random.Generator(np.random.Philox(key=5)), rows * columns)
    frames = frames.to(next(generator.parameters()).device)
    with torch.no_grad():
        prior = generator.condition.expect(frames.condition(torch.ones(rows * columns)))[0]
        truth, made = (
            to_pixels(codec.decode(to_grid(x.cpu(), generator.shape.rows))) for x in (frames.latents[:, 0], prior)
        )
    picks = [slice(row * columns, (row + 1) * columns) for row in range(rows)]
    return np.concatenate([np.concatenate(list(x[p]), axis=1) for p in picks for x in (truth, made)], axis=0)


def dream_picture(
    generator: Generator, codec: Codec, held_out: Latents, ticks: int = 32, rows: int = 4
) -> np.ndarray | None:
    """Film strips from held-out episodes, truth above dream, at ticks 1, 2, 4, 8, 16, 32.

    uint8 (H, W, 3); None where no episode is long enough to show one tick.
    """
    window = generator.config.window
    ticks = min(ticks, held_out.longest - window)
    if ticks < 1:
        return None
    clips = held_out.draw(np.random.Generator(np.random.Philox(key=5)), rows, window + ticks)
    device = next(generator.parameters()).device
    course = course_of(clips.ticks(slice(1, None)).to(device), window)
    dreamed = rollout_trajectory(Rollout(generator, 2), course, torch.Generator().manual_seed(5))[0].cpu()
    shown = [t for t in (1, 2, 4, 8, 16, 32) if t <= ticks]
    strips = []
    for row in range(rows):
        for latents in (clips.latents[row, 1 + window :], dreamed[row]):
            picks = to_grid(torch.stack([latents[t - 1] for t in shown]), generator.shape.rows)
            with torch.no_grad():
                strips.append(np.concatenate(list(to_pixels(codec.decode(picks))), axis=1))
    return np.concatenate(strips, axis=0)


def course_of(clips: Clips, window: int) -> Trajectory:
    """Clips without a sink as runs to be dreamed after `window` true frames."""
    known = None if clips.entities is None else clips.entities[:, :window]
    begun = clips.latents[:, :window], clips.action, clips.look, clips.position[:, :window]
    return Trajectory(*begun, known, clips.levels, clips.dice)
