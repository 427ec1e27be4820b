"""Events: does a dream turn to night when it is called up, stay so, and turn back? Read from pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from worldsim.action import Action
from worldsim.camera import Pose
from worldsim.evaluate.living import SideLook, Walk, plain
from worldsim.evaluate.metric import Measurement, Metric, Part, Row, average, compare, dreamed
from worldsim.evaluate.nulls import DREAM
from worldsim.evaluate.scripts import NULL_SHARE, Case, Found, Script, Setting, pose_of, run_rows
from worldsim.event import FADE, Event, Happening
from worldsim.psnr import psnr
from worldsim.scene import Scene
from worldsim.source.rooms.layout import RoomsConfig
from worldsim.world import Frame, State

SHOWN_DB, NEARER_DB = 25.0, 6.0
_CALL_AT, _WITHIN, _LONG = 4, 20, 200
_STARTS = 16
_ALIKE_DB = 28.0  # an event that changes a view by less cannot be told there


class Events(Metric):
    """Every event that shows, called up in ordinary play."""

    title = "Events"
    about = (
        "Each event is called at tick 4 of ordinary play. within_20: 20 ticks later the picture is at least 25 dB near "
        "to the true view with the event, and 6 dB nearer to it than to the view without. after_200: still so 200 "
        "ticks after the call, for events that last; each start goes on with one of them. ended: 6 dB nearer to the "
        "view without, once an event that came is over or was ended. Null rows are measured over one in "
        f"{NULL_SHARE} of the walks."
    )

    def why_not(self, scene: Scene) -> str | None:
        if not isinstance(scene.source, RoomsConfig) or not any(event.shows for event in scene.events):
            return "the scene has no events that show"
        return super().why_not(scene)

    def run(self, measurement: Measurement) -> Part:
        """within_20, after_200, ended: shares, of all events and by name. within_20_db, after_200_db: mean PSNR to the
        true view with the event. believed_right: share of looks at which the dream knows which events show."""
        setting, script = Setting(measurement), Calls()
        cases = script.cases(setting)
        found, _ = run_rows(measurement, setting, script, cases)
        rows: dict[str, Row] = {row: {n: average(v) for n, v in values.items()} for row, values in found.items()}
        sizes = {
            "walks": len(cases),
            "looks": sum(len(c.walk.looks) for c in cases),
            "steps": measurement.dreamer.steps,
        }
        dream = rows.setdefault(DREAM, {})
        unfair = {name: tuple(rows) for name in dream if name == "believed_right"}
        return Part({"sizes": sizes, **compare(rows, unfair=unfair)})

    def judge(self, figures: Mapping[str, Any]) -> float:
        """10 points each for events that come, last and end."""
        return 10 * sum(dreamed(figures, name) for name in ("within_20", "after_200", "ended"))


class Calls(Script):
    """Ordinary play in which one event is called up."""

    name = "events"

    def cases(self, setting: Setting) -> list[Case]:
        shown = [(i, event) for i, event in enumerate(setting.scene.events) if event.shows]
        lasting = [i for i, event in shown if not _ends_at(setting.scene, event)]
        made = []
        for start in range(min(_STARTS, setting.count)):
            going_on = lasting[start % len(lasting)] if lasting else None
            made += [self._walk(setting, 50_000 + start, i, event, i == going_on) for i, event in shown]
        return [case for case in made if case.walk.looks]

    def judge(self, setting: Setting, case: Case, frames: Sequence[Frame]) -> Found:
        found: Found = []
        came = False
        for look, state, frame in zip(case.walk.looks, case.states, frames, strict=True):
            event, when = look.note
            with_it, without = _both(setting, state, pose_of(frame, state), event, when)
            to_it, to_plain = psnr(frame.pixels, with_it), psnr(frame.pixels, without)
            name = setting.scene.events[event].name
            if when == "ended":
                right = came and to_plain - to_it >= NEARER_DB  # what never came does not end either
            else:
                right = to_it >= SHOWN_DB and to_it - to_plain >= NEARER_DB
                came = came or right
                found.append((f"{when}_db", to_it))
            found += [(when, float(right)), (f"{name}_{when}", float(right))]
            believed = [step > 0 for step in frame.happening.steps]
            if believed:
                found.append(("believed_right", float(believed[event] == (when != "ended"))))
        return found

    def _walk(self, setting: Setting, case: int, index: int, event: Event, goes_on: bool) -> Case:
        truth, scene = setting.truth, setting.scene
        player, state = truth.player(setting.seed(case))
        begin, spawn = truth.begin(
            setting.seed(case), state.pose, truth.values(state), Happening.none(scene.events)
        )  # fmt: skip
        ends = _ends_at(scene, event)
        ender = next((i for i, other in enumerate(scene.events) if event.name in other.ends), None)
        wanted = [(_CALL_AT + (min(_WITHIN, max(ends - 1, 1)) if ends else _WITHIN), "within_20")]
        if ends:
            wanted.append((_CALL_AT + ends + 2 * FADE, "ended"))
        elif goes_on:
            wanted.append((_CALL_AT + _LONG, "after_200"))
            wanted += [(_CALL_AT + _LONG + _WITHIN, "ended")] if ender is not None else []
        states, actions, looks = [begin], [], []
        for tick in range(1, max((at for at, _ in wanted), default=0) + 1):
            action = plain(scene, player.act(truth.seen(states[-1])))
            if tick == _CALL_AT:
                action = _calling(scene, action, event.name)
            if goes_on and ender is not None and tick == _CALL_AT + _LONG + 1:
                action = _calling(scene, action, scene.events[ender].name)
            actions.append(action)
            states.append(truth.after(states[-1], action))
        for at, when in wanted:
            if psnr(*_both(setting, states[at], states[at].pose, index, when)) < _ALIKE_DB:
                looks.append(SideLook(at, (), (index, when)))
        walk = Walk(setting.seed(case), spawn, begin, tuple(actions), tuple(looks))
        return Case(walk, [states[look.at] for look in looks])


def _ends_at(scene: Scene, event: Event) -> int:
    """Ticks after which a momentary event is over; 0 for one that lasts."""
    return round(event.seconds * scene.tick_hz)


def _calling(scene: Scene, action: Action, name: str) -> Action:
    index = scene.action_space.index(name)
    return Action(tuple(1 if i == index else v for i, v in enumerate(action.values)))


def _both(setting: Setting, state: State, pose: Pose, event: int, when: str) -> tuple[np.ndarray, np.ndarray]:
    """The true view from a pose with the event and without any: uint8 (H, W, 3) each. With it: as far as it has truly
    faded in, and in full once it is over."""
    none = Happening.none(setting.scene.events)
    steps = [FADE if i == event else 0 for i in range(len(none.steps))]
    shown = Happening(tuple(steps), none.left) if when == "ended" else state.happening
    return setting.truth.draw(state, pose, happening=shown), setting.truth.draw(state, pose, happening=none)
