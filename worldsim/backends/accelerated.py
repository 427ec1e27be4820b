"""A generator whose functions another back end runs, one after another as torch would."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from worldsim.model.codec import Codec
from worldsim.model.condition import Condition, Embedded
from worldsim.model.context import FrameKeys
from worldsim.model.generator import Generator, Modulated, Past
from worldsim.model.networks import decode

Call = Callable[..., tuple[Tensor, ...]]


class Accelerated:
    """A `Network` (see model.networks) around a Generator. What fills a context from one picture runs in torch: it
    happens once a start, in other shapes."""

    def __init__(self, generator: Generator, calls: Mapping[str, Call]) -> None:
        """calls: what the modules of `parts` compute, tensors in, tensors out, by name."""
        self._generator, self._calls = generator, calls
        self.config, self.shape, self.split = generator.config, generator.shape, generator.split

    def prepare(self, condition: Condition, level: Tensor) -> tuple[Embedded, Modulated]:
        parts = condition.action, condition.look, condition.position, condition.posed
        *embedded, blocks, final = self._calls["prepare"](*parts, level)
        return Embedded(*embedded), Modulated(level, blocks, final)

    def denoise(self, x: Tensor, modulated: Modulated, embedded: Embedded, past: Past | None) -> Tensor:
        if past is None:
            return self._generator.denoise(x, modulated, embedded, None)
        return self._calls["denoise"](*_pass(x, modulated, embedded), *past)[0]

    def write(self, x: Tensor, modulated: Modulated, embedded: Embedded, past: Past | None) -> FrameKeys:
        if past is None:
            return self._generator.write(x, modulated, embedded, None)
        return FrameKeys(*self._calls["write"](*_pass(x, modulated, embedded), *past))

    def displacement(self, action: Tensor, position: Tensor, yaw: Tensor) -> Tensor:
        return self._calls["displacement"](action, position, yaw)[0]


def _pass(x: Tensor, modulated: Modulated, embedded: Embedded) -> tuple[Tensor, ...]:
    """What a pass is given, in the order of _Pass.forward; the vector went into the modulation."""
    return x, modulated.level, modulated.blocks, modulated.final, *embedded.parts()[1:]


class Prepare(nn.Module):
    """Generator.prepare from tensors to tensors: Condition's in their order and the levels; Embedded.parts(), blocks
    and final."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(
        self, action: Tensor, look: Tensor, position: Tensor, posed: Tensor, level: Tensor
    ) -> tuple[Tensor, ...]:
        embedded, made = self.generator.prepare(Condition(action, look, position, posed), level)
        return *embedded.parts(), made.blocks, made.final


class Displacement(nn.Module):
    """Generator.displacement."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, action: Tensor, position: Tensor, yaw: Tensor) -> tuple[Tensor, ...]:
        return (self.generator.displacement(action, position, yaw),)


class _Pass(nn.Module):
    """A pass over an assembled context from tensors to tensors."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(
        self, x: Tensor, level: Tensor, blocks: Tensor, final: Tensor, tokens: Tensor, cos: Tensor, sin: Tensor,
        guess: Tensor, spread: Tensor, keys: Tensor, values: Tensor,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        embedded = Embedded(x.new_zeros(1), tokens, cos, sin, guess, spread)
        return self.run(x, Modulated(level, blocks, final), embedded, (keys, values))

    def run(self, x: Tensor, modulated: Modulated, embedded: Embedded, past: Past) -> tuple[Tensor, ...]:
        raise NotImplementedError


class Denoise(_Pass):
    """Generator.denoise."""

    def run(self, x: Tensor, modulated: Modulated, embedded: Embedded, past: Past) -> tuple[Tensor, ...]:
        return (self.generator.denoise(x, modulated, embedded, past),)


class Write(_Pass):
    """Generator.write: keys, values."""

    def run(self, x: Tensor, modulated: Modulated, embedded: Embedded, past: Past) -> tuple[Tensor, ...]:
        made = self.generator.write(x, modulated, embedded, past)
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
    import torch

    shape, config = generator.shape, generator.config
    tokens = shape.rows * shape.columns
    with torch.no_grad():
        condition = Condition(
            torch.zeros(1, shape.actions), torch.full((1, 2), 0.1), torch.ones(1, 2), torch.ones(1)
        )  # fmt: skip
        levels = torch.full((steps + 1,), 0.5)
        embedded, made = generator.prepare(condition, levels)
        modulated = Modulated(levels[:1], made.blocks[:, :1], made.final[:1])
        head = config.width // config.heads
        kind = next(generator.blocks.parameters()).dtype
        past = torch.randn(2, config.depth, 1, config.heads, (config.window + config.sink) * tokens, head).to(kind)
    x = torch.randn(1, tokens, shape.channels)
    given = *_pass(x, modulated, embedded), *past.unbind()
    return {
        "prepare": (
            Prepare(generator),
            (condition.action, condition.look, condition.position, condition.posed, levels),
        ),
        "displacement": (Displacement(generator), (condition.action, condition.position, condition.look[:, 0])),
        "denoise": (Denoise(generator), given),
        "write": (Write(generator), given),
        "decode": (Decode(codec, generator), (x,)),
    }
