"""A generator whose functions another back end runs, one after another as torch would."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from collections.abc import Generator as Paused
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn

from worldsim.diffusion.sampler import step_levels
from worldsim.diffusion.schedule import CONTEXT_LEVEL
from worldsim.model.codec import Codec
from worldsim.model.condition import Condition, Embedded
from worldsim.model.context import Context, FrameKeys
from worldsim.model.generator import Generator, Modulated, Prepared
from worldsim.model.networks import decode
from worldsim.world import finish

Call = Callable[..., tuple[Tensor, ...]]


@dataclass(frozen=True)
class Packed:
    """Generator's Prepared of one frame, all its tensors behind one another in one: what a call costs beyond its
    arithmetic, it costs for each tensor."""

    tensor: Tensor
    packing: Packing

    @property
    def position(self) -> Tensor:
        return self.packing.part(self.tensor, 0)

    @property
    def guess(self) -> Tensor:
        return self.packing.part(self.tensor, 1)


class Packing:
    """Where in one tensor each of Prepared's lies. The embedded vector went into the modulation and is left out."""

    def __init__(self, example: Prepared) -> None:
        self._shapes = [tuple(t.shape) for t in self._parts(example)]
        ends = list(accumulate(math.prod(shape) for shape in self._shapes))
        self._spans = list(zip([0, *ends], ends, strict=False))

    @staticmethod
    def _parts(prepared: Prepared) -> tuple[Tensor, ...]:
        e, m = prepared.embedded, prepared.modulated
        return prepared.position, e.guess, e.tokens, e.cos, e.sin, e.spread, m.level, m.blocks, m.final

    def pack(self, prepared: Prepared) -> Tensor:
        return torch.cat([t.float().flatten() for t in self._parts(prepared)])

    def part(self, packed: Tensor, index: int) -> Tensor:
        begin, end = self._spans[index]
        return packed[begin:end].view(self._shapes[index])

    def unpack(self, packed: Tensor) -> Prepared:
        position, guess, tokens, cos, sin, spread, *modulated = (self.part(packed, i) for i in range(len(self._spans)))
        return Prepared(position, Embedded(position, tokens, cos, sin, guess, spread), Modulated(*modulated))


class Accelerated:
    """A `Network` (see model.networks) around a Generator. What fills a context from one picture runs in torch: it
    happens once a start, in other shapes."""

    def __init__(self, generator: Generator, packing: Packing, calls: Mapping[str, Call]) -> None:
        """calls: what the modules of `parts` compute, tensors in, tensors out, by name."""
        self._generator, self._packing, self._calls = generator, packing, calls
        self.config, self.shape, self.split = generator.config, generator.shape, generator.split

    def prepare(self, condition: Condition, level: Tensor) -> Packed:
        return Packed(self._calls["prepare"](_flat(condition), level)[0], self._packing)

    def sampling(
        self, noise: Tensor, levels: tuple[float, ...], prepared: Packed, context: Context
    ) -> Paused[None, None, Tensor]:
        """All passes in one call, then the only pause."""
        made = self._calls["sample"](noise, prepared.tensor, *context.frames)[0]
        yield
        return made

    def write(self, latent: Tensor, noise: Tensor, prepared: Packed, context: Context | None) -> FrameKeys:
        if context is None:
            return self._generator.write(latent, noise, self._packing.unpack(prepared.tensor), None)
        return self._calls["write"](latent, noise, prepared.tensor, *context.frames)[0]


def _flat(condition: Condition) -> Tensor:
    """The condition of one frame as one tensor: look, position, posed, moves, then the action."""
    posed = condition.posed[:, None]
    moves = torch.zeros_like(posed) if condition.moves is None else condition.moves[:, None]
    return torch.cat([condition.look, condition.position, posed, moves, condition.action], dim=1)


class Prepare(nn.Module):
    """Generator.prepare of a flat condition and levels, packed."""

    def __init__(self, generator: Generator, packing: Packing) -> None:
        super().__init__()
        self.generator, self._packing = generator, packing

    def forward(self, flat: Tensor, level: Tensor) -> tuple[Tensor, ...]:
        condition = Condition(flat[:, 6:], flat[:, :2], flat[:, 2:4], flat[:, 4], flat[:, 5])
        return (self._packing.pack(self.generator.prepare(condition, level)),)


class Sample(nn.Module):
    """All passes of Generator.sampling over the frames of a context."""

    def __init__(self, generator: Generator, packing: Packing, steps: int) -> None:
        super().__init__()
        self.generator, self._packing, self._levels = generator, packing, step_levels(steps)

    def forward(self, noise: Tensor, packed: Tensor, *frames: Tensor) -> tuple[Tensor, ...]:
        prepared, context = self._packing.unpack(packed), Context(frames[0], frames[1:])
        return (finish(self.generator.sampling(noise, self._levels, prepared, context)),)


class Write(nn.Module):
    """Generator.write over the frames of a context."""

    def __init__(self, generator: Generator, packing: Packing) -> None:
        super().__init__()
        self.generator, self._packing = generator, packing

    def forward(self, latent: Tensor, noise: Tensor, packed: Tensor, *frames: Tensor) -> tuple[Tensor, ...]:
        prepared, context = self._packing.unpack(packed), Context(frames[0], frames[1:])
        return (self.generator.write(latent, noise, prepared, context),)


class Decode(nn.Module):
    """Tokens (1, N, C) to pixels, uint8 (H, W, 3)."""

    def __init__(self, codec: Codec, generator: Generator) -> None:
        super().__init__()
        self.codec, self._shape = codec, generator.shape

    def forward(self, tokens: Tensor) -> tuple[Tensor, ...]:
        return (decode(self.codec, self._shape, tokens),)


Example = tuple[Tensor, ...]


def parts(codec: Codec, generator: Generator, steps: int) -> tuple[Packing, dict[str, tuple[nn.Module, Example]]]:
    """What a back end has to run, by name: module, and inputs of the shapes that play has, where the generator is; how
    they pack."""
    shape, config = generator.shape, generator.config
    tokens, head = shape.rows * shape.columns, config.width // config.heads
    with torch.no_grad(), next(generator.parameters()).device:
        level = torch.tensor((*step_levels(steps), CONTEXT_LEVEL))
        condition = Condition(
            torch.zeros(1, shape.actions), torch.full((1, 2), 0.1), torch.ones(1, 2), *torch.ones(2, 1)
        )
        prepared = generator.prepare(condition, level)
        packing = Packing(prepared)
        packed = packing.pack(prepared)
        frames = torch.randn(config.sink + config.window, 2, config.depth, 1, config.heads, tokens, head)
        frames = frames.to(next(generator.blocks.parameters()).dtype)
        x = torch.randn(1, tokens, shape.channels)
    return packing, {
        "prepare": (Prepare(generator, packing), (_flat(condition), level)),
        "sample": (Sample(generator, packing, steps), (x, packed, *frames)),
        "write": (Write(generator, packing), (x, x.clone(), packed, *frames)),
        "decode": (Decode(codec, generator), (x,)),
    }
