"""The World protocol as a dream keeps it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from worldsim.world import ObservedFrame
from worldsim.worlds.catalogue import find_world


@pytest.fixture
def world(loaded):
    return loaded.world


@pytest.fixture
def spawn(checkpoint_folder):
    return find_world(str(checkpoint_folder)).spawn("a")


def walk(world, spawn, actions):
    state, frame = world.start(3, spawn)
    states, frames = [state], [frame]
    for action in actions:
        state, frame = world.advance(state, action)
        states.append(state)
        frames.append(frame)
    return states, frames


def test_advance_is_pure(world, spawn, some_actions):
    """The same state and action give the same frame, whatever happened in between."""
    states, frames = walk(world, spawn, some_actions[:12])
    again = world.advance(states[5], some_actions[5])[1]
    world.advance(states[2], some_actions[40])
    assert np.array_equal(again.pixels, frames[6].pixels)
    assert np.array_equal(world.advance(states[5], some_actions[5])[1].pixels, frames[6].pixels)


def test_committing_changes_nothing(world, spawn, some_actions):
    plain = walk(world, spawn, some_actions[:8])[1]
    state, _ = world.start(3, spawn)
    for action, frame in zip(some_actions, plain[1:], strict=False):
        world.commit(state)
        state, made = world.advance(state, action)
        world.commit(state)
        assert np.array_equal(made.pixels, frame.pixels)


def test_different_actions_and_seeds_give_different_frames(world, spawn, scene):
    state, _ = world.start(3, spawn)
    space = scene.action_space
    a, b = (world.advance(state, space.make(walk=w))[1].pixels for w in (0, 1))
    other = world.advance(world.start(4, spawn)[0], space.make())[1].pixels
    assert not np.array_equal(a, b) and not np.array_equal(a, other)


def test_restoring_gives_the_same_state_bit_for_bit(world, spawn, some_actions):
    states, frames = walk(world, spawn, some_actions[:10])
    state = states[4]
    for original, frame in zip(states[5:], frames[5:], strict=True):
        state = world.restore(state, world.snapshot(original, frame))
        world.commit(original)
        world.commit(state)
        assert torch.equal(original.lazy.context.window[-1], state.lazy.context.window[-1])


def test_the_look_is_exactly_what_was_commanded(world, spawn, scene):
    space = scene.action_space
    _, frames = walk(world, spawn, [space.make(yaw=7, pitch=-3)] * 5)
    assert frames[-1].look.yaw_deg == 10.0 + 5 * 7 * 0.25
    assert frames[-1].look.pitch_deg == -5 * 3 * 0.25


def test_a_dream_cannot_leave_the_scene(world, spawn, scene):
    space = scene.action_space
    _, frames = walk(world, spawn, [space.make(walk=1, run=1)] * 60)
    x0, y0, _, x1, y1, _ = np.float32(scene.place.extent)  # its walls too: an untrained network knows of none
    assert all(x0 <= np.float32(f.pose.x) <= x1 and y0 <= np.float32(f.pose.y) <= y1 for f in frames)


def test_a_picture_without_a_pose_can_start(world, checkpoint_folder, some_actions, monkeypatch):
    """Where it seems to be from; without a place memory it goes on without a pose."""
    _, frames = walk(world, find_world(str(checkpoint_folder)).spawn("b"), some_actions[:4])
    assert all(f.pose is not None for f in frames) and frames[-1].pixels.dtype == np.uint8
    monkeypatch.setattr(world.generator.condition, "memory", None)
    monkeypatch.setattr(world, "_found", {})
    _, frames = walk(world, find_world(str(checkpoint_folder)).spawn("b"), some_actions[:4])
    assert all(f.pose is None for f in frames) and frames[-1].pixels.dtype == np.uint8


def test_entering_by_pictures_keeps_tick_look_and_place(world, spawn, some_actions):
    _, frames = walk(world, spawn, some_actions[:9])
    observed = [ObservedFrame(f, a) for f, a in zip(frames[1:], some_actions, strict=False)]
    state = world.prefill(3, observed)
    assert (state.tick, state.look) == (frames[-1].tick, frames[-1].look)
    assert state.position == (frames[-1].pose.x, frames[-1].pose.y)
    again = world.prefill(3, observed)
    assert np.array_equal(
        world.advance(state, some_actions[0])[1].pixels, world.advance(again, some_actions[0])[1].pixels
    )
