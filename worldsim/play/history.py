"""What a session can go back to: every tick of the last minute.

Of most ticks only a snapshot is kept, which for a dream is little more than the latent. The picture is rendered again
when somebody looks at it, and the state is restored from the nearest whole state before it. So a minute takes some tens
of megabytes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from worldsim.action import Action
from worldsim.play.spawn_notes import spawn_note
from worldsim.world import Frame, ObservedFrame, Snapshot, Spawn, State
from worldsim.worlds.catalogue import LoadedWorld

NEAR_TICKS = 320  # the newest ticks, of which a whole state is kept every KEEP_EVERY ticks
KEEP_EVERY = 16
KEEP_EVERY_FAR = 32  # ticks between whole states further back: a rewind waits for what it has to restore
SEEN_TICKS = 32  # the newest ticks, whose pictures are kept: a world that is swapped in is shown them


@dataclass(frozen=True)
class Origin:
    """A world, and the spawn where it starts again."""

    loaded: LoadedWorld
    spawn: Spawn

    def note(self) -> dict[str, Any]:
        """How a trace names the spawn."""
        return spawn_note(self.loaded.entry, self.spawn)


@dataclass
class HistoryEntry:
    """One tick that can be gone back to.

    state, frame: None once they have been let go of; the snapshot brings them back. began: a world began here from a
    picture, which no snapshot could bring back, so both are kept. drifted_ticks: how many ticks in a row, up to this
    one, were unlike anything known.
    """

    tick: int
    action: Action
    digest: str
    snapshot: Snapshot
    state: State | None
    frame: Frame | None
    origin: Origin
    began: bool = False
    drifted_ticks: int = 0


class History:
    """The newest tick, whole, and at least `longest` ticks before it, where there were so many."""

    def __init__(self, longest: int, first: HistoryEntry) -> None:
        self._longest = longest
        self._past = deque([first])

    @property
    def newest(self) -> HistoryEntry:
        return self._past[-1]

    @newest.setter
    def newest(self, past: HistoryEntry) -> None:
        """Put another in its place."""
        self._past[-1] = past

    @property
    def origins(self) -> list[Origin]:
        """Of every tick that is kept."""
        return [past.origin for past in self._past]

    @property
    def earliest_tick(self) -> int:
        return self._past[0].tick

    @property
    def state(self) -> State:
        """Of the newest tick."""
        assert self.newest.state is not None
        return self.newest.state

    @property
    def frame(self) -> Frame:
        """Of the newest tick."""
        return self._frame_of(self.newest)

    def add(self, past: HistoryEntry) -> None:
        """One more tick; let go of what can be made again of those before."""
        before = self.newest
        if before.tick % KEEP_EVERY and not before.began:
            before.state = None
        self._past.append(past)
        far, unseen = self._back(NEAR_TICKS), self._back(SEEN_TICKS)
        if far is not None and far.tick % KEEP_EVERY_FAR and not far.began:
            far.state = None
        if unseen is not None and not unseen.began:
            unseen.frame = None
        self._forget()

    def peek(self, tick: int) -> Frame:
        """The frame of a tick that is kept."""
        return self._frame_of(self._past[tick - self.earliest_tick])

    def observed(self, most: int) -> list[ObservedFrame]:
        """The newest ticks as they were seen, oldest first."""
        newest = list(self._past)[-most:]
        return [ObservedFrame(self._frame_of(past), past.action) for past in newest]

    def cut(self, tick: int) -> None:
        """Forget what came after a tick that is kept. The newest is then to be restored."""
        while self.newest.tick > tick:
            self._past.pop()

    def restore(self) -> None:
        """Make the newest tick whole, from the nearest whole one before it."""
        entries = list(self._past)
        whole = next(i for i in range(len(entries) - 1, -1, -1) if entries[i].state is not None)
        state = entries[whole].state
        for entry in entries[whole + 1 :]:
            state = entry.origin.loaded.world.restore(state, entry.snapshot)
        self.newest.state, self.newest.frame = state, self._frame_of(self.newest)

    def _frame_of(self, past: HistoryEntry) -> Frame:
        if past.frame is not None:
            return past.frame
        past.origin.loaded.numerics.use_threads()
        frame = past.origin.loaded.world.render(past.snapshot)
        self.newest.origin.loaded.numerics.use_threads()
        return frame

    def _back(self, ticks: int) -> HistoryEntry | None:
        """The entry so many ticks before the newest."""
        return self._past[-1 - ticks] if len(self._past) > ticks else None

    def _forget(self) -> None:
        """Drop the oldest ticks, up to the next whole one, as long as enough are left."""
        past = self._past
        while len(past) > self._longest:
            follower = next((i for i, p in enumerate(past) if i and p.state is not None), None)
            if follower is None or len(past) - follower < self._longest:
                break
            for _ in range(follower):
                past.popleft()
