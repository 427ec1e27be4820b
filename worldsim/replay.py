"""Replays a trace through an ordinary session and says whether every frame came out the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from worldsim.errors import ConfigError, TraceError
from worldsim.history import Played
from worldsim.loader import open_played, spawn_of_note
from worldsim.machine import BACKENDS, differences
from worldsim.session import Session, SessionSettings
from worldsim.trace import Record, Trace, decode_picture
from worldsim.world import Frame

_REWIND_S = 120.0  # at least as far as the session that was recorded could go back


@dataclass(frozen=True)
class Replayed:
    """identical: every digest equal. first_difference: the first tick that differs; psnr_db: at the next stored
    picture. incomparable: why bits, of the first world or one swapped in, cannot be compared on this machine, None if
    they can."""

    ticks: int
    identical: bool
    first_difference: int | None = None
    psnr_db: float | None = None
    incomparable: str | None = None


class Replay:
    """Feeds a trace's records to a session, one at a time."""

    def __init__(self, trace: Trace, where: Path) -> None:
        """Opens the header's world. Raises WorldsimError if it is not the one recorded."""
        header = trace.header
        self._where, self._next = where, 0
        self._records = [r for r in trace.records if r.kind != "summary"]  # that has nothing to replay
        self._worlds: dict[tuple[str, str, int, str], Played] = {}
        played = self._open(header.checkpoint, header.checkpoint_sha256, header.steps, header.numerics)
        self.incomparable = differences(header.numerics, played.numerics)
        spawn = spawn_of_note(header.checkpoint, header.spawn, f"{where}, line 1")
        settings = SessionSettings("off", _REWIND_S, seed=header.seed, spawn_note=header.spawn, anchor="off")
        self.session = Session(played, spawn, settings)
        self.ticks = 0
        self.first_difference: int | None = None
        self.psnr_db: float | None = None

    def step(self) -> Frame | None:
        """Replay up to and including the next tick or control. None at the end. Raises TraceError."""
        if self._next >= len(self._records):
            return None
        record = self._records[self._next]
        self._next += 1
        where = f"{self._where}, line {record.seq + 2}"
        try:
            return self._apply(record, where)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise TraceError(f"{where}: a {record.kind} record is incomplete: {error}") from None

    def run(self, each: Callable[[Frame], None] = lambda frame: None) -> Replayed:
        """Replay to the end; `each` is given every frame."""
        while (frame := self.step()) is not None:
            each(frame)
        return Replayed(
            self.ticks, self.first_difference is None, self.first_difference, self.psnr_db, self.incomparable
        )

    def _apply(self, record: Record, where: str) -> Frame:
        session, data = self.session, record.data
        if record.kind == "tick":
            ticked = session.advance(session.scene.action_space.check(data["action"], where))
            self.ticks += 1
            if ticked.digest != data["digest"] and self.first_difference is None:
                self.first_difference = int(data["tick"])
            if "picture" in data and self.first_difference is not None and self.psnr_db is None:
                self.psnr_db = frame_psnr(ticked.frame.pixels, decode_picture(data["picture"], where))
            return ticked.frame
        if record.kind == "rewind":
            return session.rewind(int(data["tick"]))
        if record.kind == "anchor":
            return session.anchor(None if data["spawn"] is None else session.spawn_named(data["spawn"]))
        if record.kind == "reset":
            spawn = spawn_of_note(session.played.checkpoint, data["spawn"], where)
            return session.reset(int(data["seed"]), spawn, data["spawn"])
        bits = data.get("numerics") or session.played.numerics
        played = self._open(str(data["checkpoint"]), str(data["sha256"]), int(data["steps"]), bits)
        if "numerics" in data:
            self.incomparable = self.incomparable or differences(bits, played.numerics)
        spawn = spawn_of_note(data["checkpoint"], data["spawn"], where)
        return session.swap(played, spawn, data["spawn"], int(data["moments"]))

    def _open(self, name: str, sha256: str, steps: int, bits: dict[str, Any]) -> Played:
        """A world as it was recorded, with the back end and threads of its numerics where they can be had."""
        key = name, sha256, steps, json.dumps(bits, sort_keys=True)
        if key not in self._worlds:
            count, (kind, *how) = bits.get("threads"), str(bits.get("backend")).split(" ")
            threads = count if type(count) is int and 1 <= count <= 1024 else 1
            on_gpu = kind == "cuda"
            gpu_backend = "auto" if "graphs" in how else "eager"
            backend = gpu_backend if on_gpu else kind if kind in BACKENDS and kind != "auto" else "eager"
            try:
                played = open_played(name, steps or None, threads, backend, device="cuda" if on_gpu else "cpu")
            except ConfigError:  # not to be had here: the bits will differ, the pictures hardly
                played = open_played(name, steps or None, threads, "eager")
            if played.sha256 != sha256:
                raise TraceError(
                    f"{self._where} was recorded with another version of {name} (SHA-256 {sha256[:12]}..., here "
                    f"{played.sha256[:12]}...); replay it with the checkpoint it was recorded with"
                )
            self._worlds[key] = played
        return self._worlds[key]


def frame_psnr(a: np.ndarray, b: np.ndarray) -> float:
    """PSNR in dB of two uint8 frames; 99 if they are equal. Raises TraceError if their sizes differ."""
    if a.shape != b.shape:
        raise TraceError(f"pictures must be of one size, got {a.shape} and {b.shape}")
    error = float(np.mean((a.astype(np.float64) - b) ** 2))
    return 99.0 if error == 0 else min(99.0, 10 * float(np.log10(255.0**2 / error)))
