"""Replays: of traces older than today's checkpoints, of damaged ones, and of many; recording on a full disk."""

from __future__ import annotations

import json
import resource
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from support import LIVING

from worldsim import checkpoint
from worldsim.checkpoint import read_checkpoint, write_info
from worldsim.errors import TraceError, WorldsimError
from worldsim.play.replay import Replay
from worldsim.play.session import Session, SessionSettings
from worldsim.play.trace import read_trace
from worldsim.worlds.catalogue import LoadOptions, find_world, open_world

BEFORE = Path(__file__).parent / "data" / "before-format-2.jsonl"


@pytest.fixture
def session(loaded, checkpoint_folder):
    return Session(loaded, find_world(str(checkpoint_folder)).spawn(None), SessionSettings("off", 30.0, seed=7))


def test_a_trace_older_than_the_checkpoints_format_replays(checkpoint_folder, some_actions, tmp_path):
    """It names the checkpoint by the hash that this had then, and the scene by any."""
    folder, path, former = shutil.copytree(checkpoint_folder, tmp_path / "migrated"), tmp_path / "a.jsonl", "1" * 64
    write_info(folder, replace(read_checkpoint(folder).info, former_sha256=(former,)))
    with open_world(str(folder), LoadOptions(threads=1, backend="eager")) as loaded:
        session = Session(loaded, loaded.entry.spawn(None), SessionSettings("off", 30.0, seed=7))
        session.record(path)
        for action in some_actions[:10]:
            session.advance(action)
        session.stop_recording()
    header, *rest = path.read_text().splitlines()
    older = json.loads(header) | {"checkpoint_sha256": former, "scene_sha256": "2" * 64}
    path.write_text("\n".join([json.dumps(older), *rest]) + "\n")
    with Replay(read_trace(path), path) as replay:
        done = replay.run()
    assert done.identical and done.ticks == 10


def test_a_trace_finds_a_shipped_checkpoint_that_has_another_name_now(
    checkpoint_folder, some_actions, tmp_path, monkeypatch
):
    shipped = tmp_path / "shipped"
    monkeypatch.setattr(checkpoint, "CHECKPOINTS", shipped)
    for name in ("before", "after"):
        shutil.copytree(checkpoint_folder, shipped / name)
    path = tmp_path / "a.jsonl"
    with open_world("before", LoadOptions(threads=1, backend="eager")) as loaded:
        session = Session(loaded, loaded.entry.spawn(None), SessionSettings("off", 30.0, seed=7))
        session.record(path)
        for action in some_actions[:6]:
            session.advance(action)
        session.stop_recording()
    info = read_checkpoint(shipped / "before").info
    write_info(shipped / "before", replace(info, sampler=replace(info.sampler, steps=4)))  # another one of that name
    with Replay(read_trace(path), path) as replay:
        done = replay.run()
    assert done.identical and done.ticks == 6


def test_an_old_trace_of_a_checkpoint_that_was_replaced_is_one_sentence(checkpoint_folder, tmp_path):
    """A file as it was written before format 2."""
    path = tmp_path / "a.jsonl"
    header, *rest = BEFORE.read_text().splitlines()
    gone = json.loads(header) | {"checkpoint": str(checkpoint_folder), "checkpoint_sha256": "1" * 64}
    path.write_text("\n".join([json.dumps(gone), *rest]) + "\n")
    trace = read_trace(path)
    assert trace.ticks == 40 and trace.header.controls == ["walk", "strafe", "run", "yaw", "pitch"]
    with pytest.raises(TraceError, match="another version of .*; replay it with the checkpoint") as caught:
        Replay(trace, path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("swap", '"steps":Infinity', "line 5 is not a record"),
        ("swap", '"steps":1e999', "steps of a swap must be a whole number, got inf"),
        ("swap", '"steps":3', "steps must be 1, 2, 4 or 8, got 3"),
        ("swap", '"moments":null', "moments of a swap must be a whole number, got None"),
        ("rewind", '"tick":"2"', "tick of a rewind must be a whole number, got '2'"),
        ("reset", '"seed":-1', "a seed must be a whole number from 0 on"),
        ("reset", '"spawn":{"name":["x"]}', "a spawn's name must be text"),
        ("reset", '"spawn":{"name":"x","picture":5}', "the picture cannot be read"),
        ("tick", '"action":[0,0,0,0,1e9,0]', "yaw must be a whole number"),
    ],
)
def test_a_record_with_a_wrong_value_is_one_sentence(session, some_actions, tmp_path, kind, fields, message):
    path = tmp_path / "a.jsonl"
    session.record(path)
    for action in some_actions[:3]:
        session.advance(action)
    session.stop_recording()
    lines = path.read_text().splitlines()[:4]
    right = {
        "tick": 3, "digest": "0", "checkpoint": session.loaded.name, "sha256": session.loaded.sha256, "steps": 2,
        "moments": 3, "seed": 1, "spawn": {"name": "a"}, "action": [0] * session.scene.action_space.size,
    }  # fmt: skip
    text = json.dumps({"seq": 3, "kind": kind, **right})
    path.write_text("\n".join([*lines, text[:-1] + "," + fields + "}"]) + "\n")
    with pytest.raises(WorldsimError, match=message) as caught, Replay(read_trace(path), path) as replay:
        replay.run()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_a_full_disk_ends_the_recording_and_not_the_play(session, some_actions, tmp_path):
    """Said once; what was written until then replays."""
    path = tmp_path / "a.jsonl"
    session.record(path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, before[1]))  # what a full disk is, to one process
    try:
        for action in some_actions:
            session.advance(action)
            session.slack(lambda: 0.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert session.tick == len(some_actions) and session.recording is None
    assert f"recording stopped: {path} cannot be written" in session.take_failure()
    assert session.take_failure() is None and session.stop_recording() is None
    with Replay(read_trace(path), path) as replay:
        done = replay.run()
    assert done.identical and 10 < done.ticks < len(some_actions)


def test_a_disk_that_is_full_from_the_start_is_one_sentence(session):
    with pytest.raises(TraceError, match="/dev/full cannot be written: No space left on device"):
        session.record(Path("/dev/full"))


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.gl
def test_worlds_that_are_opened_and_closed_leave_nothing(living, tmp_path):
    """A source that is dropped without being closed keeps some 8 MB of OpenGL: twenty would keep 160."""
    path = tmp_path / "a.jsonl"
    with open_world(f"source:{LIVING}") as loaded:
        session = Session(loaded, loaded.entry.spawn(None), SessionSettings("off", 30.0))
        session.record(path)
        session.advance(living.action_space.make(yaw=4))
        session.stop_recording()
    trace = read_trace(path)

    def replay():
        with Replay(trace, path) as replayed:
            assert replayed.run().ticks == 1

    for _ in range(5):
        replay()
    before = resident()
    for _ in range(20):
        replay()
    assert resident() - before < 80 * 2**20


def test_a_replay_that_cannot_begin_closes_what_it_opened(session, some_actions, tmp_path, monkeypatch):
    from worldsim.worlds.neural import NeuralWorld

    path = tmp_path / "a.jsonl"
    session.record(path)
    session.advance(some_actions[0])
    session.stop_recording()
    path.write_text(path.read_text().replace('"spawn": {"name": "a"}', '"spawn": {"name": "nowhere"}'))
    closed = []
    monkeypatch.setattr(NeuralWorld, "close", lambda self: closed.append(self))
    with pytest.raises(WorldsimError, match="nowhere"):
        Replay(read_trace(path), path)
    assert len(closed) == 1


def test_a_failed_swap_leaves_the_world_and_its_start(session, other_folder, some_actions):
    """The origin is where a reset goes: a world that could not be entered must not become it."""
    session.advance(some_actions[0])
    before = session.origin, session.loaded, session.tick

    class Broken(type(session.loaded.world)):
        def prefill(self, seed, observed):
            raise WorldsimError("no")

    with open_world(str(other_folder), LoadOptions(threads=1, backend="eager")) as other:
        other.world.__class__ = Broken
        with pytest.raises(WorldsimError, match="no"):
            session.swap(other, other.entry.spawn("a"))
    assert (session.origin, session.loaded, session.tick) == before
    session.advance(some_actions[1])
