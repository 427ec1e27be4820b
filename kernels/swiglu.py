"""The gate of a SwiGLU feed-forward: silu(gate) * up, both halves of one projection's output.

Source: Shazeer 2020, eq. 6. The fused kernel reads each half once and writes no silu(gate) in between.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from worldsim.kernels._triton import fused, lazily, power_of_two

_LONGEST = 1024  # columns of a program


def swiglu_reference(gate_and_up: Tensor) -> Tensor:
    """(..., 2 * hidden), the gates first -> (..., hidden)."""
    gate, up = gate_and_up.chunk(2, dim=-1)
    return F.silu(gate) * up


def swiglu(gate_and_up: Tensor) -> Tensor:
    """The same, fused where it can be."""
    return (swiglu_triton if fused(gate_and_up) else swiglu_reference)(gate_and_up)


def swiglu_triton(gate_and_up: Tensor) -> Tensor:
    """The Triton kernel, shapes as of the reference. A program a stretch of a row."""
    hidden = gate_and_up.shape[-1] // 2
    if gate_and_up.shape[-1] != 2 * hidden:
        raise ValueError(f"an even width expected, got {gate_and_up.shape[-1]}")
    out = torch.empty(*gate_and_up.shape[:-1], hidden, dtype=gate_and_up.dtype, device=gate_and_up.device)
    block = min(power_of_two(hidden), _LONGEST)
    _kernel()[(out.numel() // hidden, -(-hidden // block))](gate_and_up.contiguous(), out, hidden, BLOCK=block)
    return out


@lazily
def _kernel(triton: Any, tl: Any) -> Any:
    @triton.jit
    def kernel(x_ptr, out_ptr, hidden, BLOCK: tl.constexpr):
        row = tl.program_id(0).to(tl.int64)
        column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
        inside = column < hidden
        gate = tl.load(x_ptr + row * 2 * hidden + column, mask=inside, other=0.0).to(tl.float32)
        up = tl.load(x_ptr + row * 2 * hidden + hidden + column, mask=inside, other=0.0).to(tl.float32)
        y = gate / (1.0 + tl.exp(-gate)) * up
        tl.store(out_ptr + row * hidden + column, y.to(out_ptr.dtype.element_ty), mask=inside)

    return kernel
