"""Pushes: the same start with the same chances, once walking into the ball and once not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from worldsim.entities import VX, VY, X, Y
from worldsim.evaluate.living import SideLook, Walk, changed
from worldsim.evaluate.scripts import Case, Found, Script, Setting, believed_off_m, pose_of
from worldsim.evaluate.sight import margin_db, mask_of
from worldsim.world import Frame, State

NEARER_DB = 3.0
_TICKS = (24, 20, 16)  # the last of these at which the ball is seen
_MOVED_M, _STOOD_M = 0.5, 0.05
_TRIES = 6  # starts looked at for each pair


class Pushes(Script):
    """A ball ahead: walked into (A), or not (B: standing, or walking past)."""

    name = "pushes"

    def cases(self, setting: Setting) -> list[Case]:
        found: list[Case] = []
        balls = setting.slots("ball")
        for case in range(setting.count * _TRIES if balls else 0):
            pair = self._pair(setting, case, balls[case % len(balls)])
            if pair is not None:
                found.append(pair)
            if len(found) == setting.count:
                break
        return found

    def judge(self, setting: Setting, case: Case, frames: Sequence[Frame]) -> Found:
        slot = case.walk.looks[0].note
        margins = []
        for i, frame in enumerate(frames):
            own, other = case.states[i], case.states[1 - i]
            values, pose = setting.truth.values(own), pose_of(frame, own)
            ball = dict(enumerate(setting.truth.values(other)[slot].tolist()))
            pictures = setting.truth.draw(own, pose), setting.truth.draw(own, pose, changed(values, slot, ball))
            margins.append(margin_db(frame.pixels, *pictures))
        said = [m for m in margins if m is not None]
        # A dream that believes to be where neither ball is seen shows neither.
        right = margins[0] is not None and all(m >= NEARER_DB for m in said)
        found: Found = [("push_right", float(right)), *(("push_margin_db", m) for m in said)]
        for name, frame, state in zip(("pushed", "not_pushed"), frames, case.states, strict=True):
            off = believed_off_m(setting, frame, state, slot)
            found += [] if off is None else [(f"{name}_believed_off_m", off)]
        return found

    def _pair(self, setting: Setting, case: int, slot: int) -> Case | None:
        truth, space, seed = setting.truth, setting.scene.action_space, setting.seed(case)
        made = setting.with_ball(case, slot, (0.8, 1.6))
        if made is None:
            return None
        _, pose, values = made
        begin, spawn = truth.begin(seed, pose, values)
        turned, straight = space.make(walk=1, yaw=60 if case % 4 == 1 else -60), space.make(walk=1)
        still = [space.idle] * _TICKS[0] if case % 2 == 0 else [turned] * 4 + [straight] * (_TICKS[0] - 4)
        for ticks in _TICKS:
            looks = SideLook(0, (straight,) * ticks, slot), SideLook(0, tuple(still[:ticks]), slot)
            walk = Walk(seed, spawn, begin, (), looks)
            states = truth.states(walk)
            if _moved_m(setting, begin, states[0], slot) < _MOVED_M:
                return None
            if _moved_m(setting, begin, states[1], slot) > _STOOD_M or not _at_rest(setting, states[1], slot):
                return None
            if mask_of(truth, states[0], states[0].pose, slot) is not None:
                return Case(walk, states)
        return None


def _moved_m(setting: Setting, before: State, after: State, slot: int) -> float:
    a, b = (setting.truth.values(state)[slot] for state in (before, after))
    return float(np.hypot(a[X] - b[X], a[Y] - b[Y]))


def _at_rest(setting: Setting, state: State, slot: int) -> bool:
    return bool(np.abs(setting.truth.values(state)[slot, [VX, VY]]).max() < 0.01)
