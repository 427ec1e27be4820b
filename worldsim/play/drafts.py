"""Drafts: the next state and frame, made in the slack of a tick for a few actions that the player will probably take.

This is speculative decoding for frames, as in Next-Frame Diffusion. A draft is made by the plain path from the same
state, so taking one gives what the plain path would have given for the draft's action. That action is the one the
player asked for, or, for a hand on a mouse, one whose motion lies within a tolerance of it.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from worldsim.action import Action, ActionSpace
from worldsim.play.action_predictor import ActionPredictor
from worldsim.world import Frame, State, World

_BRANCHES = 6  # drafts for one tick, at most, of a world that makes one at a time
_LEAST = 0.02  # probability of a draft worth the electricity; of real hands, on average, three a tick are

Degrees = tuple[float, float]  # yaw, pitch


@dataclass(frozen=True, eq=False)
class Draft:
    """One tick made ahead."""

    action: Action
    state: State
    frame: Frame
    seconds: float


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


class DraftCost:
    """Running estimate of how long a draft takes, so that one is only started if it fits."""

    _PATIENCE = 10  # refusals after which the slowest draft remembered is doubted: it may have been a hiccup

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=16)
        self._refused = 0

    def observe(self, seconds: float) -> None:
        """One draft, or one tick, took so long."""
        self._seconds.append(seconds)

    def fits(self, left_s: float) -> bool:
        """True if a draft like the recent ones would be done in time. Unknown costs are tried.

        The median, not the slowest: a draft that takes longer is given up between passes and costs at most one.
        """
        if not self._seconds or statistics.median(self._seconds) * 1.1 < left_s:
            self._refused = 0
            return True
        self._refused += 1
        if self._refused % self._PATIENCE == 0:
            self._seconds.remove(max(self._seconds))
        return False


class Drafts:
    """The drafts of one session for its next tick. Not thread-safe."""

    def __init__(self, space: ActionSpace, tolerance_deg: float, count: DraftCount) -> None:
        """tolerance_deg: how far, on each axis, a draft's motion may be from what a hand wants. count: goes on."""
        self.count = count
        self.cost = DraftCost()
        self.predictor = ActionPredictor(space, tolerance_deg)
        self._space, self._tolerance = space, tolerance_deg
        self._held: list[Draft] = []

    def take(self, action: Action, wanted_deg: Degrees | None = None) -> Draft | None:
        """The draft to use for an action, None if there is none; all others are dropped.

        wanted_deg: the motion that a hand wants. Then a draft with the same keys is as good, if its motion lies within
        the tolerance and does not go the other way; of several, the nearest. Without it only the same action is.
        """
        if not self._held:
            return None
        good = [draft for draft in self._held if draft.action == action]
        if wanted_deg is not None:
            motion = self._space.clamp_deg(wanted_deg)
            keys = self._space.keys(action)
            good += [draft for draft in self._held if self._is_near(draft.action, keys, motion)]
            good.sort(key=lambda draft: _distance(self._space.motion_deg(draft.action), motion))
        found = good[0] if good else None
        self.count.accepted += found is not None
        self.count.missed += found is None
        self._held = [draft for draft in self._held if draft is not found]
        self.drop()
        return found

    def drop(self) -> None:
        """Forget all drafts."""
        self.count.discarded += len(self._held)
        self.count.wasted_s += sum(draft.seconds for draft in self._held)
        self._held = []

    def fill(self, world: World, now: State, left_s: Callable[[], float]) -> None:
        """Draft the likeliest next ticks, one after another, while each is expected to be finished in time."""
        wanted = self.predictor.candidates(_BRANCHES * world.max_branches)
        likely = [action for action, probability in wanted if probability >= _LEAST]
        while likely and self.cost.fits(left_s()) and self._make(world, now, likely[: world.max_branches], left_s):
            del likely[: world.max_branches]

    def fill_to(self, world: World, now: State, count: int) -> None:
        """Draft the likeliest `count` next ticks, whatever it costs: for tests and measurement."""
        wanted = [action for action, _ in self.predictor.candidates(count)]
        for begin in range(0, len(wanted), world.max_branches):
            self._make(world, now, wanted[begin : begin + world.max_branches], lambda: float("inf"))

    def _is_near(self, drafted: Action, keys: tuple[int, ...], motion: Degrees) -> bool:
        turned = self._space.motion_deg(drafted)
        against = any(a * b < 0 for a, b in zip(turned, motion, strict=True))  # the view would go against the hand
        near = _distance(turned, motion) <= self._tolerance + 1e-9
        return near and not against and self._space.keys(drafted) == keys

    def _make(self, world: World, now: State, actions: list[Action], left_s: Callable[[], float]) -> bool:
        """Draft these actions in one go. False if given up between two denoising steps for want of time."""
        begun = time.perf_counter()
        work = world.advance_stepwise(now, actions)
        try:
            while True:
                next(work)
                if left_s() <= 0:
                    self.count.given_up += 1
                    self.count.wasted_s += time.perf_counter() - begun
                    return False
        except StopIteration as stop:
            made = stop.value
        seconds = time.perf_counter() - begun
        for action, (state, frame) in zip(actions, made, strict=True):
            self._held.append(Draft(action, state, frame, seconds / len(actions)))
        self.cost.observe(seconds)
        return True


def _distance(a: Degrees, b: Degrees) -> float:
    """The greater of both axes' differences, in degrees."""
    return max(abs(x - y) for x, y in zip(a, b, strict=True))
