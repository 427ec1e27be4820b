"""What the generator's speed is measured against, in the same run on the same machine. For timing only: no weights.

- a frame-stacking convolutional denoiser of DIAMOND's shape (Alonso et al. 2024, appendix): 64 channels on four levels,
  two residual blocks a level, four past frames beside the noisy one, three Euler steps;
- the generator itself without its cache: the window's keys are made again for every frame.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldsim.inference.network import PreparedFrames
from worldsim.inference.rollout import Rollout
from worldsim.model.context import Context

CHANNELS, LEVELS, BLOCKS, PAST, CONDITION, EULER_STEPS = 64, 4, 2, 4, 256, 3


class _AdaptiveBlock(nn.Module):
    """Two convolutions, each after a group norm that the condition scales and shifts."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.films = nn.ModuleList(nn.Linear(CONDITION, 2 * c) for c in (inputs, outputs))
        self.convolutions = nn.ModuleList((nn.Conv2d(inputs, outputs, 3, 1, 1), nn.Conv2d(outputs, outputs, 3, 1, 1)))
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = x
        for film, convolve in zip(self.films, self.convolutions, strict=True):
            scale, shift = film(condition)[..., None, None].chunk(2, dim=1)
            h = convolve(F.silu(F.group_norm(h, max(1, h.shape[1] // 32)) * (1 + scale) + shift))
        return self.skip(x) + h


class DiamondShape(nn.Module):
    """The denoiser: (B, 3 * (PAST + 1), H, W) and a condition (B, CONDITION) -> (B, 3, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(CONDITION, CONDITION), nn.SiLU(), nn.Linear(CONDITION, CONDITION))
        self.enter = nn.Conv2d(3 * (PAST + 1), CHANNELS, 3, 1, 1)
        self.down = nn.ModuleList(
            nn.ModuleList(_AdaptiveBlock(CHANNELS, CHANNELS) for _ in range(BLOCKS)) for _ in range(LEVELS)
        )
        self.shrink = nn.ModuleList(nn.Conv2d(CHANNELS, CHANNELS, 3, 2, 1) for _ in range(LEVELS - 1))
        self.middle = nn.ModuleList(_AdaptiveBlock(CHANNELS, CHANNELS) for _ in range(2))
        self.up = nn.ModuleList(
            nn.ModuleList(_AdaptiveBlock(2 * CHANNELS, CHANNELS) for _ in range(BLOCKS + 1)) for _ in range(LEVELS)
        )
        self.grow = nn.ModuleList(nn.Conv2d(CHANNELS, CHANNELS, 3, 1, 1) for _ in range(LEVELS - 1))
        self.leave = nn.Conv2d(CHANNELS, 3, 3, 1, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        condition = self.embed(condition)
        h = self.enter(x)
        kept = [h]
        for level, blocks in enumerate(self.down):
            for block in blocks:  # type: ignore[attr-defined]
                h = block(h, condition)
                kept.append(h)
            if level < LEVELS - 1:
                h = self.shrink[level](h)
                kept.append(h)
        for block in self.middle:
            h = block(h, condition)
        for level, blocks in enumerate(self.up):
            for block in blocks:  # type: ignore[attr-defined]
                h = block(torch.cat([h, kept.pop()], dim=1), condition)
            if level < LEVELS - 1:
                h = self.grow[level](F.interpolate(h, scale_factor=2.0, mode="nearest"))
        return self.leave(F.silu(F.group_norm(h, 2)))


def diamond_frame(height: int, width: int) -> Callable[[], Tensor]:
    """A call that makes one frame of that size (a multiple of 8 a side), batch 1: EULER_STEPS passes."""
    model = DiamondShape().eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    past = torch.randn(1, 3 * PAST, height, width)
    condition = torch.randn(1, CONDITION)

    @torch.inference_mode()
    def make() -> Tensor:
        x = torch.randn(1, 3, height, width)
        for level in range(EULER_STEPS, 0, -1):
            clean = model(torch.cat([past, x], dim=1).contiguous(memory_format=torch.channels_last), condition)
            x = x + (clean - x) / level
        return x

    return make


def uncached_frame(
    rollout: Rollout, prepared: PreparedFrames, context: Context, latent: Tensor
) -> Callable[[], object]:
    """What a generator without a cache does for each frame beyond what one with it does: a call that makes the keys of
    all the context's frames anew but for the newest, which are new in any case. Their conditions it may keep."""
    noise = torch.randn_like(latent)

    def make() -> object:
        for _ in range(rollout.generator.config.window):  # sink and window, less the newest
            made = rollout.commit(context, latent, prepared, noise)
        return made

    return make
