"""RMS normalisation followed by adaLN modulation: y = x / rms(x) * (1 + scale) + shift.

Reference: Zhang & Sennrich 2019 (RMSNorm), Peebles & Xie 2023 (adaLN, eq. of figure 3). The fused kernel reads `x`
once; it is used for inference on CUDA where Triton is installed, the reference everywhere else.
"""

from __future__ import annotations

import math
import os
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

EPS = 1e-6
_NORM_EPS = 1e-6  # of the norm rather than the mean square: the same at any size that matters


def unit_rms(x: Tensor) -> Tensor:
    """x (..., D) over its root mean square. On a CPU a norm and a quotient are a third of the calls of F.rms_norm."""
    if x.is_cuda or torch.is_grad_enabled():
        return F.rms_norm(x, (x.shape[-1],), eps=EPS)
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32 if x.dtype != torch.float64 else None)
    return x * (math.sqrt(x.shape[-1]) / (norm + _NORM_EPS)).to(x.dtype)


def rms_modulate_reference(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """x (..., N, D); scale and shift (..., 1, D) or (..., N, D). Returns x's shape and dtype."""
    return torch.addcmul(shift, unit_rms(x), 1 + scale).to(x.dtype)


def rms_modulate(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """The same, fused where it can be."""
    if x.is_cuda and not torch.is_grad_enabled() and triton_kernel() is not None:
        return rms_modulate_triton(x, scale, shift)
    return rms_modulate_reference(x, scale, shift)


def rms_modulate_triton(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """The Triton kernel. x (..., N, D) contiguous; scale and shift (..., 1, D) of the same leading shape.

    Raises RuntimeError if Triton is missing. Runs on CPU under TRITON_INTERPRET=1, for tests.
    """
    kernel = triton_kernel()
    if kernel is None:
        raise RuntimeError("triton is not installed; pip install 'worldsim[triton]'")
    tokens, width = x.shape[-2], x.shape[-1]
    out = torch.empty_like(x)
    rows = x.numel() // width
    scale, shift = (t.expand(*x.shape[:-2], 1, width).contiguous() for t in (scale, shift))
    block = 1 << max(4, (width - 1).bit_length())
    kernel[(rows,)](x.contiguous(), scale, shift, out, tokens, width, EPS, BLOCK=block)
    return out


@cache
def triton_kernel() -> Any:
    """The compiled kernel, or None without Triton. On CPU it needs TRITON_INTERPRET=1 set before the first call."""
    if not torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1":
        return None
    try:
        import triton
        import triton.language as tl
    except ImportError:
        return None

    @triton.jit
    def kernel(x_ptr, scale_ptr, shift_ptr, out_ptr, tokens, width, eps, BLOCK: tl.constexpr):
        row = tl.program_id(0)
        column = tl.arange(0, BLOCK)
        inside = column < width
        x = tl.load(x_ptr + row * width + column, mask=inside, other=0.0).to(tl.float32)
        inverse = 1.0 / tl.sqrt(tl.sum(x * x, axis=0) / width + eps)
        frame = row // tokens
        scale = tl.load(scale_ptr + frame * width + column, mask=inside, other=0.0).to(tl.float32)
        shift = tl.load(shift_ptr + frame * width + column, mask=inside, other=0.0).to(tl.float32)
        y = x * inverse * (1.0 + scale) + shift
        tl.store(out_ptr + row * width + column, y.to(out_ptr.dtype.element_ty), mask=inside)

    return kernel
