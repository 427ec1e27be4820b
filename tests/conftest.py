"""Shared fixtures: a small untrained checkpoint whose laws are those of a trained one, and a way to call the tool."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from support import LIVING, make_checkpoint, small_gallery

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # networks this small gain nothing from more, and lose much beside other work
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

os.environ["WORLDSIM_CACHE"] = tempfile.mkdtemp(prefix="worldsim-test-cache-")  # what is measured here stays here


@pytest.fixture(scope="session")
def scene():
    return small_gallery()


@pytest.fixture(scope="session")
def living():
    """A scene with one of every kind of entity, and with events."""
    from worldsim.scene import load_scene

    return load_scene(LIVING)


@pytest.fixture(scope="session")
def checkpoint_folder(tmp_path_factory) -> Path:
    """A playable checkpoint of random weights, small enough that a tick takes some milliseconds."""
    return make_checkpoint(tmp_path_factory.mktemp("checkpoints") / "small", seed=0)


@pytest.fixture(scope="session")
def other_folder(tmp_path_factory) -> Path:
    """A second checkpoint of the same scene."""
    return make_checkpoint(tmp_path_factory.mktemp("checkpoints") / "other", seed=1)


@pytest.fixture
def loaded(checkpoint_folder):
    from worldsim.worlds.catalogue import LoadOptions, open_world

    with open_world(str(checkpoint_folder), LoadOptions(threads=1, backend="eager")) as world:
        yield world


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
    from worldsim.entities import at_rest
    from worldsim.scene import scene_hash

    rng = np.random.Generator(np.random.Philox(key=0))
    for split in ("train", "held_out"):
        (tmp_path / split).mkdir()
        colours = rng.integers(0, 255, (60, 6, 10, 3)).astype(np.uint8)
        poses = np.cumsum(rng.normal(0, 0.05, (60, 4)), axis=0) + [4, 2, 0, 0]
        scale = scene.action_space.make(walk=1, strafe=1, yaw=9, pitch=3).values
        actions = rng.integers(-1, 2, (60, len(scale))).astype(np.int16) * scale
        frames = colours.repeat(16, 1).repeat(16, 2)
        entities = at_rest(scene.slots) + rng.integers(0, 2, (60, len(scene.slots), 1)) * [0.5, 0.5, *[0] * 9]
        levels = rng.integers(0, 2, (60, len(scene.events))).astype(np.float32)
        episode = Episode(
            frames, actions.astype(np.int16), poses, scene_hash(scene), 0, entities=entities, levels=levels
        )  # fmt: skip
        write_episode(tmp_path / split / "000000.episode", episode)
    return tmp_path
