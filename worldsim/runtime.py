"""The machine that plays: its cores, and the numerics that decide which bits come out."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from worldsim.errors import TraceError

BACKENDS = ("eager", "compile", "openvino", "auto")
"""What can run the networks: plain torch, torch.compile, OpenVINO; or whichever is the fastest here."""


@dataclass(frozen=True)
class Numerics:
    """All that decides which bits a world's frames come out with. A replay adopts it, or says that it cannot.

    backend names what runs the networks, with its version where that matters, or what draws; renderer names a source's
    graphics. What a world does not have is empty, or 0 threads.
    """

    backend: str
    threads: int = 0
    device: str = ""
    torch: str = ""
    numpy: str = ""
    instruction_set: str = ""
    machine: str = ""
    renderer: str = ""

    @classmethod
    def of_torch(cls, backend: str, threads: int, device: str = "cpu") -> Numerics:
        """Of networks that such a back end runs here with so many threads."""
        import torch

        return cls(
            backend, threads, torch.cuda.get_device_name() if device == "cuda" else device, str(torch.__version__),
            np.__version__, torch.backends.cpu.get_cpu_capability(), platform.machine(),
        )  # fmt: skip

    @classmethod
    def read(cls, data: Any, where: str) -> Numerics:
        """From a trace's plain data. Raises TraceError."""
        kinds = {field.name: int if field.name == "threads" else str for field in fields(cls)}
        known = {k: v for k, v in data.items() if k in kinds} if isinstance(data, dict) else {}
        if "backend" not in known or any(type(v) is not kinds[k] for k, v in known.items()):
            raise TraceError(f"{where}: numerics must be a mapping of words with a backend, got {data!r:.60}")
        return cls(**known)

    def as_dict(self) -> dict[str, Any]:
        """What is known, as plain data."""
        return {k: v for k, v in asdict(self).items() if v}

    @property
    def backend_kind(self) -> str:
        """The back end's name without its version: `eager`, `compile`, `openvino`, `cuda`, `opengl`."""
        return self.backend.split(" ")[0]

    def use_threads(self) -> None:
        """Give torch the threads of a world with these numerics. Beside another back end torch keeps to one thread: its
        threads spin, and would slow the other's down."""
        if self.torch:
            import torch

            torch.set_num_threads(self.threads if self.backend in ("eager", "compile") else 1)

    def differences(self, own: Numerics) -> str | None:
        """In words, what of these numerics could not be taken over where `own` plays; None if all could."""
        wanted = self.as_dict()
        different = [f"{k} {wanted.get(k)} there, {v} here" for k, v in own.as_dict().items() if wanted.get(k) != v]
        return "; ".join(different) or None


def cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def play_threads() -> int:
    """Most threads for play: the cores, up to four; more do not help so small a network."""
    return max(1, min(4, cores()))


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
