"""Pictures in [-1, 1], channels first, to bytes, channels last: round((x + 1) * 127.5), halves to even, clamped.

The fused kernel reads and writes each number once and gives the very bytes of the reference.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from worldsim.kernels._triton import fused, lazily, power_of_two

_LONGEST = 1024  # bytes of a program


def to_uint8_reference(frame: Tensor) -> Tensor:
    """float (..., 3, H, W) in [-1, 1] -> uint8 (..., H, W, 3), contiguous."""
    # Not in place: back ends that trace the decoder cannot follow that.
    pixels = frame.float().add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return pixels.movedim(-3, -1).contiguous()


def to_uint8(frame: Tensor) -> Tensor:
    """The same, fused where it can be."""
    return (to_uint8_triton if fused(frame) else to_uint8_reference)(frame)


def to_uint8_triton(frame: Tensor) -> Tensor:
    """The Triton kernel, shapes as of the reference; reads any memory format where it lies. A program a stretch of one
    line of a picture."""
    channels, height, width = frame.shape[-3:]
    out = torch.empty(*frame.shape[:-3], height, width, channels, dtype=torch.uint8, device=frame.device)
    flat = frame.reshape(-1, channels, height, width)
    block = min(power_of_two(width * channels), _LONGEST)
    _kernel()[(len(flat) * height, -(-width * channels // block))](
        flat, out, height, width, *flat.stride(), CHANNELS=channels, BLOCK=block
    )  # fmt: skip
    return out


@lazily
def _kernel(triton: Any, tl: Any) -> Any:
    @triton.jit
    def kernel(
        x_ptr, out_ptr, height, width, frame_stride, channel_stride, row_stride, column_stride,
        CHANNELS: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        line = tl.program_id(0).to(tl.int64)
        at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
        inside = at < width * CHANNELS
        place = line // height * frame_stride + line % height * row_stride
        place += at % CHANNELS * channel_stride + at // CHANNELS * column_stride
        x = tl.load(x_ptr + place, mask=inside, other=0.0).to(tl.float32)
        y = tl.minimum(tl.maximum((x + 1.0) * 127.5, 0.0), 255.0)
        # Halves to even, as torch rounds, in comparisons alone: nothing for a compiler to contract into another number.
        whole = tl.floor(y)
        odd = tl.floor(whole * 0.5) != whole * 0.5
        y = tl.where((y > whole + 0.5) | ((y == whole + 0.5) & odd), whole + 1.0, whole)
        tl.store(out_ptr + line * width * CHANNELS + at, y.to(tl.int32).to(tl.uint8), mask=inside)

    return kernel
