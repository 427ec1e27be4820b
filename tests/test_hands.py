"""Who acts in the window: made anew for each scene, with that scene's controls."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from worldsim.action import Control
from worldsim.app.hands import Hands
from worldsim.app.settings import WindowSettings

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")


@pytest.fixture
def pads(scene):
    """A scene of other controls, without a mouse, for which no play ships."""
    return replace(scene, name="pads", controls=(Control("push", "axis", ("left", "right")),))


def test_a_script_plays_each_scene_with_that_scenes_controls(scene, pads):
    settings = WindowSettings(actions="random")
    for one in (scene, pads, scene):
        hands = Hands(one, settings, seed=0)
        for _ in range(20):
            action, _ = hands.sample()
            assert one.action_space.check(list(action.values), "test") == action
        assert hands.is_scripted and hands.note is None


def test_a_script_that_cannot_serve_a_scene_stands_still_and_says_so(scene, pads):
    settings = WindowSettings(actions="human")
    assert Hands(scene, settings, seed=0).note is None
    hands = Hands(pads, settings, seed=0)
    assert hands.note is not None and "pads" in hands.note
    assert {hands.sample()[0] for _ in range(10)} == {pads.action_space.idle}


def test_a_scene_without_mouse_controls_does_not_want_the_mouse(scene, pads):
    assert Hands(scene, WindowSettings(), 0).has_mouse and not Hands(pads, WindowSettings(), 0).has_mouse
    assert Hands(scene, WindowSettings(), 0).moves_mouse(scene.action_space.make(yaw=1))
    assert not Hands(scene, WindowSettings(), 0).moves_mouse(scene.action_space.make(walk=1))
