"""Finding Triton, and the one rule of when a fused kernel stands in for its reference: only if it is asked for.

No kernel has run on a GPU so far, so plain torch is the default there too: WORLDSIM_FUSED_KERNELS=1 asks for them.

Nothing here imports Triton before a kernel is asked for: on a CPU it is an extra that a session must not pay for.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

FLOATS = (torch.float32, torch.float16, torch.bfloat16)  # kernels reckon in float32: float64 keeps the reference
SWITCH = "WORLDSIM_FUSED_KERNELS"
"""The environment variable that asks for fused kernels, where it is 1."""


@cache
def modules() -> tuple[Any, Any] | None:
    """(triton, triton.language), or None where they are not installed or have nothing to run on.

    Without a CUDA device they need TRITON_INTERPRET=1, set before the first call: Triton reads it when imported.
    """
    if not torch.cuda.is_available() and not interpreted():
        return None
    try:
        import triton
        import triton.language as tl
    except ImportError:
        return None
    return triton, tl


def interpreted() -> bool:
    """Whether kernels run in Triton's interpreter, on a CPU, a thousand times slower: for tests."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def asked_for() -> bool:
    """Whether the person who started this process wants fused kernels."""
    return os.environ.get(SWITCH) == "1"


def fused(x: Tensor) -> bool:
    """Whether the fused kernel is to be used for x: if asked for, on the current CUDA device, without gradients, with
    Triton."""
    return (
        x.is_cuda
        and asked_for()
        and not torch.is_grad_enabled()
        and x.dtype in FLOATS
        and x.numel() > 0
        and x.device.index == torch.cuda.current_device()  # Triton launches there, wherever x is
        and modules() is not None
    )


def lazily(define: Callable[[Any, Any], Any]) -> Callable[[], Any]:
    """Decorator: define(triton, tl) -> kernel becomes a function that makes the kernel at its first call.

    Kernels must be closures over `tl`, and cannot call helpers of their own: the interpreter finds neither.
    """

    @cache
    def kernel() -> Any:
        found = modules()
        if found is None:
            raise RuntimeError(
                "no Triton to run: pip install 'worldsim[triton]', and a CUDA device or TRITON_INTERPRET=1"
            )
        return define(*found)

    return kernel


def power_of_two(n: int, least: int = 16) -> int:
    """The smallest power of two that is at least n: Triton's blocks come in no other size."""
    return max(least, 1 << (n - 1).bit_length())
