"""Doorways: a door has to be seen shut, then open, before one is through it, and one that stays shut stops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from worldsim.camera import Look, Pose
from worldsim.entities import HEADING, PHASE, X, Y
from worldsim.evaluate.living import SideLook, Walk, changed
from worldsim.evaluate.scripts import Case, Found, Script, Setting, pose_of
from worldsim.evaluate.sight import margin_db
from worldsim.evaluate.walking import in_front_of
from worldsim.psnr import mse
from worldsim.world import Frame

_PLAN = (("idle", 2), ("use", 1), ("back", 8), ("idle", 8), ("ahead", 34))
"""What is done for how many ticks: the leaf may swing towards the player, who makes room for it."""
_SHUT_AT, _OPEN_AT = 2, 19
_INTO_TICKS = 20  # of walking into a closed door
_BEYOND_M = 0.9  # past a closed door


class Doorways(Script):
    """Each door that is opened by hand, from both sides: used and walked through, and walked into."""

    name = "doorways"

    def cases(self, setting: Setting) -> list[Case]:
        doors = [i for i in setting.slots("door") if setting.all_slots[i].kind.endswith("by_hand")]
        count = max(2, setting.count // 4) if doors else 0
        made = [self._walk(setting, i, doors[i // 2 % len(doors)], i % 2) for i in range(2 * count)]
        return [case for case in made if case is not None][:count]

    def judge(self, setting: Setting, case: Case, frames: Sequence[Frame]) -> Found:
        slot, turned = case.walk.looks[0].note
        row = setting.all_slots[slot].rest
        heading, found = row[HEADING] + turned, []
        *along, into = frames
        through = next((t for t, f in enumerate(along) if _past(f.pose, row, heading) > 0), None)
        opened = next((t for t, f in enumerate(along) if _is_open(f, slot)), None)
        seen = self._shows(setting, case, along, _SHUT_AT, slot) and self._shows(setting, case, along, _OPEN_AT, slot)
        in_order = through is not None and opened is not None and opened <= through
        found.append(("door_open_before_through", seen and in_order))
        end = case.states[-1]
        sin, cos = math.sin(math.radians(heading)), math.cos(math.radians(heading))
        beyond = replace(end.pose, x=row[X] + _BEYOND_M * sin, y=row[Y] + _BEYOND_M * cos)
        stopped, passed = setting.truth.draw(end, end.pose), setting.truth.draw(end, beyond)
        shows = mse(into.pixels, stopped) < mse(into.pixels, passed)
        found.append(("closed_door_stops", shows and _past(pose_of(into, end), row, heading) < 0))
        return [(name, float(value)) for name, value in found]

    def _shows(self, setting: Setting, case: Case, along: Sequence[Frame], tick: int, slot: int) -> bool:
        """Whether the picture of a tick is nearer to the door as it truly is than to the door opened or shut."""
        state, frame = case.states[tick], along[tick]
        values, pose = setting.truth.values(state), pose_of(frame, state)
        other = setting.opened(slot) if tick == _SHUT_AT else setting.all_slots[slot].rest
        otherwise = setting.truth.draw(state, pose, changed(values, slot, dict(enumerate(other))))
        nearer = margin_db(frame.pixels, setting.truth.draw(state, pose), otherwise)
        return nearer is not None and nearer > 0

    def _walk(self, setting: Setting, case: int, slot: int, side: int) -> Case | None:
        truth, space, seed = setting.truth, setting.scene.action_space, setting.seed(40_000 + case)
        rng = setting.rng(40_000 + case)
        state, _ = setting.level(40_000 + case)
        values = changed(truth.values(state), slot, dict(enumerate(setting.all_slots[slot].rest)))
        turned = 180.0 * side
        heading = values[slot, HEADING] + turned
        pose = in_front_of(values[slot, X], values[slot, Y], heading, float(rng.uniform(0.9, 1.2)))
        pose = Pose(pose.x, pose.y, Look(pose.look.yaw_deg, -4.0))
        begin, spawn = truth.begin(seed, pose, values)
        ahead = space.make(walk=1)
        keys = {"idle": space.idle, "use": space.make(use=1), "back": space.make(walk=-1), "ahead": ahead}
        actions = [keys[what] for what, ticks in _PLAN for _ in range(ticks)]
        looks = [SideLook(t, (), (slot, turned)) for t in range(len(actions) + 1)]
        looks.append(SideLook(0, (ahead,) * _INTO_TICKS, (slot, turned)))
        walk = Walk(seed, spawn, begin, tuple(actions), tuple(looks))
        states = [*truth.along(walk), truth.states(replace(walk, looks=(looks[-1],)))[0]]
        goes = _past(states[-2].pose, values[slot], heading) > 0.2 and _past(states[-1].pose, values[slot], heading) < 0
        return Case(walk, states) if goes else None


def _past(pose: Pose | None, row: Sequence[float], heading_deg: float) -> float:
    """How many metres a pose lies past a door, along the way through it."""
    if pose is None:
        return -math.inf
    sin, cos = math.sin(math.radians(heading_deg)), math.cos(math.radians(heading_deg))
    return float((pose.x - row[X]) * sin + (pose.y - row[Y]) * cos)


def _is_open(frame: Frame, slot: int) -> bool:
    return frame.entities is not None and bool(abs(frame.entities[slot, PHASE]) > 0.5)
