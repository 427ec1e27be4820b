"""The engine process, spoken to as the window speaks to it."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support import ROOT

from worldsim.engine.process import EngineProcess
from worldsim.engine.protocol import (
    SLOTS,
    Advance,
    Dropped,
    EngineSettings,
    Failed,
    FrameShown,
    Note,
    Ready,
    Record,
    Recording,
    Replayed,
    Rewind,
    StartReplay,
    Swap,
)
from worldsim.play.trace import read_trace
from worldsim.scene import load_scene, parse_scene

BOUNCE = f"source:{ROOT / 'examples' / 'bounce.yaml'}"


class Wire:
    """An engine, the messages it has sent, and a window's manners: frames are taken, actions carry the epoch."""

    def __init__(self, settings: EngineSettings) -> None:
        self.engine = EngineProcess(settings)
        self.seen: list[Any] = []
        self._unread: deque[Any] = deque()
        self.epoch = 0
        self.takes_frames = True
        self.pixels: np.ndarray | None = None
        self._id = 0

    def until(self, wanted: Callable[[Any], bool], seconds: float = 120.0) -> Any:
        """The first message, from now on, that `wanted` accepts."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self._unread:
                self.engine.wait(0.1)
                self._unread.extend(self.engine.receive())
                continue
            message = self._unread.popleft()
            self.seen.append(message)
            if isinstance(message, Ready):
                self.epoch = message.epoch
            if isinstance(message, FrameShown) and self.takes_frames:
                self.pixels = self.engine.take(message)
            if wanted(message):
                return message
        raise AssertionError(f"no such message; the last were {self.seen[-5:]}")

    def until_kind(self, kind: type) -> Any:
        return self.until(lambda m: isinstance(m, kind))

    def send_advance(self, values: tuple[int, ...], epoch: int | None = None, period_s: float = 0.05, **more) -> int:
        self._id += 1
        epoch = self.epoch if epoch is None else epoch
        self.engine.send(Advance(values, self._id, epoch, period_s, self.engine.seen, **more))
        return self._id

    def advance(self, action, **more) -> Any:
        id = self.send_advance(action.values, **more)
        return self.until(lambda m: isinstance(m, FrameShown | Dropped) and m.id == id)


def wire_to(name: str, **settings) -> Wire:
    wire = Wire(EngineSettings(name, threads=1, backend="eager", **settings))
    wire.until_kind(FrameShown)
    return wire


@pytest.fixture
def wire(checkpoint_folder):
    wire = wire_to(str(checkpoint_folder))
    yield wire
    wire.engine.close()


@pytest.fixture
def bounce(monkeypatch):
    """A scene of other controls, in this process and in the engine's."""
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "examples"), str(ROOT)]))
    monkeypatch.setenv("WORLDSIM_PLUGINS", "bounce")
    import bounce as module  # noqa: F401  registers itself

    return BOUNCE


def test_an_engine_makes_the_frames_of_a_session_in_process(wire, loaded, checkpoint_folder, some_actions):
    from worldsim.play.session import Session, SessionSettings
    from worldsim.worlds.catalogue import find_world

    session = Session(loaded, find_world(str(checkpoint_folder)).spawn(None), SessionSettings("off"))
    for action in some_actions[:10]:
        message = wire.advance(action)
        assert message.action == action.values
        assert np.array_equal(wire.pixels, session.advance(action).frame.pixels)


def test_a_frame_says_which_action_it_used_near_what_a_hand_wanted(checkpoint_folder, scene):
    """At rest the draft of no motion is as good as one of less than the tolerance."""
    wire = wire_to(str(checkpoint_folder), tolerance_deg=1.0)
    idle, turned, used = scene.action_space.idle, scene.action_space.make(yaw=2), []
    for number in range(20):
        turns = number % 2 == 1
        asked, wanted_deg = (turned, (0.6, 0.0)) if turns else (idle, (0.0, 0.0))
        message = wire.advance(asked, wanted_deg=wanted_deg, period_s=5.0)
        assert message.drafted or message.action == asked.values
        used += [message.action] if turns else []
        time.sleep(0.25)  # for a draft
    wire.engine.close()
    assert idle.values in used


def test_a_replay_comes_to_its_end_and_play_goes_on(wire, some_actions, tmp_path):
    wire.advance(some_actions[0])
    wire.engine.send(Record(str(tmp_path / "a.jsonl")))
    wire.until_kind(Recording)
    for action in some_actions[1:6]:
        last = wire.advance(action)
    wire.engine.send(Record(None))
    wire.engine.send(StartReplay(str(tmp_path / "a.jsonl")))
    wire.until(lambda m: isinstance(m, FrameShown) and m.replaying)
    message = wire.advance(some_actions[0])
    while message.replaying:
        message = wire.advance(some_actions[0])
    assert any(isinstance(m, Replayed) and m.identical and m.ticks == 6 for m in wire.seen)
    assert message.tick == last.tick
    assert wire.advance(some_actions[0]).tick == last.tick + 1


def test_a_failed_swap_or_replay_leaves_the_session_running(wire, some_actions, tmp_path):
    wire.advance(some_actions[0])
    wire.engine.send(Swap("nowhere"))
    assert "nowhere" in wire.until(lambda m: isinstance(m, Note) and "not swapped" in m.text).text
    (tmp_path / "bad.jsonl").write_text("nonsense\n")
    wire.engine.send(StartReplay(str(tmp_path / "bad.jsonl")))
    wire.until(lambda m: isinstance(m, Note) and "not a worldsim trace" in m.text)
    assert wire.advance(some_actions[1]).tick == 2


def test_a_swap_happens_in_the_background_and_keeps_the_tick(wire, other_folder, some_actions):
    for action in some_actions[:5]:
        wire.advance(action)
    epoch = wire.epoch
    wire.engine.send(Swap(str(other_folder)))
    ready = wire.until_kind(Ready)
    assert ready.checkpoint == str(other_folder) and ready.epoch == epoch, "the scene is the same"
    assert wire.advance(some_actions[5]).tick == 6


def test_the_steps_asked_for_hold_for_a_world_swapped_in(checkpoint_folder, other_folder, some_actions, tmp_path):
    wire = wire_to(str(checkpoint_folder), steps=1, record=str(tmp_path / "a.jsonl"))
    wire.advance(some_actions[0])
    wire.engine.send(Swap(str(other_folder)))
    wire.until_kind(Ready)
    wire.advance(some_actions[1])
    wire.engine.close()
    trace = read_trace(tmp_path / "a.jsonl")
    assert trace.header.steps == 1
    assert [r.data["steps"] for r in trace.records if r.kind == "swap"] == [1]


def test_an_action_of_the_scene_before_is_dropped_and_answered(bounce, wire, some_actions):
    """A swap to a scene of other controls may cross an action that is on its way."""
    wire.advance(some_actions[0])
    before = wire.epoch
    wire.engine.send(Swap(bounce))
    scene = parse_scene(wire.until_kind(Ready).scene, "test")
    assert wire.epoch > before and [c.name for c in scene.controls] == ["push"]
    late = wire.send_advance(some_actions[1].values, epoch=before)
    assert wire.until_kind(Dropped).id == late
    shown = wire.advance(scene.action_space.make(push=1))
    assert shown.tick == 1 and shown.look is None and shown.size == (64, 64) and shown.reward == 0.0


def test_values_that_no_scene_allows_are_dropped_with_a_note(wire):
    id = wire.send_advance((99, 99))
    assert wire.until_kind(Dropped).id == id
    assert any(isinstance(m, Note) and "must be a list of 6" in m.text for m in wire.seen)


def test_a_world_with_a_true_engine_can_be_swapped_in(wire):
    """It is opened in another thread than the one that draws with it."""
    wire.engine.send(Swap("source:gallery"))
    wire.until_kind(Ready)
    walk = load_scene("gallery").action_space.make(walk=1)
    shown = [wire.advance(walk) for _ in range(3)]
    assert [s.tick for s in shown] == [1, 2, 3] and wire.pixels.std() > 10


def test_a_replay_of_another_scene_is_told_and_told_back(bounce, wire, some_actions, tmp_path):
    from worldsim.play.session import Session
    from worldsim.worlds.catalogue import open_world

    with open_world(bounce) as game:
        session = Session(game)
        session.record(tmp_path / "a.jsonl")
        for push in (1, 1, -1):
            session.advance(session.scene.action_space.make(push=push))
        session.close()
    own = wire.epoch
    wire.engine.send(StartReplay(str(tmp_path / "a.jsonl")))
    ready = wire.until_kind(Ready)
    assert ready.replaying and ready.scene["name"] == "bounce" and ready.epoch > own
    wire.until(lambda m: isinstance(m, FrameShown) and m.size == (64, 64))
    message = wire.advance(some_actions[0])
    while isinstance(message, FrameShown) and message.replaying:
        message = wire.advance(some_actions[0])
    back = [m for m in wire.seen if isinstance(m, Ready)][-1]
    assert not back.replaying and back.scene["name"] == "gallery" and back.epoch == message.epoch > ready.epoch
    assert message.size == (96, 160)


def test_running_ahead_never_writes_over_a_frame_that_was_not_taken(wire, some_actions, tmp_path):
    for action in some_actions[:20]:
        wire.advance(action)
    wire.engine.send(Record(str(tmp_path / "a.jsonl")))  # its first twenty ticks are run through at once
    wire.advance(some_actions[20])
    wire.engine.send(Record(None))
    wire.takes_frames = False
    wire.engine.send(StartReplay(str(tmp_path / "a.jsonl")))
    wire.until(lambda m: isinstance(m, FrameShown) and m.replaying)
    with pytest.raises(AssertionError):  # until nothing more comes
        wire.until(lambda m: False, seconds=3.0)
    out = [m for m in wire.seen if isinstance(m, FrameShown) and m.serial > wire.engine.seen]
    assert 2 <= len(out) <= SLOTS - 1 and len({m.slot for m in out}) == len(out)
    wire.takes_frames = True
    for message in out:
        wire.engine.take(message)
    last = wire.until(lambda m: isinstance(m, FrameShown) and m.replaying)
    assert last.tick == 20, "the last frame of all that was run through is shown"


@pytest.mark.skipif(sys.platform != "linux", reason="a disk that is full at once is Linux's /dev/full")
def test_a_recording_that_finds_no_room_from_its_start_is_refused_and_play_goes_on(wire, some_actions):
    wire.engine.send(Record("/dev/full"))
    wire.until(lambda m: isinstance(m, Note) and "cannot be written" in m.text)
    assert wire.advance(some_actions[0]).tick == 1


def test_a_recording_that_ends_by_itself_is_told(wire, some_actions, tmp_path):
    """A pipe that nobody reads any more fails as a full disk does, and can be made to at any time."""
    os.mkfifo(tmp_path / "a.jsonl")
    reader = os.open(tmp_path / "a.jsonl", os.O_RDONLY | os.O_NONBLOCK)
    wire.engine.send(Record(str(tmp_path / "a.jsonl")))
    assert wire.until_kind(Recording).path is not None
    os.close(reader)
    wire.send_advance(some_actions[0].values)
    told = wire.until_kind(Recording)
    assert told.path is None and "recording stopped" in told.text
    assert wire.advance(some_actions[1]).tick == 2


def test_figures_on_drafts_come_now_and_then_and_counters_with_each_frame(wire, some_actions):
    begun = time.monotonic()
    shown = [wire.advance(action) for action in some_actions[:30]]
    most = (time.monotonic() - begun) / 0.5 + 1
    assert sum(m.draft is not None for m in shown) <= most
    assert all(m.accepted + m.missed <= m.tick for m in shown)


def test_worlds_are_closed_when_they_cannot_be_gone_back_to(checkpoint_folder, other_folder, some_actions, monkeypatch):
    from multiprocessing import Pipe
    from multiprocessing.shared_memory import SharedMemory

    from worldsim.engine.protocol import SLOT_BYTES
    from worldsim.engine.server import Engine
    from worldsim.worlds.neural import NeuralWorld

    closed = []
    monkeypatch.setattr(NeuralWorld, "close", lambda world: closed.append(world))
    memory = SharedMemory(create=True, size=SLOTS * SLOT_BYTES)
    ours, theirs = Pipe()
    try:
        engine = Engine(theirs, memory, EngineSettings(str(checkpoint_folder), threads=1, backend="eager"))
        session, first = engine._session, engine._session.loaded
        for action in some_actions[:3]:
            session.advance(action)
        assert engine._loader.begin(str(other_folder), session.origin)
        while session.loaded is first:
            engine._apply_loaded()
        session.advance(some_actions[3])
        engine._close_unused()
        assert not closed, "the first world can be gone back to"
        second = session.loaded
        session.rewind(1)
        engine._close_unused()
        assert closed == [second.world] and session.loaded is first
        engine.close()
        assert closed == [second.world, first.world]
    finally:
        ours.close()
        memory.close()
        memory.unlink()


def test_an_engine_that_cannot_start_says_why_once():
    wire = Wire(EngineSettings("nowhere"))
    assert "no checkpoint is called 'nowhere'" in wire.until_kind(Failed).text
    time.sleep(0.5)
    assert not wire.engine.receive()
    wire.engine.close()


def test_keys_meant_for_a_replay_do_not_change_the_session_behind_it(wire, some_actions, tmp_path):
    wire.engine.send(Record(str(tmp_path / "a.jsonl")))
    for action in some_actions[:8]:
        wire.advance(action)
    wire.engine.send(Record(None))
    wire.engine.send(StartReplay(str(tmp_path / "a.jsonl")))
    wire.until(lambda m: isinstance(m, FrameShown) and m.replaying)
    wire.advance(some_actions[0])
    wire.engine.send(Rewind(2))
    wire.until(lambda m: isinstance(m, FrameShown) and not m.replaying and m.tick == 8)
    assert wire.advance(some_actions[8]).tick == 9
