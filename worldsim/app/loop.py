"""The desktop session: a window that polls input, paces ticks, and shows what the engine process makes.

Never imports torch and never waits for the engine: a late frame slows world time, not the window.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pygame

from worldsim.action import Action
from worldsim.app.hud import Status
from worldsim.app.input import Input
from worldsim.app.screen import Screen
from worldsim.app.window import Window
from worldsim.camera import Look
from worldsim.engine.server import EngineProcess, EngineSettings
from worldsim.errors import WorldsimError
from worldsim.play.hand import PREFIX, HandRecording, read_hand
from worldsim.scene import Scene, parse_scene

_LATE_WINDOW = 100  # ticks over which lateness is judged
_AT_ONCE_S = 0.004  # within which a drafted frame comes: worth waiting for rather than drawing twice
_REWIND_TICKS = 2  # ticks gone back for each tick's time while Backspace is held


@dataclass(frozen=True)
class WindowSettings:
    """How the window behaves. checkpoints: what Tab goes through. actions: scripted play instead of a person's."""

    size: tuple[int, int] = (960, 622)
    sensitivity_deg: float = 0.15
    invert_y: bool = False
    hud: bool = True
    reproject: bool = True
    card: bool | None = None  # None: on the first start only
    checkpoints: tuple[str, ...] = ()
    recordings: Path = Path("recordings")
    screenshots: Path = Path("screenshots")
    ticks: int | None = None
    actions: str | None = None


@dataclass
class Summary:
    """What a desktop session did, for `--json` and tests. latency_ms is that of all inputs; of them frame_ms of those
    that a new frame answered, turn_ms of turns that the newest one, reprojected, did. Scripted input counts from when
    its action is sent: it never waits for the next tick, as a key does, or the next picture, as a mouse does."""

    ticks: int = 0
    late: int = 0
    first_window_s: float = 0.0
    first_frame_s: float = 0.0
    tick_ms: deque[float] = field(default_factory=lambda: deque(maxlen=20_000))
    latency_ms: deque[float] = field(default_factory=lambda: deque(maxlen=20_000))
    frame_ms: deque[float] = field(default_factory=lambda: deque(maxlen=20_000))
    turn_ms: deque[float] = field(default_factory=lambda: deque(maxlen=20_000))
    window_ms: deque[float] = field(default_factory=lambda: deque(maxlen=20_000))  # own work for each picture drawn
    draft: dict[str, int] = field(default_factory=dict)


class Desktop:
    """One window and one engine process."""

    def __init__(self, engine_settings: EngineSettings, settings: WindowSettings, begun: float) -> None:
        """Opens the window, then starts the engine behind it. Raises DisplayError.

        begun: time.perf_counter() when the program began, from which start-up times are counted.
        """
        self._begun = begun
        self._settings, self._engine_settings = settings, engine_settings
        self._window = Window(settings.size, "worldsim")
        self._status = Status(checkpoint=engine_settings.checkpoint)
        self._screen = Screen(self._window, self._status, settings.screenshots)
        self._screen.bar, self._screen.reproject = settings.hud, settings.reproject
        self._screen.card = _first_start() if settings.card is None else settings.card
        self.played = Summary(first_window_s=time.perf_counter() - self._begun)
        self._scene: Scene | None = None
        self._input: Input | None = None
        self._script: Iterator[Action] | None = None
        self._hand: HandRecording | None = None  # moves the mouse, if nobody does
        self._hand_since = 0.0
        self._asked: Action | None = None  # of the input, that the engine is working on
        self._newest_look = self._drawn_look = Look()
        self._pending: int | None = None  # id of the action the engine is working on
        self._stamps: dict[int, float] = {}
        self._await_display: float | None = None
        self._waited_ms = self._drawn_ms = 0.0  # of this tick, for the timeline
        self._input_time: float | None = None
        self._turned_at: float | None = None  # when the look was first moved that the display does not show yet
        self._due = self._sent_at = self._draw_s = self._busy_s = 0.0
        self._recent_late: list[bool] = []
        self._paused = self._replaying = self._running = False
        self._offered = False
        self._rewind_to: int | None = None
        self._earliest = 0
        self._record_since: float | None = None
        self._fatal: str | None = None
        self._next_id = 0
        self._screen.draw(self._newest_look)  # the loading screen, before the engine costs anything
        self._engine = EngineProcess(engine_settings)

    def run(self) -> Summary:
        """Until the window is closed. Raises WorldsimError if the engine could not go on."""
        self._running = True
        try:
            while self._running:
                begun = time.perf_counter()
                for event in pygame.event.get():
                    self._handle(event)
                for message in self._engine.receive():
                    self._take(message)
                self._play_hand()
                self._tick()
                self._busy_s += time.perf_counter() - begun
                self._draw_if_due()
                self._engine.wait(self._idle_s())
        finally:
            self._engine.close()
            self._window.close()
        if self._fatal:
            raise WorldsimError(self._fatal)
        return self.played

    def _idle_s(self) -> float:
        """How long to sleep if no message comes: events are polled at 250 Hz, a due tick is met on time."""
        if self._scene is None:
            return 0.01
        waiting = self._pending is not None or self._paused
        return 0.004 if waiting else min(0.004, max(0.0, self._due - time.perf_counter()))

    # Input

    def _handle(self, event: pygame.event.Event) -> None:
        if event.type == pygame.QUIT:
            self._running = False
        elif event.type in (pygame.VIDEORESIZE, pygame.VIDEOEXPOSE, pygame.WINDOWEXPOSED):
            self._screen.dirty = True
        elif event.type == pygame.MOUSEBUTTONDOWN:
            self._dismiss_card()
            self._window.capture(True)
        elif event.type == pygame.MOUSEMOTION and self._window.captured and self._input:
            self._input.move(*event.rel)
            self._turned()
        elif event.type == pygame.KEYDOWN and self._key(event):
            return
        elif event.type == pygame.KEYUP and event.key == pygame.K_BACKSPACE:
            self._end_rewind()
        elif event.type == pygame.WINDOWFOCUSLOST:
            self._window.capture(False)
        if self._input and self._input.handle(event):
            self._touched()

    def _play_hand(self) -> None:
        """Move the mouse as a recorded hand has by now."""
        if self._hand is not None and self._input is not None:
            dx, dy = self._hand.until((time.perf_counter() - self._hand_since) * 1e3)
            if dx or dy:
                self._input.move(dx, dy)
                self._turned()

    def _touched(self) -> None:
        """Remember when the first input came that no action has taken yet."""
        if self._input_time is None:
            self._input_time = time.perf_counter()

    def _turned(self) -> None:
        """The mouse has moved: where reprojection shows that, the next picture answers it, else the next frame."""
        if not self._screen.reproject:
            self._touched()
        elif self._turned_at is None:
            self._turned_at = time.perf_counter()

    def _key(self, event: pygame.event.Event) -> bool:
        """A key of the program itself. Returns True if it was one."""
        key = event.key
        if key == pygame.K_q and event.mod & pygame.KMOD_CTRL:
            self._running = False
        elif key == pygame.K_ESCAPE:
            self._window.capture(False)
        elif key == pygame.K_h:
            self._screen.card = not self._screen.card
        elif self._dismiss_card():
            return False
        elif key == pygame.K_F1:
            self._screen.bar = not self._screen.bar
        elif key == pygame.K_F2:
            self._screen.reproject = not self._screen.reproject
            self._screen.note(f"smooth look {'on' if self._screen.reproject else 'off'}")
        elif key == pygame.K_F3:
            self._screen.timeline = not self._screen.timeline
        elif key == pygame.K_F11:
            self._window.toggle_fullscreen()
        elif key == pygame.K_F12:
            self._screen.shot_wanted = True
        elif self._scene is None:
            return False
        elif key == pygame.K_p:
            self._paused = not self._paused
            self._input_time = None
        elif key == pygame.K_PERIOD:
            self._paused = True
            self._send_action()
        elif key == pygame.K_r:
            self._engine.send("reset")
        elif key == pygame.K_BACKSPACE:
            self._rewind_to = self._status.tick
        elif key == pygame.K_F5:
            self._toggle_recording()
        elif key == pygame.K_F6:
            self._replay_last()
        elif key == pygame.K_TAB:
            self._next_checkpoint()
        else:
            return False
        self._screen.refresh()
        return True

    def _dismiss_card(self) -> bool:
        shown, self._screen.card = self._screen.card, False
        self._screen.dirty |= shown
        return shown

    def _toggle_recording(self) -> None:
        if self._record_since is not None:
            self._engine.send("record", path=None)
            return
        name = time.strftime(f"{Path(self._status.checkpoint).name.replace(':', '-')}-%Y%m%d-%H%M%S.jsonl")
        self._engine.send("record", path=str(self._settings.recordings / name))

    def _replay_last(self) -> None:
        files = sorted(self._settings.recordings.glob("*.jsonl"), key=lambda p: p.stat().st_mtime)
        if not files:
            self._screen.note(f"nothing has been recorded in {self._settings.recordings} yet; F5 records")
            return
        if self._record_since is not None:
            self._engine.send("record", path=None)
        self._engine.send("replay", path=str(files[-1]))

    def _next_checkpoint(self) -> None:
        names = list(self._settings.checkpoints)
        if not set(names) - {self._status.checkpoint}:
            self._screen.note("there is no other checkpoint")
            return
        here = names.index(self._status.checkpoint) if self._status.checkpoint in names else -1
        self._engine.send("swap", checkpoint=names[(here + 1) % len(names)])

    def _end_rewind(self) -> None:
        if self._rewind_to is not None:
            self._engine.send("rewind", tick=self._rewind_to)
            self._rewind_to = None
            self._input_time = None
            if self._input:
                self._input.release()

    # Engine

    def _take(self, message: dict[str, Any]) -> None:
        say = message["say"]
        if say == "frame":
            self._take_frame(message)
        elif say == "ready":
            self._enter_scene(message)
        elif say == "recording":
            self._record_since = time.perf_counter() if message["path"] else None
            self._screen.note(message["text"])
        elif say == "note":
            self._screen.note(message["text"])
        elif say in ("fatal", "died"):
            self._fatal = message["text"]
            self._running = False

    def _enter_scene(self, message: dict[str, Any]) -> None:
        before, self._scene = self._scene, parse_scene(message["scene"], "engine")
        self._screen.scene = self._scene
        self._status.checkpoint = message["checkpoint"]
        if self._input is None or before is None or before.controls != self._scene.controls:  # held keys stay held
            self._asked = None
            self._input = Input(self._scene.action_space, self._settings.sensitivity_deg, self._settings.invert_y)
        self._due = time.perf_counter()
        if message["recording"] and self._record_since is None:
            self._record_since = time.perf_counter()
        actions = self._settings.actions
        if actions and actions.startswith(PREFIX):
            if self._hand is None:
                self._hand, self._hand_since = HandRecording(read_hand(Path(actions.removeprefix(PREFIX)))), self._due
        elif actions and self._script is None:
            from worldsim.play.action_sources import action_source

            self._script = action_source(actions, self._scene, self._engine_settings.seed)
        pygame.display.set_caption(f"worldsim - {self._scene.title}")

    def _take_frame(self, message: dict[str, Any]) -> None:
        now = time.perf_counter()
        if not self.played.first_frame_s:
            self.played.first_frame_s = now - self._begun
        status, look = self._status, Look(*(message["look"] or (0.0, 0.0)))
        self._screen.take_frame(self._engine.pixels(message), look, message["tick"])
        status.tick, self._earliest, self._replaying = message["tick"], message["earliest"], message["replaying"]
        self.played.draft = message["draft"]
        draft = message["draft"]
        status.accepted, status.missed = draft["accepted"], draft["missed"]
        status.hit_ms, status.plain_ms = draft["hit_ms"], draft["plain_ms"]
        stamp = self._stamps.pop(message["id"], None)
        self._newest_look = look
        if message["tick_ms"] is not None:  # made for an action: no reset, no rewind, no replayed frame
            if self._asked is not None and self._input is not None:
                self._input.settle(self._asked, Action(tuple(message["action"])))
            self._asked = None
            self.played.ticks += 1
            status.frame_times.append(now)
            status.tick_ms.append(message["tick_ms"])
            # What the engine tells with a frame was spent since the one before: its slack, then this tick.
            status.timings.append({**message["spent"], "input": self._waited_ms, "draw": self._drawn_ms})
            self._drawn_ms = 0.0
            self.played.tick_ms.append(message["tick_ms"])
            self._await_display = stamp
        if message["id"] == self._pending:
            self._pending = None
        if self._settings.ticks is not None and self.played.ticks >= self._settings.ticks:
            self._draw()
            self._running = False

    # World time

    def _tick(self) -> None:
        """Send the next action when its time has come and the engine is free."""
        now = time.perf_counter()
        if self._scene is None or now < self._due:
            return
        period = 1 / self._scene.tick_hz
        if self._rewind_to is not None:
            self._rewind_to = max(self._earliest, self._rewind_to - _REWIND_TICKS)
            self._engine.send("peek", tick=self._rewind_to)
            self._due = now + period
        elif self._pending is None and not self._paused:
            self._count_late(now - self._due > 0.25 * period)
            self._waited_ms = (now - self._due) * 1e3
            self._send_action()
            # A late tick moves all later ones: world time slows, no tick is skipped.
            self._due = self._due + period if now - self._due < 0.25 * period else now + period
        elif self._paused:
            self._due = now + period

    def _send_action(self) -> None:
        if self._input is None or self._scene is None or self._pending is not None:
            return
        wanted_deg = self._input.pending_deg() if self._screen.reproject else None
        action = self._asked = self._input.sample()
        if self._script:
            action, self._asked, wanted_deg = next(self._script), None, None
            self._touched_by(action)
        space = self._scene.action_space
        if self._scene.camera is not None:
            self._newest_look = self._scene.camera.turn(
                self._newest_look, space.degrees(action, "yaw"), space.degrees(action, "pitch")
            )
        self._pending = self._next_id = self._next_id + 1
        if self._input_time is not None:  # only what a hand did has a latency
            self._stamps[self._pending] = self._input_time
        self._input_time, self._sent_at = None, time.perf_counter()
        self._engine.send(
            "advance", action=list(action.values), wanted_deg=wanted_deg, id=self._pending,
            period_s=1 / self._scene.tick_hz,
        )  # fmt: skip

    def _touched_by(self, action: Action) -> None:
        """Scripted hands have a latency too: the mouse, if they moved it, else the keys."""
        assert self._scene is not None
        mouse = any(v and c.is_mouse for v, c in zip(action.values, self._scene.controls, strict=True))
        if mouse:
            self._turned()
        elif action != self._scene.action_space.idle:
            self._touched()

    def _count_late(self, late: bool) -> None:
        self._recent_late = [*self._recent_late[-_LATE_WINDOW + 1 :], late]
        self.played.late += late
        self._status.late = self.played.late
        if sum(self._recent_late) > 0.2 * _LATE_WINDOW and not self._offered:
            self._offered = True
            other = [n for n in self._settings.checkpoints if n != self._status.checkpoint and n.endswith("tiny")]
            offer = f"; Tab changes to {other[0]}, which is faster" if other else ""
            self._screen.note(f"this machine is slow for {self._status.checkpoint}{offer}", seconds=15)

    # Display

    def _draw_if_due(self) -> None:
        if self._await_display is not None or self._screen.due(self._looking()):
            self._draw()

    def _looking(self) -> bool:
        """True if the look has moved beyond what was drawn, unless a frame may answer it at once."""
        if self._input is None or self._rewind_to is not None or not self._screen.reproject:
            return False
        patience = max(_AT_ONCE_S, self._draw_s)  # no longer a wait than drawing twice would be
        if self._pending is not None and time.perf_counter() - self._sent_at <= patience:
            return False
        look, drawn = self._look_now(), self._drawn_look
        return abs(look.yaw_deg - drawn.yaw_deg) >= 0.25 or abs(look.pitch_deg - drawn.pitch_deg) >= 0.25

    def _look_now(self) -> Look:
        """Where the hand looks: mouse motion that no tick has used shows at once."""
        if self._scene is None or self._scene.camera is None or self._input is None:
            return self._newest_look
        return self._scene.camera.turn(self._newest_look, *self._input.pending_deg())

    def _draw(self) -> None:
        status = self._status
        status.recording_s = None if self._record_since is None else time.perf_counter() - self._record_since
        status.mode = (
            f"REWIND to {self._rewind_to}" if self._rewind_to is not None
            else "REPLAY" if self._replaying else "PAUSED" if self._paused else ""
        )  # fmt: skip
        look = self._look_now() if self._rewind_to is None else self._screen.shown_look
        begun = time.perf_counter()
        drawn_at, self._drawn_look = self._screen.draw(look), look
        self._draw_s = drawn_at - begun
        self.played.window_ms.append((self._busy_s + self._screen.submitted_s) * 1e3)
        self._busy_s = 0.0
        self._drawn_ms += self._draw_s * 1e3
        played = self.played
        for since, kind in ((self._await_display, played.frame_ms), (self._turned_at, played.turn_ms)):
            if since is not None:
                for kept in (status.latency_ms, played.latency_ms, kind):
                    kept.append((drawn_at - since) * 1e3)
        self._await_display = self._turned_at = None


def _first_start() -> bool:
    """True once for each user: the key card then shows itself."""
    try:
        base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        seen = base / "worldsim" / "started"
        if seen.exists():
            return False
        seen.parent.mkdir(parents=True, exist_ok=True)
        seen.touch()
    except (OSError, RuntimeError):
        pass  # no home, or one that cannot be written, shows the card each time
    return True
