"""Where the time of a tick went, by part."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Timings:
    """Seconds by part since they were last taken."""

    def __init__(self) -> None:
        self._parts: dict[str, float] = {}

    def add(self, part: str, seconds: float) -> None:
        """Count seconds to a part."""
        self._parts[part] = self._parts.get(part, 0.0) + seconds

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """What is done within counts to a part."""
        begun = time.perf_counter()
        yield
        self.add(part, time.perf_counter() - begun)

    def take(self) -> dict[str, float]:
        """All since the last call, in milliseconds."""
        parts, self._parts = self._parts, {}
        return {name: round(seconds * 1e3, 2) for name, seconds in parts.items()}
