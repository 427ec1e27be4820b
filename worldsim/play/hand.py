"""A recorded hand: the counts of a real mouse at their times, played through the same sums as the window's mouse.

The file is text: a first line `ms,dx,dy`, then one line for each motion, with milliseconds since the beginning, counts
to the right and counts downwards. It is no trace: how its motion falls into ticks is up to who plays it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from worldsim.action import Action, ActionSpace, Mouse
from worldsim.errors import TraceError
from worldsim.scene import Scene

PREFIX = "hand:"
"""Of an action source that is a recorded hand: `hand:FILE.csv`."""

_HEADER = "ms,dx,dy"

Row = tuple[float, float, float]  # milliseconds, counts to the right, counts downwards


def read_hand(path: Path) -> list[Row]:
    """The motions of a recording in the order of their times. Raises TraceError naming file and line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise TraceError(f"{path} cannot be read as a hand's motion: {why}") from None
    if not lines or lines[0].strip() != _HEADER:
        got = lines[0] if lines else ""
        raise TraceError(f"{path}: the first line of a hand's motion must be {_HEADER}, got {got[:60]!r}")
    rows: list[Row] = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            ms, dx, dy = (int(part) for part in line.split(","))
        except ValueError:
            raise TraceError(f"{path}, line {number}: must be three whole numbers, got {line[:60]!r}") from None
        earliest = rows[-1][0] if rows else 0
        if not (earliest <= ms <= 10**9 and abs(dx) <= 10**6 and abs(dy) <= 10**6):
            raise TraceError(
                f"{path}, line {number}: times must not go back and counts not exceed a million, got {line[:60]!r}"
            )
        rows.append((ms, dx, dy))
    if not rows:
        raise TraceError(f"{path} has no motion; give a line `ms,dx,dy` for each")
    return rows


class HandRecording:
    """Plays a recording at its times, again and again."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows, self._next, self._begun_ms = rows, 0, 0.0

    def until(self, ms: float) -> tuple[float, float]:
        """The counts, to the right and downwards, of the motion before a time that no call before has given."""
        x = y = 0.0
        while self._begun_ms + self._rows[self._next][0] < ms:
            _, dx, dy = self._rows[self._next]
            x, y = x + dx, y + dy
            self._next += 1
            if self._next == len(self._rows):
                self._next, self._begun_ms = 0, self._begun_ms + self._rows[-1][0] + 1.0
        return x, y


class Hand(Iterator[Action]):
    """The actions of a hand, tick by tick. What each tick really used is told to `settle`."""

    def __init__(self, space: ActionSpace, mouse: Mouse, steps: Iterator[tuple[Action, float, float]]) -> None:
        """steps: of each tick an action, of which the keys are taken, and the counts to the right and downwards."""
        self._space, self._mouse, self._steps = space, mouse, steps
        self.moved_deg = self.wanted_deg = (0.0, 0.0)
        """Yaw and pitch of the newest tick's motion; the same with all that earlier ticks have not used."""

    def __next__(self) -> Action:
        keys, dx, dy = next(self._steps)
        carried = self._mouse.pending_deg
        self._mouse.move(dx, dy)
        self.wanted_deg = self._mouse.pending_deg
        self.moved_deg = self.wanted_deg[0] - carried[0], self.wanted_deg[1] - carried[1]
        taken = self._mouse.take()
        return Action(tuple(taken.get(i, value) for i, value in enumerate(keys.values)))

    def settle(self, asked: Action, used: Action) -> None:
        """Carry what the tick did not use of the action asked for into the next."""
        self._mouse.settle(asked, used)


def recorded_hand(path: Path, scene: Scene, sensitivity_deg: float, invert_y: bool = False) -> Hand:
    """A recording as the actions of a scene's ticks, no key held. Raises TraceError.

    sensitivity_deg: degrees of look for one count.
    """
    recording, space = HandRecording(read_hand(path)), scene.action_space
    ends_ms = (1000 * tick / scene.tick_hz for tick in itertools.count(1))
    steps = ((space.idle, *recording.until(ms)) for ms in ends_ms)
    return Hand(space, Mouse(space, sensitivity_deg, invert_y), steps)
