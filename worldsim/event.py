"""Events: named changes of the whole world that the player calls up, as night or fog.

Calling one is part of an action; what follows from it is a rule of the scene, as the look is: an event fades in, lasts
for its time or until another one ends it, and fades out. How it looks is drawn by a true engine and learned by a dream.
All in whole numbers, so a replay has the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from worldsim.config import require
from worldsim.errors import nearest, shown

FADE = 8
"""Ticks in which an event fades in or out."""


@dataclass(frozen=True)
class Event:
    """One event of a scene.

    key: that calls it; its number in the list if left out. seconds: how long it lasts; 0 until it is ended. ends:
    events that it ends when it is called. An event that only ends others, as `day` does, has `shows: false`.
    """

    name: str
    key: str = ""
    seconds: float = 0.0
    ends: tuple[str, ...] = ()
    shows: bool = True

    def __post_init__(self) -> None:
        word = 0 < len(self.name) <= 30 and self.name.replace("_", "a").isalnum()
        require(word, f"name must be one word of letters, digits and _, got {shown(self.name)}")
        require(0 <= self.seconds <= 3600, f"seconds must lie in [0, 3600], got {self.seconds:g}")
        require(self.name not in self.ends, f"ends must name other events, got {shown(self.ends)}")


@dataclass(frozen=True)
class Happening:
    """How far each event of a scene has faded in, in whole steps of 0 to FADE, and how many ticks it still lasts; -1
    without an end, 0 where it is over."""

    steps: tuple[int, ...] = ()
    left: tuple[int, ...] = ()

    @staticmethod
    def none(events: Sequence[Event]) -> Happening:
        return Happening((0,) * len(events), (0,) * len(events))

    @property
    def levels(self) -> tuple[float, ...]:
        """How far each event has faded in, in [0, 1]."""
        return tuple(step / FADE for step in self.steps)

    @staticmethod
    def begun(events: Sequence[Event], names: Sequence[str], tick_hz: float) -> Happening:
        """These events called one after another, and those that last wholly faded in. Raises ConfigError naming the
        nearest."""
        happening, known = Happening.none(events), [event.name for event in events]
        for name in names:
            require(name in known, f"no event is called {shown(name)}, {nearest(name, known)}")
            happening = happening.after(events, [int(name == other) for other in known], tick_hz)
        return Happening(tuple(FADE if ticks else 0 for ticks in happening.left), happening.left)

    def under_way(self, events: Sequence[Event]) -> tuple[str, ...]:
        """The names of the events that last. Where nothing is known of events, none do."""
        return tuple(event.name for event, ticks in zip(events, self.left, strict=False) if ticks)

    def after(self, events: Sequence[Event], called: Sequence[int], tick_hz: float) -> Happening:
        """One tick later. called: 1 for each event that the action calls."""
        left = [ticks - 1 if ticks > 0 else ticks for ticks in self.left]
        for event, call in zip(events, called, strict=True):
            if call:
                left = [0 if other.name in event.ends else ticks for other, ticks in zip(events, left, strict=True)]
        for i, (event, call) in enumerate(zip(events, called, strict=True)):
            if call and event.shows:
                left[i] = round(event.seconds * tick_hz) or -1
        steps = tuple(
            min(step + 1, FADE) if ticks else max(step - 1, 0) for step, ticks in zip(self.steps, left, strict=True)
        )
        return Happening(steps, tuple(left))
