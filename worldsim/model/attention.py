"""One block of the backbone: attention of a frame's tokens over the context and itself, then feed-forward.

Pre-norm with QK-norm and adaLN-zero (Peebles & Xie 2023). The block computes queries, keys and values and what
follows attention; which keys a frame sees is the caller's business, so training and play share every line here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldsim.kernels.qk_norm_rotary import qk_norm_rotary
from worldsim.kernels.rms_modulate import rms_modulate
from worldsim.model.layers import RotarySplit, SwiGlu


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax attention, q (F, heads, N, d) over k, v (F, heads, M, d).

    For training in bfloat16 on a CPU two plain matrix products take half the time of torch's fused kernel, forward and
    backward (85 against 170 ms at 180 frames on two Zen 4 cores).
    """
    if torch.is_grad_enabled() and q.device.type == "cpu" and q.dtype == torch.bfloat16:
        with torch.autocast("cpu", enabled=False):
            scores = torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2))
            return torch.matmul(scores.softmax(dim=-1), v)
    return F.scaled_dot_product_attention(q, k, v)


MODULATIONS = 6  # scale, shift and gate of attention and of feed-forward


class Block(nn.Module):
    """Works on tokens (F, N, D): F is any number of frames, of one clip or of many."""

    def __init__(self, width: int, heads: int, hidden: int, split: RotarySplit) -> None:
        super().__init__()
        self.heads = heads
        self._split = split
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.query_scale = nn.Parameter(torch.ones(width // heads))
        self.key_scale = nn.Parameter(torch.ones(width // heads))
        self.feed = SwiGlu(width, hidden)

    def queries_keys_values(
        self, x: Tensor, modulation: Tensor, cos: Tensor, sin: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x (F, N, D), modulation (F, 6, 1, D), tables (F, 1, N, pairs) -> three (F, heads, N, d), turned in space."""
        frames, tokens, width = x.shape
        h = rms_modulate(x, modulation[:, 0], modulation[:, 1])
        q, k, v = self.qkv(h).view(frames, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k = qk_norm_rotary(q, k, self.query_scale, self.key_scale, (cos, sin), self._split.time)
        return q, k, v

    def attend(self, x: Tensor, modulation: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Finish the block: q (F, heads, N, d) over k, v (F, heads, M, d); returns x after both residual steps."""
        frames, tokens, width = x.shape
        mixed = attention(q, k, v).transpose(1, 2).reshape(frames, tokens, width)
        x = x + modulation[:, 2] * self.out(mixed)
        h = rms_modulate(x, modulation[:, 3], modulation[:, 4])
        return x + modulation[:, 5] * self.feed(h)
