"""Computations that can pause: a draft must be given up between two passes of the network, not only after the last.

A stepwise computation is a Python generator that yields nothing at each pause and returns its result.
"""

from __future__ import annotations

import collections.abc
from typing import TypeAlias, TypeVar

T = TypeVar("T")

Stepwise: TypeAlias = collections.abc.Generator[None, None, T]
"""A computation of a T that pauses at each `yield`."""


def finish(work: Stepwise[T]) -> T:
    """Run a paused computation to its end and return its result."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            return stop.value
