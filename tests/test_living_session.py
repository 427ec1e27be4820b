"""A session in a world that lives: what was done is recorded, drafted, rewound, carried through a swap and replayed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from support import LIVING, make_checkpoint, tool

from worldsim.camera import Look, Pose
from worldsim.checkpoint import SpawnEntry, read_checkpoint
from worldsim.config import from_mapping, to_mapping
from worldsim.entities import ON, at_rest, counted, quantised, values_of
from worldsim.errors import ConfigError, TraceError
from worldsim.event import FADE, Happening
from worldsim.play.replay import Replay
from worldsim.play.session import Session, SessionSettings
from worldsim.play.spawn_notes import read_spawn_note, spawn_after_swap, spawn_note, with_events
from worldsim.play.trace import read_trace
from worldsim.world import Spawn
from worldsim.worlds.catalogue import LoadOptions, find_world, open_world

SOURCE = f"source:{LIVING}"
FOREVER = lambda: float("inf")  # noqa: E731

pytestmark = pytest.mark.gl


@pytest.fixture(scope="module")
def source():
    with open_world(SOURCE) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def dream_folder(tmp_path_factory, living):
    return make_checkpoint(tmp_path_factory.mktemp("living") / "dream", 0, living)


@pytest.fixture(scope="module")
def dream(dream_folder):
    with open_world(str(dream_folder), LoadOptions(threads=1, backend="eager")) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def play(living) -> list:
    """Turn to the ball and kick it, walk to a gem, open a door, call events in between."""
    space = living.action_space
    turn = [space.make(yaw=-60)] * 5
    kick = [space.make(walk=1, run=1)] * 18
    door = [space.make(walk=1, yaw=40)] * 6 + [space.make(walk=1)] * 20 + [space.make(use=1)] + [space.idle] * 10
    calm = [space.make(strafe=-1, yaw=5)] * 20
    return (
        turn + [space.make(night=1)] + kick + door + [space.make(walk=1, fog=1)] + calm + [space.make(day=1)] + kick
    )  # fmt: skip


def spawn_of(loaded) -> Spawn:
    """In front of the ball, everything at rest."""
    return loaded.entry.spawn(None)


def advance(session: Session, actions) -> None:
    for action in actions:
        session.slack(FOREVER)
        session.advance(action)


def test_a_session_with_kicks_doors_events_rewinds_and_swaps_replays(source, dream, play, tmp_path):
    trace = tmp_path / "a.jsonl"
    session = Session(source, spawn_of(source), SessionSettings("2", seed=3))
    session.record(trace)
    advance(session, play)
    moved = session.frame.entities
    assert not np.array_equal(moved, at_rest(source.scene.slots))
    session.rewind(20)
    advance(session, play[20:60])
    before = session.frame
    session.swap(dream, spawn_of(dream))
    assert np.array_equal(session.frame.entities, before.entities) and session.frame.happening == before.happening
    advance(session, play[:20])
    session.rewind(session.tick - 12)
    advance(session, play[5:20])
    before = session.frame
    session.swap(source, spawn_of(source))
    assert np.array_equal(session.frame.entities, before.entities) and session.frame.happening == before.happening
    advance(session, play[:20])
    session.close()
    called = [r.data["action"] for r in read_trace(trace).records if r.kind == "tick"]
    assert len(called[0]) == source.scene.action_space.size
    with Replay(read_trace(trace), trace) as replay:
        done = replay.run()
        assert done.identical, f"tick {done.first_difference}"
        assert np.array_equal(replay.session.frame.entities, session.frame.entities)
        assert replay.session.frame.happening == session.frame.happening


@pytest.mark.parametrize("kind", ["source", "dream"])
def test_frames_and_entities_are_the_same_without_drafts_with_three_and_as_many_as_fit(kind, request, play):
    loaded, told = request.getfixturevalue(kind), []
    for speculate in ("off", "3", "auto"):
        session = Session(loaded, spawn_of(loaded), SessionSettings(speculate, seed=3))
        frames = []
        for action in play[:60]:
            session.slack(FOREVER)
            result = session.advance(action)
            frames.append((result.digest, quantised(result.frame.entities), result.frame.happening))
        told.append(frames)
        assert speculate == "off" or session.drafts.accepted > 0
    assert told[0] == told[1] == told[2]


@pytest.mark.parametrize("kind", ["source", "dream"])
def test_going_back_brings_back_the_entities_and_events_of_that_tick(kind, request, play):
    loaded = request.getfixturevalue(kind)
    session = Session(loaded, spawn_of(loaded), SessionSettings("off", seed=3))
    seen = [session.frame]
    for action in play[:60]:
        seen.append(session.advance(action).frame)
    for tick in (50, 37, 6, 0):
        for frame in (session.peek(tick), session.rewind(tick)):
            assert np.array_equal(frame.entities, seen[tick].entities) and frame.happening == seen[tick].happening
    again = session.advance(play[0]).frame
    assert np.array_equal(again.entities, seen[1].entities) and np.array_equal(again.pixels, seen[1].pixels)


def test_a_start_with_events_and_entities_of_ones_own_is_in_the_trace(source, living, play, tmp_path):
    rows = at_rest(living.slots)
    rows[0, 0] += 0.1234567890123  # no whole quanta: a true engine keeps none
    gem = next(i for i, slot in enumerate(living.slots) if slot.counted)
    rows[gem, ON] = 0
    own = Spawn("mine", np.zeros((48, 64, 3), np.uint8), Pose(4, 1.2, Look(0, 0)), rows)
    session = Session(source, with_events(living, own, ["night", "fog"]), SessionSettings("off", seed=1))
    assert session.frame.happening.under_way(living.events) == ("night", "fog")
    assert session.frame.happening.levels[1] == 1
    assert counted(living.slots, session.frame.entities) == (1, 2)
    session.record(tmp_path / "a.jsonl")
    advance(session, play[:20])
    session.close()
    with Replay(read_trace(tmp_path / "a.jsonl"), tmp_path / "a.jsonl") as replay:
        assert replay.run().identical
        assert np.array_equal(replay.session.frame.entities, session.frame.entities)


def test_a_named_start_keeps_its_events_in_a_trace_and_through_a_swap(source, dream, living):
    spawn = with_events(living, spawn_of(source), ["night"])
    note = spawn_note(source.entry, spawn)
    assert "picture" not in note and read_spawn_note(source.entry, note, "x").happening == spawn.happening
    assert spawn_after_swap(source.entry, source.entry, spawn).happening == spawn.happening
    assert "events" not in spawn_note(source.entry, spawn_of(source))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"events": {"steps": [1], "left": [1]}}, "must tell of the scene's 4 events, got 1"),
        ({"events": {"steps": [9, 0, 0, 0], "left": [0, 0, 0, 0]}}, "must lie in"),
        ({"events": 3}, "must be a mapping"),
        ({"entities": [[0.0] * 11]}, "must be 10 lists of 11 numbers"),
        ({"entities": [[1e300] * 11] * 10}, "must lie in"),
        ({"entities": "all"}, "must be 10 lists"),
    ],
)
def test_a_traces_start_that_does_not_fit_the_scene_is_said(source, living, change, message):
    own = Spawn("mine", np.zeros((48, 64, 3), np.uint8), None, at_rest(living.slots))
    with pytest.raises(TraceError, match=message):
        read_spawn_note(source.entry, spawn_note(source.entry, own) | change, "a.jsonl, line 1")


def test_a_checkpoints_start_keeps_entities_and_events(dream, dream_folder, living, tmp_path):
    rows = values_of(quantised(at_rest(living.slots) + 0.3))
    happening = Happening.begun(living.events, ["fog"], living.tick_hz)
    entry = SpawnEntry.of(Spawn("a", np.zeros((48, 64, 3), np.uint8), None, rows, happening))
    again = from_mapping(SpawnEntry, json.loads(json.dumps(to_mapping(entry))), "spawn")
    again.check(living)
    assert again == entry and again.events == happening
    assert np.array_equal(values_of(again.entities), rows)
    plain = read_checkpoint(dream_folder)
    with pytest.raises(ConfigError, match="must tell of the scene's 10 entities, got 9"):
        replace(plain.info, spawns=(replace(entry, entities=entry.entities[1:]),), files={"spawns/a.png": "0" * 64})
    with pytest.raises(ConfigError, match="has 11 whole numbers, got 10"):
        replace(entry, entities=tuple(row[1:] for row in entry.entities)).check(living)


def test_beginning_afresh_keeps_what_lives_or_takes_the_starts_own(dream, living, play):
    session = Session(dream, spawn_of(dream), SessionSettings("off", seed=3))
    advance(session, play[:30])
    before = session.frame
    frame = session.reanchor(spawn_of(dream))
    assert np.array_equal(frame.entities, before.entities) and frame.happening == before.happening
    rows = at_rest(living.slots)
    rows[:, ON] = 0
    told = replace(with_events(living, spawn_of(dream), ["fog"]), entities=rows)
    frame = session.reanchor(told)
    assert np.array_equal(frame.entities, rows) and frame.happening == told.happening
    assert frame.tick == before.tick


def test_an_unknown_event_is_told_with_the_nearest(living):
    done = tool("play", SOURCE, "--headless", "--ticks", "1", "--events", "nigth")
    assert done.returncode == 2 and "no event is called 'nigth', did you mean 'night'?" in done.stderr
    begun = Happening.begun(living.events, ["fog", "day", "night"], living.tick_hz)
    assert begun.under_way(living.events) == ("night",) and begun.steps == (0, FADE, 0, 0)


def test_play_with_events_from_the_start_is_recorded_and_replayed(tmp_path):
    trace = str(tmp_path / "a.jsonl")
    done = tool("play", SOURCE, "--headless", "--ticks", "30", "--events", "night,fog", "--record", trace, "--json")
    assert done.returncode == 0, done.stderr
    assert find_world(SOURCE).scene.name == "living"
    done = tool("replay", trace, "--verify", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["identical"], done.stdout + done.stderr


def test_the_window_is_told_what_was_found_and_which_events_last(living):
    from test_engine import wire_to

    from worldsim.engine.protocol import FrameShown, Note, Rewind

    space = living.action_space
    wire = wire_to(SOURCE, events=("night",))
    try:
        first = wire.until(lambda m: isinstance(m, FrameShown)) if not wire.seen else wire.seen[-1]
        assert first.found == (0, 2) and first.under_way == ("night",)
        assert wire.advance(space.make(fog=1)).under_way == ("night", "fog")
        for action in [space.make(yaw=-60)] * 3 + [space.make(walk=1)] * 50:  # past the pillar to the gem
            message = wire.advance(action)
            if message.found == (1, 2):
                break
        assert message.found == (1, 2), message
        wire.until(lambda m: isinstance(m, Note) and m.text == "gem found, 1 of 2")
        wire.engine.send(Rewind(0))
        back = wire.until(lambda m: isinstance(m, FrameShown) and m.tick == 0)
        assert back.found == (0, 2) and back.under_way == ("night",)
    finally:
        wire.engine.close()
