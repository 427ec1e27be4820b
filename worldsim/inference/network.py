"""A checkpoint's networks as they are run at play: batch 1, fixed shapes, no gradient, by whichever back end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from worldsim.kernels.to_uint8 import to_uint8
from worldsim.model.codec import Codec, to_grid
from worldsim.model.condition import Condition
from worldsim.model.context import Context, FrameKeys
from worldsim.model.generator import Generator, GeneratorConfig, Shape
from worldsim.stepwise import Stepwise


class PreparedFrames(Protocol):
    """What a network has made of a frame's condition, for its own passes. Others may know of it where the player is,
    (F, 2) in metres, what is expected to be seen there, (F, N, C), and the entities, (F, S, FIELDS) in whole quanta."""

    @property
    def position(self) -> Tensor: ...

    @property
    def prior(self) -> Tensor: ...

    @property
    def entities(self) -> Tensor: ...

    def row(self, index: int) -> PreparedFrames:
        """Of one of the frames."""
        ...


class Network(Protocol):
    """What a rollout asks of a generator. A Generator is one."""

    config: GeneratorConfig

    def prepare(self, condition: Condition, level: Tensor) -> PreparedFrames: ...

    def sampling(
        self, noise: Tensor, levels: tuple[float, ...], prepared: Any, context: Context
    ) -> Stepwise[Tensor]: ...

    def encode_kv(self, latent: Tensor, noise: Tensor, prepared: Any, context: Context | None) -> FrameKeys: ...


@dataclass(frozen=True)
class Networks:
    """Codec and generator, and what runs them: `network` the generator's passes, `decode` tokens (F, N, C) to pixels,
    uint8 (F, H, W, 3). backend names, with its version, what decides the bits that come out. branches: how many frames
    that follow the same one are made in one go; of each the bits are those it has alone."""

    codec: Codec
    generator: Generator
    network: Network
    decode: Callable[[Tensor], Tensor]
    backend: str = "eager"
    branches: int = 1


def eager(codec: Codec, generator: Generator) -> Networks:
    """Plain torch."""
    codec = codec.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Networks(codec, generator, generator, lambda tokens: decode(codec, generator.shape, tokens))


@torch.no_grad()
def decode(codec: Codec, shape: Shape, tokens: Tensor) -> Tensor:
    """Tokens (F, N, C) of frames -> pixels, uint8 (F, H, W, 3)."""
    grid = to_grid(tokens, shape.rows).contiguous(memory_format=torch.channels_last)
    return to_uint8(codec.decode(grid))
