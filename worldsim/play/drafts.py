"""Drafts: the next states and frames, made ahead in the slack of a tick for what the player will probably do.

A tree: below now, drafts for several next actions, below each of them drafts for the tick after. The real action picks
one child, which is then the very state and frame that the plain path would have made, and the rest is dropped.
"""

from __future__ import annotations

import heapq
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from worldsim.action import Action
from worldsim.play.action_predictor import ActionPredictor, DraftCost, DraftDepth
from worldsim.world import Frame, State, World

_BRANCHES = 4  # different next actions below one draft
_LEAST = 0.08  # probability of a draft worth the electricity
_LATER = 0.5  # what a draft for the tick after is worth beside one for the next: there will be slack again
_MOST = 6  # drafts held, in `auto`


@dataclass(eq=False)
class Draft:
    """One tick made ahead. probability: that the player gets here, as the predictor has it."""

    action: Action
    probability: float
    state: State
    frame: Frame
    cost_s: float
    below: list[Draft] = field(default_factory=list)


@dataclass
class DraftCount:
    """What became of drafts: ticks that found one (`accepted`), ticks that found some but not theirs (`missed`), drafts
    finished for nothing (`discarded`), drafts begun and given up, and the time both took; from action to frame, the
    time of ticks that found one and of all others."""

    accepted: int = 0
    missed: int = 0
    discarded: int = 0
    given_up: int = 0
    wasted_s: float = 0.0
    hit_s: deque[float] = field(default_factory=lambda: deque(maxlen=2000))
    plain_s: deque[float] = field(default_factory=lambda: deque(maxlen=2000))

    @property
    def hit_rate(self) -> float:
        """Share of the ticks with drafts that found theirs; 0 before the first."""
        tried = self.accepted + self.missed
        return self.accepted / tried if tried else 0.0

    def figures(self) -> dict[str, float]:
        """All of it in plain numbers, times in milliseconds."""
        hit, plain = (round(statistics.median(s) * 1e3, 3) if s else 0.0 for s in (self.hit_s, self.plain_s))
        return {
            "accepted": self.accepted, "missed": self.missed, "discarded": self.discarded, "given_up": self.given_up,
            "hit_rate": round(self.hit_rate, 3), "wasted_ms": round(self.wasted_s * 1e3, 1),
            "hit_ms": hit, "plain_ms": plain,
        }  # fmt: skip


class Drafts:
    """The tree of one session. Not thread-safe."""

    def __init__(self, predictor: ActionPredictor) -> None:
        self.count = DraftCount()
        self.predictor = predictor
        self._pace, self._depth = DraftCost(), DraftDepth()
        self._below: list[Draft] = []

    def __len__(self) -> int:
        return sum(1 for _ in _all(self._below))

    def take(self, action: Action) -> Draft | None:
        """The draft for exactly this action; what was drafted after it stays, all else is dropped."""
        if not self._below:
            return None
        found = next((d for d in self._below if d.action == action), None)
        self._depth.observe(self._below[0].action == action)
        if found is None:
            self.count.missed += 1
            self.drop()
            return None
        self.count.accepted += 1
        self._below = [d for d in self._below if d is not found]
        self.drop()
        self._below = found.below
        return found

    def drop(self) -> None:
        """Forget all drafts."""
        for draft in _all(self._below):
            self.count.discarded += 1
            self.count.wasted_s += draft.cost_s
        self._below = []

    def observe_cost(self, seconds: float) -> None:
        """What a tick took to make: a draft costs the same."""
        self._pace.observe(seconds)

    def fill(self, world: World, now: State, left_s: Callable[[], float]) -> None:
        """Draft the likeliest futures of `now`, one after another, while each is expected to be finished in time."""
        for path, action, probability in self._wanted(self._depth.limit):
            if probability < _LEAST:
                continue
            if len(self) >= _MOST * world.max_branches or not self._pace.fits(left_s()):
                return
            if not self._make(world, now, path, self._together(world, path, action, probability), left_s):
                return

    def fill_to(self, world: World, now: State, most: int) -> None:
        """Draft the likeliest futures until there are `most`, whatever it costs: for tests and measurement."""
        for path, action, probability in self._wanted(most):
            if len(self) >= most:
                return
            together = self._together(world, path, action, probability)[: most - len(self)]
            self._make(world, now, path, together, lambda: float("inf"))

    def _together(
        self, world: World, path: tuple[Draft, ...], action: Action, probability: float
    ) -> list[tuple[Action, float]]:
        """The draft wanted most, and as many of those beside it as the world makes in one go."""
        together = [(action, probability)]
        if world.max_branches > 1:
            known = {action, *(d.action for d in (path[-1].below if path else self._below))}
            before = path[-1].probability if path else 1.0
            for other, chance in self.predictor.candidates(_BRANCHES, tuple(d.action for d in path)):
                if other not in known and before * chance >= _LEAST:
                    together.append((other, before * chance))
        return together[: world.max_branches]

    def _wanted(self, deepest: int) -> Iterator[tuple[tuple[Draft, ...], Action, float]]:
        """What is not yet drafted, the most worthwhile first: the drafts that lead there, action, probability."""
        heap: list[tuple[float, int, tuple[Draft, ...], Action, float]] = []
        count = 0

        def look_below(path: tuple[Draft, ...]) -> None:
            nonlocal count
            if len(path) >= deepest:
                return
            before = path[-1].probability if path else 1.0
            for action, chance in self.predictor.candidates(_BRANCHES, tuple(d.action for d in path)):
                count += 1  # ties are settled by order: drafts must not be compared
                worth = before * chance * _LATER ** len(path)
                heapq.heappush(heap, (-worth, count, path, action, before * chance))

        look_below(())
        while heap:
            _, _, path, action, probability = heapq.heappop(heap)
            siblings = path[-1].below if path else self._below
            if not any(d.action == action for d in siblings):
                yield path, action, probability
            for draft in siblings:
                if draft.action == action:
                    draft.probability = probability
                    look_below((*path, draft))

    def _make(
        self, world: World, now: State, path: tuple[Draft, ...], together: list[tuple[Action, float]],
        left_s: Callable[[], float],
    ) -> bool:  # fmt: skip
        """Add drafts for actions and their probabilities. False if given up between passes for want of time."""
        begun = time.perf_counter()
        work = world.advance_stepwise(path[-1].state if path else now, [action for action, _ in together])
        try:
            while True:
                next(work)
                if left_s() <= 0:
                    self.count.given_up += 1
                    self.count.wasted_s += time.perf_counter() - begun
                    return False
        except StopIteration as stop:
            made = stop.value
        spent = time.perf_counter() - begun
        for (action, probability), (state, frame) in zip(together, made, strict=True):
            draft = Draft(action, probability, state, frame, spent / len(together))
            (path[-1].below if path else self._below).append(draft)
        self._pace.observe(spent)
        return True


def _all(drafts: list[Draft]) -> Iterator[Draft]:
    for draft in drafts:
        yield draft
        yield from _all(draft.below)
