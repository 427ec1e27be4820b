"""Whatever a file says, the outcome is a result or one sentence, within a second.

Files are damaged at random, seeded by the day: a run of tomorrow tries others. FUZZ_SEED repeats that of a day, and
FUZZ_SECONDS tries for longer than the eleven seconds that each kind of file has.
"""

from __future__ import annotations

import copy
import datetime
import io
import json
import os
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from worldsim.checkpoint import file_hash, open_checkpoint
from worldsim.errors import WorldsimError
from worldsim.play.replay import Replay
from worldsim.play.session import Session, SessionSettings
from worldsim.play.trace import read_trace
from worldsim.scene import SCENES, load_scene, parse_scene, scene_hash
from worldsim.source.rooms import geometry, paintings
from worldsim.source.rooms.dynamics import Dynamics
from worldsim.source.rooms.random_player import RandomPlayer
from worldsim.world import Frame
from worldsim.worlds.catalogue import LoadOptions, find_world

SEED = int(os.environ.get("FUZZ_SEED", datetime.date.today().toordinal()))
SECONDS = float(os.environ.get("FUZZ_SECONDS", "11"))
LONGEST_S, LONGEST_TEXT = 1.0, 300
ODD = (
    None, True, False, -1, 0, 1, 3, 10**6, 2**31, 2**63, -(2**70), 10**30, 0.5, -0.0, 1e-30, 1e30, 1e308, float("nan"),
    float("inf"), float("-inf"), "", "x", "gallery", "a" * 3000, "../../etc/passwd", "/dev/zero", "\x00", "\u2028",
    "1e5", "nan", [], {}, [[]], [1, 2], [None] * 5, {"a": {"b": []}}, {"engine": "rooms"}, {"engine": "nothing"},
)  # fmt: skip
OPTIONS = LoadOptions(threads=1, backend="eager")


def damaged_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes flipped, dropped, doubled or cut off."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        at, span = int(rng.integers(len(out) + 1)), int(rng.integers(1, 40))
        match int(rng.integers(5)):
            case 0:
                out[at : at + 1] = bytes(b ^ (1 << int(rng.integers(8))) for b in out[at : at + 1])
            case 1:
                del out[at : at + span]
            case 2:
                out[at:at] = out[at : at + span]
            case 3:
                out[at:at] = rng.bytes(span)
            case _:
                del out[max(at, 1) :]
    return bytes(out)


def damaged_tree(tree: Any, rng: np.random.Generator) -> Any:
    """A copy of plain data in which some values are others, gone, or in each other's place."""
    tree = copy.deepcopy(tree)
    for _ in range(int(rng.integers(1, 4))):
        places = [(at, key) for at in _containers(tree) for key in (at if isinstance(at, dict) else range(len(at)))]
        if not places:
            return tree
        at, key = places[int(rng.integers(len(places)))]
        match int(rng.integers(5)):
            case 0:
                del at[key]
            case 1:
                other, name = places[int(rng.integers(len(places)))]
                at[key] = copy.deepcopy(other[name])
            case 2 if type(at[key]) in (int, float):
                at[key] = at[key] * float(10.0 ** rng.integers(-3, 9)) * (-1) ** int(rng.integers(2))
            case _:
                at[key] = copy.deepcopy(ODD[int(rng.integers(len(ODD)))])
    return tree


def _containers(tree: Any) -> list[Any]:
    if not isinstance(tree, (dict, list)):
        return []
    inside = tree.values() if isinstance(tree, dict) else tree
    return [tree, *(found for value in inside for found in _containers(value))]


def hold(kind: str, make: Callable[[np.random.Generator], Any], use: Callable[[], Any]) -> None:
    """Damage and use until the time is up. Fails with what repeats the round."""
    begun, rounds, good = time.monotonic(), 0, 0
    while time.monotonic() - begun < SECONDS:
        rounds += 1
        make(np.random.Generator(np.random.Philox(key=[SEED, rounds])))
        where = f"FUZZ_SEED={SEED}, {kind}, round {rounds}"
        started = time.process_time()  # of this process: other work on the machine does not count
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                use()
            good += 1
        except WorldsimError as error:
            said = str(error)
            assert 0 < len(said) <= LONGEST_TEXT and "\n" not in said, f"{where}: no short sentence: {said!r}"
        except BaseException as error:
            raise AssertionError(f"{where}: {type(error).__name__}: {error}") from error
        took = time.process_time() - started
        assert took < LONGEST_S, f"{where}: took {took:.1f} s"
    assert rounds > 10, f"only {rounds} rounds"


def test_scenes(tmp_path):
    text = (SCENES / "gallery.yaml").read_bytes()
    tree = yaml.safe_load(text)
    path = tmp_path / "scene.yaml"

    def make(rng):
        if rng.random() < 0.3:
            path.write_bytes(damaged_bytes(text, rng))
        else:
            path.write_text(yaml.safe_dump(damaged_tree(tree, rng)))

    def use():
        scene = load_scene(str(path))
        assert scene_hash(scene) == scene_hash(parse_scene(yaml.safe_load(path.read_text()), "x"))
        assert np.isfinite(geometry.build(scene.source)).all()
        for picture in scene.source.pictures:
            paintings.paint(picture.style, picture.seed)
        dynamics = Dynamics(scene)
        player = RandomPlayer(scene, dynamics, 0)
        pose = player.start_pose()
        for _ in range(10):
            frame = Frame(np.zeros((1, 1, 3), np.uint8), 0, pose.look, pose)
            pose = dynamics.advance(pose, player.act(frame))
        assert np.isfinite(pose.as_tuple()).all()

    hold("scenes", make, use)


def test_traces(tmp_path, checkpoint_folder, other_folder, some_actions):
    path = tmp_path / "trace.jsonl"
    entry, other = find_world(str(checkpoint_folder)), find_world(str(other_folder))
    with entry.load(OPTIONS) as loaded, other.load(OPTIONS) as second:
        session = Session(loaded, entry.spawn("a"), SessionSettings("off", 30.0, seed=7))
        session.record(path)
        for action in some_actions[:5]:
            session.advance(action)
        session.rewind(3)
        session.reanchor(None)
        session.advance(some_actions[9])
        session.swap(second, other.spawn("b"))
        session.advance(some_actions[10])
        session.reset(4, entry.spawn("b"))
        session.advance(some_actions[11])
        session.stop_recording()
    text = path.read_bytes()
    lines = [json.loads(line) for line in text.splitlines()]

    def make(rng):
        if rng.random() < 0.3:
            path.write_bytes(damaged_bytes(text, rng))
        else:
            rows = damaged_tree(lines, rng)
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def use():
        with Replay(read_trace(path), path) as replay:
            replay.run()

    hold("traces", make, use)


def test_checkpoints(tmp_path, checkpoint_folder):
    folder = Path(shutil.copytree(checkpoint_folder, tmp_path / "small"))
    text = (folder / "world.yaml").read_bytes()
    tree = yaml.safe_load(text)
    weights = {name: (folder / name).read_bytes() for name in ("codec.safetensors", "generator.safetensors")}

    def make(rng):
        for name, data in weights.items():
            (folder / name).write_bytes(data)
        chance = rng.random()
        if chance < 0.2:
            (folder / "world.yaml").write_bytes(damaged_bytes(text, rng))
        elif chance < 0.4:  # weights whose hash is right, as if they had been written so
            name = list(weights)[int(rng.integers(2))]
            head = int.from_bytes(weights[name][:8], "little") + 8
            damaged = damaged_bytes(weights[name][:head], rng) + weights[name][head:]
            (folder / name).write_bytes(damaged)
            marked = {**tree, "files": {**tree["files"], name: file_hash(folder / name)}}
            (folder / "world.yaml").write_text(yaml.safe_dump(marked))
        else:
            (folder / "world.yaml").write_text(yaml.safe_dump(damaged_tree(tree, rng)))

    def use():
        entry = find_world(str(folder))
        with entry.load(OPTIONS) as loaded:
            state, _ = loaded.world.start(0, entry.spawn(None))
            loaded.world.advance(state, loaded.scene.action_space.idle)

    hold("checkpoints", make, use)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_pictures(tmp_path, checkpoint_folder, kind):
    checkpoint, path = open_checkpoint(str(checkpoint_folder)), tmp_path / "picture"
    buffer = io.BytesIO()
    Image.fromarray(checkpoint.spawn("a").pixels).resize((90, 70)).save(buffer, kind)

    def use():
        assert checkpoint.spawn(str(path)).pixels.shape == (96, 160, 3)

    hold(f"pictures as {kind}", lambda rng: path.write_bytes(damaged_bytes(buffer.getvalue(), rng)), use)
