"""The machine that plays: its cores, and the numerics that decide which bits come out."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

BACKENDS = ("eager", "compile", "openvino", "auto")
"""What can run the networks: plain torch, torch.compile, OpenVINO; or whichever is the fastest here."""


def cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def play_threads() -> int:
    """Most threads for play: the cores, up to four; more do not help so small a network."""
    return max(1, min(4, cores()))


def numerics(backend: str, threads: int, device: str = "cpu") -> dict[str, Any]:
    """All that decides which bits a dream comes out with: a replay adopts it, or says that it cannot."""
    import torch

    return {
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "backend": backend,
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "threads": threads,
    }


def use_threads(own: dict[str, Any]) -> None:
    """Give torch the threads of a world with such numerics. Beside another back end it keeps to one: two kinds of
    threads on the same cores, of which torch's spin, would slow each other."""
    if "torch" in own:
        import torch

        torch.set_num_threads(own["threads"] if own["backend"] in ("eager", "compile") else 1)


def differences(wanted: dict[str, Any], own: dict[str, Any]) -> str | None:
    """In words, what of a trace's numerics could not be taken over; None if all could."""
    different = [f"{k} {wanted.get(k)} there, {own[k]} here" for k in own if wanted.get(k) != own[k]]
    return "; ".join(different) or None


def cache_folder() -> Path:
    """Where what can be made again is kept between starts: $WORLDSIM_CACHE, else worldsim in the user's cache. For a
    user without a home it is no folder, and nothing is kept."""
    own = os.environ.get("WORLDSIM_CACHE")
    if own:
        return Path(own)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "worldsim"
    except RuntimeError:
        return Path(os.devnull)
