"""Stage `codec`: learn to encode and decode single frames.

Loss: L1, plus L1 of gradients at three scales, which is what keeps edges sharp. A little noise on the latents makes
the decoder forgive the generator's small errors.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from worldsim.model.codec import Codec, to_pixels, to_tensor

LATENT_NOISE = 0.06  # of a channel's deviation; a larger one blurs, none makes single wrong tokens flash


class CodecStage:
    """Trains a Codec on frames uint8 (N, H, W, 3) held in memory."""

    name = "codec"

    def __init__(
        self, codec: Codec, frames: np.ndarray, batch: int, export: Callable[[], None], decoder_only: bool = False,
        share: slice = slice(None),
    ) -> None:  # fmt: skip
        """share: this process's rows of every batch."""
        self._share = share
        self.model, self._frames, self._batch, self._export = codec, frames, batch, export
        codec.encoder.requires_grad_(not decoder_only)
        self._decoder_only = decoder_only

    def loss(self, step_seed: int, step: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.Generator(np.random.Philox(key=step_seed))
        generator = torch.Generator().manual_seed(step_seed)
        frames = to_tensor(self._frames[rng.integers(len(self._frames), size=self._batch)[self._share]])
        frames = frames.to(self._device).contiguous(memory_format=torch.channels_last)
        raw = self.model.encoder(frames).float()
        deviation = raw.detach().std(dim=(0, 2, 3), keepdim=True)
        raw = raw + LATENT_NOISE * deviation * torch.randn(raw.shape, generator=generator).to(raw.device)
        made = self.model.decoder(raw).float()
        return codec_loss(made, frames), {"psnr": float(psnr(made.detach(), frames))}

    @property
    def _device(self) -> torch.device:
        return self.model.latent_mean.device

    def sample(self) -> np.ndarray:
        picks = np.linspace(0, len(self._frames) - 1, 8).astype(int)
        truth = self._frames[picks]
        with torch.no_grad():
            made = to_pixels(self.model.decoder(self.model.encoder(to_tensor(truth).to(self._device))).cpu())
        return np.concatenate([np.concatenate(list(truth), 1), np.concatenate(list(made), 1)], 0)

    def export(self) -> None:
        if not self._decoder_only:
            picks = np.linspace(0, len(self._frames) - 1, 2048).astype(int)
            with torch.no_grad():
                parts = [
                    self.model.encoder(to_tensor(self._frames[i]).to(self._device)) for i in np.array_split(picks, 32)
                ]
            self.model.set_statistics(torch.cat(parts))
        self._export()


def codec_loss(made: Tensor, truth: Tensor) -> Tensor:
    """L1 plus gradient L1 at three scales. Both (B, 3, H, W); zero exactly when they are equal."""
    loss = (made - truth).abs().mean() + 0.5 * F.mse_loss(made, truth)
    error = made - truth
    for _ in range(3):
        loss = loss + 0.5 * (error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean())
        error = F.avg_pool2d(error, 2)
    return loss


def psnr(made: Tensor, truth: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of frames in [-1, 1]."""
    return 10 * torch.log10(4.0 / (made.clamp(-1, 1) - truth).square().mean())
