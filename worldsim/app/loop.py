"""The desktop session: a window that polls input, paces ticks, and shows what the engine process makes.

Never imports torch and never waits for the engine: a late frame slows world time, not the window.
"""

from __future__ import annotations

import time

import pygame

from worldsim.action import Action
from worldsim.app.bindings import Binding, bindings_for
from worldsim.app.commands import COMMANDS, RELEASED
from worldsim.app.hands import Hands
from worldsim.app.overlays.base import Press
from worldsim.app.screen import Screen
from worldsim.app.settings import WindowSettings
from worldsim.app.telemetry import Pacer, Status, Summary
from worldsim.app.window import Window
from worldsim.camera import Look
from worldsim.engine import protocol
from worldsim.engine.process import EngineProcess
from worldsim.errors import WorldsimError
from worldsim.scene import parse_scene

_AT_ONCE_S = 0.004  # within which a drafted frame comes: worth waiting for rather than drawing twice
_REWIND_TICKS = 2  # ticks gone back for each tick's time while the key is held
_POLL_S = 0.004  # between two looks for events
_TURN_DEG = 0.25  # a turn that is worth a picture of its own


class Desktop:
    """One window and one engine process. Its public fields are what `commands` work on."""

    def __init__(self, engine_settings: protocol.EngineSettings, settings: WindowSettings, begun: float) -> None:
        """Opens the window, then starts the engine behind it. Raises DisplayError.

        begun: time.perf_counter() when the program began, from which start-up times are counted.
        """
        self._begun, self._seed = begun, engine_settings.seed
        self.settings = settings
        self.window = Window(settings.size, "worldsim")
        self.status = Status(checkpoint=engine_settings.checkpoint)
        self.screen = Screen(self.window, self.status, settings.screenshots)
        self.screen.reproject = settings.reproject
        if not settings.bar:
            self.screen.toggle("bar")
        if settings.card_at_start:
            self.screen.toggle("keys")
        self.played = Summary(first_window_s=time.perf_counter() - begun)
        self.latency, self.pacer = self.played.latency, Pacer()
        self.hands: Hands | None = None  # none before there is a scene
        self.running = self.paused = False
        self.rewind_to: int | None = None
        self.record_since: float | None = None
        self._bindings = _by_code(bindings_for(None))
        self._epoch = 0
        self._newest_look = self._drawn_look = Look()
        self._pending: int | None = None  # id of the action the engine is working on
        self._next_id = 0
        self._earliest = 0
        self._replaying = self._offered = False
        self._waited_ms = self._drawn_ms = 0.0  # of this tick, for the timeline
        self._sent_at = self._draw_s = self._busy_s = 0.0
        self._fatal: str | None = None
        self.screen.draw(self._newest_look)  # the loading screen, before the engine costs anything
        self.engine = EngineProcess(engine_settings)

    def run(self) -> Summary:
        """Until the window is closed. Raises WorldsimError if the engine could not go on."""
        self.running = True
        try:
            while self.running:
                begun = time.perf_counter()
                for event in pygame.event.get():
                    self._handle(event)
                for message in self.engine.receive():
                    self._take(message)
                if self.hands and self.hands.play_recording():
                    self._turned()
                self._tick()
                self._busy_s += time.perf_counter() - begun
                if self.latency.waits_for_picture or self.screen.due(self._looking()):
                    self._draw()
                self.engine.wait(self._idle_s())
        finally:
            self.engine.close()
            self.window.close()
        if self._fatal:
            raise WorldsimError(self._fatal)
        return self.played

    def _idle_s(self) -> float:
        """How long to sleep if no message comes: events are polled often, a due tick is met on time."""
        if self.hands is None:
            return 0.01
        waiting = self._pending is not None or self.paused
        return _POLL_S if waiting else min(_POLL_S, max(0.0, self.pacer.due - time.perf_counter()))

    # Input

    def _handle(self, event: pygame.event.Event) -> None:
        if event.type == pygame.QUIT:
            self.running = False
        elif event.type in (pygame.VIDEORESIZE, pygame.VIDEOEXPOSE, pygame.WINDOWEXPOSED):
            self.screen.dirty = True
        elif event.type == pygame.MOUSEBUTTONDOWN:
            self._click()
        elif event.type == pygame.MOUSEMOTION and self.window.captured and self.hands:
            self.hands.input.move(*event.rel)
            self._turned()
        elif event.type == pygame.KEYDOWN and self._key(event):
            return
        elif event.type == pygame.KEYUP and (binding := self._bindings.get((event.key, False))):
            if released := RELEASED.get(binding.command):
                released(self, binding.argument)
        elif event.type == pygame.WINDOWFOCUSLOST:
            self.window.capture(False)
        if self.hands and self.hands.input.handle(event):
            self.latency.touch(time.perf_counter())

    def _click(self) -> None:
        """A click closes what takes the keys, and holds the mouse where a scene listens to it."""
        top = self.screen.takes_keys()
        if top and top[1].press(0, "", self.status) is Press.CLOSE:
            self.screen.toggle(top[0])
        if self.hands and self.hands.has_mouse:
            self.window.capture(True)

    def _key(self, event: pygame.event.Event) -> bool:
        """A key is pressed. Returns True unless it may be a control's."""
        text = getattr(event, "unicode", "")
        binding = self._bindings.get((event.key, bool(event.mod & pygame.KMOD_CTRL)))
        binding = self._bindings.get((ord(text), False)) if text == "/" else binding  # Shift and 7 on some keyboards
        binding = binding or self._bindings.get((event.key, False))
        top = self.screen.takes_keys()
        if top and not (binding and binding.always and (binding.ctrl or not top[1].takes_text)):
            press = top[1].press(event.key, text, self.status)
            if press is Press.CLOSE:
                self.screen.toggle(top[0])
            if called := top[1].take_called():
                COMMANDS["call"](self, called)
            self.screen.refresh()
            if press is not Press.PASS:
                return press is Press.KEEP or top[1].takes_text
        if binding is None or (binding.in_world and self.hands is None):
            return False
        COMMANDS[binding.command](self, binding.argument)
        self.screen.refresh()
        return True

    def _turned(self) -> None:
        """The mouse has moved: where reprojection shows that, the next picture answers it, else the next frame."""
        now = time.perf_counter()
        if self.screen.warps:
            self.latency.turn(now)
        else:
            self.latency.touch(now)

    # Engine

    def _take(self, message: protocol.Event) -> None:
        if isinstance(message, protocol.FrameShown):
            self._take_frame(message)
        elif isinstance(message, protocol.Ready):
            self._enter(message)
        elif isinstance(message, protocol.Dropped):
            self.latency.drop(message.id)
            self._settle(message.id)
        elif isinstance(message, protocol.Recording):
            self.record_since = time.perf_counter() if message.path else None
            self.screen.note(message.text)
        elif isinstance(message, protocol.Note):
            self.screen.note(message.text)
        elif isinstance(message, protocol.Failed):
            self._fatal, self.running = message.text, False

    def _enter(self, message: protocol.Ready) -> None:
        """Another world is shown, of the same scene or of another."""
        scene, before = parse_scene(message.scene, "the engine's scene"), self.status.scene
        self._epoch = message.epoch
        self.screen.enter(message.checkpoint, scene)
        if scene != before or self.hands is None:
            self._newest_look, self.rewind_to = Look(), None
            self.latency.forget()
            self.hands = Hands(scene, self.settings, self._seed)
            self._bindings = _by_code(bindings_for(scene))
            if self.hands.note:
                self.screen.note(self.hands.note)
            if not self.hands.has_mouse:
                self.window.capture(False)
        self.pacer.restart(time.perf_counter())
        if message.recording and self.record_since is None:
            self.record_since = time.perf_counter()
        pygame.display.set_caption(f"worldsim - {scene.title}")

    def _take_frame(self, message: protocol.FrameShown) -> None:
        now, pixels, status = time.perf_counter(), self.engine.take(message), self.status
        if message.id is not None:
            self.latency.answer(message.id)
            self._settle(message.id)
        if message.epoch != self._epoch:
            return
        self.played.first_frame_s = self.played.first_frame_s or now - self._begun
        look = None if message.look is None else Look(*message.look)
        self.screen.take_frame(pixels, look, message.tick)
        status.tick, self._earliest, self._replaying = message.tick, message.earliest, message.replaying
        status.found, status.under_way = message.found, message.under_way
        self.played.draft |= {**(message.draft or {}), "accepted": message.accepted, "missed": message.missed}
        status.take_drafts(self.played.draft)
        if message.tick_ms is not None:  # made for an action: no reset, rewind or replayed frame
            self._take_tick(message, message.tick_ms, now)
        if self._pending is None:  # the world knows best where one looks: an episode may have begun afresh
            self._newest_look = look or Look()
        if self.settings.ticks is not None and self.played.ticks >= self.settings.ticks:
            self._draw()
            self.running = False

    def _take_tick(self, message: protocol.FrameShown, tick_ms: float, now: float) -> None:
        """Count a tick. message.action is the action that was used: the hand's own, or that of a draft near it."""
        if self.hands is not None and message.action is not None:
            self.hands.settle(Action(message.action))
        status = self.status
        self.played.ticks += 1
        status.frame_times.append(now)
        for kept in (status.tick_ms, self.played.tick_ms):
            kept.append(tick_ms)
        # What the engine tells with a frame was spent since the one before: its slack, then this tick.
        status.timings.append({**message.spent, "input": self._waited_ms, "draw": self._drawn_ms})
        self._drawn_ms = 0.0
        status.add_reward(message.reward, message.ended)
        if message.ended:
            self.screen.note("the episode has ended; the next tick begins another")

    def _settle(self, id: int) -> None:
        """The engine has done with an action, used or not."""
        if id == self._pending:
            self._pending = None

    # World time

    def _tick(self) -> None:
        """Send the next action when its time has come and the engine is free."""
        now = time.perf_counter()
        if self.hands is None or not self.pacer.is_due(now):
            return
        period_s = 1 / self.hands.scene.tick_hz
        if self.rewind_to is not None:
            self.rewind_to = max(self._earliest, self.rewind_to - _REWIND_TICKS)
            self.engine.send(protocol.Peek(self.rewind_to))
            self.pacer.put_off(now, period_s)
        elif self.paused:
            self.pacer.put_off(now, period_s)
        elif self._pending is None:
            self._waited_ms = self.pacer.take(now, period_s) * 1e3
            self.status.late = self.played.late = self.pacer.late
            self._offer_faster()
            self.send_action()

    def send_action(self) -> None:
        """Sample the action of a tick and send it, unless the engine is still at the one before."""
        if self.hands is None or self._pending is not None:
            return
        scene, (action, wanted_deg) = self.hands.scene, self.hands.sample()
        if not self.screen.warps:
            wanted_deg = None  # nothing would show the rest of the motion at once
        if self.hands.is_scripted and action != scene.action_space.idle:  # scripted hands have a latency too
            if self.hands.moves_mouse(action):
                self._turned()
            else:
                self.latency.touch(time.perf_counter())
        if scene.camera is not None:
            space = scene.action_space
            yaw_deg, pitch_deg = space.degrees(action, "yaw"), space.degrees(action, "pitch")
            self._newest_look = scene.camera.turn(self._newest_look, yaw_deg, pitch_deg)
        self._pending = self._next_id = self._next_id + 1
        self.latency.send(self._pending)
        self._sent_at = time.perf_counter()
        period_s, seen = 1 / scene.tick_hz, self.engine.seen
        self.engine.send(protocol.Advance(action.values, self._pending, self._epoch, period_s, seen, wanted_deg))

    def _offer_faster(self) -> None:
        """Say once that a machine is too slow, and what is faster."""
        if self._offered or not self.pacer.is_slow:
            return
        self._offered, here = True, self.status.checkpoint
        other = [name for name in self.settings.checkpoints if name != here and name.endswith("tiny")]
        offer = f"; Tab changes to {other[0]}, which is faster" if other else ""
        self.screen.note(f"this machine is slow for {here}{offer}", seconds=15)

    # Display

    def _looking(self) -> bool:
        """True if the look has moved beyond what was drawn, unless a frame may answer it at once."""
        if self.hands is None or self.rewind_to is not None or not self.screen.warps:
            return False
        patience = max(_AT_ONCE_S, self._draw_s)  # no longer a wait than drawing twice would be
        if self._pending is not None and time.perf_counter() - self._sent_at <= patience:
            return False
        look, drawn = self._look_now(), self._drawn_look
        return abs(look.yaw_deg - drawn.yaw_deg) >= _TURN_DEG or abs(look.pitch_deg - drawn.pitch_deg) >= _TURN_DEG

    def _look_now(self) -> Look:
        """Where the hand looks: mouse motion that no tick has used shows at once."""
        if self.hands is None or self.hands.scene.camera is None:
            return self._newest_look
        return self.hands.scene.camera.turn(self._newest_look, *self.hands.input.pending_deg())

    def _draw(self) -> None:
        begun, status = time.perf_counter(), self.status
        status.recording_s = None if self.record_since is None else begun - self.record_since
        status.mode = (
            f"REWIND to {self.rewind_to}" if self.rewind_to is not None
            else "REPLAY" if self._replaying else "PAUSED" if self.paused else ""
        )  # fmt: skip
        look = self._look_now() if self.rewind_to is None else self.screen.shown_look
        drawn_at, self._drawn_look = self.screen.draw(look), look
        self._draw_s = drawn_at - begun
        self.played.window_ms.append((self._busy_s + self.screen.submitted_s) * 1e3)
        self._busy_s = 0.0
        self._drawn_ms += self._draw_s * 1e3
        status.latency_ms.extend(self.latency.draw(drawn_at))


def _by_code(bindings: list[Binding]) -> dict[tuple[int, bool], Binding]:
    """By pygame's code of the key and whether Ctrl is held."""
    return {(pygame.key.key_code(b.key), b.ctrl): b for b in bindings}
