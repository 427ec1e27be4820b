"""RMS normalisation followed by adaLN modulation: y = x / rms(x) * (1 + scale) + shift.

Reference: Zhang & Sennrich 2019 (RMSNorm), Peebles & Xie 2023 (adaLN, eq. of figure 3). The fused kernel reads `x`
once; it is used for inference on CUDA where it is asked for, the reference everywhere else.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from worldsim.kernels._triton import fused, lazily, power_of_two

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
    return (rms_modulate_triton if fused(x) else rms_modulate_reference)(x, scale, shift)


def rms_modulate_triton(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """The Triton kernel, shapes as of the reference. A program a row of D."""
    tokens, width = x.shape[-2], x.shape[-1]
    sharing = tokens if scale.shape[-2] == shift.shape[-2] == 1 else 1  # rows that share a scale and a shift
    modulated = (*x.shape[:-2], tokens // sharing, width)
    scale, shift = (t.expand(modulated).contiguous() for t in (scale, shift))
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)  # of x.contiguous()'s layout, unlike empty_like
    _kernel()[(x.numel() // width,)](
        x.contiguous(), scale, shift, out, sharing, width, EPS, BLOCK=power_of_two(width)
    )  # fmt: skip
    return out


@lazily
def _kernel(triton: Any, tl: Any) -> Any:
    @triton.jit
    def kernel(x_ptr, scale_ptr, shift_ptr, out_ptr, sharing, width, eps, BLOCK: tl.constexpr):
        row = tl.program_id(0).to(tl.int64)
        column = tl.arange(0, BLOCK)
        inside = column < width
        x = tl.load(x_ptr + row * width + column, mask=inside, other=0.0).to(tl.float32)
        inverse = 1.0 / tl.sqrt(tl.sum(x * x, axis=0) / width + eps)
        place = row // sharing * width + column
        scale = tl.load(scale_ptr + place, mask=inside, other=0.0).to(tl.float32)
        shift = tl.load(shift_ptr + place, mask=inside, other=0.0).to(tl.float32)
        y = x * inverse * (1.0 + scale) + shift
        tl.store(out_ptr + row * width + column, y.to(out_ptr.dtype.element_ty), mask=inside)

    return kernel
