"""Checks of the kernels that need Triton, for processes of their own: test_kernels starts this file.

    triton_checks.py interpret        every kernel in the interpreter, in poisoned memory (TRITON_INTERPRET=1)
    triton_checks.py compile 90       every kernel to machine code of sm_90, without a GPU

Prints {name: [what is wrong, ...]} as JSON.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import replace

import torch

from worldsim.kernels import _triton
from worldsim.kernels.bench import LARGE, ODD, TOLERANCE, cases, fault
from worldsim.kernels.rms_modulate import rms_modulate_reference, rms_modulate_triton
from worldsim.kernels.to_uint8 import to_uint8_reference, to_uint8_triton

GUARD = 4096  # numbers on either side: more than a block, so that no slip ends the process
SHARED = 99 * 1024  # bytes a program may have on the smallest of the Ampere GPUs and all since
real_empty = torch.empty


def poison(dtype):
    return float("nan") if dtype.is_floating_point else 77


def poisoned(value):
    """The same tensor, strides and all, in the middle of memory that no kernel may let into its result."""
    if isinstance(value, tuple):
        return tuple(poisoned(v) for v in value)
    if not isinstance(value, torch.Tensor):
        return value
    span = 1 + sum((size - 1) * stride for size, stride in zip(value.shape, value.stride(), strict=True))
    memory = torch.full((span + 2 * GUARD,), poison(value.dtype), dtype=value.dtype)
    return memory.as_strided(value.shape, value.stride(), GUARD).copy_(value)


@contextmanager
def guarded_outputs(wrong: list[str]):
    """torch.empty gives poison between guards; afterwards the guards must be as they were."""
    made = []

    def empty(*shape, dtype, device):
        shape = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        count = torch.Size(shape).numel()
        memory = torch.full((count + 2 * GUARD,), poison(dtype), dtype=dtype, device=device)
        made.append((memory, count))
        return memory[GUARD : GUARD + count].view(shape)

    torch.empty = empty
    try:
        yield
    finally:
        torch.empty = real_empty
    if not made:
        wrong.append("made no output where the guards are")
    for memory, count in made:
        guards = torch.cat([memory[:GUARD], memory[GUARD + count :]])
        if not (guards.isnan() if guards.is_floating_point() else guards == 77).all():
            wrong.append("wrote outside its output")


def interpret():
    wrong = defaultdict(list)
    for sizes in ODD:
        for dtype in TOLERANCE:
            for case in cases(sizes, dtype):
                found = wrong[case.name]
                with guarded_outputs(found):
                    said = fault(replace(case, args=poisoned(case.args)), sizes, dtype)
                found += [said] if said else []
    for dtype, tolerance in TOLERANCE.items():
        x, scale, shift = torch.randn(3, 5, 7, 33).to(dtype).unbind()
        truth = rms_modulate_reference(x.float(), scale.float(), shift.float())
        if not torch.allclose(rms_modulate_triton(x, scale, shift).float(), truth, atol=tolerance, rtol=tolerance):
            wrong["rms_modulate"].append(f"scales of every token, {dtype}")
        x = torch.randn(33, 7, 5).to(dtype).permute(2, 1, 0)  # dense, yet not in order
        made, truth = rms_modulate_triton(x, scale, shift[:, :1]), rms_modulate_reference(x, scale, shift[:, :1])
        if not torch.allclose(made.float(), truth.float(), atol=2 * tolerance, rtol=2 * tolerance):
            wrong["rms_modulate"].append(f"numbers out of order, {dtype}")
        halves = (torch.arange(-6, 522) / 2 / 127.5 - 1).to(dtype)  # every byte and every half between
        if dtype == torch.float32:
            halves = torch.cat([halves, *(torch.nextafter(halves, torch.tensor(way)) for way in (-9.0, 9.0))])
        special = torch.tensor([float("inf"), -float("inf"), 1e30, -1e30, -0.0, 1e-30]).to(dtype)
        picture = torch.cat([halves, special]).view(1, 3, -1, 2)
        for form in (picture, picture.contiguous(memory_format=torch.channels_last), picture[0]):
            if not torch.equal(to_uint8_triton(form), to_uint8_reference(form)):
                wrong["to_uint8"].append(f"bytes at halves and beyond the range, {dtype}, strides {form.stride()}")
    return wrong


def compile_for(capability: int):
    """Every kernel through Triton's compiler and the assembler, by a driver that knows a GPU and has none."""
    import triton
    import triton.language as tl
    from triton.backends.compiler import GPUTarget
    from triton.runtime import driver
    from triton.runtime.jit import JITFunction

    class Absent:
        def get_current_target(self):
            return GPUTarget("cuda", capability, 32)

        def get_current_device(self):
            return 0

        def get_current_stream(self, device):
            return 0

    driver.set_active(Absent())
    made = []
    run = JITFunction.run

    def compile_only(self, *args, grid, warmup, **options):
        made.append(run(self, *args, grid=grid, warmup=True, **options))

    JITFunction.run = compile_only
    _triton.modules = lambda: (triton, tl)
    wrong = defaultdict(list)
    for sizes in (LARGE, ODD[0]):
        for dtype in (torch.float32, torch.bfloat16) if sizes is not ODD[0] else (torch.float16,):
            for case in cases(sizes, dtype):
                made.clear()
                found = wrong[case.name]
                try:
                    case.fused(*case.args)
                except Exception as problem:
                    found.append(f"{sizes.name}, {dtype}: {problem}")
                    continue
                if not made or not all(kernel.asm["cubin"] for kernel in made):
                    found.append(f"{sizes.name}, {dtype}: no machine code")
                if any(kernel.metadata.shared > SHARED for kernel in made):
                    found.append(f"{sizes.name}, {dtype}: needs more shared memory than some GPUs have")
    return wrong


if __name__ == "__main__":
    torch.manual_seed(0)
    with torch.no_grad():
        print(json.dumps(interpret() if sys.argv[1] == "interpret" else compile_for(int(sys.argv[2]))))
