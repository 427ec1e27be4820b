"""The machine that plays: its cores, and the numerics that decide which bits come out."""

from __future__ import annotations

import os
import platform
from typing import Any

import numpy as np


def cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def play_threads(spare: int = 0) -> int:
    """Threads for play: the cores less `spare`, up to four; more do not help so small a network."""
    return max(1, min(4, cores() - spare))


def numerics() -> dict[str, Any]:
    """All that decides which bits a dream comes out with: a replay adopts it, or says that it cannot."""
    import torch

    return {
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "backend": "eager",
        "device": "cpu",
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }


def adopt(wanted: dict[str, Any], own: dict[str, Any]) -> str | None:
    """Take over a trace's numerics in place of one's own. Returns None, or in words what could not be taken over."""
    if own.get("backend") == "eager":
        import torch

        threads = wanted.get("threads")
        if isinstance(threads, int) and 1 <= threads <= 1024:
            torch.set_num_threads(threads)
        own = numerics()
    different = [f"{k} {wanted.get(k)} there, {own[k]} here" for k in own if wanted.get(k) != own[k]]
    return "; ".join(different) or None
