"""Dreams of a world that lives, wrong on purpose: each figure must fail the faults that it is there to catch.

The networks are replaced by the true engine, whose states are altered before they are drawn. So what is tested is the
measure, not a network. Every picture is noisy, as a good dream's is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from worldsim.entities import ON, X, Y
from worldsim.evaluate.entities import Entities
from worldsim.evaluate.events import Events
from worldsim.evaluate.living import Truth
from worldsim.evaluate.metric import Measurement, Metric, Sizes
from worldsim.evaluate.nulls import DREAM, FROZEN_ENTITIES, NO_ENTITIES, Still
from worldsim.evaluate.surfaces import Surfaces
from worldsim.event import Happening
from worldsim.scene import Scene, parse_scene
from worldsim.source.rooms.world import RoomsWorld
from worldsim.world import Frame, World

pytestmark = pytest.mark.gl

BALL_STAYS, FORGETS, EVENTS_FADE = "ball stays", "forgets", "events fade"
_FORGETS_AFTER = 60  # ticks
_NOISE = 6.0  # grey levels


def living_scene() -> Scene:
    """Two rooms with one of each thing."""
    return parse_scene(
        {
            "name": "lodge", "title": "The lodge", "frame": {"width": 160, "height": 96},
            "camera": {"fov_deg": 60, "pitch_min_deg": -30, "pitch_max_deg": 30, "eye_height_m": 1.6},
            "controls": [
                {"name": "walk", "kind": "axis", "keys": ["s", "w"]},
                {"name": "strafe", "kind": "axis", "keys": ["a", "d"]},
                {"name": "run", "kind": "button", "keys": ["left shift"]},
                {"name": "use", "kind": "button", "keys": ["e"]},
                {"name": "yaw", "kind": "mouse_x"}, {"name": "pitch", "kind": "mouse_y", "limit_deg": 10},
            ],
            "events": [
                {"name": "day", "shows": False, "ends": ["night", "fog"]},
                {"name": "night", "ends": ["fog"]}, {"name": "fog", "ends": ["night"]}, {"name": "party", "seconds": 3},
            ],
            "source": {
                "engine": "rooms",
                "rooms": [
                    {"name": "hall", "rect": [0, 0, 7, 6], "height": 3, "wall": [0.72, 0.36, 0.27], "floor": "planks",
                     "floor_colour": [0.62, 0.44, 0.28], "floor_accent": [0.5, 0.34, 0.21]},
                    {"name": "den", "rect": [0, 6.3, 7, 11], "height": 3, "wall": [0.25, 0.42, 0.62],
                     "floor": "tiles", "floor_colour": [0.86, 0.85, 0.82], "floor_accent": [0.34, 0.37, 0.42]},
                ],
                "doorways": [{"rect": [1.5, 6, 2.9, 6.3]}],
                "pictures": [
                    {"room": "hall", "side": "east", "along": 3, "size": [2.2, 1.3], "style": "waves", "seed": 4},
                    {"room": "den", "side": "west", "along": 2.3, "size": [1.8, 1.2], "style": "circles", "seed": 6},
                ],
                "entities": [
                    {"kind": "ball", "name": "ball", "at": [4.5, 2.5]},
                    {"kind": "door", "name": "door", "at": [2.2, 6.15]},
                    {"kind": "lamp", "name": "switch", "at": [3.5, 6.35], "room": "den", "heading_deg": 180},
                    {"kind": "pickup", "name": "gem", "at": [6.0, 1.0]},
                    {"kind": "pickup", "name": "coin", "at": [6.0, 10.0], "looks": "coin"},
                    {"kind": "creature", "name": "cat", "at": [5.5, 4.5]},
                ],
            },
            "spawns": [{"name": "hall", "at": [3.5, 1.0]}],
        },
        "lodge",
    )  # fmt: skip


@dataclass(frozen=True)
class Wrong:
    """What a part asks of a dreamer, with one fault."""

    source: RoomsWorld
    fault: str
    steps: int = 2
    window: int = 4
    nulls: tuple[str, ...] = ()

    def world(self, row: str) -> World:
        if row == "last_frame_repeated":
            return Still(self.source.scene)
        return WrongWorld(self.source, self.fault if row == DREAM else row)


class WrongWorld(World):
    """The true engine, drawn as a dream with one fault would draw it."""

    def __init__(self, source: RoomsWorld, fault: str) -> None:
        self._truth, self._source, self._fault = Truth(source), source, fault

    @property
    def scene(self) -> Scene:
        return self._source.scene

    def start(self, seed, spawn):
        state, _ = self._source.start(seed, spawn)
        return (state, self._truth.values(state), 0), self._shown(state, self._truth.values(state), 0)

    def advance(self, state, action):
        inner, first, called = state
        inner = self._source.step(inner, action)
        called += int(called > 0 or any(self.scene.action_space.called(action)))
        return (inner, first, called), self._shown(inner, first, called)

    def _shown(self, state: Any, first: np.ndarray, called: int) -> Frame:
        values, happening = self._truth.values(state).copy(), state.happening
        none = Happening.none(self.scene.events)
        if self._fault == NO_ENTITIES:
            values[:, [X, Y]] += 500.0
            happening = none
        elif self._fault == FROZEN_ENTITIES or (self._fault == FORGETS and state.tick > _FORGETS_AFTER):
            now, values, happening = values, first.copy(), none
            if self._fault == FORGETS:  # what is there goes on turning: edge on, a coin is all but gone
                turning = [i for i, slot in enumerate(self.scene.slots) if slot.kind.startswith("pickup")]
                values[turning] = now[turning]
                values[turning, ON] = first[turning, ON]
        elif self._fault == BALL_STAYS:
            values[0] = first[0]
        elif self._fault == EVENTS_FADE and called > _FORGETS_AFTER:
            happening = none

        def draw() -> np.ndarray:
            pixels = self._truth.draw(state, state.pose, values, happening=happening)
            noise = np.random.Generator(np.random.Philox(key=state.tick)).normal(0, _NOISE, pixels.shape)
            return (pixels + noise).clip(0, 255).astype(np.uint8)

        return DrawnLater(draw, state.tick, state.pose.look, state.pose, None, values, happening)


class DrawnLater(Frame):
    """A frame whose picture is drawn when somebody looks at it: a walk is looked at in a few of its ticks."""

    def __init__(self, draw: Callable[[], np.ndarray], *known: Any) -> None:
        super().__init__(np.zeros(0), *known)
        del self.__dict__["pixels"]
        self.__dict__["draw"] = draw

    def __getattr__(self, name: str) -> Any:
        if name != "pixels":
            raise AttributeError(name)
        return self.__dict__.setdefault("pixels", self.draw())


@pytest.fixture(scope="module")
def measure():
    """(part, fault) -> its figures, each measured once."""
    found: dict[tuple, dict] = {}
    with living_scene().source.open(living_scene()) as source:

        def run(part: type[Metric], fault: str = DREAM) -> dict:
            if (part, fault) not in found:
                dreamer: Any = Wrong(source, fault)
                found[part, fault] = part().run(Measurement(source, dreamer, Sizes(cases=6))).figures
            return found[part, fault]

        yield run


def of(figures: dict, name: str, row: str = DREAM) -> float:
    return figures[name][row]


KEPT = ("doors_as_left", "lamps_as_left", "pickups_as_left")
PLACED = ("placed_after_64", "placed_away_20", "placed_away_100")


def test_the_truth_passes_every_figure(measure):
    figures = measure(Entities)
    for name in ("push_right", *PLACED, *KEPT, "door_open_before_through", "closed_door_stops"):
        assert of(figures, name) >= 0.9, name
    assert of(figures, "push_margin_db") > 6
    assert all(of(figures, name) == 0 for name in figures if "_off_m" in name)
    assert Entities().judge(figures) > 50


def test_null_rows_fail_what_they_lack(measure):
    figures = measure(Entities)
    for row in (NO_ENTITIES, FROZEN_ENTITIES):
        for name in ("push_right", *PLACED):
            assert of(figures, name, row) <= 0.35, (name, row)
        assert of(figures, "door_open_before_through", row) == 0


def test_a_ball_that_stays_fails_pushes_and_places_but_not_doors(measure):
    wrong = measure(Entities, BALL_STAYS)
    assert of(wrong, "push_right") == 0 and of(wrong, "ball_placed_after_64") == 0
    assert of(wrong, "doors_as_left") >= 0.9 and of(wrong, "pushed_believed_off_m") > 0.5
    assert Entities().judge(wrong) < Entities().judge(measure(Entities)) - 10


def test_a_dream_that_forgets_fails_what_is_long_ago_only(measure):
    wrong = measure(Entities, FORGETS)
    assert of(wrong, "push_right") >= 0.9 and of(wrong, "placed_after_16") >= 0.9
    assert of(wrong, "placed_away_100") <= 0.2
    for name in KEPT:
        assert of(wrong, name) <= 0.2, name


def test_events_that_come_last_and_end_pass(measure):
    figures = measure(Events)
    for name in ("within_20", "after_200", "ended", "believed_right"):
        assert of(figures, name) == 1, name
    for row in (NO_ENTITIES, FROZEN_ENTITIES):
        assert of(figures, "within_20", row) == of(figures, "ended", row) == 0


def test_events_that_fade_by_themselves_fail_only_after_200_ticks(measure):
    wrong = measure(Events, EVENTS_FADE)
    assert of(wrong, "within_20") == 1 and of(wrong, "after_200") == 0


def test_moving_surfaces_are_scored_where_the_scene_has_them(measure):
    figures = measure(Surfaces)
    for name in figures:
        assert name == "sizes" or of(figures, name) > 25


def test_a_scene_without_entities_leaves_the_parts_out(scene):
    still = replace(scene, source=replace(scene.source, entities=()), events=())
    assert all(part().why_not(still) for part in (Entities, Events, Surfaces))
