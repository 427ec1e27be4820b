"""The engine process as its window sees it: started, spoken to, ended. Never blocks and knows nothing of torch."""

from __future__ import annotations

import time
from multiprocessing import get_context
from multiprocessing.shared_memory import SharedMemory

import numpy as np

from worldsim.engine.protocol import (
    SLOT_BYTES,
    SLOTS,
    Command,
    EngineSettings,
    Event,
    Failed,
    FrameShown,
    Quit,
    Seen,
    decode,
    encode,
)
from worldsim.engine.server import serve
from worldsim.errors import MessageError

_ENDED = "the engine process ended; what was recorded is kept"


class EngineProcess:
    """The window's end of the pipe: `send` hands over, `receive` returns what has come."""

    def __init__(self, settings: EngineSettings) -> None:
        context = get_context("spawn")
        self._memory = SharedMemory(create=True, size=SLOTS * SLOT_BYTES)
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=serve, args=(theirs, self._memory.name, settings), name="worldsim-engine", daemon=True
        )
        self._process.start()
        theirs.close()
        self._closed = self._failed = False
        self.seen = 0
        """The newest frame that was taken: what the next `Advance` tells the engine."""

    def send(self, message: Command) -> None:
        """Hand over one message. A dead engine is reported by `receive`."""
        try:
            self._pipe.send_bytes(encode(message))
        except OSError:
            self._closed = True

    def receive(self) -> list[Event]:
        """All messages that have come; `Failed` once if the process is gone."""
        messages: list[Event] = []
        try:
            while not self._closed and self._pipe.poll():
                messages.append(decode(self._pipe.recv_bytes()))  # type: ignore[arg-type]
        except (EOFError, OSError):
            self._closed = True
        except MessageError as error:
            messages.append(Failed(f"the engine said what nobody understands: {error}"))
        if self._closed and not any(isinstance(m, Failed) for m in messages) and not self._failed:
            messages.append(Failed(_ENDED))
        self._failed = self._failed or any(isinstance(m, Failed) for m in messages)
        return messages

    def wait(self, seconds: float) -> None:
        """Sleep until a message has come, at most so long."""
        if self._closed:
            time.sleep(seconds)
            return
        try:
            self._pipe.poll(max(0.0, seconds))
        except OSError:
            self._closed = True

    def take(self, message: FrameShown) -> np.ndarray:
        """The picture of a frame, uint8 (H, W, 3), a copy. Its slot is free afterwards; the engine is told so at once
        unless the next action will tell it."""
        height, width = message.size
        start = message.slot * SLOT_BYTES
        pixels = np.ndarray((height, width, 3), np.uint8, self._memory.buf, start).copy()
        self.seen = message.serial
        if message.id is None:
            self.send(Seen(message.serial))
        return pixels

    def close(self) -> None:
        """End the process, giving it time to keep its recording."""
        self.send(Quit())
        self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join(timeout=2)
        self._memory.close()
        self._memory.unlink()
