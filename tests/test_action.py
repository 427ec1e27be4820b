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


def test_scaled_lies_in_minus_one_to_one(scene):
    space = scene.action_space
    assert space.scaled(space.make(walk=-1, run=1, yaw=60, pitch=-40)) == (-1, 0, 1, 1, -1)


@pytest.mark.parametrize("bad", [None, [], [0, 0, 0, 0, 0.5], [2, 0, 0, 0, 0], [0, 0, 0, 61, 0], [True, 0, 0, 0, 0]])
def test_check_refuses_what_is_no_action(scene, bad):
    with pytest.raises(TraceError, match="here"):
        scene.action_space.check(bad, "here")


def test_check_takes_a_list(scene):
    assert scene.action_space.check([1, 0, 0, -3, 2], "here") == Action((1, 0, 0, -3, 2))
