"""A generator whose functions another back end runs, one after another as torch would."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate

import torch
from torch import Tensor, nn

from worldsim.diffusion.sampler import step_levels
from worldsim.diffusion.schedule import CONTEXT_LEVEL
from worldsim.errors import ConfigError, shown
from worldsim.inference.network import Networks, decode
from worldsim.model.codec import Codec
from worldsim.model.condition import Condition, Embedded
from worldsim.model.context import Context, FrameKeys
from worldsim.model.generator import Generator, Modulated, Prepared
from worldsim.stepwise import Stepwise, finish

Call = Callable[..., tuple[Tensor, ...]]


@dataclass(frozen=True)
class Packed:
    """Generator's Prepared of F frames, all the tensors of each behind one another in one (F, K): what a call costs
    beyond its arithmetic, it costs for each tensor."""

    tensor: Tensor
    packing: Packing

    @property
    def position(self) -> Tensor:
        return self.packing.part(self.tensor, 0)

    @property
    def prior(self) -> Tensor:
        return self.packing.part(self.tensor, 1)

    @property
    def entities(self) -> Tensor:
        return self.packing.entities(self.tensor)

    def row(self, index: int) -> Packed:
        return Packed(self.tensor[index : index + 1], self.packing)


class Packing:
    """Where in a row each of Prepared's tensors lies. The embedded vector went into the modulation and is left out."""

    def __init__(self, example: Prepared) -> None:
        self._shapes = [tuple(t.shape[1:]) for t in self._parts(example)]
        self._without = example.entities[:1]  # what there is of entities where there are none
        ends = list(accumulate(math.prod(shape) for shape in self._shapes))
        self._spans = list(zip([0, *ends], ends, strict=False))

    @staticmethod
    def _parts(prepared: Prepared) -> tuple[Tensor, ...]:
        """All tensors, the frames first."""
        e, m, frames = prepared.embedded, prepared.modulated, len(prepared.position)
        modulated = (
            m.level.unflatten(0, (-1, frames)).transpose(0, 1),
            m.blocks.unflatten(1, (-1, frames)).movedim(2, 0),
            m.final.unflatten(0, (-1, frames)).transpose(0, 1),
        )
        known = prepared.position, e.prior, e.tokens, e.cos, e.sin, e.prior_std, *modulated
        return (*known, prepared.entities) if prepared.entities.shape[1] else known

    def pack(self, prepared: Prepared) -> Tensor:
        return torch.cat([t.float().flatten(1) for t in self._parts(prepared)], dim=1)

    def part(self, packed: Tensor, index: int) -> Tensor:
        begin, end = self._spans[index]
        return packed[:, begin:end].unflatten(1, self._shapes[index])

    def entities(self, packed: Tensor) -> Tensor:
        """The entities (F, S, FIELDS) of Prepared."""
        if self._without.shape[1]:
            return self.part(packed, len(self._spans) - 1)
        return self._without.expand(len(packed), -1, -1)

    def unpack(self, packed: Tensor) -> Prepared:
        parts = (self.part(packed, i) for i in range(9))
        position, prior, tokens, cos, sin, prior_std, level, blocks, final = parts
        modulated = Modulated(
            level.transpose(0, 1).flatten(0, 1), blocks.movedim(0, 2).flatten(1, 2), final.transpose(0, 1).flatten(0, 1)
        )
        nothing = position  # in place of the vector
        entities = self._without  # nor these, once the condition is embedded
        return Prepared(position, entities, Embedded(nothing, tokens, cos, sin, prior, prior_std), modulated)


class Accelerated:
    """A `Network` (see model.networks) around a Generator. What fills a context from one picture runs in torch: it
    happens once a start, in other shapes."""

    def __init__(
        self, generator: Generator, packing: Packing, calls: Mapping[str, Call], steps: int, branches: int = 1
    ) -> None:  # fmt: skip
        """calls: what the modules of `parts` compute for as many steps and branches, tensors in and out, by name."""
        self._generator, self._packing, self._calls, self._branches = generator, packing, calls, branches
        self._levels = step_levels(steps)
        self.config = generator.config

    def prepare(self, condition: Condition, level: Tensor) -> Packed:
        flat = condition.packed()
        return Packed(self._calls["prepare"](self._full(flat), level)[0][: len(flat)], self._packing)

    def sampling(
        self, noise: Tensor, levels: tuple[float, ...], prepared: Packed, context: Context
    ) -> Stepwise[Tensor]:
        """All passes in one call, then the only pause. Raises ConfigError for other levels than were built in."""
        if levels != self._levels:
            raise ConfigError(
                f"this network was built for noise levels {shown(self._levels)}, got {shown(levels)}; "
                "build it for so many steps, or play with --backend eager"
            )
        made = self._calls["sample"](self._full(noise), self._full(prepared.tensor), *context.frames)[0][: len(noise)]
        yield
        return made

    def encode_kv(self, latent: Tensor, noise: Tensor, prepared: Packed, context: Context | None) -> FrameKeys:
        if context is None:
            return self._generator.encode_kv(latent, noise, self._packing.unpack(prepared.tensor), None)
        return self._calls["encode_kv"](latent, noise, prepared.tensor, *context.frames)[0]

    def decode(self, tokens: Tensor) -> Tensor:
        """See Networks."""
        return self._calls["decode"](self._full(tokens))[0][: len(tokens)]

    def _full(self, rows: Tensor) -> Tensor:
        """As many rows as a call takes: the last one again for those that nobody asked for."""
        missing = self._branches - len(rows)
        return rows if missing == 0 else torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])])


class Prepare(nn.Module):
    """Generator.prepare of a flat condition and levels, packed."""

    def __init__(self, generator: Generator, packing: Packing) -> None:
        super().__init__()
        self.generator, self._packing = generator, packing

    def forward(self, flat: Tensor, level: Tensor) -> tuple[Tensor, ...]:
        shape = self.generator.shape
        condition = Condition.unpacked(flat, len(shape.slots), shape.events)
        return (self._packing.pack(self.generator.prepare(condition, level)),)


class Sample(nn.Module):
    """All passes of Generator.sampling over the frames of a context."""

    def __init__(self, generator: Generator, packing: Packing, steps: int) -> None:
        super().__init__()
        self.generator, self._packing, self._levels = generator, packing, step_levels(steps)

    def forward(self, noise: Tensor, packed: Tensor, *frames: Tensor) -> tuple[Tensor, ...]:
        prepared, context = self._packing.unpack(packed), Context(frames[0], frames[1:])
        return (finish(self.generator.sampling(noise, self._levels, prepared, context)),)


class EncodeKv(nn.Module):
    """Generator.encode_kv over the frames of a context."""

    def __init__(self, generator: Generator, packing: Packing) -> None:
        super().__init__()
        self.generator, self._packing = generator, packing

    def forward(self, latent: Tensor, noise: Tensor, packed: Tensor, *frames: Tensor) -> tuple[Tensor, ...]:
        prepared, context = self._packing.unpack(packed), Context(frames[0], frames[1:])
        return (self.generator.encode_kv(latent, noise, prepared, context),)


class Decode(nn.Module):
    """Tokens (F, N, C) to pixels, uint8 (F, H, W, 3)."""

    def __init__(self, codec: Codec, generator: Generator) -> None:
        super().__init__()
        self.codec, self._shape = codec, generator.shape

    def forward(self, tokens: Tensor) -> tuple[Tensor, ...]:
        return (decode(self.codec, self._shape, tokens),)


Example = tuple[Tensor, ...]


def parts(
    codec: Codec, generator: Generator, steps: int, branches: int = 1
) -> tuple[Packing, dict[str, tuple[nn.Module, Example]]]:
    """What a back end has to run, by name: module, and inputs of the shapes that play has, where the generator is; how
    they pack. branches: see Networks; only one of them is written into a context."""
    shape, config = generator.shape, generator.config
    tokens, head = shape.attended, config.width // config.heads
    with torch.no_grad(), next(generator.parameters()).device:
        level = torch.tensor((*step_levels(steps), CONTEXT_LEVEL))
        condition = shape.still(torch.tensor([1.0, 1.0, 0.1, 0.1]).expand(branches, -1))
        prepared = generator.prepare(condition, level)
        packing = Packing(prepared)
        packed = packing.pack(prepared)
        frames = torch.randn(config.sink + config.window, 2, config.depth, 1, config.heads, tokens, head)
        frames = frames.to(next(generator.blocks.parameters()).dtype)
        x = torch.randn(branches, shape.tokens, shape.channels)
        one = x[:1].clone(), x[:1].clone(), packed[:1].clone()
    return packing, {
        "prepare": (Prepare(generator, packing), (condition.packed(), level)),
        "sample": (Sample(generator, packing, steps), (x, packed, *frames)),
        "encode_kv": (EncodeKv(generator, packing), (*one, *frames)),
        "decode": (Decode(codec, generator), (x,)),
    }


@torch.no_grad()
def is_batch_invariant(networks: Networks, steps: int) -> bool:
    """Whether every frame of a go comes out bit for bit as it does alone, whatever the others are."""
    network, branches = networks.network, networks.branches
    shape, config = networks.generator.shape, networks.generator.config
    head, levels = config.width // config.heads, step_levels(steps)
    weights = next(networks.generator.blocks.parameters())
    with weights.device:
        every = torch.tensor((*levels, CONTEXT_LEVEL))
        condition = replace(shape.still(torch.rand(branches, 4)), action=torch.rand(branches, shape.actions))
        noise = torch.randn(1, shape.tokens, shape.channels).expand(branches, -1, -1)
        keys = torch.randn(2, config.depth, 1, config.heads, shape.attended, head).to(weights.dtype)
    context = Context.filled(keys, config.window)

    def make(condition: Condition) -> tuple[Tensor, ...]:
        prepared = network.prepare(condition, every)
        latent = finish(network.sampling(noise[: len(condition.posed)], levels, prepared, context))
        return prepared.position, prepared.prior, latent, networks.decode(latent)

    together = make(condition)
    for i in range(branches):
        alone = make(condition.repeat(torch.tensor([i])))
        if not all(torch.equal(a[i : i + 1], b) for a, b in zip(together, alone, strict=True)):
            return False
    return True
