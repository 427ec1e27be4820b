from __future__ import annotations

import pytest

from worldsim.action import Action, Control, MouseAccumulator
from worldsim.errors import TraceError


def test_mouse_motion_is_never_truncated_away():
    mouse = MouseAccumulator(Control("yaw", "mouse_x", quantum_deg=0.25, limit_deg=15))
    taken = 0
    for _ in range(1000):
        mouse.add(0.07)
        taken += mouse.take()
    assert taken * 0.25 + mouse.pending_deg == pytest.approx(70.0)


def test_motion_past_the_limit_arrives_in_the_next_tick():
    mouse = MouseAccumulator(Control("yaw", "mouse_x", quantum_deg=0.25, limit_deg=15))
    mouse.add(20)
    assert (mouse.take(), mouse.take(), mouse.take()) == (60, 20, 0)


def test_make_clips_to_the_bounds(scene):
    space = scene.action_space
    assert space.get(space.make(walk=5, yaw=-1000), "walk") == 1
    assert space.get(space.make(yaw=-1000), "yaw") == -60


def test_scaled_lies_in_minus_one_to_one(living):
    space = living.action_space
    scaled = space.scaled(space.make(walk=-1, run=1, yaw=60, pitch=-60, night=1))
    found = {c.name: value for c, value in zip(space.controls, scaled, strict=True) if value}
    assert found == {"walk": -1, "run": 1, "yaw": 1, "pitch": -1, "night": 1}


@pytest.mark.parametrize(
    ("control", "value"),
    [("pitch", 0.5), ("walk", 2), ("yaw", 61), ("walk", True), ("night", -1), ("night", 2), ("use", None)],
)
def test_check_refuses_a_value_that_a_control_does_not_have(living, control, value):
    space = living.action_space
    values = [0] * space.size
    values[space.index(control)] = value
    with pytest.raises(TraceError, match=f"here.*{control}"):
        space.check(values, "here")


@pytest.mark.parametrize("bad", [None, [], [0], {}])
def test_check_refuses_what_is_no_action(scene, bad):
    with pytest.raises(TraceError, match="here"):
        scene.action_space.check(bad, "here")


def test_check_takes_a_list(living):
    values = (1, 0, 0, 1, -3, 2, 0, 1, 0, 0)
    assert living.action_space.check(list(values), "here") == Action(values)
