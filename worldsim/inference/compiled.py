"""torch.compile: most of a minute at the first start, then a little faster than plain torch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from worldsim.errors import ConfigError
from worldsim.inference.adapter import Accelerated, Call, parts
from worldsim.inference.network import Networks
from worldsim.model.codec import Codec
from worldsim.model.generator import Generator


def build(codec: Codec, generator: Generator, steps: int) -> Networks:
    """Compile every part, at once rather than in the middle of play. Raises ConfigError where torch cannot."""
    made: dict[str, Call] = {}
    packing, modules = parts(codec, generator, steps)
    for name, (module, example) in modules.items():
        made[name] = _compiled(module)
        try:
            made[name](*example)
        except Exception as error:  # no compiler, an unknown processor: inductor has many ways to fail
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ConfigError(f"torch.compile does not work here ({reason}); play with --backend eager") from None
    network = Accelerated(generator, packing, made, steps)
    return Networks(codec, generator, network, network.decode, "compile")


def _compiled(module: nn.Module) -> Call:
    compiled: Any = torch.compile(module, dynamic=False)

    @torch.no_grad()
    def call(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        # A start fills every slot of the context with one tensor. For each pattern of the same one twice there would be
        # another compilation, in the middle of play.
        return tuple(compiled(*(t.detach() for t in inputs)))

    return call
