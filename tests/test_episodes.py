from __future__ import annotations

import numpy as np
import pytest

from worldsim.data.episodes import Episode, list_episodes, read_episode, write_episode
from worldsim.errors import DataError


@pytest.fixture
def episode():
    rng = np.random.Generator(np.random.Philox(key=0))
    return Episode(
        rng.integers(0, 255, (37, 16, 32, 3), dtype=np.uint8), rng.integers(-9, 9, (37, 5)).astype(np.int16),
        rng.normal(size=(37, 4)), "hash", 5,
    )  # fmt: skip


def test_reading_inverts_writing(episode, tmp_path):
    write_episode(tmp_path / "a.episode", episode)
    back = read_episode(tmp_path / "a.episode")
    for name in ("frames", "actions", "poses"):
        assert np.array_equal(getattr(back, name), getattr(episode, name))
    assert (back.scene_hash, back.seed) == ("hash", 5)


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (15, 17), (20, 37), (36, 99), (5, 5)])
def test_a_part_equals_the_part_of_the_whole(episode, tmp_path, start, stop):
    write_episode(tmp_path / "a.episode", episode)
    part = read_episode(tmp_path / "a.episode", start, stop)
    assert np.array_equal(part.frames, episode.frames[start:stop])
    assert np.array_equal(part.actions, episode.actions[start:stop])


def test_damage_is_one_sentence(episode, tmp_path):
    path = tmp_path / "a.episode"
    write_episode(path, episode)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match="collect it again"):
        read_episode(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(DataError, match="not an episode"):
        read_episode(path)
    with pytest.raises(DataError, match="worldsim collect"):
        list_episodes(tmp_path, "train")
