"""Tours: some doors, switches and pickups are used and some passed by, and 200 ticks later each is looked at again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from worldsim.camera import Pose
from worldsim.entities import HEADING, ON, PHASE, X, Y
from worldsim.evaluate.living import SideLook, Walk, changed
from worldsim.evaluate.scripts import Case, Found, Script, Setting, pose_of
from worldsim.evaluate.sight import margin_db, may_see
from worldsim.evaluate.walking import Walker, in_front_of
from worldsim.world import Frame, State

ELSEWHERE_TICKS = 200
_KINDS = {"door": "doors", "lamp": "lamps", "pickup": "pickups"}
_REACH_M = {"door": 0.95, "lamp": 0.8, "pickup": 0.05}  # from where each is used
_VIEW_M = {"door": 1.7, "lamp": 1.1, "pickup": 1.3}  # from where each is looked at again
_BETWEEN_TICKS = 40  # about what the way from one stop to the next takes


class Tours(Script):
    """Walks past everything that keeps a state, then past it all again."""

    name = "tours"

    def cases(self, setting: Setting) -> list[Case]:
        found: list[Case] = []
        stops = [i for i in setting.slots(*_KINDS) if not setting.all_slots[i].kind.endswith("by_itself")]
        kinds = {setting.all_slots[i].kind.split("_")[0] for i in stops}
        wanted = dict.fromkeys(kinds, setting.count)
        for i in range(max(2, setting.count // 2) if stops else 0):
            if all(left <= 0 for left in wanted.values()):
                break
            tour = self._tour(setting, 30_000 + i, stops)
            for look in tour.walk.looks:
                wanted[setting.all_slots[look.note].kind.split("_")[0]] -= 1
            found += [tour] if tour.walk.looks else []
        return found

    def judge(self, setting: Setting, case: Case, frames: Sequence[Frame]) -> Found:
        found: Found = []
        truth, begun = setting.truth, setting.truth.values(case.walk.begin)
        for look, state, frame in zip(case.walk.looks, case.states, frames, strict=True):
            slot, values = look.note, truth.values(state)
            kind = setting.all_slots[slot].kind.split("_")[0]
            touched = "changed" if _is_on(kind, values[slot]) != _is_on(kind, begun[slot]) else "left_alone"
            pose = pose_of(frame, state)
            other = changed(values, slot, _other(setting, slot, values[slot]))
            nearer = margin_db(frame.pixels, truth.draw(state, pose), truth.draw(state, pose, other))
            # Nothing to be seen of it where the dream believes to be: it has lost its way, and the thing.
            found.append((f"{_KINDS[kind]}_{touched}", float(nearer is not None and nearer > 0)))
            if frame.entities is not None:
                right = _is_on(kind, frame.entities[slot]) == _is_on(kind, values[slot])
                found.append((f"{_KINDS[kind]}_believed_right", float(right)))
        return found

    def _tour(self, setting: Setting, case: int, stops: list[int]) -> Case:
        truth, rng = setting.truth, setting.rng(case)
        state, pose = setting.level(case)
        begin, spawn = truth.begin(setting.seed(case), pose, truth.values(state))
        walker = setting.walker(begin)
        past: dict[int, int] = {}
        left = list(stops)
        while left:
            slot = min(left, key=lambda i: _far(truth.values(walker.state)[i], walker.state.pose))
            left.remove(slot)
            used = bool(rng.random() < 0.5)
            if _go_past(setting, walker, slot, used):
                past[slot] = walker.tick
        looks: list[SideLook] = []
        for slot in past:
            kind = setting.all_slots[slot].kind.split("_")[0]
            while walker.tick < past[slot] + ELSEWHERE_TICKS - _BETWEEN_TICKS:
                walker.do(yaw=12)
            if not _go_to_see(setting, walker, slot, _VIEW_M[kind]):
                continue
            while walker.tick < past[slot] + ELSEWHERE_TICKS:
                walker.wait(1)
            if _tells(setting, walker.state, slot, kind):
                looks.append(SideLook(walker.tick, (), slot))
        walk = Walk(setting.seed(case), spawn, begin, tuple(walker.actions), tuple(looks))
        along = truth.along(walk)
        return Case(walk, [along[look.at] for look in looks])


def _go_past(setting: Setting, walker: Walker, slot: int, used: bool) -> bool:
    """Go to a thing and use it or take it, or only go near. False if it cannot be reached."""
    values = setting.truth.values(walker.state)
    kind = setting.all_slots[slot].kind.split("_")[0]
    if kind == "pickup":
        keep_off = _pickups(setting, walker.state, but=slot if used else None)
        near = 0.15 if used else 1.0
        return walker.go_to(values[slot, X], values[slot, Y], near, keep_off=keep_off)
    if not _go_to_see(setting, walker, slot, _REACH_M[kind]):
        return False
    if used:
        walker.do(use=1)
        walker.wait(3)
    return True


def _go_to_see(setting: Setting, walker: Walker, slot: int, metres: float) -> bool:
    """Stand so far in front of a thing and look at it."""
    values = setting.truth.values(walker.state)
    kind, keep_off = setting.all_slots[slot].kind, _pickups(setting, walker.state)
    if kind == "pickup":
        there = walker.go_to(values[slot, X], values[slot, Y], metres, keep_off=keep_off)
    else:
        rest = setting.all_slots[slot].rest  # an open leaf lies elsewhere
        pose = in_front_of(rest[X], rest[Y], rest[HEADING], metres)
        there = walker.go_to(pose.x, pose.y, 0.2, keep_off=keep_off)
    if there:
        x, y, z = setting.truth.values(walker.state)[slot, :3].tolist()
        if kind.startswith("door"):  # an open leaf lies elsewhere; its frame does not
            x, y, z = setting.all_slots[slot].rest[:3]
        walker.turn_to(x, y, z, off_deg=4)
    return there


def _far(row: np.ndarray, pose: Pose) -> float:
    return float(np.hypot(row[X] - pose.x, row[Y] - pose.y))


def _pickups(setting: Setting, state: State, but: int | None = None) -> list[int]:
    """The pickups that are still there, but one."""
    values = setting.truth.values(state)
    return [i for i in setting.slots("pickup") if i != but and values[i, ON] > 0.5]


def _is_on(kind: str, row: Sequence[float]) -> bool:
    """Whether a door is open, a lamp lit, a pickup there. row: FIELDS."""
    return abs(row[PHASE]) > 0.5 if kind == "door" else row[ON] > 0.5


def _other(setting: Setting, slot: int, row: Sequence[float]) -> dict[int, float]:
    """What a thing would be like had it been left the other way."""
    kind = setting.all_slots[slot].kind.split("_")[0]
    is_on = _is_on(kind, row)
    if kind == "door":
        return dict(enumerate(setting.all_slots[slot].rest if is_on else setting.opened(slot)))
    return {ON: 1.0 - is_on}


def _tells(setting: Setting, state: State, slot: int, kind: str) -> bool:
    """Whether the true view tells which way the thing was left."""
    truth, values = setting.truth, setting.truth.values(state)
    x, y, z = setting.all_slots[slot].rest[:3]
    if kind == "pickup" and not may_see(setting.scene, state.pose, values[slot, X], values[slot, Y], z):
        return False
    if kind == "door" and not may_see(setting.scene, state.pose, x, y, z):
        return False
    own = truth.draw(state, state.pose)
    other = truth.draw(state, state.pose, changed(values, slot, _other(setting, slot, values[slot])))
    return margin_db(own, own, other) is not None
