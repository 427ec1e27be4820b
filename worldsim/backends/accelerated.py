"""A generator whose functions another back end runs, one after another as torch would."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from worldsim.model.codec import Codec
from worldsim.model.condition import Condition, Embedded
from worldsim.model.context import FrameKeys
from worldsim.model.generator import Generator, Modulated, Pass
from worldsim.model.networks import Past, decode

Call = Callable[..., tuple[Tensor, ...]]


class Accelerated:
    """A `Network` (see model.networks) around a Generator. What fills a context from one picture runs in torch: it
    happens once a start, in other shapes."""

    def __init__(self, generator: Generator, calls: Mapping[str, Call]) -> None:
        """calls: what the modules of `parts` compute, tensors in, tensors out, by name."""
        self._generator, self._calls = generator, calls
        self.config, self.shape, self.split = generator.config, generator.shape, generator.split

    def embed(self, condition: Condition) -> Embedded:
        parts = condition.action, condition.look, condition.position, condition.posed
        return Embedded(*self._calls["embed"](*parts))

    def modulate(self, vector: Tensor, level: Tensor) -> Modulated:
        return Modulated(level, *self._calls["modulate"](vector, level))

    def denoise(self, x: Tensor, modulated: Modulated, embedded: Embedded, past: Past | None) -> Pass:
        if past is None:
            return self._generator.denoise(x, modulated, embedded, None)
        level, blocks, final = modulated.level, modulated.blocks, modulated.final
        latent, keys, values = self._calls["denoise"](x, level, blocks, final, *embedded.parts(), *past)
        return Pass(latent, FrameKeys(keys, values))

    def displacement(self, action: Tensor, position: Tensor, yaw: Tensor) -> Tensor:
        return self._calls["displacement"](action, position, yaw)[0]


class Embed(nn.Module):
    """Generator.embed from tensors to tensors, in the order of Condition and of Embedded.parts()."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, action: Tensor, look: Tensor, position: Tensor, posed: Tensor) -> tuple[Tensor, ...]:
        return self.generator.embed(Condition(action, look, position, posed)).parts()


class Modulate(nn.Module):
    """Generator.modulate from tensors to tensors: of blocks, and final."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, vector: Tensor, level: Tensor) -> tuple[Tensor, ...]:
        made = self.generator.modulate(vector, level)
        return made.blocks, made.final


class Displacement(nn.Module):
    """Generator.displacement."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, action: Tensor, position: Tensor, yaw: Tensor) -> tuple[Tensor, ...]:
        return (self.generator.displacement(action, position, yaw),)


class Denoise(nn.Module):
    """Generator.denoise over an assembled context from tensors to tensors: latent, keys, values."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(
        self, x: Tensor, level: Tensor, blocks: Tensor, final: Tensor, vector: Tensor, tokens: Tensor, cos: Tensor,
        sin: Tensor, guess: Tensor, spread: Tensor, keys: Tensor, values: Tensor,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        embedded = Embedded(vector, tokens, cos, sin, guess, spread)
        made = self.generator.denoise(x, Modulated(level, blocks, final), embedded, (keys, values))
        return made.latent, made.keys.keys, made.keys.values


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
        embedded = generator.embed(condition)
        level = torch.full((1,), 0.5)
        modulated = generator.modulate(embedded.vector, level)
        head = config.width // config.heads
        kind = next(generator.blocks.parameters()).dtype
        past = torch.randn(2, config.depth, 1, config.heads, (config.window + config.sink) * tokens, head).to(kind)
    x = torch.randn(1, tokens, shape.channels)
    return {
        "embed": (Embed(generator), (condition.action, condition.look, condition.position, condition.posed)),
        "modulate": (Modulate(generator), (embedded.vector.repeat(steps + 1, 1), torch.ones(steps + 1))),
        "displacement": (Displacement(generator), (condition.action, condition.position, condition.look[:, 0])),
        "denoise": (
            Denoise(generator),
            (x, level, modulated.blocks, modulated.final, *embedded.parts(), *past.unbind()),
        ),
        "decode": (Decode(codec, generator), (x,)),
    }
