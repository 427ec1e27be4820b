"""One played session, without a window: world, drafts, recorder, rewind, swap.

The session is the same in a window's engine process, in a headless run, in a test and in a replay. All that happens
in it is either an action or a recorded control, so its trace replays it exactly.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from worldsim.action import Action
from worldsim.drafts import DraftCount, Drafts
from worldsim.history import SEEN_TICKS, History, Home, Past, Played
from worldsim.machine import use_threads
from worldsim.scene import Scene
from worldsim.speculation import ActionPredictor
from worldsim.trace import PICTURE_EVERY, Header, TraceWriter, digest, encode_picture
from worldsim.world import Frame, Moment, Spawn, State

_LEARNED_AT_ONCE = 200  # actions; where nothing is ever drafted, nothing need be learned
STRAY_TICKS = 10  # in a row, unlike anything known, until a dream is begun afresh


@dataclass(frozen=True)
class Ticked:
    """What one tick yielded. seconds: from action to frame. drafted: whether a draft was taken. anchored: whether the
    dream, having strayed, was begun afresh after it."""

    frame: Frame
    digest: str
    seconds: float
    drafted: bool
    anchored: bool = False


class Spent:
    """Where the time of a tick went, in seconds by part; for the timeline."""

    def __init__(self) -> None:
        self._parts: dict[str, float] = {}

    def add(self, part: str, seconds: float) -> None:
        self._parts[part] = self._parts.get(part, 0.0) + seconds

    @contextmanager
    def on(self, part: str) -> Iterator[None]:
        """What is done within belongs to a part."""
        begun = time.perf_counter()
        yield
        self.add(part, time.perf_counter() - begun)

    def take(self) -> dict[str, float]:
        """All since the last call, in milliseconds."""
        parts, self._parts = self._parts, {}
        return {name: round(seconds * 1e3, 2) for name, seconds in parts.items()}


@dataclass
class SessionSettings:
    """speculate: `off`, `auto` for drafts in the slack of a tick, or how many are always held, whatever they cost.
    rewind_s: how far one can go back. anchor: what a strayed dream begins afresh from: `frame`, its own last picture;
    `spawn`, the nearest start picture; `off`, nothing, it is left alone."""

    speculate: str = "auto"
    rewind_s: float = 60.0
    seed: int = 0
    spawn_note: dict[str, Any] = field(default_factory=dict)
    anchor: str = "frame"


class Session:
    """Plays one world at a time. Not thread-safe: one caller at a time."""

    def __init__(self, played: Played, spawn: Spawn, settings: SessionSettings) -> None:
        self.home = Home(played, spawn, settings.spawn_note)
        self.settings = settings
        self.spent = Spent()
        self._drafts = Drafts(ActionPredictor(self.scene.action_space))
        self._unlearned: deque[Action] = deque(maxlen=_LEARNED_AT_ONCE)  # taken since the predictor last learned
        self._recorder: TraceWriter | None = None
        self._taken: list[bytes] = []  # action and digest of tick 1, 2, ...: hours of play must fit
        self._controls: list[tuple[str, dict[str, Any]]] = []  # swaps and anchors that led to now
        self._enter_threads()
        self._begin()

    @property
    def played(self) -> Played:
        return self.home.played

    @property
    def scene(self) -> Scene:
        return self.played.world.scene

    @property
    def frame(self) -> Frame:
        return self._history.frame

    @property
    def digest(self) -> str:
        return self._history.newest.digest

    @property
    def tick(self) -> int:
        return self._history.newest.tick

    @property
    def earliest_tick(self) -> int:
        """The first tick that can be gone back to."""
        return self._history.earliest_tick

    @property
    def drafts(self) -> DraftCount:
        """What became of drafts so far."""
        return self._drafts.count

    @property
    def recording(self) -> Path | None:
        return self._recorder.path if self._recorder else None

    def advance(self, action: Action) -> Ticked:
        """One tick of world time."""
        begun = time.perf_counter()
        state, frame, drafted = self._take(action)
        mark = digest(frame.pixels)
        self._remember(state, frame, action, mark)
        self._taken.append(self._pack(action, mark))
        if self.settings.speculate != "off":
            self._unlearned.append(action)
        if self._recorder:
            data: dict[str, Any] = {"tick": frame.tick, "action": list(action.values), "digest": mark}
            if frame.tick % PICTURE_EVERY == 0:
                data["picture"] = encode_picture(frame.pixels)
            self._recorder.write("tick", **data)
        astray = self.settings.anchor != "off" and self._history.newest.strayed >= STRAY_TICKS
        if astray:
            self.anchor(self._nearest_spawn() if self.settings.anchor == "spawn" else None)
        seconds = time.perf_counter() - begun  # what has to be done before the frame can be shown counts too
        (self.drafts.hit_s if drafted else self.drafts.plain_s).append(seconds)
        return Ticked(frame, mark, seconds, drafted, astray)

    def slack(self, left_s: Callable[[], float]) -> None:
        """Use the time until the next action: settle the newest frame, then draft the next one.

        left_s tells the seconds that remain; the draft is given up between passes when none do.
        """
        with self.spent.on("commit"):
            self.played.world.settle(self._history.state)
        if self._recorder:
            self._recorder.flush()
        speculate, world = self.settings.speculate, self.played.world
        if speculate == "off":
            return
        with self.spent.on("draft"):
            for action in self._unlearned:
                self._drafts.predictor.observe(action)
            self._unlearned.clear()
            if speculate == "auto":
                self._drafts.fill(world, self._history.state, left_s)
            else:
                self._drafts.fill_to(world, self._history.state, int(speculate))

    def rewind(self, tick: int) -> Frame:
        """Go back to a tick, at most to `earliest_tick`. What follows is a new branch."""
        tick = max(self.earliest_tick, min(tick, self.tick))
        if tick == self.tick:
            return self.frame
        self._drafts.drop()
        self._history.cut(tick)
        self.home = self._history.newest.home
        self._enter_threads()
        self._history.restore()
        del self._taken[tick:]
        self._controls = [c for c in self._controls if c[1]["tick"] <= tick]
        if self._recorder:
            self._recorder.write("rewind", tick=tick)
        return self.frame

    def peek(self, tick: int) -> Frame:
        """The frame of a past tick, without going there."""
        return self._history.peek(max(self.earliest_tick, min(tick, self.tick)))

    def reset(self, seed: int | None = None, spawn: Spawn | None = None, note: dict[str, Any] | None = None) -> Frame:
        """Start again, at the same spawn and seed unless told otherwise."""
        self.settings.seed = self.settings.seed if seed is None else seed
        if spawn is not None:
            self.home = Home(self.played, spawn, note or {})
        if self._recorder:
            self._recorder.write("reset", seed=self.settings.seed, spawn=self.home.note)
        self._begin()
        return self.frame

    def swap(self, played: Played, spawn: Spawn, note: dict[str, Any], moments: int = SEEN_TICKS) -> Frame:
        """Go on in another world. Same scene: the place is kept, the last frames are cached afresh. Else its spawn.

        moments: of how many past frames at most the new world's context is made.
        """
        self._drafts.drop()
        kept = played.scene_sha256 == self.played.scene_sha256
        past = self._history.moments(min(moments, SEEN_TICKS))
        data = {"tick": self.tick, "checkpoint": played.checkpoint, "sha256": played.sha256, "steps": played.steps,
                "spawn": note, "moments": len(past), "numerics": played.numerics}  # fmt: skip
        self.home = Home(played, spawn, note)
        self._enter_threads()
        if kept:
            last = past[-1]
            self._history.newest = self._beginning(
                last.frame, last.action, self.digest, played.world.enter(self.settings.seed, past)
            )
            self._controls.append(("swap", data))
        else:
            self._drafts.predictor = ActionPredictor(self.scene.action_space)
            self._unlearned.clear()
            self._begin()
        if self._recorder:
            self._recorder.write("swap", **data)
        return self.frame

    def anchor(self, spawn: Spawn | None) -> Frame:
        """Begin the context afresh from one picture: the newest frame, or a spawn, with its pose. Play goes on."""
        self._drafts.drop()
        world, frame, action = self.played.world, self.frame, self._history.newest.action
        if spawn is not None:
            look = spawn.pose.look if spawn.pose else frame.look
            frame, action = Frame(spawn.pixels, frame.tick, look, spawn.pose), self.scene.action_space.idle
        state = world.enter(self.settings.seed, [Moment(frame, action)])
        self._history.newest = self._beginning(frame, action, digest(frame.pixels), state)
        data = {"tick": self.tick, "spawn": None if spawn is None else spawn.name}
        self._controls.append(("anchor", data))
        if self._recorder:
            self._recorder.write("anchor", **data)
        return frame

    def spawn_named(self, name: str) -> Spawn:
        """One of the played world's own spawns. Raises KeyError."""
        return {s.name: s for s in self.played.spawns}[name]

    def _nearest_spawn(self) -> Spawn | None:
        """The start picture nearest to where the player believes to be; None if that is not known."""
        pose = self.frame.pose
        placed = [s for s in self.played.spawns if s.pose is not None]
        if pose is None or not placed:
            return None
        return min(placed, key=lambda s: (s.pose.x - pose.x) ** 2 + (s.pose.y - pose.y) ** 2 if s.pose else 0.0)

    def record(self, path: Path) -> None:
        """Begin a trace. What led from the start to now goes in first, so that a replay arrives at the same state.

        Raises TraceError if the file cannot be written.
        """
        self.stop_recording()
        start = self._start
        self._recorder = TraceWriter(
            path,
            Header(
                scene=self.scene.name, scene_sha256=start.played.scene_sha256, checkpoint=start.played.checkpoint,
                checkpoint_sha256=start.played.sha256, seed=self.settings.seed, spawn=start.note,
                steps=start.played.steps, tick_hz=self.scene.tick_hz, numerics=start.played.numerics,
                controls=[c.name for c in self.scene.controls], created=time.strftime("%Y-%m-%dT%H:%M:%S"),
                prelude=len(self._taken),
            ),
        )  # fmt: skip
        controls = deque(self._controls)
        for tick in range(len(self._taken) + 1):
            if tick:
                self._recorder.write("tick", **self._unpack(tick, self._taken[tick - 1]))
            while controls and controls[0][1]["tick"] == tick:
                kind, data = controls.popleft()
                self._recorder.write(kind, **data)
        self._recorder.flush()

    def stop_recording(self) -> tuple[Path, int] | None:
        """End the trace. Returns its path and its number of ticks, None if there was none."""
        if self._recorder is None:
            return None
        self._recorder.write("summary", ticks=self._recorder.ticks, draft=self.drafts.figures())
        done = self._recorder.path, self._recorder.ticks
        self._recorder.close()
        self._recorder = None
        return done

    def close(self) -> None:
        """Keep what was recorded."""
        self.stop_recording()

    def _enter_threads(self) -> None:
        """Torch's threads belong to whoever calls it: a world loaded in a thread of its own, or played before another,
        does not have those of its numerics until it is given them here."""
        use_threads(self.played.numerics)

    def _begin(self) -> None:
        """Start the world at home: the branch that leads from here to now is empty."""
        self._drafts.drop()
        played = self.played
        state, frame = played.world.start(self.settings.seed, self.home.spawn)
        first = self._beginning(frame, self.scene.action_space.idle, digest(frame.pixels), state)
        self._history = History(int(self.settings.rewind_s * self.scene.tick_hz), first)
        self._start = self.home
        self._taken, self._controls = [], []

    def _beginning(self, frame: Frame, action: Action, mark: str, state: State) -> Past:
        """Where the played world begins, from pictures."""
        thin = self.played.world.thin(state)
        return Past(frame.tick, action, mark, thin, state, frame, self.home, began=True)

    def _pack(self, action: Action, mark: str) -> bytes:
        return np.array(action.values, "<i2").tobytes() + bytes.fromhex(mark)

    def _unpack(self, tick: int, packed: bytes) -> dict[str, Any]:
        split = 2 * self.scene.action_space.size
        action = np.frombuffer(packed[:split], "<i2").tolist()
        return {"tick": tick, "action": action, "digest": packed[split:].hex()}

    def _take(self, action: Action) -> tuple[State, Frame, bool]:
        """The next state and frame: the draft if it is for exactly this action, else made now."""
        draft = self._drafts.take(action)
        if draft is not None:
            return draft.state, draft.frame, True
        begun = time.perf_counter()
        state, frame = self._make(action)
        self._drafts.observe_cost(time.perf_counter() - begun)
        return state, frame, False

    def _make(self, action: Action) -> tuple[State, Frame]:
        """The next state and frame, pass by pass: what comes before the first is the commit put off, what comes after
        the last is decoding."""
        work, part = self.played.world.passes(self._history.state, [action]), "commit"
        while True:
            begun = time.perf_counter()
            try:
                next(work)
            except StopIteration as stop:
                self.spent.add("decode", time.perf_counter() - begun)
                return stop.value[0]
            self.spent.add(part, time.perf_counter() - begun)
            part = "denoise"

    def _remember(self, state: State, frame: Frame, action: Action, mark: str) -> None:
        world = self.played.world
        strayed = self._history.newest.strayed + 1 if world.strayed(state) else 0
        thin = world.thin(state)
        self._history.add(Past(frame.tick, action, mark, thin, state, frame, self.home, strayed=strayed))
