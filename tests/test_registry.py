"""One more of a kind is one file and one line: here from outside the package, in this process."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from worldsim.errors import ConfigError
from worldsim.evaluate.metric import Measurement, Metric, Part
from worldsim.evaluate.suite import evaluate
from worldsim.registry import METRICS, STAGES, WORLDS, Registry
from worldsim.runtime import Numerics
from worldsim.scene import load_scene, scene_hash
from worldsim.train.stages.base import Stage
from worldsim.world import Frame, Spawn, World
from worldsim.worlds.catalogue import LoadedWorld, find_world, open_world


class Constant(World):
    """The least a world can be: every frame has the colour of its tick."""

    def __init__(self, scene):
        self._scene = scene

    @property
    def scene(self):
        return self._scene

    def start(self, seed, spawn):
        return 0, self._frame(0)

    def advance(self, state, action):
        return state + 1, self._frame(state + 1)

    def _frame(self, tick):
        size = self._scene.frame
        return Frame(np.full((size.height, size.width, 3), tick % 256, np.uint8), tick)


def entry_of(scene):
    class ConstantEntry:
        """A kind of world: `constant:ANYTHING`."""

        former_sha256 = ()
        sha256 = scene_sha256 = "c" * 64
        spawn_names = ("only",)

        def __init__(self, rest):
            self.name, self.scene = f"constant:{rest}", scene

        def spawn(self, name):
            return Spawn("only", np.zeros((scene.frame.height, scene.frame.width, 3), np.uint8))

        def load(self, options):
            return LoadedWorld(Constant(scene), self, 0, Numerics("constant"))

    return ConstantEntry


class Mean(Stage):
    """A training stage: learns one number."""

    name = "mean"

    def __init__(self):
        self._model = nn.Linear(1, 1)

    @classmethod
    def create(cls, setup):
        setup.generator  # noqa: B018  (made when it is asked for)
        return cls()

    @property
    def model(self):
        return self._model

    def loss(self, step_seed, step):
        return (self._model(torch.ones(4, 1)) - 3).square().mean(), {}

    def export(self):
        pass


class Brightness(Metric):
    """A part of the evaluation: how bright the truth is."""

    title, about, needs_pose = "Brightness", "How bright the truth is.", False

    def run(self, measurement):
        frame = measurement.source.start(0, measurement.source.spawns()[0])[1]
        return Part({"sizes": {"frames": 1}, "brightness": {"dream": float(frame.pixels.mean())}})


@pytest.fixture
def outside(scene, monkeypatch):
    """A module of somebody else's, which registers three things."""
    module = ModuleType("outside_worldsim")
    module.ConstantEntry, module.Mean, module.Brightness = entry_of(scene), Mean, Brightness
    monkeypatch.setitem(sys.modules, "outside_worldsim", module)
    kinds = (WORLDS, "constant", "ConstantEntry"), (STAGES, "mean", "Mean"), (METRICS, "brightness", "Brightness")
    for registry, name, where in kinds:
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
        registry.register(name, f"outside_worldsim:{where}")


def test_a_kind_of_world_with_three_methods_plays_rewinds_and_replays(outside, some_actions, tmp_path):
    """All other methods of a world have defaults."""
    from worldsim.play.replay import Replay
    from worldsim.play.session import Session, SessionSettings
    from worldsim.play.trace import read_trace

    session = Session(open_world("constant:x"), settings=SessionSettings("2"))
    session.record(tmp_path / "a.jsonl")
    for action in some_actions[:50]:
        session.slack(lambda: float("inf"))
        assert session.advance(action).frame.tick == session.tick
    session.rewind(20)
    assert session.frame.pixels[0, 0, 0] == 20 and session.peek(3).tick == 3
    session.advance(some_actions[0])
    session.close()
    with Replay(read_trace(tmp_path / "a.jsonl"), tmp_path / "a.jsonl") as replay:
        assert replay.run().identical


def test_a_world_that_cannot_go_on_from_pictures_starts_at_its_spawn(outside, loaded, some_actions):
    from worldsim.play.session import Session, SessionSettings

    session = Session(loaded, settings=SessionSettings("off"))
    session.advance(some_actions[0])
    constant = open_world("constant:x")
    session.swap(constant, constant.entry.spawn(None))
    assert session.tick == 0 and session.advance(some_actions[0]).frame.pixels.max() == 1
    session.reanchor(None)  # nothing to begin afresh from
    assert session.tick == 1


def test_a_training_stage_is_trained_by_its_name(outside, scene, nonsense_episodes, checkpoint_folder, tmp_path):
    from worldsim.train.request import Request
    from worldsim.train.run import train
    from worldsim.train.trainer import TrainConfig

    request = Request("mean", scene, tmp_path / "run", nonsense_episodes, parts_from=str(checkpoint_folder), quiet=True)
    assert "loss" in train(request, TrainConfig(steps=2))


@pytest.mark.gl
def test_a_part_of_the_evaluation_is_measured_by_its_name(outside, scene):
    with scene.source.open(scene) as source:
        done = evaluate(Measurement(source, dreamer=None), only=("brightness",))
    assert 40 < done.figures["brightness"]["brightness"]["dream"] < 200 and "Brightness" in done.sections[0]


def test_unknown_names_tell_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'forcing'"):
        STAGES.get("forcin")
    with pytest.raises(ConfigError, match="scenes/x.yaml: no source is called 'room', did you mean 'rooms'"):
        Registry("source", {"rooms": "a:b"}).get("room", "scenes/x.yaml")


def test_a_scene_of_the_true_engine_and_a_checkpoint_are_found_by_their_names():
    scene = load_scene("gallery")
    assert find_world("gallery").scene.name == "gallery"
    source = find_world("source:gallery")
    assert source.scene == scene and source.sha256 == scene_hash(scene)
