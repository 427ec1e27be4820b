"""What lives in a building keeps to its laws: each of them from true steps of a small scene, nothing drawn."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from worldsim.camera import Look, Pose
from worldsim.entities import HEADING, ON, PHASE, QUANTA, TIMER, VX, VY, X, Y, Z, at_rest, quantised, values_of
from worldsim.errors import SceneError
from worldsim.event import FADE
from worldsim.scene import load_scene, parse_scene
from worldsim.source.rooms.collisions import gap_to_leaf
from worldsim.source.rooms.world import RoomsState, RoomsWorld
from worldsim.world import Frame

SCENE = load_scene(str(Path(__file__).parent / "data/living.yaml"))
BALL, MARBLE, HINGED, SLIDING, SWITCH, CAT, GEM, COIN, CLOCK, LIFT = range(10)


class Undrawn(RoomsWorld):
    """The true engine without its pictures."""

    def render(self, snapshot: RoomsState) -> Frame:
        s = snapshot
        return Frame(
            np.zeros((1, 1, 3), np.uint8), s.tick, s.pose.look, s.pose, entities=s.entities, happening=s.happening
        )


def only(*which: int, **changes) -> RoomsWorld:
    """A world with these entities alone, some of their settings changed."""
    entities = tuple(
        replace(SCENE.source.entities[i], **{k: v for k, v in changes.items() if hasattr(SCENE.source.entities[i], k)})
        for i in which
    )
    return Undrawn(replace(SCENE, source=replace(SCENE.source, entities=entities)))


def at(world: RoomsWorld, pose: Pose, seed: int = 0, **rows: dict[int, float]) -> RoomsState:
    """A state with everything at rest but the fields given of some entities, by name."""
    values = at_rest(world.scene.slots)
    for name, fields in rows.items():
        index = next(i for i, slot in enumerate(world.scene.slots) if slot.name == name)
        for field, value in fields.items():
            values[index, field] = value
    state, _ = world.start(seed, type(world.spawns()[0])("", np.zeros(0), pose, values))
    return state


def play(world: RoomsWorld, state: RoomsState, ticks: int, **keys: int) -> list[RoomsState]:
    action, states = world.scene.action_space.make(**keys), []
    for _ in range(ticks):
        state = world.step(state, action)
        states.append(state)
    return states


FAR = Pose(7.5, 7.0, Look(0.0))


def test_elastic_bounces_keep_energy_and_momentum():
    world = only(BALL, MARBLE, bounce=1.0, friction_m_s2=0.0)
    rng = np.random.default_rng(0)
    for _ in range(4):
        towards = rng.uniform(0, 2 * math.pi, 2)
        state = at(
            world, FAR, ball={VX: 3 * math.sin(towards[0]), VY: 3 * math.cos(towards[0])},
            marble={VX: 7 * math.sin(towards[1]), VY: 7 * math.cos(towards[1])},
        )  # fmt: skip
        mass = np.array([0.2**3, 0.12**3])

        def energy(s, mass=mass):
            return float((mass * (s.entities[:, VX : VY + 1] ** 2).sum(1)).sum() / 2)

        end = play(world, state, 1000)[-1]
        assert energy(end) == pytest.approx(energy(state), rel=1e-3)


def test_two_balls_that_collide_keep_their_momentum():
    world = only(BALL, MARBLE, bounce=1.0, friction_m_s2=0.0)
    state = at(world, FAR, ball={X: 1.5, Y: 4.5, VX: 2.0}, marble={X: 3.0, Y: 4.58, VX: -1.0})
    mass = np.array([0.2**3, 0.12**3])[:, None]
    before = (mass * state.entities[:, VX : VY + 1]).sum(0)
    states = play(world, state, 14)
    assert states[-1].entities[1, VX] > 0  # they did collide
    assert (mass * states[-1].entities[:, VX : VY + 1]).sum(0) == pytest.approx(before, rel=1e-9, abs=1e-9)


def outside(world: RoomsWorld, x: float, y: float, radius: float) -> float:
    """How deep a disc is in a wall, a solid, or beyond the building."""
    px, py = world.dynamics.push_out(x, y, radius)
    return math.hypot(px - x, py - y)


def test_nothing_is_passed_through_at_twenty_metres_a_second():
    world = only(BALL, HINGED, SLIDING, CAT, bounce=1.0, friction_m_s2=0.0, opens="by_hand")
    rng = np.random.default_rng(1)
    for _ in range(6):
        towards = rng.uniform(0, 2 * math.pi)
        state = at(world, Pose(1.0, 10.0), ball={VX: 20 * math.sin(towards), VY: 20 * math.cos(towards)})
        for after in play(world, state, 150):
            x, y = after.entities[0, X : Y + 1]
            assert 0.2 - 1e-6 <= x <= 7.8 + 1e-6 and 0.2 - 1e-6 <= y <= 5.91 + 1e-3  # the doors are closed
            assert outside(world, x, y, 0.2) < 1e-6


def test_the_same_state_and_action_give_the_same_rows():
    world = Undrawn(SCENE)
    player, state, frame = world.episode(5)
    actions, states = [], [state]
    for _ in range(200):
        actions.append(player.act(frame))
        states.append(world.step(states[-1], actions[-1]))
        frame = world.render(states[-1])
    for tick in (0, 60, 199):
        again = world.step(states[tick], actions[tick])
        assert again.pose == states[tick + 1].pose and again.gaits == states[tick + 1].gaits
        assert np.array_equal(again.entities, states[tick + 1].entities)
    other = Undrawn(SCENE)
    state = states[50]
    for action in actions[50:]:
        state = other.step(state, action)
    assert state.pose == states[-1].pose and np.array_equal(state.entities, states[-1].entities)


def test_a_kicked_ball_rolls_away_and_stops():
    world = only(BALL)
    state = at(world, Pose(2.0, 1.2, Look(0.0)))
    kicked = play(world, state, 8, walk=1)
    assert kicked[-1].entities[0, VY] > 1.5 and abs(kicked[-1].entities[0, VX]) < 1e-9
    rest = play(world, kicked[-1], 200)[-1]
    assert tuple(rest.entities[0, VX : VY + 1]) == (0.0, 0.0) and rest.entities[0, Y] > 3.5
    hurried = play(world, state, 8, walk=1, run=1)
    assert hurried[-1].entities[0, VY] > kicked[-1].entities[0, VY] + 1


def test_a_ball_in_a_corner_is_never_squeezed_into_a_wall():
    world = only(BALL)
    state = at(world, Pose(1.2, 1.2, Look(225.0)), ball={X: 0.25, Y: 0.25})
    for after in play(world, state, 60, walk=1, run=1):
        x, y = after.entities[0, X : Y + 1]
        assert outside(world, x, y, 0.2) < 1e-6
        assert math.hypot(x - after.pose.x, y - after.pose.y) > 0.55 - 1e-5


def test_nothing_ever_overlaps_a_wall_a_leaf_or_the_player():
    world = Undrawn(SCENE)
    radii = {BALL: 0.2, MARBLE: 0.12, CAT: 0.24}
    for seed in range(3):
        player, state, frame = world.episode(seed)
        for _ in range(400):
            state = world.step(state, player.act(frame))
            frame = world.render(state)
            rows = state.entities
            assert outside(world, state.pose.x, state.pose.y, 0.35) < 0.02
            for i, radius in radii.items():
                x, y = rows[i, X : Y + 1]
                assert outside(world, x, y, radius) < 2e-3, (seed, state.tick, i)
                assert math.hypot(x - state.pose.x, y - state.pose.y) > radius + 0.35 - 2e-3, (seed, state.tick, i)
                for door in (HINGED, SLIDING):
                    leaf = SCENE.source.entities[door].leaf(rows[door])
                    assert gap_to_leaf(x, y, leaf) > radius - 3e-3, (seed, state.tick, i, door)


def test_a_closed_door_stops_player_and_ball_and_an_open_one_does_not():
    world = only(BALL, HINGED)
    door = world.scene.source.entities[1]
    standing = door._standing(1.0, True)
    wide = {field: standing[field] for field in (X, Y, HEADING, PHASE, ON)}
    for is_open in (False, True):
        rows = {"hinged": wide} if is_open else {}
        walked = play(world, at(world, Pose(2.1, 4.0, Look(0.0)), ball={X: 6.0}, **rows), 60, walk=1)[-1]
        rolled = play(world, at(world, FAR, ball={X: 2.1, Y: 4.0, VY: 4.0}, **rows), 30)[-1]
        assert (walked.pose.y > 6.5) == is_open and (rolled.entities[0, Y] > 6.4) == is_open


def test_use_opens_a_door_once_however_long_it_is_held():
    world = only(HINGED)
    state = at(world, Pose(2.0, 5.0, Look(0.0)))
    held = play(world, state, 100, use=1)
    assert [s.entities[0, ON] for s in held] == [1.0] * 100
    assert held[-1].entities[0, PHASE] == 1.0 and held[-1].entities[0, HEADING] == pytest.approx(270.0)
    released = play(world, held[-1], 4)
    assert play(world, released[-1], 1, use=1)[0].entities[0, ON] == 0.0
    away = at(world, Pose(2.0, 5.0, Look(180.0)))
    assert play(world, away, 5, use=1)[-1].entities[0, ON] == 0.0  # it is not looked at
    assert play(world, at(world, Pose(2.0, 4.0)), 5, use=1)[-1].entities[0, ON] == 0.0  # too far


def test_a_door_that_closes_waits_and_stops_at_who_stands_in_it():
    world = only(HINGED, closes_s=2.0)
    opened = play(world, at(world, Pose(2.0, 5.0, Look(0.0))), 1, use=1)[-1]
    states = play(world, opened, 80)
    assert states[20].entities[0, PHASE] == 1.0 and states[-1].entities[0, PHASE] == 0.0
    inside = replace(states[20], pose=Pose(2.2, 6.3))
    stopped = play(world, inside, 100)[-1]
    assert 0.1 < stopped.entities[0, PHASE] < 1.0
    assert gap_to_leaf(2.2, 6.3, world.scene.source.entities[0].leaf(stopped.entities[0])) >= 0.35 - 2e-3


def test_a_door_by_itself_opens_for_who_comes_near_and_shuts_again():
    world = only(SLIDING)
    through = play(world, at(world, Pose(6.0, 4.0, Look(0.0))), 60, walk=1)
    assert through[-1].pose.y > 7.5 and max(s.entities[0, PHASE] for s in through) == 1.0
    assert play(world, through[-1], 40, walk=1)[-1].entities[0, PHASE] == 0.0


def test_a_switch_turns_its_lamp():
    world = only(SWITCH)
    state = at(world, Pose(3.5, 7.2, Look(180.0)))
    assert state.entities[0, ON] == 1.0
    assert play(world, state, 40, use=1)[-1].entities[0, ON] == 0.0
    assert play(world, replace(state, pose=Pose(3.5, 7.2, Look(90.0))), 5, use=1)[-1].entities[0, ON] == 1.0


def test_pickups_stay_picked():
    world = only(GEM)
    states = play(world, at(world, Pose(1.0, 2.5, Look(0.0))), 30, walk=1)
    assert states[0].entities[0, ON] == 1.0 and states[-1].entities[0, ON] == 0.0
    back = play(world, states[-1], 60, walk=-1)
    assert all(s.entities[0, ON] == 0.0 for s in back)


def test_a_creature_wanders_by_chance_and_never_walks_through_walls():
    world = only(CAT, HINGED)
    ends = []
    for seed in range(3):
        states = play(world, at(world, Pose(1.0, 1.0), seed=seed), 600)
        places = np.array([s.entities[0, X : Y + 1] for s in states])
        assert all(outside(world, x, y, 0.24) < 2e-3 for x, y in places) and (places[:, 1] > 6.3).all()
        assert np.ptp(places, axis=0).max() > 1.0 and states[-1].gaits[0] > 4.0
        assert np.hypot(*np.diff(places, axis=0).T).max() < 0.12
        stands = np.mean([s.entities[0, PHASE] == 0 for s in states])
        assert 0.1 < stands < 0.8
        ends.append(tuple(places[-1]))
    assert len(set(ends)) == 3


def test_a_creature_gets_out_of_the_way_and_looks_at_who_is_near():
    world = only(CAT)
    for seed in range(5):
        pushed = play(world, at(world, Pose(4.0, 7.0, Look(0.0)), seed=seed), 60, walk=1)
        gaps = [math.hypot(s.entities[0, X] - s.pose.x, s.entities[0, Y] - s.pose.y) for s in pushed]
        assert min(gaps) > 0.58 and pushed[-1].gaits[0] > 0.5
    looking = 0
    for seed in range(10):
        end = play(world, at(world, Pose(4.0, 7.2), seed=seed), 40)[-1]
        row, pose = end.entities[0], end.pose
        towards = math.degrees(math.atan2(pose.x - row[X], pose.y - row[Y]))
        looking += abs((towards - row[HEADING] + 180) % 360 - 180) < 15
    assert looking >= 3


def test_a_pendulum_and_a_lift_come_round_in_their_period():
    world = only(CLOCK, LIFT)
    states = play(world, at(world, FAR), 480)
    for i, period in ((0, 2.0), (1, 6.0)):
        phase = np.array([s.entities[i, PHASE] for s in states])
        rises = np.flatnonzero((phase[:-1] < 0) & (phase[1:] >= 0))
        assert np.diff(rises).mean() / 20 == pytest.approx(period, rel=0.02)
    lift = np.array([s.entities[1, Z] for s in states])
    assert lift.min() == pytest.approx(0.2, abs=2e-3) and lift.max() == pytest.approx(2.2, abs=2e-3)


def test_rows_of_all_but_balls_are_in_whole_quanta():
    world = Undrawn(SCENE)
    player, state, frame = world.episode(2)
    for _ in range(50):
        state = world.step(state, player.act(frame))
        frame = world.render(state)
        rows = state.entities[HINGED:]
        assert np.abs(values_of(quantised(rows)) - rows).max() < 1e-9
        assert (rows[:, TIMER] >= 0).all() and (state.entities[:, HEADING] < 360).all()
    assert QUANTA[X] > 0


def test_events_go_on_with_the_ticks():
    world = Undrawn(SCENE)
    state = at(world, FAR)
    called = world.step(state, SCENE.action_space.make(party=1))
    assert called.happening.levels == (0, 0, 0, 1 / FADE)
    later = play(world, called, 30)[-1]
    assert later.happening.levels[3] == 1.0
    assert play(world, later, 60)[-1].happening.levels == (0, 0, 0, 0)


def test_states_from_somewhere_are_often_near_a_contact_and_free_of_walls():
    world = Undrawn(SCENE)
    rng = np.random.default_rng(0)
    near = 0
    for _ in range(200):
        state = world.somewhere(rng)
        pose, rows, _ = world.facts(state)
        assert outside(world, pose.x, pose.y, 0.35) < 1e-6
        near += bool((np.hypot(rows[:, X] - pose.x, rows[:, Y] - pose.y) < 2.0).any())
        world.step(state, SCENE.action_space.make(walk=1, use=1))
    assert near > 120


def test_a_scene_without_entities_is_as_it_was(scene):
    world = Undrawn(replace(scene, source=replace(scene.source, entities=()), events=()))
    player, state, frame = world.episode(3)
    pose = state.pose
    for _ in range(100):
        action = player.act(frame)
        pose = world.dynamics.advance(pose, action)
        state = world.step(state, action)
        frame = world.render(state)
        assert state.pose == pose == world.move(world.at(pose)[0].pose, scene.action_space.idle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "cat"}, "entities must have different names"),
        ({"at": [90, 2]}, r"entities\[0\].at must lie inside the building"),
    ],
)
def test_wrong_entities_are_one_sentence(change, message):
    from worldsim.config import to_mapping

    data = to_mapping(SCENE)
    data["source"]["entities"][0].update(change)
    with pytest.raises(SceneError, match=message):
        parse_scene(data, "x")
    data = to_mapping(SCENE)
    data["source"]["entities"][SWITCH]["room"] = "bck"
    with pytest.raises(SceneError, match="did you mean 'back'"):
        parse_scene(data, "x")
