"""What a dream promises of entities and events in its state."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support import make_checkpoint

from worldsim.entities import ON, QUANTA, X, at_rest, dice, quantised, values_of
from worldsim.event import FADE, Event, Happening
from worldsim.world import ObservedFrame, Spawn
from worldsim.worlds.catalogue import LoadOptions, open_world


@pytest.fixture(scope="module")
def loaded(tmp_path_factory, living):
    folder = make_checkpoint(tmp_path_factory.mktemp("dreams") / "living", 1, living)
    with open_world(str(folder), LoadOptions(threads=1, backend="eager")) as world:
        with torch.no_grad():
            world.world.generator.transitions.last.weight.mul_(40)  # so that everything moves
        yield world


@pytest.fixture
def actions(loaded):
    space, rng = loaded.scene.action_space, np.random.default_rng(3)
    made = [space.make(walk=1, yaw=int(rng.integers(-20, 20)), use=int(t % 5 == 0)) for t in range(12)]
    made[4] = space.make(night=1)
    return made


def dream(loaded, actions, seed=3):
    world = loaded.world
    state, frame = world.start(seed, loaded.spawns[0])
    states, frames = [state], [frame]
    for action in actions:
        state, frame = world.advance(state, action)
        states.append(state)
        frames.append(frame)
    return states, frames


def test_entities_move_by_what_was_learned_and_stay_whole_quanta(loaded, actions):
    states, frames = dream(loaded, actions)
    assert states[0].entities == quantised(at_rest(loaded.scene.slots))
    assert len({state.entities for state in states}) > 1
    for state, frame in zip(states, frames, strict=True):
        assert np.array_equal(frame.entities, values_of(state.entities))
        assert all(type(number) is int for row in state.entities for number in row)


def test_a_dream_is_a_function_of_state_and_action(loaded, actions):
    states, frames = dream(loaded, actions)
    again, frame = loaded.world.advance(states[6], actions[6])
    assert np.array_equal(frame.pixels, frames[7].pixels) and again.entities == states[7].entities
    assert again.happening == states[7].happening


def test_an_event_that_is_called_fades_in_and_goes_on(loaded, actions):
    states, _ = dream(loaded, actions)
    night = [event.name for event in loaded.scene.events].index("night")
    assert [state.happening.steps[night] for state in states] == [0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]


def test_restoring_brings_back_entities_and_events_bit_for_bit(loaded, actions):
    states, frames = dream(loaded, actions)
    world, state = loaded.world, states[4]
    for original, frame in zip(states[5:], frames[5:], strict=True):
        state = world.restore(state, world.snapshot(original, frame))
        assert (state.entities, state.happening) == (original.entities, original.happening)
    last = world.advance(state, actions[0])[1]
    assert np.array_equal(last.pixels, world.advance(states[-1], actions[0])[1].pixels)


def test_a_spawn_says_where_everything_is(loaded):
    slots, events = loaded.scene.slots, loaded.scene.events
    moved = at_rest(slots)
    moved[0, X] += 1.0
    steps = (0, FADE) + (0,) * (len(events) - 2)
    night = Happening(steps, (0, -1) + (0,) * (len(events) - 2))
    spawn = Spawn("own", loaded.spawns[0].pixels, loaded.spawns[0].pose, moved, night)
    state, frame = loaded.world.start(3, spawn)
    assert state.entities == quantised(moved) and state.happening == frame.happening == night
    plain = loaded.world.start(3, loaded.spawns[0])[0]
    idle = loaded.scene.action_space.idle
    assert not np.array_equal(loaded.world.advance(state, idle)[1].pixels, loaded.world.advance(plain, idle)[1].pixels)


def test_going_on_from_pictures_keeps_entities_and_events(loaded, actions):
    states, frames = dream(loaded, actions)
    observed = [ObservedFrame(f, s.action) for f, s in zip(frames[-4:], states[-4:], strict=True)]
    state = loaded.world.prefill(3, observed)
    assert state.entities == states[-1].entities and state.happening == states[-1].happening


def test_numbers_come_through_quanta_and_back():
    rng = np.random.default_rng(0)
    whole = tuple(tuple(int(n) for n in rng.integers(0, 2, len(QUANTA))) for _ in range(3))
    assert quantised(values_of(whole)) == whole
    turned = values_of(whole)
    turned[:, 3] += 360
    assert quantised(turned) == whole  # headings come round


def test_dice_are_a_function_of_seed_and_tick():
    assert np.array_equal(dice(5, 9, 4), dice(5, 9, 4)) and not np.array_equal(dice(5, 9, 4), dice(5, 10, 4))
    assert dice(1, 1, 50).min() >= 0 and dice(1, 1, 50).max() < 1


def test_an_event_lasts_for_its_time_and_ends_what_it_says():
    events = (Event("day", ends=("night",), shows=False), Event("night"), Event("party", seconds=1.0))
    state = Happening.none(events)
    state = state.after(events, (0, 1, 1), 20)
    for _ in range(19):
        state = state.after(events, (0, 0, 0), 20)
    assert state.levels == (0.0, 1.0, 1.0) and state.left == (0, -1, 1)
    state = state.after(events, (1, 0, 0), 20)
    for _ in range(FADE):
        state = state.after(events, (0, 0, 0), 20)
    assert state == Happening.none(events)


def test_what_is_picked_up_counts(loaded):
    from worldsim.entities import counted

    values = at_rest(loaded.scene.slots)
    wanted = [i for i, slot in enumerate(loaded.scene.slots) if slot.counted]
    values[wanted[0], ON] = 0
    assert counted(loaded.scene.slots, values) == (1, len(wanted))
