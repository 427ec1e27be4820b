from __future__ import annotations

import json
import shutil
import signal
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support import write_nonsense_episodes
from torch import nn

from worldsim.data.episodes import list_episodes, read_episode
from worldsim.errors import CheckpointError, ConfigError, DataError
from worldsim.model.sizes import MODELS
from worldsim.train.request import Preset, Request
from worldsim.train.restore import changed_config
from worldsim.train.run import train
from worldsim.train.setup import Setup
from worldsim.train.stages.base import Stage
from worldsim.train.trainer import TrainConfig, Trainer, read_meta


class Quadratic(Stage):
    """A stage whose best weights are known."""

    name = "quadratic"

    def __init__(self) -> None:
        torch.manual_seed(0)
        self._model = nn.Sequential(nn.Linear(4, 8, bias=False), nn.LayerNorm(8), nn.Linear(8, 4))
        self.exports = 0

    @classmethod
    def create(cls, setup):
        return cls()

    @property
    def model(self):
        return self._model

    def loss(self, step_seed, step):
        x = torch.randn(16, 4, generator=torch.Generator().manual_seed(step_seed))
        return (self.model(x) - x.flip(-1)).square().mean(), {}

    def export(self):
        self.exports += 1


def weights(stage):
    return {k: v.clone() for k, v in stage.model.state_dict().items()}


def test_two_steps_saved_and_resumed_equal_four(tmp_path):
    config = TrainConfig(steps=4, warmup_steps=2)
    whole = Quadratic()
    Trainer(whole, config, tmp_path / "whole", resume=False, quiet=True).run()
    first = Quadratic()
    Trainer(first, config, tmp_path / "parts", resume=False, quiet=True).run(stop_after=2)
    second = Quadratic()
    trainer = Trainer(second, config, tmp_path / "parts", resume=True, quiet=True)
    assert trainer.step == 2
    trainer.run()
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(second)[name]), name


def test_training_lowers_the_loss_and_logs_it(tmp_path):
    stage = Quadratic()
    last = Trainer(stage, TrainConfig(steps=120, warmup_steps=5), tmp_path, resume=False, quiet=True).run()
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert last["loss"] < 0.5 * rows[0]["loss"] and rows[-1]["step"] == 120 and stage.exports == 1


def test_an_interrupt_saves(tmp_path):
    stage = Quadratic()
    trainer = Trainer(stage, TrainConfig(minutes=10), tmp_path, resume=False, quiet=True)
    begin = stage.loss

    def interrupted(step_seed, step):
        if step == 3:  # what Ctrl-C calls, without a signal that would end pytest were no handler there
            signal.getsignal(signal.SIGINT)(signal.SIGINT, None)
        return begin(step_seed, step)

    trainer._loss = interrupted
    before = signal.getsignal(signal.SIGINT)
    trainer.run()
    assert signal.getsignal(signal.SIGINT) is before
    assert trainer.step == 4 and read_meta(tmp_path)["step"] == "4"


def test_a_kill_while_saving_leaves_a_state_to_resume(tmp_path, monkeypatch):
    """One file holds weights, optimisers and how far the run is: no two can disagree."""
    config = TrainConfig(steps=4, warmup_steps=2)
    Trainer(Quadratic(), config, tmp_path, resume=False, quiet=True).run(stop_after=2)
    killed = Trainer(Quadratic(), config, tmp_path, resume=True, quiet=True)

    class Killed(BaseException):
        pass

    def kill(self, target):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", kill)
        with pytest.raises(Killed):
            killed.run()
    resumed = Quadratic()
    trainer = Trainer(resumed, config, tmp_path, resume=True, quiet=True)
    assert trainer.step == 2
    trainer.run()
    whole = Quadratic()
    Trainer(whole, config, tmp_path / "whole", resume=False, quiet=True).run()
    assert all(torch.equal(value, weights(resumed)[name]) for name, value in weights(whole).items())


def test_resuming_another_shape_is_one_sentence(tmp_path):
    Trainer(Quadratic(), TrainConfig(steps=1), tmp_path, resume=False, quiet=True).run()
    other = Quadratic()
    other.model[0] = nn.Linear(4, 9, bias=False)
    other.model[1], other.model[2] = nn.LayerNorm(9), nn.Linear(9, 4)
    with pytest.raises(CheckpointError, match="cannot be resumed"):
        Trainer(other, TrainConfig(steps=1), tmp_path, resume=True, quiet=True)


@pytest.mark.gl
def test_the_stages_follow_each_other_into_a_playable_checkpoint(living, tmp_path, monkeypatch):
    from worldsim.checkpoint import open_checkpoint
    from worldsim.model.generator import GeneratorConfig
    from worldsim.model.place_memory import PlaceConfig
    from worldsim.worlds.catalogue import LoadOptions, find_world, open_world

    small = PlaceConfig(
        cell_m=1.0, fine_m=1.0, fine_features=2, features=2, rays=1, samples=8, width=16, hidden=16, depth=1
    )
    write_nonsense_episodes(tmp_path, living)
    monkeypatch.setattr("worldsim.train.stages.odometry.TRANSITIONS", 200)
    for stage in ("odometry", "transitions"):
        monkeypatch.setattr(f"worldsim.train.stages.{stage}.STRETCHES", 40)
    monkeypatch.setattr("worldsim.train.stages.odometry.CLOSE_STATES", 20)
    monkeypatch.setattr("worldsim.train.stages.transitions.HELD_OUT", 20)
    monkeypatch.setitem(MODELS, "tiny", GeneratorConfig(width=32, depth=2, heads=2, hidden=32, window=2, place=small))
    folder = tmp_path / "runs" / "made"
    config = TrainConfig(steps=2, warmup_steps=1, save_minutes=0.0)  # each writes a checkpoint and goes on
    frozen = None
    order = ["codec", "place", "painter", "odometry", "transitions", "forcing", "resampling", "consistency", "codec"]
    with pytest.raises(ConfigError, match="run `worldsim train place living` first"):
        train(Request("codec", living, folder, tmp_path, quiet=True), config)
        train(Request("painter", living, folder, tmp_path, quiet=True), config)
    shutil.rmtree(folder)
    for stage in order:
        model = "tiny" if stage == "place" else None
        request = Request(stage, living, folder, tmp_path, model=model, quiet=True, clips=2, clip_frames=5)
        numbers = train(request, config)
        assert np.isfinite(numbers["loss"])
        if stage == "place":
            frozen = _encoder(folder)
    # Once a generator exists the encoder keeps its meaning; only the decoder is trained further.
    assert all(torch.equal(a, b) for a, b in zip(frozen, _encoder(folder), strict=True))
    assert [p["stage"] for p in open_checkpoint(str(folder)).info.provenance] == order
    with open_world(str(folder), LoadOptions(threads=1, backend="eager")) as loaded:
        state, _ = loaded.world.start(0, find_world(str(folder)).spawn("middle"))
        assert loaded.world.advance(state, living.action_space.idle)[1].pixels.shape == (48, 64, 3)


def _encoder(folder):
    from safetensors.torch import load_file

    tensors = load_file(folder / "codec.safetensors")
    return [v for k, v in sorted(tensors.items()) if not k.startswith("decoder")]


def test_a_generator_without_a_codec_is_one_sentence(scene, tmp_path):
    with pytest.raises(CheckpointError, match="worldsim train codec gallery"):
        train(Request("forcing", scene, tmp_path / "none", tmp_path, quiet=True), TrainConfig(steps=1))


def test_training_without_episodes_says_to_collect(scene, tmp_path):
    with pytest.raises(DataError, match="worldsim collect"):
        train(Request("codec", scene, tmp_path / "none", tmp_path, quiet=True), TrainConfig(steps=1))


def test_episodes_of_another_scene_are_refused(nonsense_episodes, scene, tmp_path):
    from dataclasses import replace

    other = replace(scene, title="another")
    with pytest.raises(DataError, match="another version"):
        train(Request("codec", other, tmp_path / "none", nonsense_episodes, quiet=True), TrainConfig(steps=1))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("window=[", "--set window: '\\[' is not YAML"),
        ("window", "--set wants KEY=VALUE"),
        ("wndow=8", "--set: wndow is unknown"),
        ("sink=2", "sink must be 1"),
    ],
)
def test_a_field_that_is_none_is_one_sentence(change, says):
    with pytest.raises(ConfigError, match=says):
        changed_config(MODELS["tiny"], (change,))


def test_frames_for_the_codec_are_held_once(nonsense_episodes, scene, tmp_path):
    """They may be gigabytes: each episode goes straight to its place."""
    first = nonsense_episodes / "train" / "000000.episode"
    for i in range(1, 12):
        shutil.copy(first, first.with_name(f"{i:06d}.episode"))
    request = Request("codec", scene, tmp_path / "none", nonsense_episodes, quiet=True)
    exporter = SimpleNamespace(ticks=0)
    setup = Setup(request, Preset(), None, None, exporter, None)
    tracemalloc.start()
    pixels = setup.frames()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    episode = read_episode(first)
    files = len(list_episodes(nonsense_episodes, "train"))
    assert np.array_equal(pixels[: len(episode.frames)], episode.frames) and exporter.ticks == len(pixels)
    assert peak < pixels.nbytes * (1 + 4 / files)  # one episode at a time beside them, and what it is read from
