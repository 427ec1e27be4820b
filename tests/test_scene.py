from __future__ import annotations

from dataclasses import replace

import pytest
import yaml
from support import ROOT

from worldsim.config import to_mapping
from worldsim.errors import ConfigError, SceneError
from worldsim.scene import SCENES, former_scene_hash, is_hash_of, load_scene, parse_scene, scene_hash


@pytest.fixture(scope="module")
def scene():
    return load_scene("gallery")


def test_every_shipped_scene_loads():
    for path in SCENES.glob("*.yaml"):
        assert load_scene(path.stem).name == path.stem


def test_a_scene_and_its_mapping_are_inverse(scene):
    assert parse_scene(to_mapping(scene), "x") == scene


def test_comments_and_order_do_not_change_the_hash(scene):
    data = yaml.safe_load((SCENES / "gallery.yaml").read_text())
    assert scene_hash(parse_scene(dict(reversed(data.items())), "x")) == scene_hash(scene)


def test_any_value_changes_the_hash(scene):
    data = to_mapping(scene)
    data["source"]["fog_per_m"] = 0.023
    assert scene_hash(parse_scene(data, "x")) != scene_hash(scene)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["camera"].update(fov_deg=900), "x: camera.fov_deg must lie in [1, 179], got 900"),
        (lambda d: d.update(tick_hz=0), "x: tick_hz must lie in [1, 120], got 0"),
        (lambda d: d["frame"].update(width=161), "x: frame.width must be a multiple of 16 up to 1024, got 161"),
        (
            lambda d: d["source"]["pictures"][0].update(room="hal"),
            "x: source.pictures[0].room is 'hal', did you mean 'hall'?",
        ),
        (lambda d: d["source"]["pictures"][0].update(seed=-1), "x: source.pictures[0].seed must be 0 or more, got -1"),
        (
            lambda d: d["source"]["rooms"][0].update(rect=[0, 0, 1e6, 6]),
            "x: source.rooms[0].rect must lie within 200 m of the origin, got (0.0, 0.0, 1000000.0, 6.0)",
        ),
        (
            lambda d: d["source"]["rooms"][0].update(rect=[-195, 0, 9, 6]),
            "x: source.rooms must lie within 200 m of each other, got 207.9 m",
        ),
        (
            lambda d: d["source"]["rooms"][0].update(height=float("inf")),
            "x: source.rooms[0].height must lie in [-1e12, 1e12], got inf",
        ),
        (lambda d: d["source"].update(engine=["rooms"]), "x: source.engine must be text, got ['rooms']"),
        (
            lambda d: d["spawns"][0].update(name="../out"),
            "x: spawns[0].name must hold no slash and no colon, got '../out'",
        ),
        (lambda d: d.update(spawns=[]), "x: spawns must list 1 to 256 places to start from, got 0"),
    ],
)
def test_errors_say_what_where_and_what_to_do(scene, change, message):
    data = to_mapping(scene)
    change(data)
    with pytest.raises(SceneError) as caught:
        parse_scene(data, "x")
    assert str(caught.value) == message


def test_an_unknown_scene_names_the_nearest():
    with pytest.raises(SceneError, match="did you mean 'gallery'"):
        load_scene("galery")


def test_data_of_an_older_version_is_still_of_the_scene(scene):
    """Episodes of format 1 are marked with a hash that left out what was at its default."""
    marks = scene_hash(scene), former_scene_hash(scene)
    assert marks[0] != marks[1] and all(is_hash_of(mark, scene) for mark in marks)
    assert not any(is_hash_of(mark, replace(scene, title="another")) for mark in marks)
    written = yaml.safe_load((ROOT / "tests/data/format-1.yaml").read_text())  # by what was there then
    assert former_scene_hash(parse_scene(written["scene"], "x")) == written["scene_sha256"]


def test_an_event_takes_no_key_that_means_something_else(living):
    events = (replace(living.events[1], key="e"), *living.events[2:])  # `use` is E
    with pytest.raises(ConfigError, match="has the key 'e', which is taken"):
        replace(living, events=events)
