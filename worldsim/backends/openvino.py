"""OpenVINO: the networks traced once, then run by Intel's CPU runtime in float32. About twice as fast as plain torch,
and its threads do not spin, so it shares the machine with the window that draws.

What was converted is kept in the cache folder, named after the weights and all versions that shaped it.
"""

from __future__ import annotations

import hashlib
import os
import sys
import warnings
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from worldsim.backends.accelerated import Accelerated, Call, Example, parts
from worldsim.errors import ConfigError
from worldsim.machine import cache_folder
from worldsim.model.codec import Codec
from worldsim.model.generator import Generator
from worldsim.model.networks import Networks

_LAYOUT = 1  # counts changes to what is traced


def installed() -> bool:
    return find_spec("openvino") is not None


def build(codec: Codec, generator: Generator, threads: int) -> Networks:
    """Convert, or take from the cache, and compile for so many threads. Raises ConfigError without OpenVINO."""
    if not installed():
        raise ConfigError("--backend openvino needs OpenVINO; pip install 'worldsim[openvino]' or choose another")
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # conversion would report to its maker
    import openvino as ov

    core = ov.Core()
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 where the processor has it, and other frames than elsewhere
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": str(threads),
        "ENABLE_CPU_PINNING": False,
    }
    folder = cache_folder() / "openvino"
    mark = _mark(codec, generator)
    calls: dict[str, Call] = {}
    for name, (module, example) in parts(codec, generator).items():
        model = _converted(ov, folder / f"{mark}-{name}.xml", module, example)
        calls[name] = _call(core.compile_model(model, "CPU", settings))
    network = Accelerated(generator, calls["embed"], calls["denoise"])
    name = f"openvino {version('openvino')}"
    return Networks(codec, generator, network, lambda tokens: calls["decode"](tokens)[0], name)


def _converted(ov: Any, path: Path, module: nn.Module, example: Example) -> Any:
    """The model kept at `path`; if there is none, or it cannot be read, traced now and kept if the folder allows."""
    if path.exists():
        try:
            return ov.Core().read_model(path)
        except RuntimeError:
            path.unlink()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # every shape is meant to be fixed
        warnings.simplefilter("ignore", DeprecationWarning)
        traced = torch.jit.trace(module.eval(), example, check_trace=False)
    model = ov.convert_model(traced, example_input=example, input=[tuple(e.shape) for e in example])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{os.getpid()}-{path.name}")
        ov.save_model(model, part, compress_to_fp16=False)
        part.with_suffix(".bin").replace(path.with_suffix(".bin"))
        part.replace(path)  # last: where there is an .xml, it is whole
    except (OSError, RuntimeError):
        pass  # a cache that cannot be written costs seconds at the next start, no more
    return model


def _call(compiled: Any) -> Call:
    request = compiled.create_infer_request()
    outputs = list(compiled.outputs)

    def call(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = request.infer([np.ascontiguousarray(t.numpy()) for t in inputs], share_inputs=True)
        return tuple(torch.from_numpy(found[o]) for o in outputs)

    return call


def _mark(codec: Codec, generator: Generator) -> str:
    """Names weights, sizes and versions."""
    about = f"{_LAYOUT} {version('openvino')} {torch.__version__} {codec.config} {generator.config} {generator.shape}"
    hasher = hashlib.sha256(about.encode())
    for module in (codec, generator):
        for name, tensor in module.state_dict().items():
            hasher.update(name.encode())
            hasher.update(tensor.detach().contiguous().numpy().tobytes())
    return hasher.hexdigest()[:24]
