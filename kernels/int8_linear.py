"""A linear layer in 8-bit integers: y = (x8 @ w8.T) * x_scale * w_scale + bias, summed in 32 bits.

Sources: Jacob et al. 2018 (eq. 7 without zero points: both sides symmetric), Dettmers et al. 2022 (LLM.int8, section
2.1, vector-wise scales). Weights get one scale an output channel, made once; activations one a row, made at each call.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from worldsim.kernels._triton import fused, lazily, power_of_two

_LEAST = 1e-12  # of a row's largest number: a row of zeros must not divide by zero


def quantise_rows_reference(x: Tensor) -> tuple[Tensor, Tensor]:
    """x (..., K) -> int8 (..., K) and float32 scales (...): x is about int8 * scale. Weights (out, K) as well."""
    x = x.float()
    scale = x.abs().amax(dim=-1).clamp(min=_LEAST) / 127.0
    return (x / scale.unsqueeze(-1)).round().to(torch.int8), scale


def int8_linear_reference(x: Tensor, weight: Tensor, weight_scale: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (..., K), weight int8 (out, K) with float32 scales (out,), bias (out,) -> (..., out) of x's dtype."""
    rows, row_scale = quantise_rows_reference(x)
    # Doubles hold every 32-bit sum exactly, and CUDA has no plain product of integer matrices.
    sums = torch.matmul(rows.double(), weight.double().T).float()
    y = sums * row_scale.unsqueeze(-1) * weight_scale
    return (y if bias is None else y + bias.float()).to(x.dtype)


def int8_linear(x: Tensor, weight: Tensor, weight_scale: Tensor, bias: Tensor | None = None) -> Tensor:
    """The same, fused where it can be."""
    return (int8_linear_triton if fused(x) else int8_linear_reference)(x, weight, weight_scale, bias)


def quantise_rows_triton(x: Tensor) -> tuple[Tensor, Tensor]:
    """The first Triton kernel: quantise_rows_reference, bit for bit. A program a row."""
    width = x.shape[-1]
    out = torch.empty(x.shape, dtype=torch.int8, device=x.device)
    scale = torch.empty(x.shape[:-1], dtype=torch.float32, device=x.device)
    _quantise()[(x.numel() // width,)](x.contiguous(), out, scale, width, _LEAST, BLOCK=power_of_two(width))
    return out, scale


def int8_linear_triton(x: Tensor, weight: Tensor, weight_scale: Tensor, bias: Tensor | None = None) -> Tensor:
    """Both Triton kernels, shapes as of the reference: quantise the rows, then a program a tile of the product."""
    rows, row_scale = quantise_rows_triton(x)
    outputs, width = weight.shape
    count = row_scale.numel()
    out = torch.empty(*x.shape[:-1], outputs, dtype=x.dtype, device=x.device)
    tile_rows, tile_outputs = (64 if count > 32 else 32), 64
    _product()[(-(-count // tile_rows), -(-outputs // tile_outputs))](
        rows, weight.contiguous(), row_scale, weight_scale.contiguous(), weight_scale if bias is None else bias, out,
        count, outputs, width, HAS_BIAS=bias is not None, ROWS=tile_rows, OUTPUTS=tile_outputs, DEPTH=64, num_warps=4,
    )  # fmt: skip
    return out


@lazily
def _quantise(triton: Any, tl: Any) -> Any:
    @triton.jit
    def kernel(x_ptr, out_ptr, scale_ptr, width, least, BLOCK: tl.constexpr):
        row = tl.program_id(0).to(tl.int64)
        column = tl.arange(0, BLOCK)
        inside = column < width
        x = tl.load(x_ptr + row * width + column, mask=inside, other=0.0).to(tl.float32)
        scale = tl.div_rn(tl.maximum(tl.max(tl.abs(x), axis=0), least), 127.0)  # plain / may be off by an ulp
        y = tl.div_rn(x, scale + tl.zeros_like(x))
        # Halves to even, as torch rounds, in comparisons alone: nothing for a compiler to contract into another number.
        whole = tl.floor(y)
        odd = tl.floor(whole * 0.5) != whole * 0.5
        y = tl.where((y > whole + 0.5) | ((y == whole + 0.5) & odd), whole + 1.0, whole)
        tl.store(out_ptr + row * width + column, y.to(tl.int32).to(tl.int8), mask=inside)
        tl.store(scale_ptr + row, scale)

    return kernel


@lazily
def _product(triton: Any, tl: Any) -> Any:
    @triton.jit
    def kernel(
        x_ptr, weight_ptr, row_scale_ptr, weight_scale_ptr, bias_ptr, out_ptr, count, outputs, width,
        HAS_BIAS: tl.constexpr, ROWS: tl.constexpr, OUTPUTS: tl.constexpr, DEPTH: tl.constexpr,
    ):  # fmt: skip
        row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
        output = tl.program_id(1).to(tl.int64) * OUTPUTS + tl.arange(0, OUTPUTS)
        row_inside, output_inside = row < count, output < outputs
        sums = tl.zeros([ROWS, OUTPUTS], tl.int32)
        for start in range(0, width, DEPTH):
            column = start + tl.arange(0, DEPTH)
            inside = column < width
            x = tl.load(
                x_ptr + row[:, None] * width + column[None, :], mask=row_inside[:, None] & inside[None, :], other=0
            )
            weight = tl.load(
                weight_ptr + output[None, :] * width + column[:, None],
                mask=output_inside[None, :] & inside[:, None],
                other=0,
            )
            sums = tl.dot(x, weight, sums, out_dtype=tl.int32)
        row_scale = tl.load(row_scale_ptr + row, mask=row_inside, other=0.0)
        weight_scale = tl.load(weight_scale_ptr + output, mask=output_inside, other=0.0)
        y = sums.to(tl.float32) * row_scale[:, None] * weight_scale[None, :]
        if HAS_BIAS:
            y += tl.load(bias_ptr + output, mask=output_inside, other=0.0).to(tl.float32)[None, :]
        tl.store(
            out_ptr + row[:, None] * outputs + output[None, :],
            y.to(out_ptr.dtype.element_ty),
            mask=row_inside[:, None] & output_inside[None, :],
        )

    return kernel
