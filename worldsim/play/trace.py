"""Traces: recorded sessions, one JSON object a line.

The first line is the header, then numbered records: ticks with action and digest, and control records. Every record
is flushed at least once a second, so a killed process loses at most that; a half-written last line is tolerated.
Knows nothing of worlds: it stores what it is given and checks what it reads.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import numpy as np
from PIL import Image

from worldsim.checkpoint import PICTURE_ERRORS
from worldsim.config import shown_path
from worldsim.errors import TraceError, shown

FORMAT = 1
PICTURE_EVERY = 100  # ticks between lossless pictures, which say how far a replay is off
LARGEST_PICTURE = 1024  # pixels along a side of a frame
_FLUSH_S = 0.5
KINDS = ("tick", "swap", "rewind", "reset", "anchor", "summary")


@dataclass(frozen=True)
class Header:
    """What a replay has to restore before the first record."""

    scene: str
    scene_sha256: str
    checkpoint: str
    checkpoint_sha256: str
    seed: int
    spawn: dict[str, Any]
    steps: int
    tick_hz: float
    numerics: dict[str, Any]
    controls: list[str]
    format: int = FORMAT
    created: str = ""
    prelude: int = 0  # ticks that led to where recording began; a viewer may pass over them quickly


@dataclass(frozen=True)
class Record:
    """One line after the header. `kind` is one of KINDS, `data` its own fields."""

    seq: int
    kind: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Trace:
    """A whole trace in memory."""

    header: Header
    records: list[Record] = field(default_factory=list)

    @property
    def ticks(self) -> int:
        return sum(r.kind == "tick" for r in self.records)


class TraceWriter:
    """Appends records to a file. `close` may be called twice."""

    def __init__(self, path: Path, header: Header) -> None:
        """Raises TraceError if the file cannot be written."""
        self.path = path
        self._seq = 0
        self.ticks = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", encoding="utf-8")
            try:
                self._file.write(json.dumps({"kind": "header", **asdict(header)}) + "\n")
                self._file.flush()
            except OSError:
                self.abandon()
                raise
        except OSError as error:
            raise TraceError(
                f"{shown_path(path)} cannot be written: {error.strerror}; choose another place with --record"
            ) from None
        self._flushed = time.monotonic()

    def write(self, kind: str, **data: Any) -> None:
        """Append one record."""
        if self._file.closed:
            return
        self._file.write(json.dumps({"seq": self._seq, "kind": kind, **data}, separators=(",", ":")) + "\n")
        self._seq += 1
        self.ticks += kind == "tick"
        now = time.monotonic()
        if now - self._flushed > _FLUSH_S:
            self._file.flush()
            self._flushed = now

    def flush(self) -> None:
        """Call now and then while no record is written, so that the last ones do not wait in a buffer."""
        if not self._file.closed:
            self._file.flush()
            self._flushed = time.monotonic()

    def close(self) -> None:
        self._file.close()

    def abandon(self) -> None:
        """Close a file that can no longer be written, whatever it says."""
        with suppress(OSError):
            self._file.close()


def read_trace(path: Path) -> Trace:
    """Read a trace. A last line cut short is dropped. Raises TraceError naming file and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise TraceError(
            f"{shown_path(path)} cannot be read as a trace: {getattr(error, 'strerror', None) or 'it is no text'}"
        ) from None
    where = shown_path(path)
    complete = text.endswith("\n")
    lines = text.splitlines()
    if not lines:
        raise TraceError(f"{where} is empty; record one with --record or F5")
    header = _header(where, lines[0])
    records: list[Record] = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            row = _parsed(line)
            record = Record(row.pop("seq"), row.pop("kind"), row)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            if number == len(lines) and not complete:
                break
            raise TraceError(f"{where}, line {number} is not a record") from None
        if record.kind not in KINDS or record.seq != len(records):
            raise TraceError(
                f"{where}, line {number}: expected record {len(records)} of a known kind, got {shown(line)}"
            )
        records.append(record)
    return Trace(header, records)


def _header(where: str, line: str) -> Header:
    try:
        row = _parsed(line)
        if row.pop("kind") != "header":
            raise ValueError
        header = Header(**row)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise TraceError(f"{where} is not a worldsim trace: its first line is no header") from None
    if header.format != FORMAT:
        raise TraceError(
            f"{where} has trace format {shown(header.format)}, this version of worldsim reads format {FORMAT}"
        )
    for name, hint in get_type_hints(Header).items():
        kinds = {float: (int, float)}.get(hint, (get_origin(hint) or hint,))
        if type(getattr(header, name)) not in kinds:
            raise TraceError(f"{where}: the header's {name} is of the wrong kind: {shown(getattr(header, name))}")
    if not 1 <= header.tick_hz <= 120:
        raise TraceError(f"{where}: the header's tick_hz must lie in [1, 120], got {shown(header.tick_hz)}")
    check_seed(header.seed, f"{where}, line 1")
    return header


def check_seed(seed: int, where: str) -> int:
    """A session's seed as it was recorded. Raises TraceError."""
    if not 0 <= seed < 2**63:
        raise TraceError(f"{where}: a seed must be a whole number from 0 on of at most 64 bits, got {shown(seed)}")
    return seed


def _parsed(line: str) -> Any:
    """JSON as the writer makes it. Raises ValueError, also for the numbers that only Python's JSON knows."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    return json.loads(line, parse_constant=refuse)


def digest(pixels: np.ndarray) -> str:
    """Short digest of a frame uint8 (H, W, 3)."""
    return hashlib.blake2b(np.ascontiguousarray(pixels).tobytes(), digest_size=12).hexdigest()


def encode_picture(pixels: np.ndarray) -> str:
    """A lossless picture as text."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def decode_picture(text: Any, where: str) -> np.ndarray:
    """The inverse of `encode_picture`. Raises TraceError."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(text, validate=True))) as image:
            if max(image.size) > LARGEST_PICTURE:
                raise ValueError(f"it is {image.width}x{image.height}")
            return np.asarray(image.convert("RGB"))
    except PICTURE_ERRORS as error:
        raise TraceError(f"{where}: the picture cannot be read: {str(error)[:100]}") from None
