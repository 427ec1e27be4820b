"""Records a session as a trace. Remembers what led from the start to now, so a recording can begin at any time and its
replay still arrives at the same state."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from worldsim.action import Action
from worldsim.play.history import Origin
from worldsim.play.trace import PICTURE_EVERY, Header, TraceWriter, encode_picture
from worldsim.world import Frame


class Recorder:
    """One session's past in a few bytes a tick, and the trace that is being written, if any."""

    def __init__(self) -> None:
        self._writer: TraceWriter | None = None
        self._taken: list[bytes] = []  # action and digest of tick 1, 2, ...: hours of play must fit
        self._controls: list[tuple[str, dict[str, Any]]] = []  # swaps and anchors that led to now
        self.failure: str | None = None
        """Why a recording ended by itself, until somebody has said so."""

    def restart(self, start: Origin, seed: int) -> None:
        """The session begins afresh from here: what led to it no longer matters."""
        self._start, self._seed = start, seed
        self._taken, self._controls = [], []

    @property
    def path(self) -> Path | None:
        """Of the trace that is being written."""
        return self._writer.path if self._writer else None

    def tick(self, frame: Frame, action: Action, digest: str) -> None:
        """One more tick."""
        self._taken.append(np.array(action.values, "<i2").tobytes() + bytes.fromhex(digest))
        if self._writer:
            data: dict[str, Any] = {"tick": frame.tick, "action": list(action.values), "digest": digest}
            if frame.tick % PICTURE_EVERY == 0:
                data["picture"] = encode_picture(frame.pixels)
            self._write("tick", data)

    def control(self, kind: str, data: dict[str, Any], keep: bool) -> None:
        """Something happened that is no action. keep: it is part of what leads from the start to now."""
        if keep:
            self._controls.append((kind, data))
        self._write(kind, data)

    def rewind(self, tick: int) -> None:
        """The session went back to a tick."""
        del self._taken[tick:]
        self._controls = [c for c in self._controls if c[1]["tick"] <= tick]
        self._write("rewind", {"tick": tick})

    def start(self, path: Path) -> None:
        """Begin a trace with all that led to now. Raises TraceError if the file cannot be written."""
        self.stop({})
        start, scene = self._start, self._start.loaded.scene
        header = Header(
            scene=scene.name, scene_sha256=start.loaded.scene_sha256, checkpoint=start.loaded.name,
            checkpoint_sha256=start.loaded.sha256, seed=self._seed, spawn=start.note(),
            steps=start.loaded.steps, tick_hz=scene.tick_hz, numerics=start.loaded.numerics.as_dict(),
            controls=[c.name for c in scene.action_space.controls], created=time.strftime("%Y-%m-%dT%H:%M:%S"),
            prelude=len(self._taken),
        )  # fmt: skip
        self._writer = TraceWriter(path, header)
        controls = deque(self._controls)
        for tick in range(len(self._taken) + 1):
            if tick:
                self._write("tick", self._unpack(tick, 2 * scene.action_space.size))
            while controls and controls[0][1]["tick"] == tick:
                self._write(*controls.popleft())
        self.flush()

    def stop(self, draft: dict[str, float]) -> tuple[Path, int] | None:
        """End the trace with a summary. Returns its path and number of ticks, None if there was none."""
        if self._writer is None:
            return None
        self._write("summary", {"ticks": self._writer.ticks, "draft": draft})
        if self._writer is None:  # the summary found no room
            return None
        done = self._writer.path, self._writer.ticks
        try:
            self._writer.close()
        except OSError as error:
            self._fail(error)
        self._writer = None
        return done

    def flush(self) -> None:
        """Call now and then while no record is written, so that the last ones do not wait in a buffer."""
        if self._writer:
            try:
                self._writer.flush()
            except OSError as error:
                self._fail(error)

    def _write(self, kind: str, data: dict[str, Any]) -> None:
        if self._writer:
            try:
                self._writer.write(kind, **data)
            except OSError as error:
                self._fail(error)

    def _fail(self, error: OSError) -> None:
        """A full disk ends the recording, not the play."""
        assert self._writer is not None
        self.failure = f"recording stopped: {self._writer.path} cannot be written ({error.strerror or error})"
        self._writer.abandon()
        self._writer = None

    def _unpack(self, tick: int, split: int) -> dict[str, Any]:
        packed = self._taken[tick - 1]
        return {"tick": tick, "action": np.frombuffer(packed[:split], "<i2").tolist(), "digest": packed[split:].hex()}
