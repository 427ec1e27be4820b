"""Shared fixtures: a small untrained checkpoint whose laws are those of a trained one, and a way to call the tool."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

os.environ["WORLDSIM_CACHE"] = tempfile.mkdtemp(prefix="worldsim-test-cache-")  # what is measured here stays here
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def scene():
    from worldsim.scene import load_scene

    return load_scene("gallery")


@pytest.fixture(scope="session")
def checkpoint_folder(tmp_path_factory) -> Path:
    """A playable checkpoint of random weights, small enough that a tick takes some milliseconds."""
    return make_checkpoint(tmp_path_factory.mktemp("checkpoints") / "small", seed=0)


@pytest.fixture(scope="session")
def other_folder(tmp_path_factory) -> Path:
    """A second checkpoint of the same scene."""
    return make_checkpoint(tmp_path_factory.mktemp("checkpoints") / "other", seed=1)


def make_checkpoint(folder: Path, seed: int) -> Path:
    import torch

    from worldsim.camera import Look, Pose
    from worldsim.checkpoint import FORMAT, CheckpointInfo
    from worldsim.config import to_mapping
    from worldsim.model.codec import Codec, CodecConfig
    from worldsim.model.generator import Generator, GeneratorConfig
    from worldsim.model.place_memory import PlaceConfig
    from worldsim.model.weights import shape_of, write_checkpoint
    from worldsim.scene import load_scene, scene_hash
    from worldsim.world import Spawn

    scene = load_scene("gallery")
    torch.manual_seed(seed)
    codec = Codec(CodecConfig(channels=8, encoder_widths=(16, 8, 8), decoder_widths=(16, 8, 8)))
    place = PlaceConfig(
        cell_m=1.0, fine_m=1.0, fine_features=2, features=4, rays=1, samples=12, width=32, hidden=32, depth=1
    )
    config = GeneratorConfig(width=64, depth=2, heads=2, hidden=64, window=3, place=place)
    generator = Generator(config, shape_of(scene, 8))
    for parameter in (*codec.parameters(), *generator.parameters()):
        if not parameter.any():  # zero at the start of training; here everything must matter
            torch.nn.init.normal_(parameter, std=0.05)
    rng = np.random.Generator(np.random.Philox(key=seed))
    spawns = []
    for name, pose in (("a", Pose(4.0, 2.0, Look(10.0, 0.0))), ("b", None)):
        pixels = np.asarray(rng.integers(0, 255, (6, 10, 3)), np.uint8).repeat(16, 0).repeat(16, 1)
        spawns.append(Spawn(name, pixels, pose))
    info = CheckpointInfo(
        format=FORMAT, name=folder.name, scene=scene, scene_sha256=scene_hash(scene), codec=to_mapping(codec.config),
        generator=to_mapping(config),
    )  # fmt: skip
    write_checkpoint(folder, info, codec, generator, spawns)
    return folder


@pytest.fixture
def loaded(checkpoint_folder):
    from worldsim.worlds.catalogue import LoadOptions, open_world

    return open_world(str(checkpoint_folder), LoadOptions(threads=1, backend="eager"))


@pytest.fixture
def some_actions(scene):
    """Sixty actions with runs of equal ones, so that drafts are both accepted and discarded."""
    space = scene.action_space
    rng = np.random.Generator(np.random.Philox(key=3))
    actions = []
    while len(actions) < 60:
        action = space.make(walk=int(rng.integers(-1, 2)), yaw=int(rng.integers(-20, 21)) * int(rng.integers(2)))
        actions += [action] * int(rng.integers(1, 7))
    return actions[:60]


@pytest.fixture
def nonsense_episodes(tmp_path, scene):
    """Two short episodes of smooth nonsense with the scene's controls."""
    from worldsim.data.episodes import Episode, write_episode
    from worldsim.scene import scene_hash

    rng = np.random.Generator(np.random.Philox(key=0))
    for split in ("train", "held_out"):
        (tmp_path / split).mkdir()
        colours = rng.integers(0, 255, (60, 6, 10, 3)).astype(np.uint8)
        poses = np.cumsum(rng.normal(0, 0.05, (60, 4)), axis=0) + [4, 2, 0, 0]
        actions = rng.integers(-1, 2, (60, 5)).astype(np.int16) * [1, 1, 0, 9, 3]
        frames = colours.repeat(16, 1).repeat(16, 2)
        write_episode(
            tmp_path / split / "000000.episode", Episode(frames, actions.astype(np.int16), poses, scene_hash(scene), 0)
        )
    return tmp_path


def tool(*arguments: str, timeout: float = 240, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    """Run `worldsim` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "worldsim", *arguments], capture_output=True, text=True, timeout=timeout,
        env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
