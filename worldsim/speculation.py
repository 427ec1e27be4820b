"""Speculation: what the player will probably do next, and when a draft of it is worth starting.

Next-Frame Diffusion's speculative sampling, made exact: a draft is accepted only if the real action equals the
predicted one, and then it is the very state and frame that the plain path would have made.
"""

from __future__ import annotations

import statistics
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from worldsim.action import Action, ActionSpace

_LONGEST_PAN, _LEADS = 30, 3  # ticks; how many of a pan's first ticks may have moved less than a quantum


def _pan_table() -> np.ndarray:
    """Share of a pan done after 1, 2, ... ticks, for pans of 3 to _LONGEST_PAN ticks: minimum jerk (Flash & Hogan 1985,
    eq. 3), the way a hand moves."""
    ticks = np.arange(1, _LONGEST_PAN + _LEADS + 2)
    t = np.minimum(ticks / np.arange(3, _LONGEST_PAN + 1)[:, None], 1.0)
    return 10 * t**3 - 15 * t**4 + 6 * t**5


_PANS = _pan_table()


def next_of_pan(moved: Sequence[int]) -> int:
    """The next quanta of a mouse axis, given those of the motion so far: the pan that fits it best, gone on.

    Every length and every number of unseen first ticks is tried, its size by least squares; a pan is the better the
    fewer of the whole quanta given out so far it gets wrong (quanta are cut off, the rest is carried).
    """
    if not moved:
        return 0
    if len(moved) < 2:
        return 2 * moved[-1]
    if len(moved) + _LEADS > _PANS.shape[1] - 1:
        return moved[-1]
    best: tuple[float, float, int] | None = None
    for lead in range(_LEADS):
        total = np.cumsum([*[0] * lead, *moved])
        shares = _PANS[:, : len(total)]
        middle = total + 0.5 * np.sign(total[-1])  # of what was cut off
        middle[:lead] = 0.25 * np.sign(total[-1])
        size = shares @ middle / np.square(shares).sum(axis=1)
        curves = size[:, None] * shares
        wrong = (np.trunc(curves) != total).sum(axis=1)
        off = np.square(curves - middle).sum(axis=1)
        row = int(np.lexsort((off, wrong))[0])
        if best is None or (wrong[row], off[row]) < best[:2]:
            after = int(np.trunc(size[row] * _PANS[row, len(total)]))
            best = float(wrong[row]), float(off[row]), after - int(total[-1])
    assert best is not None
    return best[2]


class ActionPredictor:
    """Predicts the next action from this player's own history: keys repeat; the mouse does what this player has most
    often done after the same motion, and where no habit is known goes on with the pan it is in."""

    _MEMORY = 4000  # motions remembered, some minutes of play: habits change with the place

    def __init__(self, space: ActionSpace) -> None:
        self._space = space
        self._mouse = [i for i, c in enumerate(space.controls) if c.is_mouse]
        self._bounds = [space.controls[i].bounds[1] for i in self._mouse]
        self._pans: list[deque[int]] = [deque(maxlen=2 * _LONGEST_PAN) for _ in self._mouse]
        self._followers: dict[tuple[int, ...], Counter[tuple[int, ...]]] = {}
        self._order: deque[tuple[tuple[int, ...], tuple[int, ...]]] = deque()
        self._last: Action | None = None
        self._before: tuple[int, ...] | None = None

    def observe(self, action: Action) -> None:
        """Learn from the action really taken."""
        motion = self._motion(action)
        if self._last is not None:
            last = self._motion(self._last)
            key = (*(self._before or last), *last)
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
        for pan, value in zip(self._pans, self._motion(action), strict=True):
            if value:
                pan.append(value)
            else:
                pan.clear()

    def predict(self, drafted: tuple[Action, ...] = ()) -> Action:
        """The likeliest action after the real ones and, for a deeper draft, after those already drafted."""
        recent = [a for a in (self._last, *drafted) if a is not None]
        if not recent:
            return self._space.idle
        last = self._motion(recent[-1])
        before = self._motion(recent[-2]) if len(recent) > 1 else self._before or last
        guess = self._habit((*before, *last)) or tuple(
            max(-bound, min(bound, next_of_pan(self._moved(axis, drafted)))) for axis, bound in enumerate(self._bounds)
        )
        values = list(recent[-1].values)
        for index, value in zip(self._mouse, guess, strict=True):
            values[index] = value
        return Action(tuple(values))

    def _habit(self, key: tuple[int, ...]) -> tuple[int, ...] | None:
        """What has nearly always followed these two motions; None where that is not known."""
        followers = self._followers.get(key)
        if not followers or not any(key):  # rest says nothing of when it will end
            return None
        motion, count = followers.most_common(1)[0]
        seen = sum(followers.values())
        return motion if seen >= 3 and count >= 0.6 * seen else None

    def _moved(self, axis: int, drafted: tuple[Action, ...]) -> list[int]:
        """Quanta of the motion an axis is in, drafted ticks included; empty at rest."""
        moved = list(self._pans[axis])
        for action in drafted:
            value = action.values[self._mouse[axis]]
            moved = [*moved, value] if value else []
        return moved

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


class Depth:
    """How many ticks ahead drafts are worth their while: as many as will more likely than not all be accepted, by
    recent acceptance (after DiffuSpec's controller)."""

    _DEEPEST, _MEMORY = 4, 0.9

    def __init__(self) -> None:
        self._accepted = 0.5

    def observe(self, accepted: bool) -> None:
        """What became of the draft for a tick."""
        self._accepted = self._MEMORY * self._accepted + (1 - self._MEMORY) * accepted

    @property
    def limit(self) -> int:
        """At least one."""
        ahead = 1
        while ahead < self._DEEPEST and self._accepted ** (ahead + 1) >= 0.5:
            ahead += 1
        return ahead


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
