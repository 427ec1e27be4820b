"""The engine: a session in a process of its own, spoken to over a pipe and shared memory.

So importing torch, a slow tick or a crash never freezes the window. The engine answers each message in order and uses
the time between two of them for the session's slack.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from worldsim.config import to_mapping
from worldsim.engine import protocol
from worldsim.engine.protocol import (
    Advance,
    Dropped,
    EngineSettings,
    Event,
    Failed,
    FrameShown,
    Message,
    Note,
    Peek,
    Quit,
    Ready,
    Record,
    Recording,
    Reset,
    Rewind,
    Seen,
    StartReplay,
    Swap,
)
from worldsim.entities import ON, Slot, counted
from worldsim.errors import WorldsimError

if TYPE_CHECKING:
    from worldsim.play.replay import Replay
    from worldsim.play.session import Session, TickResult
    from worldsim.world import Frame
    from worldsim.worlds.catalogue import LoadedWorld

T = TypeVar("T")

_FIGURES_S = 0.5  # between two reckonings of medians over thousands of ticks
_CLOSE_EVERY = 100  # ticks between two looks for worlds that cannot be gone back to any more


def serve(pipe: Connection, memory_name: str, settings: EngineSettings) -> None:
    """The engine process, from its start to its end."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the window decides when to end
    memory = SharedMemory(name=memory_name)
    try:
        engine = Engine(pipe, memory, settings)
        try:
            engine.run()
        finally:
            engine.close()
    except WorldsimError as error:
        pipe.send_bytes(protocol.encode(Failed(str(error))))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the window is gone
    except Exception:
        text = "the engine failed: " + traceback.format_exc(limit=4).strip()
        pipe.send_bytes(protocol.encode(Failed(text)))
        raise
    finally:
        memory.close()


class Engine:
    """Owns the session and the worlds it plays; answers messages until told to quit."""

    def __init__(self, pipe: Connection, memory: SharedMemory, settings: EngineSettings) -> None:
        """Opens the first world. Raises WorldsimError if it cannot."""
        from worldsim.engine.frame_ring import FrameRing
        from worldsim.engine.world_loader import WorldLoader
        from worldsim.play.session import Session, SessionSettings
        from worldsim.play.spawn_notes import with_events
        from worldsim.worlds.catalogue import LoadOptions, find_world

        self._pipe = pipe
        self._ring = FrameRing(memory, self._say)
        self._loader = WorldLoader(settings)
        self._epoch = 0
        self._told: LoadedWorld | None = None  # the world that the window knows of
        self._slots: tuple[Slot, ...] = ()  # its entities
        self._due = self._figured_at = 0.0
        self._ticks = 0
        self._replay: Replay | None = None
        self._prelude = 0
        entry = find_world(settings.checkpoint)
        spawn = with_events(entry.scene, entry.spawn(settings.spawn), settings.events)
        options = LoadOptions(settings.steps, settings.threads, settings.backend, settings.device, beside_window=True)
        wanted = SessionSettings(
            settings.speculate, seed=settings.seed, anchor=settings.anchor, tolerance_deg=settings.tolerance_deg
        )
        self._open = [entry.load(options)]
        self._session = Session(self._open[0], spawn, wanted)
        if settings.record:
            self._session.record(Path(settings.record))
        if settings.replay:
            self._start_replay(settings.replay)

    def run(self) -> None:
        """Answer until the window wants no more."""
        self._show(self._playing.frame)
        running = True
        while running:
            self._apply_loaded()
            ahead = self._fast_forward()
            self._tell_failure()
            if not self._pipe.poll(0.0 if ahead else 0.05):
                continue
            data = self._pipe.recv_bytes()
            message = self._try(lambda data=data: protocol.decode(data))  # type: ignore[misc]
            running = not isinstance(message, Quit)
            if running and message is not None:
                self._answer(message)

    def close(self) -> None:
        """Keep what was recorded, and close every world."""
        self._session.close()
        if self._replay is not None:
            self._replay.close()
        for loaded in self._open:
            loaded.close()

    @property
    def _playing(self) -> Session:
        """The session whose frames are shown."""
        return self._session if self._replay is None else self._replay.session

    def _answer(self, message: Message) -> None:
        if isinstance(message, Seen):
            self._ring.take_seen(message.serial)
        elif isinstance(message, Advance):
            self._advance(message)
        elif self._replay is not None:
            self._end_replay("replay stopped")  # what was meant for the replay must not change the session behind it
        else:
            self._obey(message)

    def _obey(self, message: Message) -> None:
        """What a person asks for beside acting."""
        session = self._session
        if isinstance(message, Rewind):
            self._show(session.rewind(message.tick))
            self._close_unused()
        elif isinstance(message, Peek):
            self._show(session.peek(message.tick))
        elif isinstance(message, Reset):
            self._show(session.reset())
            self._close_unused()
        elif isinstance(message, Record):
            self._record(message.path)
        elif isinstance(message, StartReplay):
            self._try(lambda: self._start_replay(message.path))
            self._show(self._playing.frame)
        elif isinstance(message, Swap) and self._loader.begin(message.checkpoint, session.origin):
            self._say(Note(f"loading {message.checkpoint}"))

    # Ticks

    def _advance(self, message: Advance) -> None:
        arrived = time.monotonic()
        self._ring.take_seen(message.seen)
        if message.epoch != self._epoch:  # made for a scene that is no longer shown
            self._say(Dropped(message.id))
            return
        if self._replay is not None:
            self._step_replay(self._replay, message.id)
            return
        space = self._session.scene.action_space
        action = self._try(lambda: space.check(list(message.action), "the window's action"))
        if action is None:
            self._say(Dropped(message.id))
            return
        before = self._session.frame
        result = self._session.advance(action, message.wanted_deg)
        self._show(result.frame, message.id, result)
        self._tell_found(before, result.frame)
        if result.reanchored:
            self._show(self._session.frame)
            begun = "its own last picture" if self._session.frame is result.frame else "the nearest start"
            self._say(Note(f"the dream had drifted; begun afresh from {begun}"))
        self._due = arrived + message.period_s
        self._session.slack(self._left)
        self._ticks += 1
        if self._ticks % _CLOSE_EVERY == 0:
            self._close_unused()

    def _left(self) -> float:
        """Seconds until the next action is due; none once it has come."""
        return 0.0 if self._pipe.poll() else self._due - time.monotonic()

    # What the window is told

    def _say(self, message: Event) -> None:
        self._pipe.send_bytes(protocol.encode(message))

    def _show(self, frame: Frame, id: int | None = None, result: TickResult | None = None) -> None:
        """Show a frame of the session that plays. id: of the action it answers. result: of its tick."""
        self._tell_scene()
        session, scene, look = self._playing, self._playing.scene, frame.look
        self._ring.show(
            frame.pixels,
            FrameShown(
                serial=0, slot=0, size=(frame.pixels.shape[0], frame.pixels.shape[1]), tick=frame.tick,
                epoch=self._epoch, earliest=session.earliest_tick, id=id,
                action=None if result is None else result.action.values,
                look=None if look is None else (look.yaw_deg, look.pitch_deg),
                tick_ms=None if result is None else result.seconds * 1e3,
                drafted=result is not None and result.drafted,
                reward=frame.reward, ended=frame.terminated or frame.truncated,
                replaying=self._replay is not None, accepted=session.drafts.accepted, missed=session.drafts.missed,
                spent=session.timings.take() if result is not None else {}, draft=self._figures(),
                found=self._found(frame), under_way=frame.happening.under_way(scene.events),
            ),
        )  # fmt: skip

    def _figures(self) -> dict[str, Any] | None:
        """All figures on drafts, at most every half second: their medians sort thousands of numbers."""
        now = time.monotonic()
        if now - self._figured_at < _FIGURES_S:
            return None
        self._figured_at = now
        return self._playing.drafts.figures()

    def _found(self, frame: Frame) -> tuple[int, int] | None:
        """How many of the entities that count the player has, and how many there are; None where none count."""
        if frame.entities is None or not any(slot.counted for slot in self._slots):
            return None
        return counted(self._slots, frame.entities)

    def _tell_found(self, before: Frame, frame: Frame) -> None:
        """Name what the player has found in a tick."""
        found = self._found(frame)
        if found is None or before.entities is None or frame.entities is None:
            return
        gone = (before.entities[:, ON] >= 0.5) & (frame.entities[:, ON] < 0.5)
        names = [slot.name for slot, is_gone in zip(self._slots, gone, strict=True) if slot.counted and is_gone]
        if names:
            self._say(Note(f"{' and '.join(names)} found, {found[0]} of {found[1]}"))

    def _tell_scene(self) -> None:
        """Before a frame of another world is shown, say what it is of."""
        session = self._playing
        if session.loaded is self._told:
            return
        if self._told is None or session.scene != self._told.scene:
            self._epoch += 1
            self._ring.forget()
        self._told, self._slots = session.loaded, session.scene.slots
        recording = self._session.recording
        self._say(
            Ready(
                self._epoch, session.loaded.name, to_mapping(session.scene),
                str(recording) if recording else None, self._replay is not None,
            )
        )  # fmt: skip

    def _tell_failure(self) -> None:
        """A recording that has ended by itself, on a full disk for one, is not shown as going on."""
        failure = self._session.take_failure()
        if failure is not None:
            self._say(Recording(None, failure))

    # Recording and replay

    def _record(self, path: str | None) -> None:
        if path is None:
            done = self._session.stop_recording()
            if done is not None or self._session.recording is None:
                text = f"recorded {done[1]} ticks to {done[0]}" if done else "nothing was being recorded"
                self._say(Recording(None, text))
            return
        self._try(lambda: self._session.record(Path(path)))
        if self._session.recording:
            self._say(Recording(path, f"recording to {path}"))

    def _start_replay(self, path: str) -> None:
        """Raises WorldsimError if the trace cannot be replayed."""
        from worldsim.play.replay import Replay
        from worldsim.play.trace import read_trace

        if self._session.recording:
            self._record(None)
        trace = read_trace(Path(path))
        try:
            self._replay, self._prelude = Replay(trace, Path(path)), trace.header.prelude
        except WorldsimError:
            self._session.loaded.numerics.use_threads()
            raise
        self._say(Note(f"replaying {path}"))

    def _fast_forward(self) -> bool:
        """One tick of what came before a recording was begun. Returns False once there is none."""
        if self._replay is None or self._replay.ticks >= self._prelude:
            return False
        self._step_replay(self._replay, None)
        return self._replay is not None

    def _step_replay(self, replay: Replay, id: int | None) -> None:
        if id is not None and replay.ticks < self._prelude:
            self._show(replay.session.frame, id)  # its time has not come: still running ahead
            return
        try:
            frame = replay.step()
        except WorldsimError as error:
            self._end_replay(str(error), id)
            return
        if frame is not None:
            self._show(frame, id)
            return
        same = replay.first_difference is None
        text = "every frame identical" if same else f"the first frame that differs is {replay.first_difference}"
        if replay.incomparable:
            text += f" (not comparable bit for bit: {replay.incomparable})"
        self._say(protocol.Replayed(replay.ticks, same))
        self._end_replay(f"replayed {replay.ticks} ticks, {text}", id)

    def _end_replay(self, text: str, id: int | None = None) -> None:
        """Back to the session, and to its numerics."""
        if self._replay is not None:
            self._replay.close()
        self._replay = None
        self._session.loaded.numerics.use_threads()
        self._say(Note(text))
        self._show(self._session.frame, id)

    # Worlds

    def _apply_loaded(self) -> None:
        if self._replay is not None:
            return
        found = self._loader.take()
        if isinstance(found, Exception):
            self._say(Note(f"not swapped: {found}"))
        elif found is not None:
            self._open.append(found[0])
            self._try(lambda: self._session.swap(*found), "not swapped: ")
            self._show(self._session.frame)
            self._close_unused()

    def _close_unused(self) -> None:
        """Close the worlds that neither play nor can be gone back to."""
        if len(self._open) > 1:
            used = {id(loaded) for loaded in self._session.worlds}
            for loaded in self._open:
                if id(loaded) not in used:
                    loaded.close()
            self._open = [loaded for loaded in self._open if id(loaded) in used]

    def _try(self, work: Callable[[], T], before: str = "") -> T | None:
        """Run something that may fail on bad input; say why and go on if it does."""
        try:
            return work()
        except WorldsimError as error:
            self._say(Note(before + str(error)))
            return None
