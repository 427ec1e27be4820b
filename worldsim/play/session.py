"""One played session, without a window: world, drafts, recorder, rewind, swap.

The session is the same in a window's engine process, in a headless run, in a test and in a replay. All that happens in
it is either an action or a recorded control, so its trace replays it exactly.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from worldsim.action import Action
from worldsim.play.drafts import DraftCount, Drafts
from worldsim.play.history import SEEN_TICKS, History, HistoryEntry, Origin
from worldsim.play.recorder import Recorder
from worldsim.play.timings import Timings
from worldsim.play.trace import digest
from worldsim.scene import Scene
from worldsim.world import Frame, ObservedFrame, Spawn, State
from worldsim.worlds.catalogue import LoadedWorld

_LEARNED_AT_ONCE = 200  # actions; where nothing is ever drafted, nothing need be learned
DRIFTED_TICKS = 10  # in a row, unlike anything known, until a dream is begun afresh


@dataclass(frozen=True)
class TickResult:
    """What one tick yielded. action: the one used, which may be another than was asked for. seconds: from action to
    frame. drafted: whether a draft was taken. reanchored: whether the dream, having drifted, was begun afresh after
    it."""

    action: Action
    frame: Frame
    digest: str
    seconds: float
    drafted: bool
    reanchored: bool = False


@dataclass
class SessionSettings:
    """speculate: `off`, `auto` for drafts in the slack of a tick, or how many are always held, whatever they cost.
    rewind_s: how far one can go back. anchor: what a drifted dream begins afresh from: `frame`, its own last picture;
    `spawn`, the nearest start picture; `off`, nothing, it is left alone. tolerance_deg: how far, on each axis, the
    motion of a tick may be from what a hand wants, if so it finds a draft. Without a camera it is 0: only there the
    rest can be shown at once, by reprojection."""

    speculate: str = "auto"
    rewind_s: float = 60.0
    seed: int = 0
    anchor: str = "frame"
    tolerance_deg: float = 0.0


class Session:
    """Plays one world at a time, for one caller at a time. Worlds are closed by whoever opened them."""

    def __init__(
        self, loaded: LoadedWorld, spawn: Spawn | None = None, settings: SessionSettings | None = None
    ) -> None:
        """spawn: where to start; the world's first if None."""
        self.settings = settings or SessionSettings()
        self.origin = Origin(loaded, spawn or loaded.entry.spawn(None))
        self.timings = Timings()
        self._recorder = Recorder()
        self._drafts = self._new_drafts()
        # Actions used, with the motions wanted, since the predictor last learned.
        self._unlearned: deque[tuple[Action, tuple[float, float] | None]] = deque(maxlen=_LEARNED_AT_ONCE)
        state, frame = self._enter(self.origin, self.settings.seed)
        assert frame is not None
        self._begin(self.origin, self.settings.seed, state, frame)

    @property
    def loaded(self) -> LoadedWorld:
        """The world that plays."""
        return self.origin.loaded

    @property
    def worlds(self) -> list[LoadedWorld]:
        """The world that plays and those of past ticks that can be gone back to. All others may be closed."""
        return list({id(o.loaded): o.loaded for o in (self.origin, *self._history.origins)}.values())

    @property
    def scene(self) -> Scene:
        return self.loaded.scene

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
        """The trace that is being written."""
        return self._recorder.path

    def take_failure(self) -> str | None:
        """Why the recording ended by itself since the last call, in one sentence; None if it did not."""
        failure, self._recorder.failure = self._recorder.failure, None
        return failure

    def advance(self, action: Action, wanted_deg: tuple[float, float] | None = None) -> TickResult:
        """One tick of world time.

        wanted_deg: yaw and pitch that a hand has made and no tick has used yet, where `action` comes from a hand. Then
        the tick may use a draft's motion instead, within the tolerance. The difference to `action` is the caller's to
        carry into the next tick. Without it exactly `action` is used.
        """
        begun = time.perf_counter()
        action, state, frame, drafted = self._take(action, wanted_deg)
        mark = digest(frame.pixels)
        self._remember(state, frame, action, mark)
        if self.settings.speculate != "off":
            self._unlearned.append((action, wanted_deg))
        self._recorder.tick(frame, action, mark)
        drifted = self.settings.anchor != "off" and self._history.newest.drifted_ticks >= DRIFTED_TICKS
        if drifted:
            self.reanchor(self._nearest_spawn() if self.settings.anchor == "spawn" else None)
        seconds = time.perf_counter() - begun  # what has to be done before the frame can be shown counts too
        (self.drafts.hit_s if drafted else self.drafts.plain_s).append(seconds)
        return TickResult(action, frame, mark, seconds, drafted, drifted)

    def slack(self, left_s: Callable[[], float]) -> None:
        """Use the time until the next action: commit the newest frame, then draft the next one.

        left_s tells the seconds that remain; a draft is given up between passes when none do.
        """
        with self.timings.measure("commit"):
            self.loaded.world.commit(self._history.state)
        self._recorder.flush()
        speculate, world = self.settings.speculate, self.loaded.world
        if speculate == "off":
            return
        with self.timings.measure("draft"):
            for used, wanted_deg in self._unlearned:
                self._drafts.predictor.observe(used, wanted_deg)
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
        self.origin = self._history.newest.origin
        self.loaded.numerics.use_threads()
        self._history.restore()
        self._recorder.rewind(tick)
        return self.frame

    def peek(self, tick: int) -> Frame:
        """The frame of a past tick, without going there."""
        return self._history.peek(max(self.earliest_tick, min(tick, self.tick)))

    def reset(self, seed: int | None = None, spawn: Spawn | None = None) -> Frame:
        """Start again, at the same spawn and seed unless told otherwise."""
        seed = self.settings.seed if seed is None else seed
        origin = self.origin if spawn is None else Origin(self.loaded, spawn)
        state, frame = self._enter(origin, seed)
        assert frame is not None  # nothing to go on from
        self._recorder.control("reset", {"seed": seed, "spawn": origin.note()}, keep=False)
        self._begin(origin, seed, state, frame)
        return self.frame

    def swap(self, loaded: LoadedWorld, spawn: Spawn, observed: int = SEEN_TICKS) -> Frame:
        """Go on in another world. Same scene: the place is kept, the last frames are cached afresh. Else its spawn.

        observed: of how many past frames at most the new world's context is made.
        """
        self._drafts.drop()
        past: list[ObservedFrame] = []
        if loaded.scene == self.loaded.scene:
            past = self._history.observed(min(observed, SEEN_TICKS))
        origin, seed = Origin(loaded, spawn), self.settings.seed
        state, frame = self._enter(origin, seed, past)
        data = {
            "tick": self.tick, "checkpoint": loaded.name, "sha256": loaded.sha256, "steps": loaded.steps,
            "spawn": origin.note(), "moments": len(past), "numerics": loaded.numerics.as_dict(),
        }  # fmt: skip
        if frame is not None:
            self._recorder.control("swap", data, keep=False)
            self._begin(origin, seed, state, frame)
            self._drafts = self._new_drafts(self.drafts)
            self._unlearned.clear()
        else:
            last, mark, self.origin = past[-1], self.digest, origin
            self._history.newest = self._beginning(last.frame, last.action, mark, state)
            self._recorder.control("swap", data, keep=True)
        return self.frame

    def reanchor(self, spawn: Spawn | None) -> Frame:
        """Begin the context afresh from one picture: the newest frame, or a spawn, with its pose and, where it tells of
        them, its entities and events. Play goes on."""
        self._drafts.drop()
        world, frame, action = self.loaded.world, self.frame, self._history.newest.action
        if spawn is not None:
            look = spawn.pose.look if spawn.pose else frame.look
            frame, action = replace(
                frame, pixels=spawn.pixels, look=look, pose=spawn.pose, reward=None, terminated=False, truncated=False,
                entities=frame.entities if spawn.entities is None else spawn.entities,
                happening=frame.happening if spawn.happening is None else spawn.happening,
            ), self.scene.action_space.idle  # fmt: skip
        state = world.prefill(self.settings.seed, [ObservedFrame(frame, action)])
        if state is None:
            return frame
        self._history.newest = self._beginning(frame, action, digest(frame.pixels), state)
        name = None if spawn is None else spawn.name
        self._recorder.control("anchor", {"tick": self.tick, "spawn": name}, keep=True)
        return frame

    def spawn_named(self, name: str) -> Spawn:
        """One of the played world's own spawns. Raises KeyError."""
        return {s.name: s for s in self.loaded.spawns}[name]

    def record(self, path: Path) -> None:
        """Begin a trace. What led from the start to now goes in first, so that a replay arrives at the same state.

        Raises TraceError if the file cannot be written.
        """
        self.stop_recording()
        self._recorder.start(path)

    def stop_recording(self) -> tuple[Path, int] | None:
        """End the trace. Returns its path and its number of ticks, None if there was none."""
        return self._recorder.stop(self.drafts.figures())

    def close(self) -> None:
        """Keep what was recorded."""
        self.stop_recording()

    def _enter(self, origin: Origin, seed: int, past: Sequence[ObservedFrame] = ()) -> tuple[State, Frame | None]:
        """A world's state after the frames of `past`, and None; or, without any or where it cannot go on from pictures,
        its state and frame at the origin. If that fails the session is as it was."""
        world = origin.loaded.world
        try:
            # Torch's threads belong to whoever calls it: a world loaded in a thread of its own, or played before
            # another, does not have those of its numerics until it is given them here.
            origin.loaded.numerics.use_threads()
            state = world.prefill(seed, past) if past else None
            return (state, None) if state is not None else world.start(seed, origin.spawn)
        except BaseException:
            self.loaded.numerics.use_threads()
            raise

    def _begin(self, origin: Origin, seed: int, state: State, frame: Frame) -> None:
        """A world has started at an origin: the branch that leads from here to now is empty."""
        self._drafts.drop()
        self.origin, self.settings.seed = origin, seed
        first = self._beginning(frame, self.scene.action_space.idle, digest(frame.pixels), state)
        self._history = History(int(self.settings.rewind_s * self.scene.tick_hz), first)
        self._recorder.restart(origin, seed)

    def _beginning(self, frame: Frame, action: Action, mark: str, state: State) -> HistoryEntry:
        """Where the played world begins, from pictures."""
        snapshot = self.loaded.world.snapshot(state, frame)
        return HistoryEntry(frame.tick, action, mark, snapshot, state, frame, self.origin, began=True)

    def _nearest_spawn(self) -> Spawn | None:
        """The start picture nearest to where the player believes to be; None if that is not known."""
        pose = self.frame.pose
        placed = [s for s in self.loaded.spawns if s.pose is not None]
        if pose is None or not placed:
            return None
        return min(placed, key=lambda s: (s.pose.x - pose.x) ** 2 + (s.pose.y - pose.y) ** 2 if s.pose else 0.0)

    def _new_drafts(self, count: DraftCount | None = None) -> Drafts:
        """None yet, for the scene that plays. count: what became of those before."""
        tolerance_deg = 0.0 if self.scene.camera is None else self.settings.tolerance_deg
        return Drafts(self.scene.action_space, tolerance_deg, count or DraftCount())

    def _take(self, action: Action, wanted_deg: tuple[float, float] | None) -> tuple[Action, State, Frame, bool]:
        """The action used, the next state and frame: a draft if one serves, else made now."""
        draft = self._drafts.take(action, wanted_deg)
        if draft is not None:
            return draft.action, draft.state, draft.frame, True
        begun = time.perf_counter()
        state, frame = self._make(action)
        self._drafts.cost.observe(time.perf_counter() - begun)
        return action, state, frame, False

    def _make(self, action: Action) -> tuple[State, Frame]:
        """The next state and frame, pass by pass: what comes before the first is the commit put off, what comes after
        the last is decoding."""
        work, part = self.loaded.world.advance_stepwise(self._history.state, [action]), "commit"
        while True:
            begun = time.perf_counter()
            try:
                next(work)
            except StopIteration as stop:
                self.timings.add("decode", time.perf_counter() - begun)
                return stop.value[0]
            self.timings.add(part, time.perf_counter() - begun)
            part = "denoise"

    def _remember(self, state: State, frame: Frame, action: Action, mark: str) -> None:
        world = self.loaded.world
        drifted = self._history.newest.drifted_ticks + 1 if world.has_drifted(state) else 0
        snapshot = world.snapshot(state, frame)
        entry = HistoryEntry(frame.tick, action, mark, snapshot, state, frame, self.origin, drifted_ticks=drifted)
        self._history.add(entry)
