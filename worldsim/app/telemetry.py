"""When the next tick is due, how long input takes to reach the display, and the figures of a played window.

Knows clocks and numbers, neither pygame nor the engine: every method is told what time it is, in seconds of one
monotonic clock. So any front end can use it, and a test needs no window.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from worldsim.scene import Scene

_LATE_SHARE = 0.25  # of a tick's time: later than that is late
_JUDGED_TICKS = 100  # over which it is judged whether a machine is too slow,
_SLOW_SHARE = 0.2  # which it is if more than so many of them were late
TIMELINE_TICKS = 200
_KEPT = 20_000  # figures kept for the summary: a quarter of an hour


def _kept(most: int) -> deque[float]:
    return field(default_factory=lambda: deque(maxlen=most))  # type: ignore[return-value]


class Pacer:
    """World time. A late tick moves all later ones: world time slows, no tick is skipped."""

    def __init__(self) -> None:
        self.due = 0.0
        self.late = 0
        """Late ticks so far."""
        self._recent: deque[bool] = deque(maxlen=_JUDGED_TICKS)

    @property
    def is_slow(self) -> bool:
        """Whether this machine cannot keep up with world time."""
        return sum(self._recent) > _SLOW_SHARE * _JUDGED_TICKS

    def restart(self, now: float) -> None:
        """The next tick is due at once, and is not late."""
        self.due = now

    def is_due(self, now: float) -> bool:
        return now >= self.due

    def put_off(self, now: float, period_s: float) -> None:
        """No tick now: look again after its time."""
        self.due = now + period_s

    def take(self, now: float, period_s: float) -> float:
        """The due tick's action goes out now. Returns how long after its time that is, in seconds."""
        waited = now - self.due
        late = waited > _LATE_SHARE * period_s
        self._recent.append(late)
        self.late += late
        self.due = now + period_s if late else self.due + period_s
        return waited


@dataclass
class Latency:
    """From input to display, in milliseconds: of all inputs; of them `frame_ms` of those that a new frame answered,
    `turn_ms` of turns that the newest frame, reprojected, did."""

    all_ms: deque[float] = _kept(_KEPT)
    frame_ms: deque[float] = _kept(_KEPT)
    turn_ms: deque[float] = _kept(_KEPT)
    _touched: float | None = None  # the first input that no action has taken yet
    _turned: float | None = None  # the first turn that no picture shows yet
    _answered: float | None = None  # input whose frame is here but not drawn
    _sent: dict[int, float] = field(default_factory=dict)  # id of an action -> when its first input came

    @property
    def waits_for_picture(self) -> bool:
        """Whether a frame that answers somebody's input is yet to be drawn."""
        return self._answered is not None

    def touch(self, now: float) -> None:
        """There was input that the next action takes."""
        self._touched = now if self._touched is None else self._touched

    def turn(self, now: float) -> None:
        """There was input that the next picture shows."""
        self._turned = now if self._turned is None else self._turned

    def forget(self) -> None:
        """The input so far reaches no action."""
        self._touched = None

    def send(self, id: int) -> None:
        """An action has taken all input so far. Only what a hand did has a latency."""
        if self._touched is not None:
            self._sent[id] = self._touched
        self._touched = None

    def answer(self, id: int) -> None:
        """The frame of an action has come."""
        self._answered = self._sent.pop(id, None)

    def drop(self, id: int) -> None:
        """An action was not used: no picture answers it."""
        self._sent.pop(id, None)

    def draw(self, now: float) -> list[float]:
        """A picture is on the display. Returns the latencies of what it is the first to show, in milliseconds."""
        done = []
        for since, kind in ((self._answered, self.frame_ms), (self._turned, self.turn_ms)):
            if since is not None:
                done.append((now - since) * 1e3)
                kind.append(done[-1])
        self._answered = self._turned = None
        self.all_ms.extend(done)
        return done


@dataclass
class Summary:
    """What a window's session did, for `--json` and tests. Scripted input counts from when its action is sent: it never
    waits for the next tick, as a key does, or the next picture, as a mouse does. window_ms: the window's own work for
    each picture."""

    ticks: int = 0
    late: int = 0
    first_window_s: float = 0.0
    first_frame_s: float = 0.0
    tick_ms: deque[float] = _kept(_KEPT)
    window_ms: deque[float] = _kept(_KEPT)
    latency: Latency = field(default_factory=Latency)
    draft: dict[str, Any] = field(default_factory=dict)


@dataclass
class Status:
    """What overlays may show: the scene (None before the first), and figures of the last ticks, in milliseconds."""

    checkpoint: str = ""
    scene: Scene | None = None
    tick: int = 0
    frame_times: deque[float] = _kept(60)
    tick_ms: deque[float] = _kept(200)
    latency_ms: deque[float] = _kept(200)
    accepted: int = 0
    missed: int = 0
    hit_ms: float = 0.0
    plain_ms: float = 0.0
    late: int = 0
    reward: float | None = None  # of this episode so far; None where a world gives none
    found: tuple[int, int] | None = None  # of the entities that count, and how many there are; None where none count
    under_way: tuple[str, ...] = ()  # the names of the events that last
    recording_s: float | None = None
    timings: deque[dict[str, float]] = field(default_factory=lambda: deque(maxlen=TIMELINE_TICKS))  # ms by part
    mode: str = ""
    note: str = ""
    _episode_over: bool = False

    def fps(self) -> float:
        """Frames of the world a second, over the last three seconds or so."""
        if len(self.frame_times) < 2:
            return 0.0
        return (len(self.frame_times) - 1) / max(self.frame_times[-1] - self.frame_times[0], 1e-6)

    def enter(self, checkpoint: str, scene: Scene) -> None:
        """Another world is shown."""
        if self.scene is not None and scene != self.scene:
            self.reward = None
        self.checkpoint, self.scene = checkpoint, scene

    def take_drafts(self, figures: Mapping[str, Any]) -> None:
        """What is known of drafts by now; what is not told stays as it was."""
        self.accepted, self.missed = figures["accepted"], figures["missed"]
        self.hit_ms, self.plain_ms = figures.get("hit_ms", self.hit_ms), figures.get("plain_ms", self.plain_ms)

    def add_reward(self, reward: float | None, ended: bool) -> None:
        """Of one tick. The tick after an episode's end begins a new sum."""
        if reward is not None:
            self.reward = reward + (0.0 if self.reward is None or self._episode_over else self.reward)
        self._episode_over = ended
