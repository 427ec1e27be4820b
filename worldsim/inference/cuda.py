"""CUDA: every part of a tick captured once as a CUDA graph and replayed, since launching its many small kernels one by
one takes longer than they do.

Wide generators run their blocks in bfloat16; where small differences add up (place memory, odometry, what enters and
leaves the network) it stays float32.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from worldsim.errors import ConfigError
from worldsim.inference.adapter import Accelerated, Call, Example, is_batch_invariant, parts
from worldsim.inference.network import Networks, eager
from worldsim.kernels._triton import asked_for
from worldsim.model.codec import Codec
from worldsim.model.generator import Generator
from worldsim.model.sizes import WIDE

_WARM_UP = 3
_BRANCHES = 4  # frames made in one go, of a generator too narrow to fill a GPU with one


def build(codec: Codec, generator: Generator, steps: int, graphs: bool = True) -> Networks:
    """Move the networks to the GPU and capture their parts; without `graphs` plain torch there. Raises ConfigError
    without a GPU."""
    if not torch.cuda.is_available():
        raise ConfigError("--device cuda needs an NVIDIA GPU that torch can use, and there is none; use --device cpu")
    codec, generator = codec.to("cuda"), generator.to("cuda")
    name = "cuda"
    if generator.config.width >= WIDE:
        generator.blocks.to(torch.bfloat16)
        name = "cuda bfloat16"
    if asked_for():
        name += " fused"
    if not graphs:
        return replace(eager(codec, generator), backend=name)
    branches = 1 if generator.config.width >= WIDE else _BRANCHES  # one frame of a wide one fills a GPU
    networks = _graphs(codec, generator, steps, name, branches)
    if branches > 1 and not is_batch_invariant(networks, steps):
        return _graphs(codec, generator, steps, name, 1)
    return networks


def _graphs(codec: Codec, generator: Generator, steps: int, name: str, branches: int) -> Networks:
    packing, modules = parts(codec, generator, steps, branches)
    calls: dict[str, Call] = {part: _captured(module, example) for part, (module, example) in modules.items()}
    network = Accelerated(generator, packing, calls, steps, branches)
    several = f" of {branches}" if branches > 1 else ""
    return Networks(codec, generator, network, network.decode, f"{name} graphs{several}", branches)


def _captured(module: nn.Module, example: Example) -> Call:
    """The module as a graph over inputs and outputs at fixed places; what comes out is copied from there."""
    inputs = tuple(t.clone() for t in example)
    with torch.inference_mode():
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):  # libraries set themselves up, Triton compiles: not within a capture
            for _ in range(_WARM_UP):
                module(*inputs)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = tuple(module(*inputs))

    def call(*given: Tensor) -> tuple[Tensor, ...]:
        with torch.inference_mode():
            for place, value in zip(inputs, given, strict=True):
                place.copy_(value)
            graph.replay()
            return tuple(made.clone() for made in outputs)

    return call
