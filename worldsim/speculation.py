"""Speculation: what the player will probably do next, and when a draft of it is worth starting.

Next-Frame Diffusion's speculative sampling, made exact: a draft is accepted only if the real action equals the
predicted one, and then it is the very state and frame that the plain path would have made.
"""

from __future__ import annotations

import statistics
from collections import Counter, deque
from dataclasses import dataclass

from worldsim.action import Action, ActionSpace


class ActionPredictor:
    """Predicts the next action from this player's own history: keys repeat; the mouse follows what came after the
    same motion before, and rests or repeats where nothing is known."""

    _MEMORY = 4000  # motions remembered, some minutes of play: habits change with the place

    def __init__(self, space: ActionSpace) -> None:
        self._space = space
        self._mouse = [i for i, c in enumerate(space.controls) if c.is_mouse]
        self._followers: dict[tuple[int, ...], Counter[tuple[int, ...]]] = {}
        self._order: deque[tuple[tuple[int, ...], tuple[int, ...]]] = deque()
        self._last: Action | None = None
        self._before: tuple[int, ...] | None = None

    def observe(self, action: Action) -> None:
        """Learn from the action really taken."""
        motion = self._motion(action)
        if self._last is not None:
            last = self._motion(self._last)
            for key in (last, (*(self._before or last), *last)):
                self._followers.setdefault(key, Counter())[motion] += 1
                self._order.append((key, motion))
            while len(self._order) > self._MEMORY:
                key, old = self._order.popleft()
                followers = self._followers[key]
                followers[old] -= 1
                if followers[old] <= 0:
                    del followers[old]
                if not followers:
                    del self._followers[key]
            self._before = last
        self._last = action

    def predict(self, drafted: tuple[Action, ...] = ()) -> Action:
        """The likeliest action after the real ones and, for a deeper draft, after those already drafted."""
        recent = [a for a in (self._last, *drafted) if a is not None]
        if not recent:
            return self._space.idle
        last = self._motion(recent[-1])
        before = self._motion(recent[-2]) if len(recent) > 1 else self._before or last
        guess = last
        for key in ((*before, *last), last):
            followers = self._followers.get(key)
            if followers and sum(followers.values()) >= 3:
                guess = followers.most_common(1)[0][0]
                break
        values = list(recent[-1].values)
        for index, value in zip(self._mouse, guess, strict=True):
            values[index] = value
        return Action(tuple(values))

    def _motion(self, action: Action) -> tuple[int, ...]:
        return tuple(action.values[i] for i in self._mouse)


@dataclass
class DraftCount:
    """What became of drafts in a session."""

    accepted: int = 0
    discarded: int = 0
    given_up: int = 0
    wasted_s: float = 0.0

    @property
    def hit_rate(self) -> float:
        """Share of finished drafts that were accepted; 0 before the first."""
        finished = self.accepted + self.discarded
        return self.accepted / finished if finished else 0.0


class Pace:
    """Running estimate of how long a draft takes, so that one is only started if it fits."""

    _PATIENCE = 10  # refusals after which the slowest draft remembered is doubted: it may have been a hiccup

    def __init__(self) -> None:
        self._cost_s: deque[float] = deque(maxlen=16)
        self._refused = 0

    def observe(self, seconds: float) -> None:
        self._cost_s.append(seconds)

    def fits(self, slack_s: float) -> bool:
        """True if a draft like the recent ones would be done in time. Unknown costs are tried.

        The median, not the slowest: a draft that takes longer is given up between passes and costs at most one.
        """
        if not self._cost_s or statistics.median(self._cost_s) * 1.1 < slack_s:
            self._refused = 0
            return True
        self._refused += 1
        if self._refused % self._PATIENCE == 0:
            self._cost_s.remove(max(self._cost_s))
        return False
