"""Events to actions, with real pygame events and no window."""

from __future__ import annotations

import os

import pygame
import pytest

from worldsim.app.input import Input
from worldsim.app.renderer import fit

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")


@pytest.fixture
def keyboard(scene):
    return Input(scene.action_space, sensitivity_deg=0.25, invert_y=False)


def down(keyboard, key):
    keyboard.handle(pygame.event.Event(pygame.KEYDOWN, key=key, mod=0))


def up(keyboard, key):
    keyboard.handle(pygame.event.Event(pygame.KEYUP, key=key, mod=0))


def test_keys_combine(keyboard, scene):
    for key in (pygame.K_w, pygame.K_d, pygame.K_LSHIFT):
        down(keyboard, key)
    assert keyboard.sample() == scene.action_space.make(walk=1, strafe=1, run=1)


def test_of_opposite_keys_the_last_pressed_wins(keyboard, scene):
    down(keyboard, pygame.K_w)
    down(keyboard, pygame.K_s)
    assert keyboard.sample() == scene.action_space.make(walk=-1)
    up(keyboard, pygame.K_s)
    assert keyboard.sample() == scene.action_space.make(walk=1)


def test_a_tap_between_two_ticks_counts_once(keyboard, scene):
    down(keyboard, pygame.K_a)
    up(keyboard, pygame.K_a)
    assert keyboard.sample() == scene.action_space.make(strafe=-1)
    assert keyboard.sample() == scene.action_space.idle


def test_losing_the_focus_releases_everything(keyboard, scene):
    down(keyboard, pygame.K_w)
    keyboard.move(50, 3)
    keyboard.handle(pygame.event.Event(pygame.WINDOWFOCUSLOST))
    assert keyboard.sample() == scene.action_space.idle


def test_mouse_motion_is_summed_and_screen_down_is_pitch_down(keyboard, scene):
    keyboard.move(3, 0)
    keyboard.move(4, 2)
    assert keyboard.pending_deg() == (1.75, -0.5)
    assert keyboard.sample() == scene.action_space.make(yaw=7, pitch=-2)
    inverted = Input(scene.action_space, 0.25, invert_y=True)
    inverted.move(0, 2)
    assert inverted.sample() == scene.action_space.make(pitch=2)


def test_motion_that_a_tick_did_not_use_is_pending_again(keyboard, scene):
    keyboard.move(9, 2)
    asked = keyboard.sample()
    keyboard.move(1, 0)
    keyboard.settle(asked, scene.action_space.make(yaw=7))
    assert keyboard.pending_deg() == (0.75, -0.5)


@pytest.fixture
def caller(living):
    return Input(living.action_space, sensitivity_deg=0.25, invert_y=False)


@pytest.mark.parametrize("key", [pygame.K_2, pygame.K_KP2])
def test_a_key_that_calls_an_event_counts_in_one_tick_however_long_it_is_held(caller, living, key):
    down(caller, key)
    assert caller.sample() == living.action_space.make(night=1)
    down(caller, key)  # a keyboard that repeats
    assert caller.sample() == living.action_space.idle
    up(caller, key)
    assert caller.sample() == living.action_space.idle
    down(caller, key)
    up(caller, key)
    down(caller, pygame.K_w)
    assert caller.sample() == living.action_space.make(night=1, walk=1)


def test_an_event_is_called_by_what_a_key_writes_where_digits_need_shift(caller, living):
    caller.handle(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_QUOTEDBL, mod=pygame.KMOD_SHIFT, unicode="3"))
    assert caller.sample() == living.action_space.make(fog=1)


def test_an_event_called_by_name_counts_in_one_tick(caller, living):
    caller.call("fog")
    caller.call("walk")  # no event
    assert caller.sample() == living.action_space.make(fog=1)
    assert caller.sample() == living.action_space.idle


@pytest.mark.parametrize("size", [(640, 338), (1280, 674), (300, 900), (900, 200), (1, 1)])
def test_the_picture_fits_the_window_and_keeps_its_aspect(size):
    box = fit(*size, 5 / 3)
    assert box.x >= 0 and box.x + box.width <= max(size[0], 1) and box.y + box.height <= max(size[1], 1)
    if min(size) > 50:
        assert box.width / box.height == pytest.approx(5 / 3, rel=0.02)
