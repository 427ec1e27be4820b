"""Check every fused kernel against its reference, then time both: `python -m worldsim.kernels.bench [--json]`.

A kernel that is wrong is never timed; the exit code is then 1. Timing needs a CUDA device; without one the kernels are
checked in Triton's interpreter, at small sizes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from worldsim.kernels import qk_norm_rotary, rms_modulate, swiglu, to_uint8
from worldsim.kernels._triton import interpreted, modules

# Largest |made - truth| / (1 + |truth|) against the reference in float32: a few roundings of the stored type.
TOLERANCE = {torch.float32: 2e-5, torch.float16: 4e-3, torch.bfloat16: 2e-2}
DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in TOLERANCE}


@dataclass(frozen=True)
class Sizes:
    """Of a model: frames at once, tokens a frame, width, heads, feed-forward, picture."""

    name: str
    frames: int
    tokens: int
    width: int
    heads: int
    hidden: int
    picture: tuple[int, int]


DEFAULT = Sizes("default", 1, 60, 128, 4, 256, (96, 160))
LARGE = Sizes("large", 1, 336, 1024, 16, 2816, (224, 384))
ODD = (  # nothing a multiple of a block; heads of 16, 64 and 32
    Sizes("odd", 2, 7, 48, 3, 33, (5, 9)),
    Sizes("odd wide", 1, 45, 128, 2, 1100, (3, 700)),
    Sizes("odd small", 3, 1, 32, 1, 1, (1, 1)),
)


@dataclass(frozen=True)
class Case:
    """One kernel at one size: reference and fused take the same args."""

    name: str
    reference: Callable[..., Any]
    fused: Callable[..., Any]
    args: tuple[Any, ...]


def cases(sizes: Sizes, dtype: torch.dtype, device: str = "cpu") -> list[Case]:
    """Every kernel at the shapes it has in such a model."""
    generator = torch.Generator(device).manual_seed(0)

    def normal(*shape: int, kind: torch.dtype = dtype) -> Tensor:
        return torch.randn(shape, generator=generator, device=device).to(kind)

    frames, tokens, width, heads = sizes.frames, sizes.tokens, sizes.width, sizes.heads
    d = width // heads
    time_pairs, space_pairs = d // 8, 5 * d // 16
    x = normal(frames, tokens, width)
    q, k, _ = normal(frames, tokens, 3, heads, d).permute(2, 0, 3, 1, 4)  # views into one projection
    scales = 1 + 0.1 * normal(d), 1 + 0.1 * normal(d)
    space = _tables(normal(frames, 1, tokens, space_pairs, kind=torch.float32))
    time = _tables(normal(frames, 1, 1, time_pairs, kind=torch.float32))
    return [
        Case(
            "rms_modulate", rms_modulate.rms_modulate_reference, rms_modulate.rms_modulate_triton,
            (x, normal(frames, 1, width), normal(frames, 1, width)),
        ),
        Case(
            "qk_norm_rotary", qk_norm_rotary.qk_norm_rotary_reference, qk_norm_rotary.qk_norm_rotary_triton,
            (q, k, *scales, space, time_pairs),
        ),
        Case(
            "qk_norm_rotary, time", qk_norm_rotary.qk_norm_rotary_reference, qk_norm_rotary.qk_norm_rotary_triton,
            (q, k, *scales, space, time_pairs, time),
        ),
        Case(
            "swiglu", swiglu.swiglu_reference, swiglu.swiglu_triton,
            (normal(frames, tokens, 2 * sizes.hidden),),
        ),
        Case(
            "to_uint8", to_uint8.to_uint8_reference, to_uint8.to_uint8_triton,
            (1.2 * normal(frames, 3, *sizes.picture),),
        ),
    ]  # fmt: skip


def _tables(angles: Tensor) -> tuple[Tensor, Tensor]:
    return angles.cos(), angles.sin()


def error(case: Case) -> float:
    """Largest |made - truth| / (1 + |truth|), truth being the reference on float32 copies; bytes must be equal."""
    truth = _outputs(case.reference(*_float32(case.args)))
    worst = 0.0
    for made, true in zip(_outputs(case.fused(*case.args)), truth, strict=True):
        if made.shape != true.shape or (true.dtype == torch.uint8 and not torch.equal(made, true)):
            return float("inf")
        off = ((made.double() - true.double()).abs() / (1 + true.double().abs())).max().item()
        worst = max(worst, off if off == off else float("inf"))  # NaN is as wrong as can be
    return worst


def fault(case: Case, sizes: Sizes, dtype: torch.dtype) -> str | None:
    """What is wrong with a kernel, in a sentence, or None."""
    try:
        off = error(case)
    except Exception as problem:  # of a compiler, a driver or a launch: whatever it is, this kernel is not to be timed
        return f"{case.name} does not run at sizes '{sizes.name}' in {dtype}: {problem}"
    if off <= TOLERANCE[dtype]:
        return None
    return f"{case.name} is wrong at sizes '{sizes.name}' in {dtype}: error {off:.2g}, allowed {TOLERANCE[dtype]:.2g}"


def times(case: Case) -> dict[str, float | None]:
    """Median milliseconds a call on the GPU, its L2 cache cleared before each."""
    compiled = torch.compile(case.reference, dynamic=False)
    return {
        "eager_ms": _median(lambda: case.reference(*case.args)),
        "compiled_ms": _median(lambda: compiled(*case.args)),
        "triton_ms": _median(lambda: case.fused(*case.args)),
    }


def _median(call: Callable[[], Any]) -> float | None:
    import triton.testing

    try:
        return triton.testing.do_bench(call, return_mode="median")
    except Exception as problem:  # torch.compile may fail on a machine where all else works
        print(f"not timed: {problem}", file=sys.stderr)
        return None


def _outputs(made: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return made if isinstance(made, tuple) else (made,)


def _float32(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_float32(v) for v in value)
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m worldsim.kernels.bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--dtype", choices=DTYPES, help="default: bfloat16 to time, all three to check")
    options = parser.parse_args(argv)
    timed = torch.cuda.is_available() and not interpreted()
    if not timed:
        os.environ["TRITON_INTERPRET"] = "1"
    if modules() is None:
        print("error: Triton is not installed, so there is nothing to check: pip install 'worldsim[triton]'",
              file=sys.stderr)  # fmt: skip
        return 1
    note = "" if timed else "Timing needs a CUDA device; the kernels are only checked, in Triton's interpreter."
    if note and not options.json:
        print(note)
    dtypes = [DTYPES[options.dtype]] if options.dtype else [torch.bfloat16] if timed else list(DTYPES.values())
    results, faults = [], []
    with torch.no_grad():
        for sizes in (DEFAULT, LARGE) if timed else ODD:
            for dtype in dtypes:
                for case in cases(sizes, dtype, "cuda" if timed else "cpu"):
                    wrong = fault(case, sizes, dtype)
                    result: dict[str, Any] = {
                        "kernel": case.name, "sizes": sizes.name, "dtype": str(dtype).removeprefix("torch."),
                        "correct": wrong is None,
                    }  # fmt: skip
                    if wrong:
                        faults.append(wrong + (" It is not timed." if timed else ""))
                    elif timed:
                        result |= times(case)
                    results.append(result)
                    if not options.json:
                        print(_line(result))
    if options.json:
        device = torch.cuda.get_device_name() if timed else None
        print(json.dumps({"device": device, "torch": torch.__version__, "note": note, "faults": faults,
                          "results": results}))  # fmt: skip
    for sentence in faults:
        print(f"error: {sentence}", file=sys.stderr)
    return 1 if faults else 0


def _line(result: dict[str, Any]) -> str:
    head = f"{result['kernel']:22} {result['sizes']:10} {result['dtype']:9}" + ("" if result["correct"] else "WRONG")
    columns = [
        f"{key.removesuffix('_ms')} {'-' if value is None else f'{1000 * value:.1f} us'}"
        for key, value in result.items()
        if key.endswith("_ms")
    ]
    return "  ".join([head + ("correct" if result["correct"] else ""), *columns])


if __name__ == "__main__":
    sys.exit(main())
