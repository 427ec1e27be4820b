"""Transitions of entities: what the network keeps to before any training, and that its data are the true engine's."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from yard import yard

from worldsim.action import Action
from worldsim.camera import Look, Pose
from worldsim.data.close_steps import AROUND_M, draw_close_steps
from worldsim.data.entity_steps import EntitySteps, Wanderer, beside, draw_entity_steps, liveliness
from worldsim.data.transitions import draw_transitions
from worldsim.entities import (
    AIM,
    DICE,
    FIELDS,
    HEADING,
    ON,
    PHASE,
    QUANTA,
    RATE,
    X,
    Y,
    at_rest,
    dice,
    quantised,
    values_of,
)
from worldsim.model.bodies import axes, beyond_box, length, turned
from worldsim.model.contacts import out_of_box
from worldsim.model.odometry import Odometry
from worldsim.model.transitions import EntityTransitions
from worldsim.scene import Scene, load_scene
from worldsim.train.stages.transitions import TransitionsStage
from worldsim.train.trainer import TrainConfig, Trainer


@pytest.fixture(scope="module")
def scene() -> Scene:
    return yard()


@pytest.fixture(scope="module")
def steps(scene) -> EntitySteps:
    return draw_entity_steps(scene, 30, seed=0)


def transitions(scene: Scene, trained: bool = True) -> EntityTransitions:
    """Not zero anywhere, as after training."""
    torch.manual_seed(0)
    place = scene.place
    model = EntityTransitions(scene.slots, scene.action_space.size, len(scene.events), place.extent, 0.1)
    for parameter in model.parameters() if trained else ():
        nn.init.normal_(parameter, std=0.1)
    return model


def test_what_follows_its_line_rolls_as_a_wheel_does(scene):
    """Told to and nothing else, a thing heads along the nearer end of the line of its velocity, and turns as fast and
    as far as it goes."""
    model = transitions(scene, trained=False)
    with torch.no_grad():
        model.last.bias[..., [X, HEADING, PHASE, RATE]] = 5.0  # these change
        model.last.bias[..., len(FIELDS) + X] = 2.0  # by 0.2 m
        model.last.bias[..., [-4, -3, -1]] = 1.0
        given = inputs(scene, frames=6)
        rows = given[0]
        made = model(*given)
    x, y = FIELDS.index("vx"), FIELDS.index("vy")
    heading = torch.deg2rad(made[..., FIELDS.index("heading_deg")])
    before = torch.deg2rad(rows[..., FIELDS.index("heading_deg")])
    line = torch.stack([heading.sin(), heading.cos()], dim=-1)
    ahead = (rows[..., [x, y]] * line).sum(-1)
    speed = rows[..., [x, y]].norm(dim=-1)
    moving = speed > 0.3
    assert torch.allclose(ahead.abs()[moving], speed[moving], rtol=5e-3)
    assert ((heading - before).cos()[moving] > -0.03).all()
    around = math.pi * torch.tensor([max(slot.size[:2]) for slot in scene.slots])
    assert torch.allclose(made[..., RATE], ahead / around, atol=1e-3)
    far = ((made - rows)[..., [X, Y]] * line).sum(-1)
    assert far.abs().max() > 0.1
    assert torch.allclose((made - rows)[..., PHASE], far / around, atol=1e-3)


def test_only_a_phase_that_goes_round_begins_again(scene):
    """Told to go half a unit on from just below 1: a wheel is just below -0.5, what opens is open."""
    opens = scene.slots[2]
    scene_slots = *(replace(slot, cyclic=True) for slot in scene.slots[:2]), opens
    model = EntityTransitions(scene_slots, scene.action_space.size, len(scene.events), scene.place.extent, 0.1)
    rows, *given = inputs(scene)
    rows[..., PHASE] = 1 - 2**-10
    with torch.no_grad():
        model.last.bias[..., PHASE] = 5.0  # it changes
        model.last.bias[..., len(FIELDS) + PHASE] = 5.0  # of a tenth
        made = model.rounded(model(rows, *given))[0, :, PHASE] / 1024
    assert torch.allclose(made, torch.tensor([-0.501, -0.501, 1.0]), atol=1e-3)


class Holder(nn.Module):
    """A generator that is nothing but its transitions."""

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self.transitions = transitions(scene, trained=False)


def inputs(scene: Scene, frames: int = 1, seed: int = 0) -> tuple[torch.Tensor, ...]:
    rng = np.random.Generator(np.random.Philox(key=seed))
    rows = np.stack([values_of(quantised(rng.uniform(0, 3, (3, len(FIELDS))))) for _ in range(frames)])
    told = [(frames, 2), (frames, 2), (frames, 2), (frames, 3 + 1), (frames, 1), (frames, 3, DICE)]
    return tuple(torch.from_numpy(a).float() for a in (rows, *(rng.random(shape) for shape in told)))


def test_every_number_of_every_entity_has_a_next_value(scene):
    made = transitions(scene)(*inputs(scene, 5))
    assert made.shape == (5, 3, len(FIELDS)) and made.isfinite().all()


def test_a_network_that_sees_no_change_changes_nothing(scene):
    model, given = transitions(scene), inputs(scene, 4)
    with torch.no_grad():
        model.last.bias[..., : len(FIELDS)] = -1e4
    assert torch.equal(model(*given), given[0])


def test_rounded_gives_the_whole_quanta_that_entities_are_kept_in(scene):
    model = transitions(scene)
    values = torch.tensor(np.random.default_rng(0).uniform(0.1, 0.9, (2, 3, len(FIELDS)))).float()
    values[0, 0, HEADING], values[0, 1, AIM], values[1, 0, HEADING] = -0.01, 725.0, 359.99
    whole = model.rounded(values)
    for made, expected in zip(whole, values, strict=True):
        assert tuple(map(tuple, made.int().tolist())) == quantised(expected.double().numpy())
    values[..., PHASE], values[..., X] = 3.0, -2.0  # more than they can be
    bounded = model.rounded(values)
    assert (bounded[..., PHASE] == 1024).all() and (bounded[..., X] == 0).all()
    assert (whole[..., HEADING] < 4096).all() and torch.equal(model.rounded(whole * model.quanta), whole)


def test_on_stays_either_0_or_1(scene):
    given = inputs(scene, 50)
    given[0][..., ON] = given[0][..., ON].round().clamp(0, 1)
    made = transitions(scene)(*given)[..., ON]
    assert set(made.flatten().tolist()) == {0.0, 1.0}


def test_entities_of_a_kind_share_their_weights(scene):
    """Two balls that swap places, and what is learned of their slots, swap what they do."""
    model, given = transitions(scene), inputs(scene)
    swap = [1, 0, 2]
    swapped = (given[0][:, swap], *given[1:-1], given[-1][:, swap])
    other = transitions(replace(scene))
    with torch.no_grad():
        other.slot_seen.copy_(model.slot_seen[swap])
        for name in ("rest", "size"):
            getattr(other, name).copy_(getattr(model, name)[swap])
    assert torch.allclose(other(*swapped)[:, swap], model(*given), atol=1e-4)


def test_one_frame_is_the_same_alone_and_among_others(scene):
    model, given = transitions(scene), inputs(scene, 6)
    alone = torch.cat([model(*(t[i : i + 1] for t in given)) for i in range(6)])
    assert torch.allclose(model(*given), alone, atol=1e-4)


def test_a_traced_network_gives_the_same_numbers(scene):
    model = transitions(scene).eval()
    with torch.no_grad():
        traced = torch.jit.trace(model, inputs(scene))
        for seed in range(1, 4):
            assert torch.equal(traced(*inputs(scene, seed=seed)), model(*inputs(scene, seed=seed)))


def test_stretches_are_what_the_true_engine_does(scene, steps):
    source, space = scene.source.open(scene), scene.action_space
    bounds = np.array([c.bounds[1] for c in space.controls])
    for n in range(3):
        for t in range(steps.ticks):
            rows, pose = steps.entities[n, t].double().numpy(), steps.poses[n, t].double().numpy()
            action = Action(tuple(int(v) for v in np.rint(steps.actions[n, t].numpy() * bounds)))
            look = Look(float(np.degrees(pose[2])), float(np.degrees(pose[3])))
            state = source.somewhere(np.random.default_rng(0))
            before = replace(state, pose=Pose(pose[0], pose[1], look), entities=quantised(rows))
            after, made, _ = source.facts(source.step(before, action))
            made[2, 6] = steps.dice[n, t, 2, 0]  # by chance: the seed is not kept, the dice are
            assert quantised(made) == quantised(steps.entities[n, t + 1].double().numpy())
            assert (after.x, after.y) == pytest.approx(steps.poses[n, t + 1, :2].tolist(), abs=1e-5)


def test_stretches_depend_on_the_seed_alone(scene, steps):
    again, others = draw_entity_steps(scene, 30, seed=0), draw_entity_steps(scene, 30, seed=1)
    for field in fields(EntitySteps):
        assert torch.equal(getattr(again, field.name), getattr(steps, field.name))
    assert not torch.equal(others.entities, steps.entities)


def test_entities_of_stretches_are_whole_quanta(steps):
    whole = steps.entities.double().numpy() / QUANTA
    assert np.abs(whole - np.rint(whole)).max() < 1e-3


def test_the_player_is_mostly_beside_something_and_lively_ticks_are_there(steps):
    far = (steps.entities[..., X : Y + 1] - steps.poses[:, :, None, :2]).norm(dim=-1).amin(-1)
    assert (far < 2).float().mean() > 0.6
    assert liveliness(steps).min() >= 0.03 - 1e-6 and liveliness(steps).max() > 1


def test_a_short_training_lowers_the_loss_and_leaves_the_rest_alone(scene, steps, tmp_path):
    torch.manual_seed(0)
    model = Holder(scene)
    model.other = nn.Linear(2, 2)
    kept = model.other.weight.detach().clone()
    stage = TransitionsStage(model, steps, steps, lambda: None)
    first = float(stage.loss(1, 0)[0].detach())
    Trainer(stage, TrainConfig(steps=12, warmup_steps=2, muon_lr=0), tmp_path, resume=False, quiet=True).run()
    assert float(stage.loss(1, 0)[0].detach()) < first
    assert torch.equal(model.other.weight, kept)


def test_two_steps_saved_and_resumed_equal_four(scene, steps, tmp_path):
    weights = []
    for name, stops in (("once", [4]), ("twice", [2, 4])):
        for stop in stops:
            torch.manual_seed(0)
            stage = TransitionsStage(model := Holder(scene), steps, steps, lambda: None)
            config = TrainConfig(steps=4, warmup_steps=2)
            Trainer(stage, config, tmp_path / name, resume=stop == 4, quiet=True).run(stop_after=stop)
        weights.append([p.detach().clone() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


def test_rollouts_over_several_ticks_reach_the_first_tick(scene, steps):
    """What an entity is at the end of a rollout depends on all its own ticks: gradients flow through rounding."""
    from worldsim.train.stages.transitions import Picks, followed

    model = transitions(scene)
    with torch.no_grad():
        model.last.bias[..., : len(FIELDS)] = 5.0
    one = Picks(*(torch.zeros(1, 2, dtype=torch.long) for _ in range(2)), torch.tensor([[0, 2]]))
    changes = [change for change, *_ in followed(model, steps, one, 4, np.random.default_rng(0))]
    changes[-1].own[..., X].sum().backward()
    assert model.straight.weight.grad.abs().sum() > 0


def test_odometry_of_a_scene_without_entities_has_nothing_more_to_load(scene):
    torch.manual_seed(0)
    plain = Odometry(4, 0.1, scene.place.extent)
    living = Odometry(4, 0.1, scene.place.extent, scene.slots)
    assert {n for n, _ in living.named_parameters()} - {n for n, _ in plain.named_parameters()} == {
        "bodies.kind_seen", "bodies.solid", "bodies.push.inner.weight", "bodies.push.inner.bias",
        "bodies.push.outer.weight", "bodies.push.outer.bias",
    }  # fmt: skip
    living.load_state_dict(plain.state_dict(), strict=False)
    nn.init.zeros_(living.bodies.solid)
    given = torch.randn(6, 4), torch.rand(6, 2) * 6, torch.rand(6)
    entities = torch.tensor([s.rest for s in scene.slots]).expand(6, -1, -1)
    assert torch.allclose(living(*given, entities), plain(*given), atol=1e-6)  # no kind stands in the way


def test_known_walls_stop_a_step_and_let_it_slide():
    """Before any training, the way out of a wall is the true engine's, but for corners that a plan of cells rounds."""
    living = load_scene(str(Path(__file__).parent / "data" / "living.yaml"))
    source, place = living.source.open(living), living.place
    model = transitions(living, trained=False)
    model.set_walls(*(torch.from_numpy(part).float() for part in source.walls(model.walls_at().double().numpy())))
    odometry = Odometry(living.action_space.size, 0.1, place.extent)
    nn.init.zeros_(odometry.free.outer.weight)
    with torch.no_grad():
        odometry.free.outer.bias.copy_(torch.tensor([0.06, 0.0]))  # six millimetres to the right
    rng = np.random.default_rng(0)
    low, high = np.array(place.extent[:2]), np.array(place.extent[3:5])
    at = rng.uniform(low, high, (400, 2))
    radius, step = odometry._body_m, np.array([0.006, 0.0])
    pushed = np.array([source.dynamics.push_out(x, y, radius) for x, y in at + step]) - at - step
    little = (np.hypot(*pushed.T) < 0.15) & (np.hypot(*pushed.T) > 0)
    assert little.sum() > 20
    some = torch.from_numpy(at[little]).float()
    idle = torch.zeros(len(some), living.action_space.size)
    made = odometry(idle, some, torch.zeros(len(some)), None, model.walls).detach().numpy()
    off = np.hypot(*(made - step - pushed[little]).T)
    assert np.median(off) < 1e-4 and (off < 0.03).mean() > 0.9


def test_a_body_in_the_way_pushes_out_of_its_box_by_the_shortest_way():
    """From beside a box, from within it, and from where nothing touches."""
    half = torch.tensor([0.5, 0.1])
    at = torch.tensor([[0.0, 0.3], [0.1, 0.05], [0.7, 0.0], [1.0, 1.0]])
    want = torch.tensor([[0.0, 0.2], [0.0, 0.45], [0.2, 0.0], [0.0, 0.0]])
    assert torch.allclose(out_of_box(at, half, 0.4), want, atol=1e-5)


def test_only_entities_that_can_be_touched_push_the_player(scene):
    torch.manual_seed(0)
    model = Odometry(4, 0.1, scene.place.extent, scene.slots)
    nn.init.normal_(model.bodies.push.outer.weight)
    action, yaw = torch.randn(1, 4) * 0.1, torch.zeros(1)
    rows = torch.tensor([s.rest for s in scene.slots])[None]
    near, far = torch.tensor([[2.0, 2.4]]), torch.tensor([[1.0, 4.5]])
    assert not torch.equal(model(action, near, yaw, rows), model(action, near, yaw))
    assert torch.equal(model(action, far, yaw, rows), model(action, far, yaw))


def test_stretches_of_a_living_building_are_what_its_engine_does():
    living = load_scene(str(Path(__file__).parent / "data" / "living.yaml"))
    drawn = draw_entity_steps(living, 2, seed=3)
    source, space = living.source.open(living), living.action_space
    for n in range(2):
        rng = np.random.Generator(np.random.Philox(key=[3, n]))
        state, player = beside(source, rng), Wanderer(space, rng)
        for t in range(drawn.ticks):
            pose, rows, _ = source.facts(state)
            assert torch.equal(torch.tensor(rows).float(), drawn.entities[n, t])
            state = source.step(state, player.act(pose, rows))
            chances = torch.from_numpy(dice(state.seed, state.tick, len(living.slots))).float()
            assert torch.equal(chances, drawn.dice[n, t])
            assert source.facts(state)[2].levels == pytest.approx(drawn.levels[n, t].tolist())


def test_steps_of_the_player_know_the_entities_in_the_way(scene, steps):
    moves = steps.moves()
    drawn = moves.draw(np.random.default_rng(0), 7)
    assert drawn.entities.shape == (7, 3, len(FIELDS)) and len(moves.yaw) == 30 * steps.ticks
    ends = (moves.position + moves.displacement).view(30, steps.ticks, 2)
    assert torch.allclose(ends[:, :-1], moves.position.view(30, steps.ticks, 2)[:, 1:], atol=1e-5)
    anywhere = draw_transitions(scene, 20, seed=0)
    resting = torch.tensor(values_of(quantised(at_rest(scene.slots)))).float()
    assert all(torch.equal(rows, resting) for rows in anywhere.entities)


def test_close_steps_begin_within_and_around_entities_and_end_where_the_engine_pushes():
    living = load_scene("gallery")
    close = draw_close_steps(living, 40, seed=5)
    doors = [i for i, slot in enumerate(living.slots) if slot.kind.startswith("door")]
    size, rows = torch.tensor([slot.size for slot in living.slots]), close.entities
    sin, cos = axes(rows)
    before = turned(close.position[:, None] - rows[..., X : Y + 1], sin, cos)
    beyond = length(beyond_box(before, size[:, :2] / 2))[..., 0]
    assert float(beyond.amin(1).max()) <= AROUND_M * 2**0.5 + 1e-3
    within = beyond[:, doors].amin(1) < 0.1  # less than the radius of the player
    walked = close.action[:, :2].any(1)  # who does not walk is not pushed
    pushed = close.displacement.norm(dim=1) > 0.15
    assert int(within.sum()) > 10 and float(pushed[within & walked].float().mean()) > 0.5
    assert not close.displacement[~walked].any()
