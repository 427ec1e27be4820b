"""OpenVINO: the networks traced once, then run in float32 by Intel's CPU runtime. It takes half to two thirds of plain
torch's time, and its threads do not spin, so it shares the machine with the window that draws.

What was converted is kept in the cache folder, named after the weights and all versions that shaped it.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import warnings
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from worldsim.errors import ConfigError
from worldsim.inference.adapter import Accelerated, Call, Example, parts
from worldsim.inference.network import Networks
from worldsim.model.codec import Codec
from worldsim.model.generator import Generator
from worldsim.runtime import cache_folder

_PACKAGE = Path(__file__).parent.parent
_TRACED = (
    "inference/adapter.py", "inference/network.py", "inference/openvino.py", "camera.py", "diffusion/*.py",
    "kernels/*.py", "model/*.py",
)  # fmt: skip
_KEPT = 8  # sets of models in the cache folder, about 30 MB each


def installed() -> bool:
    """Whether the package is there, and not only a folder that it has left behind."""
    found = find_spec("openvino")
    return found is not None and found.origin is not None


def build(codec: Codec, generator: Generator, steps: int, threads: int) -> Networks:
    """Convert, or take from the cache, and compile for so many threads. Raises ConfigError where that cannot be."""
    if not installed():
        raise ConfigError("--backend openvino needs OpenVINO; pip install 'worldsim[openvino]' or choose another")
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # conversion would report to its maker
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 where the processor has it, and other frames than elsewhere
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": str(threads),
        "ENABLE_CPU_PINNING": False,
    }
    folder = cache_folder() / "openvino"
    mark = _mark(codec, generator, steps)
    packing, modules = parts(codec, generator, steps)
    calls: dict[str, Call] = {}
    try:
        import openvino as ov

        core = ov.Core()
        for name, (module, example) in modules.items():
            model = _converted(ov, folder / f"{mark}-{name}.xml", module, example)
            calls[name] = _call(ov, core.compile_model(model, "CPU", settings))
    except (ImportError, RuntimeError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"OpenVINO does not work here ({reason}); play with --backend eager") from None
    _forget_oldest(folder)
    network = Accelerated(generator, packing, calls, steps)
    name = f"openvino {version('openvino')}"
    return Networks(codec, generator, network, network.decode, name)


def _converted(ov: Any, path: Path, module: nn.Module, example: Example) -> Any:
    """The model kept at `path`; if there is none, or it cannot be read, traced now and kept if the folder allows.

    What was just traced is read back from its file too: a model fresh from conversion is optimised a little differently
    from the same one read, and its frames would differ from those of the next start in the last bits.
    """
    if os.path.isfile(path):  # unlike Path.is_file, False where one may not look
        with suppress(RuntimeError):
            model = ov.Core().read_model(path)
            with suppress(OSError):
                os.utime(path)  # for _forget_oldest
            return model
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # every shape is meant to be fixed
        warnings.simplefilter("ignore", DeprecationWarning)
        traced = torch.jit.trace(module.eval(), example, check_trace=False)
    model = ov.convert_model(traced, example_input=example, input=[tuple(e.shape) for e in example])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _through_file(ov, model, path)
    except (OSError, RuntimeError):  # a cache that cannot be written costs seconds at the next start, no more
        with tempfile.TemporaryDirectory() as folder:
            return _through_file(ov, model, Path(folder) / path.name)


def _through_file(ov: Any, model: Any, path: Path) -> Any:
    """Write a model and read it back. Raises OSError or RuntimeError if it cannot be written."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:  # others may write the same at the same time
        part = Path(folder) / path.name
        ov.save_model(model, part, compress_to_fp16=False)
        part.with_suffix(".bin").replace(path.with_suffix(".bin"))
        part.replace(path)  # last: where there is an .xml, it is whole
    return ov.Core().read_model(path)


def _forget_oldest(folder: Path) -> None:
    """Remove what has gone longest without being used: each version of weights or code has a set of its own."""
    used: dict[str, float] = {}
    with suppress(OSError):
        for path in folder.glob("*.xml"):
            mark = path.name.split("-")[0]
            used[mark] = max(used.get(mark, 0.0), path.stat().st_mtime)
        for mark in sorted(used, key=used.__getitem__)[:-_KEPT]:
            for path in folder.glob(f"{mark}-*"):
                path.unlink(missing_ok=True)


def _call(ov: Any, compiled: Any) -> Call:
    """A compiled model as a function. Inputs stay bound: of those that come again, as a frame's condition does in every
    pass, nothing has to be done."""
    request = compiled.create_infer_request()
    bound: list[tuple[torch.Tensor, torch.Tensor] | None] = [None] * len(compiled.inputs)  # as given, as laid out
    outputs = range(len(compiled.outputs))

    def call(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        for i, given in enumerate(inputs):
            was = bound[i]
            if was is None or was[0] is not given:
                laid_out = given.contiguous()
                request.set_input_tensor(i, ov.Tensor(laid_out.numpy(), shared_memory=True))
                bound[i] = given, laid_out
        request.infer(share_outputs=True)
        return tuple(torch.from_numpy(request.get_output_tensor(i).data.copy()) for i in outputs)

    return call


def _mark(codec: Codec, generator: Generator, steps: int) -> str:
    """Names weights, sizes, versions, and the code that is traced."""
    sizes = f"{codec.config} {generator.config} {generator.shape} {steps}"
    hasher = hashlib.sha256(f"{version('openvino')} {torch.__version__} {sizes}".encode())
    for path in sorted(path for pattern in _TRACED for path in _PACKAGE.glob(pattern)):
        hasher.update(path.read_bytes())
    for module in (codec, generator):
        for name, tensor in module.state_dict().items():
            hasher.update(name.encode())
            hasher.update(tensor.detach().contiguous().numpy().tobytes())
    return hasher.hexdigest()[:24]
