"""Shared fixtures: a small untrained checkpoint whose laws are those of a trained one, and a way to call the tool."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from support import LIVING, make_checkpoint, still_gallery, write_nonsense_episodes

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # networks this small gain nothing from more, and lose much beside other work
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

os.environ["WORLDSIM_CACHE"] = tempfile.mkdtemp(prefix="worldsim-test-cache-")  # what is measured here stays here


@pytest.fixture(scope="session")
def scene():
    """What most tests are of: it costs half of what a scene does in which something lives. That has its own tests."""
    return still_gallery()


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
    write_nonsense_episodes(tmp_path, scene)
    return tmp_path
