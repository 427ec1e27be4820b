"""Speculation: what the player will probably do next, and when a draft of it is worth starting.

Next-Frame Diffusion's speculative sampling, made exact: see drafts.py for what is made of the predictions.
"""

from __future__ import annotations

import statistics
from collections import Counter, deque

from worldsim.action import Action, ActionSpace
from worldsim.play.pans import Hand, Quanta


class _Habits:
    """What has followed the last two motions of the mouse, over the last minutes of play: habits change with the
    place."""

    _MEMORY = 4000  # motions

    def __init__(self) -> None:
        self._followers: dict[tuple[Quanta, Quanta], Counter[Quanta]] = {}
        self._order: deque[tuple[tuple[Quanta, Quanta], Quanta]] = deque()

    def __len__(self) -> int:
        return len(self._order)

    def after(self, before: Quanta, last: Quanta) -> Counter[Quanta]:
        """How often each motion followed these two."""
        return self._followers.get((before, last), Counter())

    def observe(self, before: Quanta, last: Quanta, motion: Quanta) -> None:
        """Remember what followed."""
        self._followers.setdefault((before, last), Counter())[motion] += 1
        self._order.append(((before, last), motion))
        if len(self._order) > self._MEMORY:
            key, old = self._order.popleft()
            followers = self._followers[key]
            followers[old] -= 1
            self._followers[key] = +followers
            if not self._followers[key]:
                del self._followers[key]


class ActionPredictor:
    """Predicts the next action from this player's own history: the mouse does what it has done after the same motion,
    as far as that is known, and else goes on with the pan it is in; keys mostly repeat."""

    _DOUBT = 4.0  # for each different follower of a motion, so many sightings are needed to count as the pan model
    _SAME_KEYS = 10.0  # times keys count as having stayed before anything is known of them

    def __init__(self, space: ActionSpace) -> None:
        self._space = space
        self._mouse = [i for i, c in enumerate(space.controls) if c.is_mouse]
        self._keys = [i for i, c in enumerate(space.controls) if not c.is_mouse]
        self._hand = Hand([space.controls[i].bounds[1] for i in self._mouse])
        self._habits = _Habits()
        self._key_followers: dict[Quanta, Counter[Quanta]] = {}
        self._recent: deque[Action] = deque([space.idle, space.idle], maxlen=2)

    def observe(self, action: Action) -> None:
        """Learn from the action really taken."""
        before, last = self._recent
        self._habits.observe(self._motion(before), self._motion(last), self._motion(action))
        self._key_followers.setdefault(self._held(last), Counter())[self._held(action)] += 1
        self._hand.observe(self._motion(action), self._held(action))
        self._recent.append(action)

    def predict(self, drafted: tuple[Action, ...] = ()) -> Action:
        """The likeliest action after the real ones and, for a deeper draft, after those already drafted."""
        return self.candidates(1, drafted)[0][0]

    def candidates(self, count: int, drafted: tuple[Action, ...] = ()) -> list[tuple[Action, float]]:
        """At most `count` different actions with their probabilities, the likeliest first."""
        motions, keys = self._motions(count, drafted), self._next_keys(count, drafted)
        both = [(self._action(held, motion), p * q) for motion, p in motions for held, q in keys]
        return sorted(both, key=lambda entry: -entry[1])[:count]

    def _motions(self, count: int, drafted: tuple[Action, ...]) -> list[tuple[Quanta, float]]:
        """The likeliest next motions of the mouse: habit, with the pan model for what habit has not seen."""
        before, last = (self._motion(a) for a in (*self._recent, *drafted)[-2:])
        forecast = self._hand.forecast([self._motion(a) for a in drafted])
        habit = self._habits.after(before, last)
        doubt = self._DOUBT * max(len(habit), 1)  # many followers: no habit (escapes of PPM, Moffat 1990)
        known = habit.total() + doubt
        at_rest = (0,) * len(self._mouse)
        chance: dict[Quanta, float] = {}
        for motion, p in forecast.likeliest(count) if forecast else [(at_rest, 1.0)]:
            chance[motion] = chance.get(motion, 0.0) + p * doubt / known
        for motion, times in habit.items():
            if motion not in chance:
                chance[motion] = forecast.probability(motion) * doubt / known if forecast else 0.0
            chance[motion] += times / known
        return sorted(chance.items(), key=lambda entry: -entry[1])[:count]

    def _next_keys(self, count: int, drafted: tuple[Action, ...]) -> list[tuple[Quanta, float]]:
        """The likeliest keys of the next tick."""
        held = self._held((*self._recent, *drafted)[-1])
        seen = Counter(self._key_followers.get(held, Counter()))
        seen[held] += int(self._SAME_KEYS)
        return [(keys, times / seen.total()) for keys, times in seen.most_common(count)]

    def _action(self, held: Quanta, motion: Quanta) -> Action:
        values = [0] * self._space.size
        for index, value in zip((*self._keys, *self._mouse), (*held, *motion), strict=True):
            values[index] = value
        return Action(tuple(values))

    def _motion(self, action: Action) -> Quanta:
        return tuple(action.values[i] for i in self._mouse)

    def _held(self, action: Action) -> Quanta:
        return tuple(action.values[i] for i in self._keys)


class DraftDepth:
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


class DraftCost:
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
