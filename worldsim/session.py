"""One played session, without a window: world, drafts, recorder, rewind, swap.

The session is the same in a window's engine process, in a headless run, in a test and in a replay. All that happens
in it is either an action or a recorded control, so its trace replays it exactly.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from worldsim.action import Action
from worldsim.speculation import ActionPredictor, DraftCount, Pace
from worldsim.trace import PICTURE_EVERY, Header, TraceWriter, digest, encode_picture
from worldsim.world import Frame, Moment, Spawn, State, World, finish

KEEP_EVERY = 16  # ticks between states kept whole; the ticks between are rebuilt from them
ENTER_TICKS = 32  # moments handed to a world that is swapped in, no window is longer


@dataclass(frozen=True)
class Played:
    """A world and what names it in a trace: checkpoint, hashes, steps, numerics."""

    world: World
    checkpoint: str
    sha256: str
    scene_sha256: str
    steps: int
    numerics: dict[str, Any]


@dataclass
class Past:
    """One tick that can be gone back to."""

    frame: Frame
    action: Action
    digest: str
    thin: Any
    state: State | None  # kept whole every KEEP_EVERY ticks and where a world began
    played: Played


@dataclass(frozen=True)
class Ticked:
    """What one tick yielded. seconds: from action to frame. drafted: whether a draft was taken."""

    frame: Frame
    digest: str
    seconds: float
    drafted: bool


@dataclass
class _Draft:
    action: Action
    state: State
    frame: Frame
    spent_s: float


@dataclass
class SessionSettings:
    """speculate: `off`, `auto` for drafts in the slack of a tick, or a depth that is always drafted.
    rewind_s: how far one can go back."""

    speculate: str = "auto"
    rewind_s: float = 90.0
    seed: int = 0
    spawn_note: dict[str, Any] = field(default_factory=dict)


class Session:
    """Plays one world at a time. Not thread-safe: one caller at a time."""

    def __init__(self, played: Played, spawn: Spawn, settings: SessionSettings) -> None:
        self.played = played
        self.settings = settings
        self.drafts = DraftCount()
        self._spawn = spawn
        self._predictor = ActionPredictor(self.scene.action_space)
        self._pace = Pace()
        self._drafts: deque[_Draft] = deque()
        self._recorder: TraceWriter | None = None
        self._past: deque[Past] = deque()
        self._branch: list[tuple[str, dict[str, Any]]] = []  # records that lead from the start to now
        self._begin(settings.seed, spawn)

    @property
    def scene(self):
        return self.played.world.scene

    @property
    def frame(self) -> Frame:
        return self._past[-1].frame

    @property
    def digest(self) -> str:
        return self._past[-1].digest

    @property
    def tick(self) -> int:
        return self.frame.tick

    @property
    def earliest_tick(self) -> int:
        """The first tick that can be gone back to."""
        return self._past[0].frame.tick

    @property
    def recording(self) -> Path | None:
        return self._recorder.path if self._recorder else None

    def advance(self, action: Action) -> Ticked:
        """One tick of world time."""
        begun = time.perf_counter()
        state, frame, drafted = self._take(action)
        mark = digest(frame.pixels)
        seconds = time.perf_counter() - begun
        self._remember(state, frame, action, mark)
        self._predictor.observe(action)
        data: dict[str, Any] = {"tick": frame.tick, "action": list(action.values), "digest": mark}
        self._note("tick", data, encode_picture(frame.pixels) if frame.tick % PICTURE_EVERY == 0 else None)
        return Ticked(frame, mark, seconds, drafted)

    def slack(self, left_s: Callable[[], float]) -> None:
        """Use the time until the next action: settle the newest frame, then draft the next one.

        left_s tells the seconds that remain; the draft is given up between passes when none do.
        """
        self.played.world.settle(self._state)
        if self._recorder:
            self._recorder.flush()
        speculate = self.settings.speculate
        if speculate == "off":
            return
        forced = speculate != "auto"  # a given depth is drafted whatever it costs, for tests and measurement
        for _ in range(len(self._drafts), int(speculate) if forced else 1):
            if not (forced or self._pace.fits(left_s())) or not self._draft_one(left_s, forced):
                return

    def _draft_one(self, left_s: Callable[[], float], forced: bool) -> bool:
        """Add one draft behind those there are. False if it was given up."""
        state = self._drafts[-1].state if self._drafts else self._state
        action = self._predictor.predict(tuple(d.action for d in self._drafts))
        begun = time.perf_counter()
        work = self.played.world.passes(state, action)
        try:
            while True:
                next(work)
                if not forced and left_s() <= 0:
                    self.drafts.given_up += 1
                    self.drafts.wasted_s += time.perf_counter() - begun
                    return False
        except StopIteration as stop:
            spent = time.perf_counter() - begun
            state, frame = stop.value
            self._drafts.append(_Draft(action, state, frame, spent))
            self._pace.observe(spent)
            return True

    def rewind(self, tick: int) -> Frame:
        """Go back to a tick, at most to `earliest_tick`. What follows is a new branch."""
        tick = max(self.earliest_tick, min(tick, self.tick))
        if tick == self.tick:
            return self.frame
        self._drop_drafts()
        while self._past[-1].frame.tick > tick:
            self._past.pop()
        self._rebuild_last()
        self.played = self._past[-1].played
        while self._branch and _tick_of(self._branch[-1]) > tick:
            self._branch.pop()
        if self._recorder:
            self._recorder.write("rewind", tick=tick)
        return self.frame

    def peek(self, tick: int) -> Frame:
        """The frame of a past tick, without going there."""
        tick = max(self.earliest_tick, min(tick, self.tick))
        return self._past[tick - self.earliest_tick].frame

    def reset(self, seed: int | None = None, spawn: Spawn | None = None, note: dict[str, Any] | None = None) -> Frame:
        """Start again, at the same spawn and seed unless told otherwise."""
        self.settings.seed = self.settings.seed if seed is None else seed
        self._spawn = spawn or self._spawn
        self.settings.spawn_note = note or self.settings.spawn_note
        if self._recorder:
            self._recorder.write("reset", seed=self.settings.seed, spawn=self.settings.spawn_note)
        self._begin(self.settings.seed, self._spawn)
        return self.frame

    def swap(self, played: Played, spawn: Spawn, note: dict[str, Any]) -> Frame:
        """Go on in another world. Same scene: the place is kept, the last frames are cached afresh. Else its spawn."""
        self._drop_drafts()
        kept = played.scene_sha256 == self.played.scene_sha256
        data = {"tick": self.tick, "checkpoint": played.checkpoint, "sha256": played.sha256, "steps": played.steps,
                "spawn": note}  # fmt: skip
        self.played = played
        if kept:
            moments = [Moment(p.frame, p.action) for p in list(self._past)[-ENTER_TICKS:]]
            state = played.world.enter(self.settings.seed, moments)
            last = self._past[-1]
            self._past[-1] = Past(last.frame, last.action, last.digest, played.world.thin(state), state, played)
            self._branch.append(("swap", data))
        else:
            self._spawn, self.settings.spawn_note = spawn, note
            self._begin(self.settings.seed, spawn)
            self._predictor = ActionPredictor(self.scene.action_space)
        if self._recorder:
            self._recorder.write("swap", **data)
        return self.frame

    def record(self, path: Path) -> None:
        """Begin a trace. What led from the start to now goes in first, so that a replay arrives at the same state.

        Raises TraceError if the file cannot be written.
        """
        self.stop_recording()
        first = self._branch_start
        self._recorder = TraceWriter(
            path,
            Header(
                scene=self.scene.name, scene_sha256=first.scene_sha256, checkpoint=first.checkpoint,
                checkpoint_sha256=first.sha256, seed=self.settings.seed, spawn=self.settings.spawn_note,
                steps=first.steps, tick_hz=self.scene.tick_hz, numerics=first.numerics,
                controls=[c.name for c in self.scene.controls], created=time.strftime("%Y-%m-%dT%H:%M:%S"),
            ),
        )  # fmt: skip
        for kind, data in self._branch:
            self._recorder.write(kind, **data)
        self._recorder.flush()

    def stop_recording(self) -> tuple[Path, int] | None:
        """End the trace. Returns its path and its number of ticks, None if there was none."""
        if self._recorder is None:
            return None
        done = self._recorder.path, self._recorder.ticks
        self._recorder.close()
        self._recorder = None
        return done

    def close(self) -> None:
        """Keep what was recorded."""
        self.stop_recording()

    @property
    def _state(self) -> State:
        state = self._past[-1].state
        assert state is not None
        return state

    def _begin(self, seed: int, spawn: Spawn) -> None:
        self._drop_drafts()
        state, frame = self.played.world.start(seed, spawn)
        thin = self.played.world.thin(state)
        self._past = deque([Past(frame, self.scene.action_space.idle, digest(frame.pixels), thin, state, self.played)])
        self._branch, self._branch_start = [], self.played

    def _take(self, action: Action) -> tuple[State, Frame, bool]:
        """The next state and frame: the draft if it is for exactly this action, else made now."""
        if self._drafts and self._drafts[0].action == action:
            draft = self._drafts.popleft()
            self.drafts.accepted += 1
            return draft.state, draft.frame, True
        self._drop_drafts()
        begun = time.perf_counter()
        state, frame = finish(self.played.world.passes(self._state, action))
        self._pace.observe(time.perf_counter() - begun)  # a draft costs what a plain tick costs
        return state, frame, False

    def _drop_drafts(self) -> None:
        self.drafts.discarded += len(self._drafts)
        self.drafts.wasted_s += sum(d.spent_s for d in self._drafts)
        self._drafts.clear()

    def _remember(self, state: State, frame: Frame, action: Action, mark: str) -> None:
        before = self._past[-1]
        if before.frame.tick % KEEP_EVERY and len(self._past) > 1 and self._past[-2].played is before.played:
            before.state = None  # rebuilt from an earlier whole state if ever needed
        else:
            before.played.world.shed(before.state)
        self._past.append(Past(frame, action, mark, self.played.world.thin(state), state, self.played))
        longest = int(self.settings.rewind_s * self.scene.tick_hz)
        while len(self._past) > longest and self._past[0].state is not None:
            follower = next((i for i, p in enumerate(self._past) if i and p.state is not None), None)
            if follower is None or len(self._past) - follower < longest:
                break
            for _ in range(follower):
                self._past.popleft()

    def _rebuild_last(self) -> None:
        """Make the newest past whole, from the nearest whole one before it."""
        entries = list(self._past)
        whole = next(i for i in range(len(entries) - 1, -1, -1) if entries[i].state is not None)
        state = entries[whole].state
        for entry in entries[whole + 1 :]:
            state = entry.played.world.rebuild(state, entry.thin)
        entries[-1].state = state

    def _note(self, kind: str, data: dict[str, Any], picture: str | None = None) -> None:
        self._branch.append((kind, data))
        if self._recorder:
            self._recorder.write(kind, **data, **({"picture": picture} if picture else {}))


def _tick_of(record: tuple[str, dict[str, Any]]) -> int:
    return int(record[1]["tick"])
