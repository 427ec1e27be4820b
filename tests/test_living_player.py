"""The player that collects data in a world that lives: it does what a person would, and does not get stuck."""

from __future__ import annotations

from collections import Counter

import numpy as np
from test_entities_physics import BALL, COIN, GEM, HINGED, MARBLE, SCENE, SWITCH, Undrawn

from worldsim.entities import ON, VX, VY, X, Y


def test_the_living_player_does_things_and_plain_daylight_stays_common():
    world, found, total = Undrawn(SCENE), Counter(), 0
    for seed in range(10):
        player, state, frame = world.episode(seed)
        for _ in range(400):
            before, state = state, world.step(state, player.act(frame))
            frame, rows = world.render(state), state.entities
            away, total = np.hypot(rows[:, X] - state.pose.x, rows[:, Y] - state.pose.y), total + 1
            bearing = np.degrees(np.arctan2(rows[:, X] - state.pose.x, rows[:, Y] - state.pose.y))
            off = np.abs((bearing - state.pose.look.yaw_deg + 180) % 360 - 180)
            found["in view"] += bool(((away < 5) & (off < 45)).any())
            found["plain"] += not any(state.happening.steps)
            faster = np.hypot(*(rows - before.entities)[[BALL, MARBLE]][:, [VX, VY]].T) > 0.5
            found["kicks"] += int((faster & (away[[BALL, MARBLE]] < 0.9)).sum())
            for name, slot in (("doors", HINGED), ("switches", SWITCH)):
                found[name] += rows[slot, ON] != before.entities[slot, ON]
            found["picked"] += int((rows[[GEM, COIN], ON] < before.entities[[GEM, COIN], ON]).sum())
            found["through"] += (state.pose.y > 6.15) != (before.pose.y > 6.15)
    assert found["in view"] > 0.7 * total and 0.35 * total < found["plain"] < 0.75 * total, found
    assert min(found[name] for name in ("kicks", "doors", "switches", "picked", "through")) >= 2, found


def test_the_same_seed_plays_the_same_episode():
    ends = []
    for _ in range(2):
        world = Undrawn(SCENE)
        player, state, frame = world.episode(11)
        for _ in range(150):
            state = world.step(state, player.act(frame))
            frame = world.render(state)
        ends.append((state.pose, state.entities.tobytes(), state.happening))
    assert ends[0] == ends[1]


def test_the_player_walks_with_every_key_and_is_seldom_held_up():
    world, walked, held_up = Undrawn(SCENE), 0, 0
    for seed in range(20, 28):
        player, state, frame = world.episode(seed)
        for _ in range(400):
            action = player.act(frame)
            before, state = state, world.step(state, action)
            frame = world.render(state)
            if action.values[0] or action.values[1]:
                walked += 1
                held_up += np.hypot(state.pose.x - before.pose.x, state.pose.y - before.pose.y) < 0.02
    assert walked > 1000 and held_up < 0.15 * walked
