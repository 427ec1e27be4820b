"""A player for any controls: a sticky random walk over the action space. Deterministic by seed."""

from __future__ import annotations

import numpy as np

from worldsim.action import Action, ActionSpace
from worldsim.world import Frame

EVENT_TICKS = 300
"""Ticks between two events that a random player calls, on average."""


class StickyPlayer:
    """Keeps most of its last action and sometimes changes a control."""

    def __init__(self, space: ActionSpace, seed: int) -> None:
        self._space = space
        self._rng = np.random.Generator(np.random.Philox(key=seed))
        self._last = space.idle

    def act(self, frame: Frame | None = None) -> Action:
        """What this player does next. It does not look at the frame."""
        self._last = random_action(self._space, self._rng, self._last)
        return self._last


def random_action(space: ActionSpace, rng: np.random.Generator, last: Action) -> Action:
    """A sticky random walk over any action space: keeps most of `last`, sometimes changes a control, calls an event
    once in EVENT_TICKS."""
    values, events = [], sum(c.kind == "event" for c in space.controls)
    for control, value in zip(space.controls, last.values, strict=True):
        low, high = control.bounds
        if control.is_mouse:
            drift = value * 0.85 + float(rng.normal(0, 0.08)) * high
            values.append(int(np.clip(round(drift), low, high)))
        elif control.kind == "event":
            values.append(int(rng.random() * EVENT_TICKS * events < 1))
        else:
            values.append(int(rng.integers(low, high + 1)) if rng.random() < 0.08 else value)
    return Action(tuple(values))
