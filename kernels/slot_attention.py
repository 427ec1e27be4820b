"""Attention of one frame's queries over the frames it remembers and itself; keys turned in time as they are read.

A remembered frame keeps its place in the context, its slot, for one tick only: its keys are stored unturned, and
q . R(slot) k is what counts. Turning on read saves the turned copy of the whole context. Sources: Dao et al. 2022
(FlashAttention, algorithm 1), Milakov & Gimelshein 2018 (softmax in one pass), Su et al. 2021 (rotation).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from worldsim.kernels._triton import fused, interpreted, lazily, power_of_two
from worldsim.kernels.qk_norm_rotary import rotate_pairs


def slot_attention_reference(
    q: Tensor, past_keys: Tensor, past_values: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor
) -> Tensor:
    """q, k, v (B, heads, N, d) of the frame; past (B, heads, slots * N, d), oldest slot first, keys unturned in time;
    cos and sin (slots, time pairs), whose pairs lead each head. Returns (B, heads, N, d)."""
    slots = cos.shape[0]
    keys = past_keys.unflatten(2, (slots, k.shape[2]))
    turned = rotate_pairs(keys, cos[:, None].to(keys), sin[:, None].to(keys), 0).flatten(2, 3)
    return F.scaled_dot_product_attention(q, torch.cat([turned, k], dim=2), torch.cat([past_values, v], dim=2))


def slot_attention(
    q: Tensor, past_keys: Tensor, past_values: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor
) -> Tensor:
    """The same, fused where it can be."""
    chosen = slot_attention_triton if fused(q) else slot_attention_reference
    return chosen(q, past_keys, past_values, k, v, cos, sin)


def slot_attention_triton(
    q: Tensor, past_keys: Tensor, past_values: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor
) -> Tensor:
    """The Triton kernel, shapes as of the reference. A program a block of queries of one head."""
    batch, heads, tokens, width = q.shape
    slots, pairs = cos.shape
    if past_keys.shape != (batch, heads, slots * tokens, width):
        raise ValueError(f"past keys of {slots} slots of {tokens} tokens expected, got {tuple(past_keys.shape)}")
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    q, past_keys, past_values, k, v, cos, sin = (
        t.contiguous() for t in (q, past_keys, past_values, k, v, cos.float(), sin.float())
    )
    rows = 32  # few: one frame has few queries, and every block of them is one of the few programs that run at once
    # What the compiler fits into a thread's registers, at heads of 64, and into the shared memory of any GPU.
    keys, stages = (16, 2) if q.dtype == torch.float32 else (32, 3)
    _kernel()[(-(-tokens // rows), batch * heads)](
        q, past_keys, past_values, k, v, cos, sin, out,
        slots * tokens, tokens, width, pairs, math.log2(math.e) / math.sqrt(width),
        WIDEN=interpreted(), ROWS=rows, KEYS=keys, BLOCK=power_of_two(width), num_warps=4, num_stages=stages,
    )  # fmt: skip
    return out


@lazily
def _kernel(triton: Any, tl: Any) -> Any:
    @triton.jit
    def kernel(
        q_ptr, past_k_ptr, past_v_ptr, k_ptr, v_ptr, cos_ptr, sin_ptr, out_ptr,
        past, tokens, width, pairs, log2_scale,
        WIDEN: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        head = tl.program_id(1).to(tl.int64)
        row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
        column = tl.arange(0, BLOCK)
        row_inside = (row < tokens)[:, None] & (column < width)[None, :]
        at = (head * tokens + row[:, None]) * width + column[None, :]
        stored = out_ptr.dtype.element_ty
        # The interpreter multiplies bfloat16 as if it were integers; a GPU has units for it.
        DOT = tl.float32 if WIDEN else stored
        q = tl.load(q_ptr + at, mask=row_inside, other=0.0).to(DOT)
        is_a, turned = column < pairs, column < 2 * pairs
        partner = tl.where(is_a, column + pairs, tl.where(turned, column - pairs, column))
        pair = tl.where(is_a, column, column - pairs)
        most = tl.full([ROWS], float("-inf"), tl.float32)
        total = tl.zeros([ROWS], tl.float32)
        mixed = tl.zeros([ROWS, BLOCK], tl.float32)
        for own in tl.static_range(2):  # the remembered frames, then the frame itself
            if own == 0:
                keys_ptr, values_ptr, count = past_k_ptr, past_v_ptr, past
            else:
                keys_ptr, values_ptr, count = k_ptr, v_ptr, tokens
            for start in range(0, count, KEYS):
                key = start + tl.arange(0, KEYS)
                inside = (key < count)[:, None] & (column < width)[None, :]
                key_at = (head * count + key[:, None]) * width
                x = tl.load(keys_ptr + key_at + column[None, :], mask=inside, other=0.0)
                if own == 0:  # its own keys stand at angle 0
                    swung = (key < count)[:, None] & turned[None, :]
                    entry = (key // tokens)[:, None] * pairs + pair[None, :]
                    cos = tl.load(cos_ptr + entry, mask=swung, other=1.0)
                    sin = tl.load(sin_ptr + entry, mask=swung, other=0.0)
                    other = tl.load(keys_ptr + key_at + partner[None, :], mask=swung, other=0.0).to(tl.float32)
                    x = (x.to(tl.float32) * cos + tl.where(is_a[None, :], -other, other) * sin).to(stored)
                score = tl.dot(q, tl.trans(x.to(DOT)), input_precision="ieee") * log2_scale
                score = tl.where((key < count)[None, :], score, float("-inf"))
                higher = tl.maximum(most, tl.max(score, axis=1))
                fade = tl.exp2(most - higher)
                weight = tl.exp2(score - higher[:, None])
                values = tl.load(values_ptr + key_at + column[None, :], mask=inside, other=0.0)
                total = total * fade + tl.sum(weight, axis=1)
                mixed = mixed * fade[:, None]
                mixed += tl.dot(weight.to(stored).to(DOT), values.to(DOT), input_precision="ieee")
                most = higher
        tl.store(out_ptr + at, (mixed / total[:, None]).to(stored), mask=row_inside)

    return kernel
