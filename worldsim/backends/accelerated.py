"""A generator whose functions another back end runs, one after another as torch would."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Generator as Paused

import torch
from torch import Tensor, nn

from worldsim.diffusion.sampler import step_levels
from worldsim.diffusion.schedule import CONTEXT_LEVEL
from worldsim.model.codec import Codec
from worldsim.model.condition import Condition, Embedded
from worldsim.model.context import FrameKeys
from worldsim.model.generator import Generator, Modulated, Past, Prepared
from worldsim.model.networks import decode
from worldsim.world import finish

Call = Callable[..., tuple[Tensor, ...]]


class Accelerated:
    """A `Network` (see model.networks) around a Generator. What fills a context from one picture runs in torch: it
    happens once a start, in other shapes."""

    def __init__(self, generator: Generator, calls: Mapping[str, Call]) -> None:
        """calls: what the modules of `parts` compute, tensors in, tensors out, by name."""
        self._generator, self._calls = generator, calls
        self.config, self.shape, self.split = generator.config, generator.shape, generator.split

    def prepare(self, condition: Condition, level: Tensor) -> Prepared:
        moves = torch.zeros_like(condition.posed) if condition.moves is None else condition.moves
        given = condition.action, condition.look, condition.position, condition.posed, moves, level
        position, vector, *made = self._calls["prepare"](*given)
        return Prepared(position, Embedded(vector, *made[:-2]), Modulated(level, *made[-2:]))

    def sampling(
        self, noise: Tensor, levels: tuple[float, ...], prepared: Prepared, past: Past
    ) -> Paused[None, None, Tensor]:
        """All passes in one call, then the only pause: what a call costs beyond its arithmetic, a pass costs once."""
        made = self._calls["sample"](noise, *_of_passes(prepared), *past)[0]
        yield
        return made

    def write(self, latent: Tensor, noise: Tensor, prepared: Prepared, past: Past | None) -> FrameKeys:
        if past is None:
            return self._generator.write(latent, noise, prepared, None)
        return FrameKeys(*self._calls["write"](latent, noise, *_of_passes(prepared), *past))


def _of_passes(prepared: Prepared) -> tuple[Tensor, ...]:
    """What passes need of Prepared, in the order in which `_prepared` takes it."""
    made = prepared.modulated
    return made.level, made.blocks, made.final, *prepared.embedded.parts()[1:]  # the vector went into the modulation


def _prepared(level: Tensor, blocks: Tensor, final: Tensor, *embedded: Tensor) -> Prepared:
    nothing = level.new_zeros(1, 2)
    return Prepared(nothing, Embedded(nothing, *embedded), Modulated(level, blocks, final))


class Prepare(nn.Module):
    """Generator.prepare from tensors to tensors: Condition's and the levels, in their order; position,
    Embedded.parts(), blocks and final."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(
        self, action: Tensor, look: Tensor, position: Tensor, posed: Tensor, moves: Tensor, level: Tensor
    ) -> tuple[Tensor, ...]:
        made = self.generator.prepare(Condition(action, look, position, posed, moves), level)
        return made.position, *made.embedded.parts(), made.modulated.blocks, made.modulated.final


class Sample(nn.Module):
    """All passes of Generator.sampling over an assembled context, from tensors to tensors."""

    def __init__(self, generator: Generator, steps: int) -> None:
        super().__init__()
        self.generator, self._levels = generator, step_levels(steps)

    def forward(
        self, noise: Tensor, level: Tensor, blocks: Tensor, final: Tensor, tokens: Tensor, cos: Tensor, sin: Tensor,
        guess: Tensor, spread: Tensor, keys: Tensor, values: Tensor,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        prepared = _prepared(level, blocks, final, tokens, cos, sin, guess, spread)
        return (finish(self.generator.sampling(noise, self._levels, prepared, (keys, values))),)


class Write(nn.Module):
    """Generator.write over an assembled context, from tensors to tensors: keys, values."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(
        self, latent: Tensor, noise: Tensor, level: Tensor, blocks: Tensor, final: Tensor, tokens: Tensor, cos: Tensor,
        sin: Tensor, guess: Tensor, spread: Tensor, keys: Tensor, values: Tensor,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        prepared = _prepared(level, blocks, final, tokens, cos, sin, guess, spread)
        made = self.generator.write(latent, noise, prepared, (keys, values))
        return made.keys, made.values


class Decode(nn.Module):
    """Tokens (1, N, C) to pixels, uint8 (H, W, 3)."""

    def __init__(self, codec: Codec, generator: Generator) -> None:
        super().__init__()
        self.codec, self._shape = codec, generator.shape

    def forward(self, tokens: Tensor) -> tuple[Tensor, ...]:
        return (decode(self.codec, self._shape, tokens),)


Example = tuple[Tensor, ...]


def parts(codec: Codec, generator: Generator, steps: int) -> dict[str, tuple[nn.Module, Example]]:
    """What a back end has to run, by name: module, and inputs of the shapes that play has."""
    shape, config = generator.shape, generator.config
    tokens, head = shape.rows * shape.columns, config.width // config.heads
    with torch.no_grad():
        level = torch.tensor((*step_levels(steps), CONTEXT_LEVEL))
        given = torch.zeros(1, shape.actions), torch.full((1, 2), 0.1), torch.ones(1, 2), torch.ones(1), torch.ones(1)
        prepared = _of_passes(generator.prepare(Condition(*given), level))
        kind = next(generator.blocks.parameters()).dtype
        past = torch.randn(2, config.depth, 1, config.heads, (config.window + config.sink) * tokens, head).to(kind)
    x = torch.randn(1, tokens, shape.channels)
    return {
        "prepare": (Prepare(generator), (*given, level)),
        "sample": (Sample(generator, steps), (x, *prepared, *past.unbind())),
        "write": (Write(generator), (x, x.clone(), *prepared, *past.unbind())),
        "decode": (Decode(codec, generator), (x,)),
    }
