"""QK-norm and rotary positions: each query and key at unit RMS times a learned scale, then its pairs turned.

Sources: Henry et al. 2020 and Dehghani et al. 2023 (ViT-22B), norms of queries and keys; Su et al. 2021 (RoFormer,
eq. 34), rotation. A head's width is laid out as [time a | time b | space a | space b | rest]; the pair (a, b) turns by
one angle, a' = a cos - b sin, b' = a sin + b cos. Space is azimuth, then elevation, one stretch of pairs. Time tables
are optional: keys are kept unturned in time, and turned by slot when a context is put together.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from worldsim.kernels._triton import fused, lazily, power_of_two
from worldsim.kernels.rms_modulate import EPS, unit_rms

Tables = tuple[Tensor, Tensor]  # cosines and sines


def rotate_pairs(x: Tensor, cos: Tensor, sin: Tensor, start: int) -> Tensor:
    """Turn x (..., d) by tables broadcastable to (..., pairs): a at columns start, b at start + pairs."""
    pairs = cos.shape[-1]
    a, b, rest = x[..., start : start + pairs], x[..., start + pairs : start + 2 * pairs], x[..., start + 2 * pairs :]
    turned = [a * cos - b * sin, a * sin + b * cos, rest]
    return torch.cat([x[..., :start], *turned] if start else turned, dim=-1)


def qk_norm_rotary_reference(
    q: Tensor, k: Tensor, query_scale: Tensor, key_scale: Tensor, space: Tables, time_pairs: int,
    time: Tables | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """q and k (F, heads, N, d), scales (d,), space tables broadcastable to (F, 1, N, space pairs), time tables to
    (F, 1, N, time_pairs). Returns q and k of the same shapes and dtype."""
    both = torch.stack([q, k])  # queries and keys take the same steps: half the calls
    scales = torch.stack([query_scale, key_scale]).to(q.dtype)[:, None, None, None]
    both = rotate_pairs(unit_rms(both) * scales, space[0].to(q.dtype), space[1].to(q.dtype), 2 * time_pairs)
    if time is not None:
        both = rotate_pairs(both, time[0].to(q.dtype), time[1].to(q.dtype), 0)
    return both[0], both[1]


def qk_norm_rotary(
    q: Tensor, k: Tensor, query_scale: Tensor, key_scale: Tensor, space: Tables, time_pairs: int,
    time: Tables | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The same, fused where it can be."""
    chosen = qk_norm_rotary_triton if fused(q) else qk_norm_rotary_reference
    return chosen(q, k, query_scale, key_scale, space, time_pairs, time)


def qk_norm_rotary_triton(
    q: Tensor, k: Tensor, query_scale: Tensor, key_scale: Tensor, space: Tables, time_pairs: int,
    time: Tables | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The Triton kernel, shapes as of the reference. A program a token: all its heads share the tables it reads.

    q and k may be views into one projection's output: they are read where they lie if a head's numbers are adjacent.
    """
    frames, heads, tokens, width = q.shape
    if q.stride() != k.stride() or q.stride(-1) != 1:
        q, k = q.contiguous(), k.contiguous()
    out = torch.empty(2, *q.shape, dtype=q.dtype, device=q.device)
    space_cos, space_sin = (_full(t, frames, tokens) for t in space)
    time_cos, time_sin = (space_cos, space_sin) if time is None else (_full(t, frames, tokens) for t in time)
    _kernel()[(frames * tokens,)](
        q, k, query_scale.contiguous(), key_scale.contiguous(), space_cos, space_sin, time_cos, time_sin, out,
        out.stride(0), heads, tokens, width, time_pairs, space_cos.shape[-1], EPS, *q.stride()[:3],
        HAS_TIME=time is not None, HEADS=power_of_two(heads, 1), BLOCK=power_of_two(width),
    )  # fmt: skip
    return out[0], out[1]


def _full(table: Tensor, frames: int, tokens: int) -> Tensor:
    """A table broadcast to (F, 1, N, pairs) and laid out so: small beside q, and the kernel needs no strides of it."""
    return table.expand(frames, 1, tokens, table.shape[-1]).contiguous()


@lazily
def _kernel(triton: Any, tl: Any) -> Any:
    @triton.jit
    def kernel(
        q_ptr, k_ptr, query_scale_ptr, key_scale_ptr, space_cos_ptr, space_sin_ptr, time_cos_ptr, time_sin_ptr, out_ptr,
        out_half, heads, tokens, width, time_pairs, space_pairs, eps, frame_stride, head_stride, token_stride,
        HAS_TIME: tl.constexpr, HEADS: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        row = tl.program_id(0).to(tl.int64)
        frame, token = row // tokens, row % tokens
        head, column = tl.arange(0, HEADS)[:, None], tl.arange(0, BLOCK)
        # Of every column: the other of its pair, and the tables' entry.
        place = column - 2 * time_pairs
        is_a, is_b = (place >= 0) & (place < space_pairs), (place >= space_pairs) & (place < 2 * space_pairs)
        turned = is_a | is_b
        partner = tl.where(is_a, column + space_pairs, tl.where(is_b, column - space_pairs, column))
        entry = row * space_pairs + tl.where(is_a, place, place - space_pairs)
        cos = tl.load(space_cos_ptr + entry, mask=turned, other=1.0).to(tl.float32)
        sin = tl.load(space_sin_ptr + entry, mask=turned, other=0.0).to(tl.float32)
        if HAS_TIME:
            time_a, time_b = column < time_pairs, (column >= time_pairs) & (column < 2 * time_pairs)
            timed = time_a | time_b
            partner = tl.where(time_a, column + time_pairs, tl.where(time_b, column - time_pairs, partner))
            entry = row * time_pairs + tl.where(time_a, column, column - time_pairs)
            cos = tl.where(timed, tl.load(time_cos_ptr + entry, mask=timed, other=1.0).to(tl.float32), cos)
            sin = tl.where(timed, tl.load(time_sin_ptr + entry, mask=timed, other=0.0).to(tl.float32), sin)
            is_a, turned = is_a | time_a, turned | timed
        sin = tl.where(is_a, -sin, sin)
        inside = (head < heads) & (column < width)[None, :]
        start = frame * frame_stride + token * token_stride + head * head_stride
        made = ((frame * heads + head) * tokens + token) * width + column[None, :]
        for which in tl.static_range(2):
            if which == 0:
                x_ptr, scale_ptr = q_ptr, query_scale_ptr
            else:
                x_ptr, scale_ptr = k_ptr, key_scale_ptr
            x = tl.load(x_ptr + start + column[None, :], mask=inside, other=0.0).to(tl.float32)
            # The pair's other half comes from memory again, from cache: registers cannot be permuted across columns.
            other = tl.load(x_ptr + start + partner[None, :], mask=inside & turned[None, :], other=0.0).to(tl.float32)
            scale = tl.load(scale_ptr + column, mask=column < width, other=0.0).to(tl.float32)
            other_scale = tl.load(scale_ptr + partner, mask=turned, other=0.0).to(tl.float32)
            inverse = 1.0 / tl.sqrt(tl.sum(x * x, axis=1) / width + eps)
            y = (x * (scale * cos)[None, :] + other * (other_scale * sin)[None, :]) * inverse[:, None]
            tl.store(out_ptr + which * out_half + made, y.to(out_ptr.dtype.element_ty), mask=inside)

    return kernel
