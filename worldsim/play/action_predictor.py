"""What the player will probably do next, learned from what they did."""

from __future__ import annotations

from collections import Counter

from worldsim.action import Action, ActionSpace
from worldsim.play.mouse_predictor import Degrees, MousePredictor

Keys = tuple[int, ...]  # the values of all controls but the mouse's

_SAME_KEYS = 10  # times keys count as having stayed before anything is known of them


class ActionPredictor:
    """Predicts the next action of one hand: keys mostly stay as they are, the mouse mostly goes on as it did. An event
    that was called is not called again in the next tick."""

    def __init__(self, space: ActionSpace, tolerance_deg: float = 0.0) -> None:
        """tolerance_deg: how far the motion of a draft may be from the hand's, see `MousePredictor`."""
        self._space = space
        axes = [None if i is None else space.controls[i] for i in space.mouse]
        self._mouse = MousePredictor(axes, tolerance_deg)
        self._lasting = tuple(int(c.kind != "event") for c in space.controls if not c.is_mouse)
        self._followers: dict[Keys, Counter[Keys]] = {}
        self._keys = space.keys(space.idle)

    def observe(self, used: Action, wanted_deg: Degrees | None = None) -> None:
        """Learn from one tick: the action that it used, and the motion that the hand wanted, if there is a hand."""
        keys, motion = self._space.keys(used), self._space.motion_deg(used)
        self._followers.setdefault(self._keys, Counter())[keys] += 1
        self._keys = tuple(value * lasts for value, lasts in zip(keys, self._lasting, strict=True))
        self._mouse.observe(motion, wanted_deg or motion)

    def candidates(self, count: int) -> list[tuple[Action, float]]:
        """At most `count` different actions with their probabilities, the likeliest first."""
        followers = Counter(self._followers.get(self._keys, Counter()))
        followers[self._keys] += _SAME_KEYS
        keys = [(keys, times / followers.total()) for keys, times in followers.most_common(count)]
        motions = self._mouse.candidates(count)
        both = [(self._space.join(k, motion), p * q) for motion, p in motions for k, q in keys]
        return sorted(both, key=lambda entry: -entry[1])[:count]
