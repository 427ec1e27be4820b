"""Codec: frames to latents and back, 16x down in each direction. Knows one frame at a time, nothing of motion.

Both halves are a linear map of 16x16 patches plus a small convolutional network. The linear maps start as the
principal components of the training frames, so that training begins where PCA ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldsim.config import require
from worldsim.kernels.to_uint8 import to_uint8

PATCH = 16  # pixels of a frame per token and axis


@dataclass(frozen=True)
class CodecConfig:
    """channels of a latent; widths of the encoder and decoder at 1/16, 1/8 and 1/4 of the frame's size."""

    channels: int = 32
    encoder_widths: tuple[int, int, int] = (192, 96, 64)
    decoder_widths: tuple[int, int, int] = (192, 96, 48)

    def __post_init__(self) -> None:
        require(1 <= self.channels <= 256, f"channels must lie in [1, 256], got {self.channels}")
        widths = (*self.encoder_widths, *self.decoder_widths)
        require(all(1 <= w <= 2048 for w in widths), f"widths must lie in [1, 2048], got {widths}")


class _Residual(nn.Module):
    """x + conv(act(conv...)): one 3x3 convolution a block keeps the decoder inside its budget."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(F.silu(x))


class Encoder(nn.Module):
    """Frames (B, 3, H, W) in [-1, 1] -> raw latents (B, C, h, w)."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        deep, middle, fine = config.encoder_widths
        self.patch = nn.Conv2d(3, config.channels, PATCH, stride=PATCH)
        self.net = nn.Sequential(
            nn.PixelUnshuffle(4), nn.Conv2d(48, fine, 3, padding=1), _Residual(fine),
            nn.PixelUnshuffle(2), nn.Conv2d(4 * fine, middle, 1), _Residual(middle), _Residual(middle),
            nn.PixelUnshuffle(2), nn.Conv2d(4 * middle, deep, 1), _Residual(deep), _Residual(deep), nn.SiLU(),
        )  # fmt: skip
        self.head = nn.Conv2d(deep, config.channels, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, frames: Tensor) -> Tensor:
        return self.patch(frames) + self.head(self.net(frames))


class Decoder(nn.Module):
    """Raw latents (B, C, h, w) -> frames (B, 3, H, W), about in [-1, 1]."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        deep, middle, fine = config.decoder_widths
        self.patch = nn.Conv2d(config.channels, 3 * PATCH * PATCH, 1)
        self.net = nn.Sequential(
            nn.Conv2d(config.channels, deep, 3, padding=1), _Residual(deep), nn.SiLU(),
            nn.Conv2d(deep, 4 * middle, 1), nn.PixelShuffle(2), _Residual(middle), nn.SiLU(),
            nn.Conv2d(middle, 4 * fine, 1), nn.PixelShuffle(2), _Residual(fine), nn.SiLU(),
        )  # fmt: skip
        self.head = nn.Conv2d(fine, 48, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, latents: Tensor) -> Tensor:
        coarse = F.pixel_shuffle(self.patch(latents), PATCH)
        return coarse + F.pixel_shuffle(self.head(self.net(latents)), 4)


class Codec(nn.Module):
    """Encoder, decoder, and the statistics that make latents zero-mean and unit-variance per channel."""

    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.register_buffer("latent_mean", torch.zeros(config.channels))
        self.register_buffer("latent_std", torch.ones(config.channels))

    def encode(self, frames: Tensor) -> Tensor:
        """Frames (B, 3, H, W) in [-1, 1] -> normalised latents (B, C, h, w)."""
        return (self.encoder(frames) - self.latent_mean[:, None, None]) / self.latent_std[:, None, None]

    def decode(self, latents: Tensor) -> Tensor:
        """Normalised latents (B, C, h, w) -> frames (B, 3, H, W), about in [-1, 1], not clamped."""
        return self.decoder(latents * self.latent_std[:, None, None] + self.latent_mean[:, None, None])

    def latent_of_colours(self, side: int) -> tuple[Tensor, Tensor]:
        """The linear part of `encode`, where a patch is side x side squares of one colour each: a matrix
        (C, 3 * side * side) and what is added (C,)."""
        squares = self.encoder.patch.weight.view(-1, 3, side, PATCH // side, side, PATCH // side).sum(dim=(3, 5))
        bias = self.encoder.patch.bias
        assert bias is not None
        matrix = squares.flatten(1) / self.latent_std[:, None]
        return matrix, (bias - self.latent_mean) / self.latent_std

    @torch.no_grad()
    def set_statistics(self, raw: Tensor) -> None:
        """Take mean and deviation per channel from raw latents (B, C, h, w)."""
        self.latent_mean.copy_(raw.mean(dim=(0, 2, 3)))
        self.latent_std.copy_(raw.std(dim=(0, 2, 3)).clamp(min=1e-4))

    @torch.no_grad()
    def start_from_components(self, frames: Tensor) -> None:
        """Set both linear maps to the principal components of the 16x16 patches of frames (B, 3, H, W)."""
        patches = F.unfold(frames, PATCH, stride=PATCH).transpose(1, 2).reshape(-1, 3 * PATCH * PATCH).double()
        mean = patches.mean(dim=0)
        values, vectors = torch.linalg.eigh((patches - mean).T @ (patches - mean) / len(patches))
        channels = self.config.channels
        scale = values[-channels:].flip(0).clamp(min=1e-8).sqrt()
        basis = vectors[:, -channels:].flip(1).T  # (C, 768), strongest first
        encode = basis / scale[:, None]
        self.encoder.patch.weight.copy_(encode.reshape(channels, 3, PATCH, PATCH))
        self.encoder.patch.bias.copy_(-(encode @ mean))  # type: ignore[union-attr]
        self.decoder.patch.weight.copy_((basis * scale[:, None]).T.reshape(-1, channels, 1, 1))
        self.decoder.patch.bias.copy_(mean)  # type: ignore[union-attr]


def to_tokens(latents: Tensor) -> Tensor:
    """Latents (B, C, h, w) -> tokens (B, N, C), row by row from the top."""
    return latents.flatten(2).transpose(1, 2)


def to_grid(tokens: Tensor, rows: int) -> Tensor:
    """Tokens (B, N, C) of frames of so many rows of tokens -> latents (B, C, h, w)."""
    return tokens.transpose(1, 2).unflatten(2, (rows, -1))


def to_tensor(frames: np.ndarray) -> Tensor:
    """uint8 (..., H, W, 3) array -> float32 (..., 3, H, W) in [-1, 1]."""
    frames = np.require(frames, requirements="W")  # pictures read from files come write-protected
    return torch.from_numpy(frames).movedim(-1, -3).float().div_(127.5).sub_(1.0)


def to_pixels(frame: Tensor) -> np.ndarray:
    """float (..., 3, H, W) in [-1, 1] -> uint8 (..., H, W, 3) array, rounded."""
    return to_uint8(frame).cpu().numpy()
