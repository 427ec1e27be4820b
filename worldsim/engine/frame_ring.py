"""Frames on their way to the window: slots of shared memory, and a frame's wait where all of them are taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from multiprocessing.shared_memory import SharedMemory

import numpy as np

from worldsim.engine.protocol import SLOT_BYTES, SLOTS, FrameShown


class FrameRing:
    """The engine's end. Never more than SLOTS - 1 frames are out that the window has not taken.

    A frame that finds no slot waits. It is replaced by the next one unless it answers an action: who fast-forwards
    shows what the window can follow, and its last frame in any case.
    """

    def __init__(self, memory: SharedMemory, send: Callable[[FrameShown], None]) -> None:
        self._memory, self._send = memory, send
        self._waiting: list[tuple[np.ndarray, FrameShown]] = []
        self._shown = self._seen = 0

    def show(self, pixels: np.ndarray, frame: FrameShown) -> None:
        """Show a picture, uint8 (H, W, 3), now or as soon as there is a slot. Serial and slot of `frame` are filled
        in here."""
        if self._waiting and self._waiting[-1][1].id is None:
            self._waiting.pop()
        self._waiting.append((pixels, frame))
        self._flush()

    def take_seen(self, serial: int) -> None:
        """The window has taken all frames up to this one."""
        self._seen = max(self._seen, min(serial, self._shown))
        self._flush()

    def forget(self) -> None:
        """Another scene follows: what waits is not shown any more, unless it answers an action."""
        self._waiting = [w for w in self._waiting if w[1].id is not None]

    def _flush(self) -> None:
        while self._waiting and self._shown - self._seen < SLOTS - 1:
            pixels, frame = self._waiting.pop(0)
            self._shown += 1
            slot = self._shown % SLOTS
            np.ndarray(pixels.shape, np.uint8, self._memory.buf, slot * SLOT_BYTES)[:] = pixels
            self._send(replace(frame, serial=self._shown, slot=slot))
