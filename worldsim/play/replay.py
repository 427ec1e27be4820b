"""Replays a trace through an ordinary session and says whether every frame came out the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeVar

from worldsim.checkpoint import checkpoint_names
from worldsim.errors import ConfigError, TraceError, shown
from worldsim.play.session import Session, SessionSettings
from worldsim.play.spawn_notes import read_spawn_note
from worldsim.play.trace import Record, Trace, check_seed, decode_picture
from worldsim.psnr import psnr
from worldsim.runtime import BACKENDS, Numerics
from worldsim.world import Frame
from worldsim.worlds.catalogue import LoadedWorld, LoadOptions, WorldEntry, find_world

T = TypeVar("T")

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
    """Feeds a trace's records to a session, one at a time. It opens worlds of its own: close it."""

    def __init__(self, trace: Trace, where: Path) -> None:
        """Opens the header's world. Raises WorldsimError if it is not the one recorded."""
        header = trace.header
        self._where, self._next = where, 0
        self._records = [r for r in trace.records if r.kind != "summary"]  # that has nothing to replay
        self._worlds: dict[tuple[str, str, int, Numerics], LoadedWorld] = {}
        self.ticks = 0
        self.first_difference: int | None = None
        self.psnr_db: float | None = None
        numerics = Numerics.read(header.numerics, f"{where}, line 1")
        try:
            loaded = self._open(header.checkpoint, header.checkpoint_sha256, header.steps, numerics)
            self.incomparable = numerics.differences(loaded.numerics)
            spawn = read_spawn_note(loaded.entry, header.spawn, f"{where}, line 1")
            self.session = Session(loaded, spawn, SessionSettings("off", _REWIND_S, seed=header.seed, anchor="off"))
        except BaseException:
            self.close()
            raise

    def step(self) -> Frame | None:
        """Replay up to and including the next tick or control. None at the end. Raises TraceError."""
        if self._next >= len(self._records):
            return None
        record = self._records[self._next]
        self._next += 1
        return self._apply(record, f"{self._where}, line {record.seq + 2}")

    def run(self, each: Callable[[Frame], None] = lambda frame: None) -> Replayed:
        """Replay to the end; `each` is given every frame."""
        while (frame := self.step()) is not None:
            each(frame)
        return Replayed(
            self.ticks, self.first_difference is None, self.first_difference, self.psnr_db, self.incomparable
        )

    def close(self) -> None:
        """Close the worlds that were opened."""
        for loaded in self._worlds.values():
            loaded.close()
        self._worlds = {}

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _apply(self, record: Record, where: str) -> Frame:
        session, fields = self.session, _Fields(record, where)
        if record.kind == "tick":
            action = session.scene.action_space.check(fields.get("action", list), where)
            wanted, tick = fields.get("digest", str), fields.get("tick", int)
            result = session.advance(action)
            self.ticks += 1
            if result.digest != wanted and self.first_difference is None:
                self.first_difference = tick
            if "picture" in record.data and self.first_difference is not None and self.psnr_db is None:
                picture = decode_picture(record.data["picture"], where)
                if picture.shape != result.frame.pixels.shape:
                    raise TraceError(f"{where}: the picture must be {result.frame.pixels.shape}, got {picture.shape}")
                self.psnr_db = psnr(result.frame.pixels, picture)
            return result.frame
        if record.kind == "rewind":
            return session.rewind(fields.get("tick", int))
        if record.kind == "anchor":
            name = record.data.get("spawn")
            if name is not None and name not in session.loaded.entry.spawn_names:
                raise TraceError(f"{where}: {session.loaded.name} has no spawn {shown(name)}")
            return session.reanchor(None if name is None else session.spawn_named(name))
        if record.kind == "reset":
            spawn = read_spawn_note(session.loaded.entry, fields.get("spawn", dict), where)
            return session.reset(check_seed(fields.get("seed", int), where), spawn)
        own = session.loaded.numerics
        numerics = Numerics.read(record.data["numerics"], where) if record.data.get("numerics") else own
        loaded = self._open(
            fields.get("checkpoint", str), fields.get("sha256", str), fields.get("steps", int), numerics
        )
        if record.data.get("numerics"):
            self.incomparable = self.incomparable or numerics.differences(loaded.numerics)
        spawn = read_spawn_note(loaded.entry, fields.get("spawn", dict), where)
        return session.swap(loaded, spawn, fields.get("moments", int))

    def _recorded(self, name: str, sha256: str) -> WorldEntry:
        """The world of that name, or the shipped checkpoint that once bore it."""
        entry = find_world(name)
        for known in chain([entry], map(find_world, checkpoint_names())):
            if sha256 in (known.sha256, *known.former_sha256):
                return known
        raise TraceError(
            f"{self._where} was recorded with another version of {name} (SHA-256 {sha256[:12]}..., here "
            f"{entry.sha256[:12]}...); replay it with the checkpoint it was recorded with"
        )

    def _open(self, name: str, sha256: str, steps: int, numerics: Numerics) -> LoadedWorld:
        """A world as it was recorded, with the back end and threads of its numerics where they can be had."""
        key = name, sha256, steps, numerics
        if key not in self._worlds:
            entry = self._recorded(name, sha256)
            threads = numerics.threads if 1 <= numerics.threads <= 1024 else 1
            kind, on_gpu = numerics.backend_kind, numerics.backend_kind == "cuda"
            gpu_backend = "auto" if "graphs" in numerics.backend.split(" ") else "eager"
            backend = gpu_backend if on_gpu else kind if kind in BACKENDS and kind != "auto" else "eager"
            options = LoadOptions(steps or None, threads, backend, "cuda" if on_gpu else "cpu")
            try:
                loaded = entry.load(options)
            except ConfigError:  # not to be had here: the bits will differ, the pictures hardly
                loaded = entry.load(LoadOptions(steps or None, threads, "eager"))
            self._worlds[key] = loaded
        return self._worlds[key]


class _Fields:
    """A record's own fields, each checked when it is asked for."""

    def __init__(self, record: Record, where: str) -> None:
        self._record, self._where = record, where

    def get(self, name: str, kind: type[T]) -> T:
        """A field of that kind. Raises TraceError."""
        value = self._record.data.get(name)
        if type(value) is not kind:
            wanted = {int: "a whole number", str: "text", list: "a list", dict: "a mapping"}[kind]
            raise TraceError(f"{self._where}: {name} of a {self._record.kind} must be {wanted}, got {shown(value)}")
        return value
