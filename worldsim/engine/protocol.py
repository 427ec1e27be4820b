"""What the window and the engine process say to each other: typed messages, JSON on the wire.

A scene is told with `Ready`, and has an *epoch*: a number the engine raises whenever another scene is shown. An action
means the controls of one scene, so `Advance` carries the epoch it was made for, and the engine drops an action of an
older one instead of reading it as something else.

Pictures lie in SLOTS slots of shared memory. The engine never shows more than SLOTS - 1 frames that the window has not
said to have seen, so no slot is written over while it is read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias

from worldsim.config import from_mapping
from worldsim.errors import ConfigError, MessageError

SLOTS = 4
SLOT_BYTES = 1024 * 1024 * 3  # the largest frame of a scene


@dataclass(frozen=True)
class EngineSettings:
    """What the session is to be. steps: for every world that takes steps, those swapped in later too. replay: a trace
    to play instead of taking actions. tolerance_deg: how far a tick's motion may be from the hand's, see Session.
    events: the names of those under way from the start."""

    checkpoint: str
    seed: int = 0
    spawn: str | None = None
    steps: int | None = None
    speculate: str = "auto"
    threads: int | None = None
    backend: str = "auto"
    device: str = "cpu"
    record: str | None = None
    replay: str | None = None
    anchor: str = "frame"
    tolerance_deg: float = 0.0
    events: tuple[str, ...] = ()


# From the window to the engine


@dataclass(frozen=True)
class Advance:
    """One tick with this action, made for the scene of `epoch`. It is answered by a `FrameShown` or a `Dropped` of the
    same id. wanted_deg: yaw and pitch the hand has really moved, of which the action is the whole quanta; None if the
    action must be used as it is. seen: the newest frame that the window has taken. period_s: of a tick, the next action
    comes after it."""

    action: tuple[int, ...]
    id: int
    epoch: int
    period_s: float
    seen: int = 0
    wanted_deg: tuple[float, float] | None = None


@dataclass(frozen=True)
class Seen:
    """The window has taken all frames up to this one. Said by itself only for frames that answer no action: what
    arrives in the slack of a tick ends it, and with it the drafts."""

    serial: int


@dataclass(frozen=True)
class Peek:
    """Show a past tick without going there."""

    tick: int


@dataclass(frozen=True)
class Rewind:
    """Go back to a past tick."""

    tick: int


@dataclass(frozen=True)
class Reset:
    """Start again at the same spawn."""


@dataclass(frozen=True)
class Record:
    """Begin to write a trace; None ends it."""

    path: str | None


@dataclass(frozen=True)
class StartReplay:
    """Play a trace instead of taking actions, until its end or until anything but `Advance` comes."""

    path: str


@dataclass(frozen=True)
class Swap:
    """Load another world in the background and go on in it."""

    checkpoint: str


@dataclass(frozen=True)
class Quit:
    """Keep what was recorded and end."""


# From the engine to the window


@dataclass(frozen=True)
class Ready:
    """What is shown from now on: the world's name and its scene as plain data, which has this epoch. recording: the
    trace that is being written. replaying: the world is a replay's, and the session's own comes back after it."""

    epoch: int
    checkpoint: str
    scene: dict[str, Any]
    recording: str | None = None
    replaying: bool = False


@dataclass(frozen=True)
class FrameShown:
    """A frame lies in shared memory.

    serial: counts the frames shown. size: height and width. look: yaw and pitch in degrees the picture was made for,
    None without a camera. earliest: the first tick that can be gone back to. id: of the `Advance` it answers, None for
    any other frame; tick_ms, action (the one used), drafted, reward and spent (ms by part) are of that tick.
    accepted, missed: ticks so far that found a draft, and that found only others. draft: all figures on drafts, now
    and then. found: how many of the entities that count the player has, and how many there are; None where none count.
    under_way: the names of the events that last.
    """

    serial: int
    slot: int
    size: tuple[int, int]
    tick: int
    epoch: int
    earliest: int
    look: tuple[float, float] | None = None
    id: int | None = None
    tick_ms: float | None = None
    action: tuple[int, ...] | None = None
    drafted: bool = False
    reward: float | None = None
    ended: bool = False
    replaying: bool = False
    accepted: int = 0
    missed: int = 0
    spent: dict[str, float] = field(default_factory=dict)
    draft: dict[str, Any] | None = None
    found: tuple[int, int] | None = None
    under_way: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dropped:
    """The action of this id was not used: it was made for another scene."""

    id: int


@dataclass(frozen=True)
class Recording:
    """A trace is being written to `path`, or none any more. text: what there is to say about it."""

    path: str | None
    text: str


@dataclass(frozen=True)
class Note:
    """One sentence for the person who plays."""

    text: str


@dataclass(frozen=True)
class Replayed:
    """A replay has come to its end."""

    ticks: int
    identical: bool


@dataclass(frozen=True)
class Failed:
    """The engine cannot go on; nothing comes after this."""

    text: str


Command: TypeAlias = Advance | Seen | Peek | Rewind | Reset | Record | StartReplay | Swap | Quit
Event: TypeAlias = Ready | FrameShown | Dropped | Recording | Note | Replayed | Failed
Message: TypeAlias = Command | Event

_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        Advance, Seen, Peek, Rewind, Reset, Record, StartReplay, Swap, Quit,
        Ready, FrameShown, Dropped, Recording, Note, Replayed, Failed,
    )
}  # fmt: skip


def encode(message: Message) -> bytes:
    """A message as JSON: its kind and its fields."""
    data = {f.name: getattr(message, f.name) for f in fields(message)}
    return json.dumps({"kind": type(message).__name__, **data}).encode()


def decode(data: bytes) -> Message:
    """The inverse of `encode`. Raises MessageError if the bytes are no message of this protocol."""
    try:
        mapping = json.loads(data)
    except (ValueError, RecursionError):  # no JSON, or no UTF-8
        raise MessageError(f"a message must be JSON, got {data!r:.60}") from None
    kind = mapping.pop("kind", None) if isinstance(mapping, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        raise MessageError(f"a message must name one of the kinds {', '.join(_KINDS)}, got {data!r:.60}")
    try:
        return from_mapping(_KINDS[kind], mapping, f"message {kind}:")
    except ConfigError as error:
        raise MessageError(str(error)) from None
