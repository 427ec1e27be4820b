"""Sightings: what moves is looked at after some ticks of ordinary play, and after some ticks of looking away."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from worldsim.action import Action
from worldsim.entities import X, Y
from worldsim.evaluate.living import SideLook, Walk, plain
from worldsim.evaluate.scripts import Case, Found, Script, Setting, believed_off_m
from worldsim.evaluate.sight import in_view, sight
from worldsim.world import Frame, State

HORIZONS = (16, 64, 256)
AWAY_TICKS = (20, 100)
_MOVERS = ("ball", "creature", "prop")
_TURN_TICKS = 12
_MOVED_M = 0.6  # from its start, before its place says anything
_A_TURN_DEG = 180.0
_PER_LOOK = 3  # movers looked at in each walk and horizon


class _Sightings(Script):
    """Looks at movers, judged alike."""

    def judge(self, setting: Setting, case: Case, frames: Sequence[Frame]) -> Found:
        found: Found = []
        begun = setting.truth.values(case.walk.begin)
        for look, state, frame in zip(case.walk.looks, case.states, frames, strict=True):
            slot, when = look.note
            kind = setting.all_slots[slot].kind.split("_")[0]
            also = [(begun[slot, X], begun[slot, Y])]
            seen = sight(setting.truth, state, slot, frame, also)
            found += [(f"present_{when}", seen.present), (f"{kind}_present_{when}", seen.present)]
            if not kind.startswith("prop"):  # what swings in its place is always near it
                found += [(f"placed_{when}", seen.placed), (f"{kind}_placed_{when}", seen.placed)]
            off = believed_off_m(setting, frame, state, slot)
            found += [] if off is None else [(f"believed_off_m_{when}", off)]
        return found


class InView(_Sightings):
    """Ordinary play of the source's own player, who turns to a mover in the last ticks."""

    name = "in view"

    def cases(self, setting: Setting) -> list[Case]:
        found: list[Case] = []
        wanted = {h: setting.count // (2 if h == HORIZONS[-1] else 1) for h in HORIZONS}  # the longest costs most
        movers, balls = setting.slots(*_MOVERS), setting.slots("ball")
        for i in range(setting.count if movers else 0):
            if all(left <= 0 for left in wanted.values()):
                break
            case = self._walk(setting, 10_000 + i, movers, balls, [h for h in HORIZONS if wanted[h] > 0])
            for look in case.walk.looks:
                wanted[look.at + len(look.actions)] -= 1
            found += [case] if case.walk.looks else []
        return found

    def _walk(self, setting: Setting, case: int, movers: list[int], balls: list[int], horizons: list[int]) -> Case:
        truth, seed = setting.truth, setting.seed(case)
        begin, spawn = _rolling_start(setting, case, balls)
        states, actions = [begin], []
        player = truth.player(seed)[0]
        for _ in range(horizons[-1] - _TURN_TICKS):
            actions.append(plain(setting.scene, player.act(truth.seen(states[-1]))))
            states.append(truth.after(states[-1], actions[-1]))
        looks: list[SideLook] = []
        ends: list[State] = []
        for horizon in horizons:
            at = horizon - _TURN_TICKS
            for slot in _nearest_first(setting, states[at], movers)[:_PER_LOOK]:
                look, end = _look_to(setting, states[at], at, slot, _TURN_TICKS, f"after_{horizon}")
                if _may_judge(setting, begin, end, slot):
                    looks.append(look)
                    ends.append(end)
        return Case(Walk(seed, spawn, begin, tuple(actions), tuple(looks)), ends)


class LookAway(_Sightings):
    """Half a turn away from what moves, standing, and a turn to it after 20 and after 100 ticks."""

    name = "look away"

    def cases(self, setting: Setting) -> list[Case]:
        found: list[Case] = []
        wanted = dict.fromkeys(AWAY_TICKS, setting.count)
        movers, balls = setting.slots("ball", "creature"), setting.slots("ball")
        for i in range(3 * setting.count if movers else 0):
            if all(left <= 0 for left in wanted.values()):
                break
            case = self._walk(setting, 20_000 + i, movers, balls)
            for look in case.walk.looks:
                wanted[int(look.note[1].rsplit("_", 1)[1])] -= 1
            found += [case] if case.walk.looks else []
        return found

    def _walk(self, setting: Setting, case: int, movers: list[int], balls: list[int]) -> Case:
        truth, space = setting.truth, setting.scene.action_space
        begin, spawn = _rolling_start(setting, case, balls)
        yaw = space.quanta((_A_TURN_DEG / _TURN_TICKS, 0.0))[0]
        actions: list[Action] = [space.make(yaw=yaw)] * _TURN_TICKS + [space.idle] * AWAY_TICKS[-1]
        states = truth.along(Walk(0, spawn, begin, tuple(actions)))
        looks: list[SideLook] = []
        ends: list[State] = []
        for ticks in AWAY_TICKS:
            at = _TURN_TICKS + ticks
            for slot in _nearest_first(setting, states[at], movers):
                look, end = _look_to(setting, states[at], at, slot, _TURN_TICKS + 2, f"away_{ticks}")
                if _may_judge(setting, begin, end, slot):
                    looks.append(look)
                    ends.append(end)
        return Case(Walk(setting.seed(case), spawn, begin, tuple(actions), tuple(looks)), ends)


def _rolling_start(setting: Setting, case: int, balls: list[int]):
    """A state and spawn with a ball that rolls in view, if there is a ball. A tick of the true engine has made all its
    numbers agree: none rolls across the way it goes, or without turning."""
    seed = setting.seed(case)
    slot = balls[case % len(balls)] if balls else 0
    made = setting.with_ball(case, slot, (1.2, 3.0), (0.8, 2.2)) if balls else None
    if made is None:
        state, pose = setting.level(case)
        return setting.truth.begin(seed, pose, setting.truth.values(state))
    _, pose, values = made
    rolling = setting.truth.after(setting.truth.begin(seed, pose, values)[0], setting.scene.action_space.idle)
    return setting.truth.begin(seed, pose, setting.truth.values(rolling))


def _look_to(
    setting: Setting, state: State, at: int, slot: int, ticks: int, when: str
) -> tuple[SideLook, State]:  # fmt: skip
    """Turning to a mover for so many ticks, following it."""
    walker = setting.walker(state)
    for _ in range(ticks):
        x, y, z = setting.truth.values(walker.state)[slot, :3].tolist()
        before = walker.tick
        walker.turn_to(x, y, z, most=1)
        if walker.tick == before:
            walker.wait(1)
    return SideLook(at, tuple(walker.actions), (slot, when)), walker.state


def _nearest_first(setting: Setting, state: State, slots: Sequence[int]) -> list[int]:
    values, pose = setting.truth.values(state), state.pose
    return sorted(slots, key=lambda i: math.hypot(values[i, X] - pose.x, values[i, Y] - pose.y))


def _may_judge(setting: Setting, begin: State, end: State, slot: int) -> bool:
    """Whether the mover is in view, and has moved so far that its start is a wrong place."""
    before, after = (setting.truth.values(state)[slot] for state in (begin, end))
    swings = setting.all_slots[slot].kind.startswith("prop")
    moved = float(np.hypot(after[X] - before[X], after[Y] - before[Y])) >= _MOVED_M
    return (swings or moved) and in_view(setting.truth, end, slot)
