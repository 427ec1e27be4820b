"""Stage `forcing`: teacher forcing on [clean | noisy] clips (Causal-Forcing; Dreamer 4's x-prediction).

History itself is noised, at a level the network is told: mostly light, often any, often none left at all. The last
two are what makes it use the pose: with clean history alone it learns to copy and never to know the place.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from worldsim.data.latents import Clips, Latents
from worldsim.diffusion.schedule import add_noise, draw_levels, loss_weight
from worldsim.model.generator import Generator

SINK_DROP = 0.3
POSE_DROP = 0.1
ODOMETRY_WEIGHT = 2.0


class ForcingStage:
    """Trains a Generator on clips of latents. `export` writes the checkpoint, `picture` draws a sample."""

    name = "forcing"

    def __init__(
        self,
        generator: Generator,
        latents: Latents,
        batch: int,
        frames: int,
        export: Callable[[], None],
        picture: Callable[[], np.ndarray | None] = lambda: None,
    ) -> None:
        self.model, self._latents, self._batch, self._frames = generator, latents, batch, frames
        self._export, self._picture = export, picture

    def loss(self, step_seed: int, step: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.Generator(np.random.Philox(key=step_seed))
        clips = self._latents.draw(rng, self._batch, self._frames)
        return self.clip_loss(clips, clips.latents, torch.Generator().manual_seed(step_seed))

    def clip_loss(self, clips: Clips, history: Tensor, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Loss of predicting the true frames of `clips` from `history` (B, 1 + T, N, C), true or dreamed."""
        batch, count = history.shape[:2]
        history_level = history_levels(batch, count, generator)
        clean = add_noise(history, torch.randn(history.shape, generator=generator), history_level[..., None, None])
        truth = clips.latents[:, 2:]
        level = draw_levels((batch, count - 2), generator)
        noisy = add_noise(truth, torch.randn(truth.shape, generator=generator), level[..., None, None])
        posed = (torch.rand(batch, generator=generator) >= POSE_DROP).float()
        made, features = self.model.clip(clean, history_level, noisy, level, clips.condition(posed))
        error = (made.float() - truth).square()
        frame_error = (error * self._latents.channel_weight).mean(dim=(2, 3))
        denoise = (frame_error * loss_weight(level)).mean()
        drift = self._odometry_error(clips, features, posed)
        light = (history_level[:, 2:] < 0.3) & (level > 0.9)
        start = float(frame_error.detach()[light].mean()) if bool(light.any()) else float("nan")
        numbers = {"denoise": float(denoise.detach()), "odometry": float(drift.detach()), "from_noise": start}
        return denoise + ODOMETRY_WEIGHT * drift, numbers

    def _odometry_error(self, clips: Clips, features: Tensor, posed: Tensor) -> Tensor:
        """Squared error of predicted displacements, in steps of the longest length, over clips with poses."""
        before, after = slice(1, -1), slice(2, None)
        with torch.autocast("cpu", enabled=False):
            made = self.model.odometry(
                features[:, before].float().flatten(0, 1), clips.action[:, after].flatten(0, 1),
                clips.position[:, before].flatten(0, 1), clips.look[:, after, 0].flatten(),
            )  # fmt: skip
        true = (clips.position[:, after] - clips.position[:, before]).flatten(0, 1)
        error = ((made - true) / self.model.odometry.step_m).square().mean(dim=-1).view(len(posed), -1)
        return (error * posed[:, None]).mean()

    def sample(self) -> np.ndarray | None:
        return self._picture()

    def export(self) -> None:
        self._export()


def history_levels(batch: int, count: int, generator: torch.Generator) -> Tensor:
    """Noise on history, (B, 1 + T), the same within a clip: 40 % light (a fifth of it none), 30 % any level,
    30 % no history left. The sink, frame 0, is dropped in 30 % of clips."""
    kind = torch.rand(batch, generator=generator)
    light = 0.3 * torch.rand(batch, generator=generator) * (torch.rand(batch, generator=generator) >= 0.2)
    anything = torch.rand(batch, generator=generator)
    level = torch.where(kind < 0.4, light, torch.where(kind < 0.7, anything, torch.ones(batch)))
    levels = level[:, None].repeat(1, count)
    levels[:, 0] = torch.where(torch.rand(batch, generator=generator) < SINK_DROP, torch.ones(()), levels[:, 0])
    return levels
