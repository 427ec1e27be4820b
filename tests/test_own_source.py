"""The whole life of a source that is not part of the package: examples/bounce.py, a game without a camera or poses.

It has rewards and ends. It is collected, trained, evaluated, recorded and replayed without touching worldsim.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from support import tool

EXAMPLES = Path(__file__).parent.parent / "examples"
SCENE = str(EXAMPLES / "bounce.yaml")
ENV = {
    "WORLDSIM_PLUGINS": "bounce",
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join([str(EXAMPLES), os.environ.get("PYTHONPATH", "")]),
}


def run(*arguments: str, code: int = 0) -> str:
    done = tool(*arguments, env=ENV)
    assert done.returncode == code, done.stderr[-2000:]
    return done.stdout if code == 0 else done.stderr


@pytest.fixture
def bounce(monkeypatch):
    """The game, registered in this process."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import bounce

    return bounce


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Episodes of the game, and a checkpoint after a few steps of training."""
    folder = tmp_path_factory.mktemp("bounce")
    run("collect", SCENE, "--ticks", "600", "--held-out", "400", "--workers", "1", "--out", str(folder / "data"))
    common = ("--steps", "3", "--threads", "1", "--data", str(folder / "data"), "--out", str(folder / "runs"))
    run("train", "codec", SCENE, *common)
    run("train", "forcing", SCENE, *common, "--model", "tiny", "--clips", "2", "--clip-frames", "6")
    run("train", "resampling", SCENE, *common, "--clips", "2", "--clip-frames", "6")
    return folder


def test_without_the_plugin_the_scene_names_the_sources_there_are(monkeypatch):
    done = tool("scenes", "--check", SCENE)
    assert done.returncode == 2 and "no source is called 'bounce'" in done.stderr and "rooms" in done.stderr


def test_a_plugin_that_cannot_be_imported_is_said(monkeypatch):
    done = tool("scenes", env={"WORLDSIM_PLUGINS": "no_such_game"})
    assert done.returncode == 2 and "no_such_game" in done.stderr and "WORLDSIM_PLUGINS" in done.stderr


def test_its_settings_are_checked_like_any_others(bounce, tmp_path):
    from worldsim.errors import SceneError
    from worldsim.scene import load_scene

    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(Path(SCENE).read_text().replace("side: 12", "side: 99"))
    with pytest.raises(SceneError, match="source.side must lie in"):
        load_scene(str(wrong))


def test_episodes_end_and_hold_rewards(folder):
    from worldsim.data.episodes import list_episodes, read_episode

    episodes = [read_episode(file) for file in list_episodes(folder / "data", "train")]
    assert sum(len(e.frames) for e in episodes) >= 600
    assert all(e.poses is None and e.rewards is not None and len(e.rewards) == len(e.frames) for e in episodes)
    assert any(e.terminated for e in episodes) and any(e.rewards.max() == 1 for e in episodes)
    assert all(e.terminated or e.truncated or len(e.frames) < 121 for e in episodes)


def test_a_game_that_is_over_begins_anew(bounce):
    from worldsim.scene import load_scene
    from worldsim.world import Spawn

    world = load_scene(SCENE).source.open(load_scene(SCENE))
    state, frame = world.start(3, Spawn("start", world.blank()))
    while not (frame.terminated or frame.truncated):
        state, frame = world.advance(state, world.scene.action_space.idle)
    state, frame = world.advance(state, world.scene.action_space.idle)
    assert state.age == 0 and not frame.terminated and frame.look is None and frame.pose is None


def test_a_stage_for_cameras_says_that_there_is_none(folder):
    said = run("train", "place", SCENE, "--steps", "1", "--data", str(folder / "data"), "--out", str(folder / "runs"),
               code=2)  # fmt: skip
    assert "camera" in said and "bounce" in said


@pytest.mark.parametrize("world", ["dream", "source"])
def test_it_is_played_recorded_and_replayed(folder, tmp_path, world):
    name = str(folder / "runs" / "bounce") if world == "dream" else f"source:{SCENE}"
    trace = tmp_path / "a.jsonl"
    plain = ("--headless", "--threads", "1", "--backend", "eager", "--ticks", "40", "--json")
    figures = json.loads(run("play", name, *plain, "--speculate", "2", "--record", str(trace)))
    assert figures["draft"]["accepted"] > 0
    again = json.loads(run("play", name, *plain, "--speculate", "off"))
    assert again["digests"] == figures["digests"]
    assert json.loads(run("replay", str(trace), "--verify", "--json"))["identical"]


def test_a_dream_of_it_and_the_gallery_swap_in_one_session(folder, bounce, loaded, some_actions, tmp_path):
    from worldsim.play.replay import Replay
    from worldsim.play.session import Session, SessionSettings
    from worldsim.play.trace import read_trace
    from worldsim.worlds.catalogue import LoadOptions, open_world

    game = open_world(str(folder / "runs" / "bounce"), LoadOptions(threads=1, backend="eager"))
    session = Session(game, settings=SessionSettings("2", seed=5))
    session.record(tmp_path / "a.jsonl")
    forever = lambda: float("inf")  # noqa: E731

    def push(ticks: int) -> None:
        for i in range(ticks):
            session.slack(forever)
            session.advance(session.scene.action_space.make(push=i % 3 - 1))

    push(10)
    session.swap(loaded, loaded.entry.spawn(None))
    assert session.frame.pixels.shape == (96, 160, 3) and session.frame.pose is not None
    for action in some_actions[:10]:
        session.slack(forever)
        session.advance(action)
    session.swap(game, game.entry.spawn(None))
    assert session.frame.pixels.shape == (64, 64, 3) and session.frame.look is None
    push(8)
    session.rewind(3)
    push(4)
    session.close()
    with Replay(read_trace(tmp_path / "a.jsonl"), tmp_path / "a.jsonl") as replay:
        assert replay.run().identical


def test_the_sampled_pictures_show_truth_above_dream(folder):
    from PIL import Image

    picture = np.asarray(Image.open(next((folder / "runs" / "bounce" / "resampling").glob("sample-*.png"))))
    assert picture.shape[0] % 128 == 0 and picture.shape[1] % 64 == 0
