"""Stage `codec`: learn to encode and decode single frames.

Loss: L1, plus L1 of gradients at three scales, which is what keeps edges sharp, plus how far the strength of gradients
is from the truth's, which is what keeps texture where its place is uncertain. A little noise on the latents makes the
decoder forgive the generator's small errors. Once a generator exists only the decoder is trained, half of it on what
the place memory recalls of the frames: it learns to show what a dream gives it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldsim.data.latents import Latents
from worldsim.model.codec import Codec, to_grid, to_pixels, to_tensor
from worldsim.model.generator import Generator
from worldsim.train.setup import Setup
from worldsim.train.stages.base import Stage

LATENT_NOISE = 0.06  # of a channel's deviation; a larger one blurs, none makes single wrong tokens flash
STRENGTH_WEIGHT = 1.0


class CodecStage(Stage):
    """Trains a Codec on frames uint8 (N, H, W, 3) held in memory."""

    name = "codec"

    def __init__(
        self, codec: Codec, frames: np.ndarray, batch: int, export: Callable[[], None], decoder_only: bool = False,
        share: slice = slice(None), recall: Callable[[np.ndarray], Tensor] | None = None,
    ) -> None:  # fmt: skip
        """share: this process's rows of every batch; recall: a dream's raw latents (B, C, h, w) of frames by index."""
        self._share, self._recall = share, recall
        self._codec, self._frames, self._batch, self._export = codec, frames, batch, export
        codec.encoder.requires_grad_(not decoder_only)
        self._decoder_only = decoder_only

    @classmethod
    def create(cls, setup: Setup) -> CodecStage:
        """From the principal components of the frames, or, once there is a generator, of the decoder alone: latents
        must keep their meaning for the generator that was trained on them."""
        codec, base, dist = setup.codec, setup.base, setup.dist
        pixels = setup.frames()
        if base is None:
            codec.start_from_components(to_tensor(pixels[:: max(1, len(pixels) // 600)]))
        begun, recalled = setup.restored(), None
        if begun and setup.exporter.generator is not None:
            generator = setup.exporter.generator
            if generator.condition.memory is not None:
                recalled = recall(generator.to(setup.preset.device), codec, setup.latents)
        share = slice(dist.rank, None, dist.world)
        return cls(codec, pixels, setup.preset.codec_batch, setup.exporter, begun, share, recalled)

    @property
    def model(self) -> nn.Module:
        return self._codec

    def loss(self, step_seed: int, step: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.Generator(np.random.Philox(key=step_seed))
        noise_rng = torch.Generator().manual_seed(step_seed)
        index = rng.integers(len(self._frames), size=self._batch)[self._share]
        frames = to_tensor(self._frames[index])
        frames = frames.to(self._device).contiguous(memory_format=torch.channels_last)
        raw = self._codec.encoder(frames).float()
        deviation = raw.detach().std(dim=(0, 2, 3), keepdim=True)
        raw = raw + LATENT_NOISE * deviation * torch.randn(raw.shape, generator=noise_rng).to(raw.device)
        if self._recall is not None and (half := len(index) // 2):
            raw = torch.cat([self._recall(index[:half]).to(raw.device), raw[half:]])
        made = self._codec.decoder(raw).float()
        return codec_loss(made, frames), {"psnr": float(psnr(made.detach(), frames))}

    @property
    def _device(self) -> torch.device:
        return self._codec.latent_mean.device

    def sample(self) -> np.ndarray:
        picks = np.linspace(0, len(self._frames) - 1, 8).astype(int)
        truth = self._frames[picks]
        with torch.no_grad():
            made = to_pixels(self._codec.decoder(self._codec.encoder(to_tensor(truth).to(self._device))).cpu())
        return np.concatenate([np.concatenate(list(truth), 1), np.concatenate(list(made), 1)], 0)

    def export(self) -> None:
        if not self._decoder_only:
            picks = np.linspace(0, len(self._frames) - 1, 2048).astype(int)
            with torch.no_grad():
                parts = [
                    self._codec.encoder(to_tensor(self._frames[i]).to(self._device)) for i in np.array_split(picks, 32)
                ]
            self._codec.set_statistics(torch.cat(parts))
        self._export()


def recall(generator: Generator, codec: Codec, latents: Latents) -> Callable[[np.ndarray], Tensor]:
    """What a generator expects of frames, by index: raw latents (B, C, h, w)."""
    generator.eval().requires_grad_(False)
    device = next(generator.parameters()).device

    def recalled(index: np.ndarray) -> Tensor:
        frames = latents.at(torch.from_numpy(index)[:, None]).to(device)
        with torch.no_grad():
            expected = generator.condition.expect(frames.condition(torch.ones(len(index), device=device)))[0]
        grid = to_grid(expected.float(), generator.shape.rows)
        return grid * codec.latent_std[:, None, None] + codec.latent_mean[:, None, None]

    return recalled


def codec_loss(made: Tensor, truth: Tensor) -> Tensor:
    """L1, gradient L1 at three scales, gradient strength. Both (B, 3, H, W); zero exactly when they are equal."""
    loss = (made - truth).abs().mean() + 0.5 * F.mse_loss(made, truth)
    error = made - truth
    for _ in range(3):
        loss = loss + 0.5 * (error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean())
        error = F.avg_pool2d(error, 2)
    return loss + STRENGTH_WEIGHT * (_strength(made) - _strength(truth)).abs().mean()


def _strength(frames: Tensor) -> Tensor:
    """Root of the mean squared gradient in squares of eight pixels."""
    energy = F.avg_pool2d(frames.diff(dim=-1).square()[..., :-1, :] + frames.diff(dim=-2).square()[..., :-1], 8, 4)
    return (energy + 1e-4).sqrt()


def psnr(made: Tensor, truth: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of frames in [-1, 1]."""
    return 10 * torch.log10(4.0 / (made.clamp(-1, 1) - truth).square().mean())
