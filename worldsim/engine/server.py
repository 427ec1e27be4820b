"""The engine: a session in a process of its own, spoken to over a pipe and shared memory.

So importing torch, a slow tick or a crash never freezes the window. Messages are JSON objects; frames lie in a ring of
shared memory. The engine answers each message in order and uses the time between two of them for the session's slack.
"""

from __future__ import annotations

import json
import threading
import time
import traceback
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np

from worldsim.errors import WorldsimError

SLOTS = 4
SLOT_BYTES = 1024 * 1024 * 3


@dataclass(frozen=True)
class EngineSettings:
    """What the session is to be. replay: a trace to play instead of taking actions."""

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


class EngineProcess:
    """The window's end. Never blocks: `send` hands over, `receive` returns what has come."""

    def __init__(self, settings: EngineSettings) -> None:
        context = get_context("spawn")
        self._memory = SharedMemory(create=True, size=SLOTS * SLOT_BYTES)
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_main, args=(theirs, self._memory.name, asdict(settings)), name="worldsim-engine", daemon=True
        )
        self._process.start()
        theirs.close()
        self._closed = False

    def send(self, do: str, **data: Any) -> None:
        """Hand over one message. A dead engine is reported by `receive`."""
        try:
            self._pipe.send_bytes(json.dumps({"do": do, **data}).encode())
        except OSError:
            self._closed = True

    def receive(self) -> list[dict[str, Any]]:
        """All messages that have come. One of kind `died` if the process is gone."""
        messages = []
        try:
            while not self._closed and self._pipe.poll():
                messages.append(json.loads(self._pipe.recv_bytes()))
        except (EOFError, OSError):
            self._closed = True
        if self._closed and not any(m["say"] == "fatal" for m in messages):
            messages.append({"say": "died", "text": "the engine process ended; what was recorded is kept"})
        return messages

    def wait(self, seconds: float) -> None:
        """Sleep until a message has come, at most so long."""
        if self._closed:
            time.sleep(seconds)
            return
        try:
            self._pipe.poll(max(0.0, seconds))
        except OSError:
            self._closed = True

    def pixels(self, message: dict[str, Any]) -> np.ndarray:
        """The picture of a `frame` message, uint8 (H, W, 3), valid until SLOTS - 1 further frames have come."""
        height, width = message["size"]
        start = message["slot"] * SLOT_BYTES
        return np.ndarray((height, width, 3), np.uint8, self._memory.buf, start)

    def close(self) -> None:
        """End the process, giving it time to keep its recording."""
        self.send("quit")
        self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join(timeout=2)
        self._memory.close()
        self._memory.unlink()


def _main(pipe: Connection, memory_name: str, settings: dict[str, Any]) -> None:
    """The engine process."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the window decides when to end
    memory = SharedMemory(name=memory_name)
    try:
        _Engine(pipe, memory, EngineSettings(**settings)).run()
    except WorldsimError as error:
        _say(pipe, "fatal", text=str(error))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the window is gone
    except Exception:
        _say(pipe, "fatal", text="the engine failed: " + traceback.format_exc(limit=4).strip())
        raise
    finally:
        memory.close()


def _say(pipe: Connection, say: str, **data: Any) -> None:
    pipe.send_bytes(json.dumps({"say": say, **data}).encode())


class _Engine:
    """Owns the session; answers messages until told to quit."""

    def __init__(self, pipe: Connection, memory: SharedMemory, settings: EngineSettings) -> None:
        from worldsim.play.session import Session, SessionSettings
        from worldsim.worlds.catalogue import LoadOptions, find_world

        self._pipe, self._memory, self._settings = pipe, memory, settings
        self._slot = 0
        self._due = 0.0
        self._ready: list[Any] = []  # filled by the loading thread: a world to swap to, or an error
        self._loading: str | None = None
        self._replay: Any = None
        self._prelude = 0
        entry = find_world(settings.checkpoint)
        spawn = entry.spawn(settings.spawn)
        options = LoadOptions(settings.steps, settings.threads, settings.backend, settings.device, beside_window=True)
        wanted = SessionSettings(
            settings.speculate, seed=settings.seed, anchor=settings.anchor, tolerance_deg=settings.tolerance_deg
        )
        self._session = Session(entry.load(options), spawn, wanted)
        if settings.record:
            self._session.record(Path(settings.record))
        if settings.replay:
            self._start_replay(Path(settings.replay))

    def run(self) -> None:
        self._tell_scene()
        self._show(self._session.frame, None)
        running = True
        while running:
            self._apply_loaded()
            ahead = self._fast_forward()
            if self._pipe.poll(0.0 if ahead else 0.05):
                running = self._answer(json.loads(self._pipe.recv_bytes()))
        self._session.close()

    def _answer(self, message: dict[str, Any]) -> bool:
        do, session = message["do"], self._session
        if do == "quit":
            return False
        if self._replay is not None and do != "advance":
            self._end_replay("replay stopped")  # what was meant for the replay must not change the session behind it
        elif do == "advance":
            self._advance(message)
        elif do == "rewind":
            here = session.loaded
            self._show(session.rewind(message["tick"]), None)
            if session.loaded is not here:
                self._tell_scene()
        elif do == "peek":
            self._show(session.peek(message["tick"]), None)
        elif do == "reset":
            self._show(session.reset(), None)
        elif do == "record":
            self._record(message.get("path"))
        elif do == "replay":
            self._try(lambda: self._start_replay(Path(message["path"])))
        elif do == "swap":
            self._load(message["checkpoint"])
        return True

    def _advance(self, message: dict[str, Any]) -> None:
        arrived = time.monotonic()
        if self._replay is not None:
            self._step_replay(message["id"])
            return
        action = self._session.scene.action_space.check(message["action"], "action")
        wanted = message.get("wanted_deg")
        result = self._session.advance(action, None if wanted is None else (float(wanted[0]), float(wanted[1])))
        self._show(result.frame, result, id=message["id"])
        if result.reanchored:
            self._show(self._session.frame, None)
            begun = "its own last picture" if self._session.frame is result.frame else "the nearest start"
            _say(self._pipe, "note", text=f"the dream had strayed; begun afresh from {begun}")
        self._due = arrived + message["period_s"]
        self._session.slack(self._left)

    def _left(self) -> float:
        """Seconds until the next action is due; none once it has come."""
        return 0.0 if self._pipe.poll() else self._due - time.monotonic()

    def _show(self, frame: Any, result: Any, id: int | None = None) -> None:
        """Put a frame into shared memory and tell the window."""
        pixels, session = frame.pixels, self._session
        self._slot = (self._slot + 1) % SLOTS
        start = self._slot * SLOT_BYTES
        np.ndarray(pixels.shape, np.uint8, self._memory.buf, start)[:] = pixels
        _say(
            self._pipe, "frame", slot=self._slot, size=list(pixels.shape[:2]), tick=frame.tick,
            look=None if frame.look is None else [frame.look.yaw_deg, frame.look.pitch_deg], id=id,
            tick_ms=None if result is None else result.seconds * 1e3,
            action=None if result is None else list(result.action.values),
            drafted=bool(result and result.drafted), earliest=session.earliest_tick,
            draft=session.drafts.figures(),
            replaying=self._replay is not None, spent=session.timings.take() if result is not None else {},
        )  # fmt: skip

    def _tell_scene(self) -> None:
        from worldsim.config import to_mapping

        session = self._session
        _say(
            self._pipe, "ready", checkpoint=session.loaded.name, scene=to_mapping(session.scene),
            recording=str(session.recording) if session.recording else None,
        )  # fmt: skip

    def _record(self, path: str | None) -> None:
        if path is None:
            done = self._session.stop_recording()
            text = f"recorded {done[1]} ticks to {done[0]}" if done else "nothing was being recorded"
            _say(self._pipe, "recording", path=None, text=text)
            return
        self._try(lambda: self._session.record(Path(path)))
        if self._session.recording:
            _say(self._pipe, "recording", path=path, text=f"recording to {path}")

    def _start_replay(self, path: Path) -> None:
        from worldsim.play.replay import Replay
        from worldsim.play.trace import read_trace

        self._session.stop_recording()
        trace = read_trace(path)
        try:
            self._replay, self._prelude = Replay(trace, path), trace.header.prelude
        except WorldsimError:
            self._session.loaded.numerics.use_threads()
            raise
        _say(self._pipe, "note", text=f"replaying {path}")
        self._show(self._replay.session.frame, None)

    def _fast_forward(self) -> bool:
        """One tick of what came before a recording was begun. Returns False once there is none."""
        if self._replay is None or self._replay.ticks >= self._prelude:
            return False
        self._step_replay(None)
        return self._replay is not None

    def _step_replay(self, id: int | None) -> None:
        if id is not None and self._replay.ticks < self._prelude:
            self._show(self._replay.session.frame, None, id)  # its time has not come: still running ahead
            return
        try:
            frame = self._replay.step()
        except WorldsimError as error:
            self._end_replay(str(error), id)
            return
        if frame is not None:
            self._show(frame, None, id)
            return
        replay = self._replay
        same = replay.first_difference is None
        text = "every frame identical" if same else f"the first frame that differs is {replay.first_difference}"
        if replay.incomparable:
            text += f" (not comparable bit for bit: {replay.incomparable})"
        _say(self._pipe, "replayed", ticks=replay.ticks, identical=same)
        self._end_replay(f"replayed {replay.ticks} ticks, {text}", id)

    def _end_replay(self, text: str, id: int | None = None) -> None:
        """Back to the session, and to its numerics."""

        self._replay = None
        self._session.loaded.numerics.use_threads()
        _say(self._pipe, "note", text=text)
        self._show(self._session.frame, None, id)

    def _load(self, name: str) -> None:
        """Begin to load a checkpoint in the background; play goes on."""
        if self._loading is not None:
            return
        self._loading = name
        _say(self._pipe, "note", text=f"loading {name}")

        origin, settings = self._session.origin, self._settings
        numerics = origin.loaded.numerics  # as the world that plays: measuring now would measure beside it
        playing = bool(numerics.torch) and settings.device == "cpu"
        backend = numerics.backend_kind if playing else settings.backend
        threads = numerics.threads if playing else settings.threads

        def work() -> None:
            from worldsim.play.spawn_notes import spawn_after_swap
            from worldsim.worlds.catalogue import LoadOptions, find_world

            try:
                entry = find_world(name)
                spawn = spawn_after_swap(entry, origin.loaded.entry, origin.spawn)
                options = LoadOptions(None, threads, backend, settings.device, beside_window=True)
                self._ready.append((entry.load(options), spawn))
            except Exception as error:  # whatever is wrong with it, the session goes on
                self._ready.append(error)

        threading.Thread(target=work, daemon=True).start()

    def _apply_loaded(self) -> None:
        if not self._ready or self._replay is not None:
            return
        loaded, self._loading = self._ready.pop(), None
        if isinstance(loaded, Exception):
            _say(self._pipe, "note", text=f"not swapped: {loaded}")
            return
        frame = self._session.swap(*loaded)
        self._tell_scene()
        self._show(frame, None)

    def _try(self, work: Any) -> Any:
        """Run something that may fail on bad input; say why and go on if it does."""
        try:
            return work()
        except WorldsimError as error:
            _say(self._pipe, "note", text=str(error))
            return None
