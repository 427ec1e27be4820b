"""Stage `forcing`: teacher forcing on [clean | noisy] clips (Causal-Forcing; Dreamer 4's x-prediction).

History itself is noised, at a level the network is told: mostly light, often any, often none left at all. The last
two are what makes it use the pose: with clean history alone it learns to copy and never to know the place. A place
memory knows the place already. Beside one, history is what the network adds: some of it is always left, its own frames
are not denoised again, and most frames begin at pure noise, where a dream of one step does.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from worldsim.data.latents import Clips, Latents
from worldsim.diffusion.schedule import add_noise, draw_levels, loss_weight
from worldsim.model.generator import Generator
from worldsim.train.setup import Setup
from worldsim.train.stages.base import Stage

SINK_DROP = 0.3
POSE_DROP = 0.1  # of clips; none beside a place memory, which finds a pose for any picture
PLACE_WEIGHT = 1.0
PLACE_FRAMES = 16  # unrelated frames for each clip of a batch
HISTORY_WEIGHT = 0.25
PURE, PURE_KNOWN = 0.4, 0.85  # of frames that begin at pure noise; the second beside a place memory


class ForcingStage(Stage):
    """Trains a Generator on clips of latents. `export` writes the checkpoint, `picture` draws a sample."""

    name = "forcing"
    trains_blocks = True

    def __init__(
        self,
        generator: Generator,
        latents: Latents,
        batch: int,
        frames: int,
        export: Callable[[], None],
        picture: Callable[[], np.ndarray | None] = lambda: None,
    ) -> None:
        self.generator, self._latents, self._batch, self._frames = generator, latents, batch, frames
        self._export, self._picture = export, picture
        train_trunk(generator)

    @classmethod
    def create(cls, setup: Setup) -> ForcingStage:
        generator, preset = setup.generator, setup.preset
        return cls(generator, setup.latents, preset.clips, preset.clip_frames, setup.exporter, setup.dream)

    @property
    def model(self) -> nn.Module:
        return self.generator

    def loss(self, step_seed: int, step: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.Generator(np.random.Philox(key=step_seed))
        noise_rng = torch.Generator().manual_seed(step_seed)
        clips = self._latents.draw(rng, self._batch, self._frames).to(self._device)
        return self.total_loss(clips, clips.latents, rng, noise_rng)

    @property
    def _device(self) -> torch.device:
        return next(self.generator.parameters()).device

    def _noise(self, like: Tensor, noise_rng: torch.Generator) -> Tensor:
        """Drawn on the CPU whatever the device, and for all processes, so that a step is the same everywhere."""
        shape = self._in_all(len(like)), *like.shape[1:]
        return self._latents.own(torch.randn(shape, generator=noise_rng)).to(like.device)

    def _in_all(self, rows: int) -> int:
        """Rows of the whole batch, of which this process has `rows`."""
        return rows * self._latents.world

    def total_loss(
        self, clips: Clips, history: Tensor, rng: np.random.Generator, noise_rng: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """The clips' loss from `history` (B, 1 + T, N, C), true or dreamed, with the place loss where the network has
        no place memory."""
        denoise, numbers = self.clip_loss(clips, history, noise_rng)
        if self.generator.condition.memory is not None or self.generator.shape.view is None:
            return denoise, numbers
        place = self.place_loss(rng, noise_rng)
        return denoise + PLACE_WEIGHT * place, numbers | {"place": float(place.detach())}

    def clip_loss(self, clips: Clips, history: Tensor, noise_rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Loss of predicting the true frames of `clips` from noised history.

        The history's own frames are denoised too: where they carry much noise that is teaching for nothing.
        """
        batch, count = history.shape[:2]
        known = self.generator.condition.memory is not None
        history_level = self._history_levels(batch, count, noise_rng)
        clean = add_noise(history, self._noise(history, noise_rng), history_level[..., None, None])
        truth = clips.latents[:, 2:]
        pure = PURE_KNOWN if known else PURE
        level = self._latents.own(draw_levels((self._in_all(batch), count - 2), noise_rng, pure=pure)).to(self._device)
        noisy = add_noise(truth, self._noise(truth, noise_rng), level[..., None, None])
        condition = clips.condition(self._posed(batch, noise_rng))
        made, seen = self.generator.teacher_forcing(clean, history_level, noisy, level, condition, not known)
        frame_error = self._frame_error(made, truth)
        loss = (frame_error * loss_weight(level)).mean()
        light = (history_level[:, 2:] < 0.3) & (level > 0.9)
        start = float(frame_error.detach()[light].mean()) if bool(light.any()) else float("nan")
        numbers = {"denoise": float(loss.detach()), "from_noise": start}
        if seen is None:
            return loss, numbers
        again = (self._frame_error(seen, clips.latents) * loss_weight(history_level) * (history_level > 0.2)).mean()
        return loss + HISTORY_WEIGHT * again, numbers

    def _history_levels(self, batch: int, count: int, noise_rng: torch.Generator) -> Tensor:
        """Noise on the history of this process's clips, (B, 1 + T). Where neither pose nor memory tells of the place,
        some history is always left: there would be nothing to go by. Nor is there anything to learn where both do."""
        shape, memory = self.generator.shape, self.generator.condition.memory
        levels = history_levels(self._in_all(batch), count, noise_rng, shape.view is not None and memory is None)
        return self._latents.own(levels).to(self._device)

    def place_loss(self, rng: np.random.Generator, noise_rng: torch.Generator) -> Tensor:
        """Loss of dreaming single frames from their pose alone: where the network learns the plan of the place.

        Frames of a clip look alike; so many unrelated ones teach the plan at a fraction of the cost.
        """
        frames = self._latents.draw_frames(rng, PLACE_FRAMES * self._batch).to(self._device)
        truth = frames.latents[:, 0]
        level = self._latents.own(draw_levels((self._in_all(len(truth)),), noise_rng, pure=0.7)).to(self._device)
        x = add_noise(truth, self._noise(truth, noise_rng), level[:, None, None])
        embedded = self.generator.condition.embed(frames.condition(torch.ones(len(truth), device=self._device)))
        made = self.generator.denoise(x, self.generator.modulate(embedded.vector, level), embedded, None)
        return (self._frame_error(made[:, None], truth[:, None])[:, 0] * loss_weight(level)).mean()

    def _posed(self, batch: int, noise_rng: torch.Generator) -> Tensor:
        """Which clips know their place: (B,) 1 or 0."""
        if self.generator.shape.view is None:
            return torch.zeros(batch, device=self._device)
        drop = POSE_DROP if self.generator.condition.memory is None else 0.0
        drawn = torch.rand(self._in_all(batch), generator=noise_rng) >= drop
        return self._latents.own(drawn).float().to(self._device)

    def _frame_error(self, made: Tensor, truth: Tensor) -> Tensor:
        """Squared error of frames (B, T, N, C), each channel by what it costs in pixels: (B, T)."""
        return ((made.float() - truth).square() * self._latents.channel_weight.to(truth.device)).mean(dim=(2, 3))

    def sample(self) -> np.ndarray | None:
        return self._picture()

    def export(self) -> None:
        self._export()


def train_trunk(generator: Generator) -> None:
    """Let all be trained but what has stages of its own: odometry, transitions, the place memory and the painter."""
    generator.requires_grad_(True)
    condition = generator.condition
    for part in (generator.odometry, generator.transitions, condition.memory, condition.painter):
        if part is not None:
            part.requires_grad_(False)


def history_levels(batch: int, count: int, noise_rng: torch.Generator, nothing: bool = True) -> Tensor:
    """Noise on history, (B, 1 + T), the same within a clip: 40 % light (a fifth of it none), 30 % any level,
    30 % no history left, or light as well if `nothing` is false. The sink, frame 0, is dropped in 30 % of clips."""
    kind = torch.rand(batch, generator=noise_rng)
    light = 0.3 * torch.rand(batch, generator=noise_rng) * (torch.rand(batch, generator=noise_rng) >= 0.2)
    anything = torch.rand(batch, generator=noise_rng)
    nothing_left = torch.ones(batch) if nothing else light
    level = torch.where(kind < 0.4, light, torch.where(kind < 0.7, anything, nothing_left))
    levels = level[:, None].repeat(1, count)
    levels[:, 0] = torch.where(torch.rand(batch, generator=noise_rng) < SINK_DROP, torch.ones(()), levels[:, 0])
    return levels
