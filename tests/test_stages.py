"""Every stage: its loss is known where the answer is, and two steps, saved and resumed, equal four."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from worldsim.data.latents import Latents
from worldsim.data.transitions import Transitions, draw_transitions
from worldsim.diffusion.schedule import loss_weight
from worldsim.entities import DICE, at_rest
from worldsim.model.generator import Generator, GeneratorConfig
from worldsim.model.place_memory import PlaceConfig
from worldsim.model.weights import shape_of
from worldsim.train.stages.consistency import GRID, ConsistencyStage
from worldsim.train.stages.dmd import DmdStage
from worldsim.train.stages.forcing import ForcingStage
from worldsim.train.stages.odometry import OdometryStage
from worldsim.train.stages.painter import PainterStage
from worldsim.train.stages.place import PlaceStage
from worldsim.train.stages.resampling import ResamplingStage
from worldsim.train.trainer import TrainConfig, Trainer

PLACE = PlaceConfig(
    cell_m=1.0, fine_m=1.0, fine_features=2, features=2, rays=1, samples=8, width=16, hidden=16, depth=1
)


def nothing() -> None: ...


@pytest.fixture(scope="module")
def scene(living):
    return living


@pytest.fixture
def latents(scene) -> Latents:
    torch.manual_seed(1)
    count = 60
    poses = torch.cat([torch.rand(count, 2) * 3 + 2, torch.rand(count, 2) * 40], dim=1).double()
    slots, events, tokens = len(scene.slots), len(scene.events), shape_of(scene, 4).tokens
    return Latents(
        {"latents": torch.randn(count, tokens, 4).half(), "starts": torch.tensor([0, 30, 60]), "poses": poses,
         "actions": torch.randint(-1, 2, (count, scene.action_space.size)), "channel_weight": torch.ones(4),
         "entities": torch.from_numpy(at_rest(scene.slots)).float() + torch.randn(count, slots, 1),
         "levels": torch.rand(count, events), "dice": torch.rand(count, slots, DICE)},
        scene.action_space,
    )  # fmt: skip


@pytest.fixture
def transitions(scene) -> Transitions:
    return draw_transitions(scene, 100, seed=0)


def generator(scene) -> Generator:
    torch.manual_seed(0)
    return Generator(GeneratorConfig(width=32, depth=2, heads=2, hidden=32, window=2, place=PLACE), shape_of(scene, 4))


def make(name: str, scene, latents: Latents, transitions: Transitions):
    model = generator(scene)
    if name == "place":
        return PlaceStage(model, latents, nothing, batch=4)
    if name == "painter":
        return PainterStage(model, latents, nothing, batch=16)
    if name == "odometry":
        return OdometryStage(model, latents, transitions, nothing)
    if name == "dmd":
        return DmdStage(model, copy.deepcopy(model), latents, 2, 5, nothing)
    if name == "consistency":
        return ConsistencyStage(model, copy.deepcopy(model), latents, 2, 5, nothing)
    return {"forcing": ForcingStage, "resampling": ResamplingStage}[name](model, latents, 2, 5, nothing)


@pytest.mark.parametrize("name", ["place", "painter", "odometry", "forcing", "resampling", "consistency", "dmd"])
def test_two_steps_saved_and_resumed_equal_four(name, scene, latents, transitions, tmp_path):
    config = TrainConfig(steps=4, warmup_steps=2)

    def run(folder, resume, stop_after=None):
        stage = make(name, scene, latents, transitions)
        trainer = Trainer(stage, config, folder, resume, quiet=True)
        if name == "consistency":
            stage.averaged = trainer.averaged
        trainer.run(stop_after)
        return stage.model.state_dict()

    whole = run(tmp_path / "whole", False)
    run(tmp_path / "parts", False, stop_after=2)
    for key, value in run(tmp_path / "parts", True).items():
        assert torch.equal(value, whole[key]), key


def test_a_place_learns_its_depth_from_distances(scene, latents, tmp_path):
    """Told where rays end, it comes nearer to it; not told, it does not."""
    model = generator(scene)
    frames, tokens = latents.latents.shape[:2]
    truth = torch.full((frames, tokens, PLACE.rays**2), 1.5).half()

    def off_after(distances: Tensor | None) -> float:
        told = copy.deepcopy(model)
        stage = PlaceStage(told, latents, nothing, batch=16, distances=distances)
        folder = tmp_path / str(distances is None)
        Trainer(stage, TrainConfig(steps=30, warmup_steps=2), folder, False, quiet=True).run()
        condition = latents.at(torch.arange(8)[:, None]).condition(torch.ones(8))
        with torch.no_grad():
            return float((told.condition.recalled(condition).distance - 1.5).abs().mean())

    assert off_after(truth) < 0.7 * off_after(None)


def clip_loss(stage, latents: Latents, seed: int = 3):
    clips = latents.draw(np.random.Generator(np.random.Philox(key=seed)), 2, 5)
    return stage.clip_loss(clips, clips.latents, torch.Generator().manual_seed(seed)), clips


def always(latents: Latents, seed: int = 3, off: float = 0.0):
    """A network that answers with the truth of the clip `clip_loss` draws, and `off` more."""
    truth = latents.draw(np.random.Generator(np.random.Philox(key=seed)), 2, 5).latents
    return lambda *_: (truth[:, 2:] + off, truth + off)


@pytest.mark.parametrize("name", ["forcing", "resampling"])
def test_a_network_that_knows_the_truth_has_no_loss(name, scene, latents, transitions):
    stage = make(name, scene, latents, transitions)
    stage.model.teacher_forcing = always(latents)
    (loss, _), _ = clip_loss(stage, latents)
    assert loss == 0


def test_an_exact_teacher_and_a_student_equal_to_it_have_no_loss(scene, latents, transitions):
    stage = make("consistency", scene, latents, transitions)
    stage.model.teacher_forcing = stage.teacher.teacher_forcing = always(latents)
    (loss, _), _ = clip_loss(stage, latents)
    assert loss < 1e-10


def test_only_the_last_pair_tells_a_student_that_is_off_by_as_much_everywhere(scene, latents, transitions):
    """Below, it agrees with itself; at the last pair the teacher's step ends at the truth, and it does not."""
    stage = make("consistency", scene, latents, transitions)
    stage.teacher.teacher_forcing, stage.model.teacher_forcing = always(latents), always(latents, off=0.5)
    levels = []
    model_clip = stage.model.teacher_forcing
    stage.model.teacher_forcing = lambda clean, seen, x, level, condition: (levels.append(level), model_clip())[1]
    (loss, _), _ = clip_loss(stage, latents)
    level = levels[-1]  # the student's own, after the target's
    last = (level * GRID).round() == 1
    assert loss == pytest.approx(float((0.25 * last * loss_weight(level)).mean()), abs=1e-6)


def test_a_critic_equal_to_its_teacher_moves_nothing(scene, latents, transitions):
    stage = make("dmd", scene, latents, transitions)
    stage.teacher.teacher_forcing = stage.critic.teacher_forcing = always(latents, off=0.2)
    stage.generator.teacher_forcing = always(latents)
    (loss, numbers), _ = clip_loss(stage, latents)
    assert numbers["matching"] == 0 and numbers["truth"] == 0 and loss == pytest.approx(numbers["critic"])


def test_a_student_is_pulled_to_where_the_teacher_goes_and_its_critic_does_not(scene, latents, transitions):
    """The critic knows the student exactly; the teacher lies 0.2 above: that is the way and the size of the pull."""
    stage = make("dmd", scene, latents, transitions)
    stage.teacher.teacher_forcing = always(latents, off=0.2)
    stage.generator.teacher_forcing = stage.critic.teacher_forcing = always(latents)
    (_, numbers), _ = clip_loss(stage, latents)
    assert numbers["matching"] == pytest.approx(0.5 * 0.2**2, rel=1e-3) and numbers["critic"] == 0


def test_single_tokens_are_painted_as_whole_frames_are(scene, latents, transitions):
    """The stage's loss is that of the frames' own expectations at the tokens it draws."""
    stage = make("painter", scene, latents, transitions)
    painter = stage.model.condition.painter
    painter._drawn = len(scene.slots)  # else a frame may leave out the farthest
    for layer in (painter.paint, painter.whole_paint):
        torch.nn.init.normal_(layer.weight, std=0.01)
    drawn = []
    forward = painter.forward
    painter.forward = lambda *args: drawn.append(forward(*args)) or drawn[-1]
    stage.loss(1, 0)
    painter.forward = forward
    rows = stage._drawn(np.random.Generator(np.random.Philox(key=1)))
    frames = latents.at(stage._frame[rows][:, None])
    with torch.no_grad():
        whole, _, near = stage.model.condition.expect(frames.condition(torch.ones(len(rows))))
    at = torch.arange(len(rows)), stage._token[rows]
    assert torch.allclose(drawn[0][0][:, 0], whole[at], atol=0.01) and float(near[at].max()) > 0.5


def test_a_place_known_by_heart_has_no_loss(scene, latents, transitions):
    stage = make("place", scene, latents, transitions)
    seed = 5
    frames = latents.draw_frames(np.random.Generator(np.random.Philox(key=seed)), 4)
    truth, one = frames.latents[:, 0], torch.ones(4, 1, 1)  # a deviation of 1 costs nothing where nothing is off

    def painted(recalled, condition, picked):
        return truth.gather(1, picked[..., None].expand(-1, -1, truth.shape[-1])), one, torch.zeros(4, picked.shape[1])

    stage.model.condition.painted = painted
    assert stage.loss(seed, 0)[0] == 0


def test_odometry_that_knows_every_step_has_no_loss(scene, latents, transitions):
    stage = make("odometry", scene, latents, transitions)
    known = {}
    for part in (latents.draw_ticks, transitions.draw):
        rng = np.random.Generator(np.random.Philox(key=0))
        drawn = part(rng, 3000)
        known |= {tuple(p.tolist()): d for p, d in zip(drawn.position, drawn.displacement, strict=True)}
    stage.model.odometry.forward = lambda action, position, yaw, entities, walls: torch.stack(
        [known[tuple(p.tolist())] for p in position]
    )
    assert stage.loss(0, 0)[0] == 0


def test_steps_from_inside_walls_end_outside(scene, transitions):
    """Nearly all: between a wall and a pillar beside it three pushes may not be enough."""
    from worldsim.source.rooms.dynamics import Dynamics

    dynamics = Dynamics(scene)
    walked = transitions.action[:, :2].any(dim=1)
    ends = (transitions.position + transitions.displacement)[walked].tolist()
    off = [np.hypot(*(np.array(dynamics.push_out(x, y)) - (x, y))) for x, y in ends]
    assert np.mean(np.array(off) < 1e-5) > 0.95
    assert not all(dynamics.is_free(x, y) for x, y in transitions.position.tolist())
