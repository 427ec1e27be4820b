"""A generator whose two large functions another back end runs; the small ones stay in torch."""

from __future__ import annotations

from collections.abc import Callable

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

    def __init__(self, generator: Generator, embed: Call, denoise: Call) -> None:
        """embed and denoise: what `Embed` and `Denoise` compute, tensors in, tensors out."""
        self._generator, self._embed, self._denoise = generator, embed, denoise
        self.config, self.shape, self.split = generator.config, generator.shape, generator.split
        self.modulate, self.displacement = generator.modulate, generator.displacement

    def embed(self, condition: Condition) -> Embedded:
        return Embedded(*self._embed(condition.action, condition.look, condition.position, condition.posed))

    def denoise(self, x: Tensor, modulated: Modulated, embedded: Embedded, past: Past | None) -> Pass:
        if past is None:
            return self._generator.denoise(x, modulated, embedded, None)
        level, blocks, final = modulated.level, modulated.blocks, modulated.final
        latent, keys, values = self._denoise(x, level, blocks, final, *embedded.parts(), *past)
        return Pass(latent, FrameKeys(keys, values))


class Embed(nn.Module):
    """Generator.embed from tensors to tensors, in the order of Condition and of Embedded.parts()."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, action: Tensor, look: Tensor, position: Tensor, posed: Tensor) -> tuple[Tensor, ...]:
        return self.generator.embed(Condition(action, look, position, posed)).parts()


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


def parts(codec: Codec, generator: Generator) -> dict[str, tuple[nn.Module, Example]]:
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
        past = torch.randn(2, config.depth, 1, config.heads, (config.window + config.sink) * tokens, head)
    x = torch.randn(1, tokens, shape.channels)
    return {
        "embed": (Embed(generator), (condition.action, condition.look, condition.position, condition.posed)),
        "denoise": (
            Denoise(generator),
            (x, level, modulated.blocks, modulated.final, *embedded.parts(), *past.unbind()),
        ),
        "decode": (Decode(codec, generator), (x,)),
    }
