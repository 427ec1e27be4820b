"""The engine process, spoken to as the window speaks to it."""

from __future__ import annotations

import time

import numpy as np
import pytest

from worldsim.engine.server import EngineProcess, EngineSettings


class Wire:
    """An engine and the messages it has sent."""

    def __init__(self, settings: EngineSettings) -> None:
        self.engine = EngineProcess(settings)
        self.seen: list[dict] = []
        self._id = 0

    def until(self, wanted, seconds: float = 60.0) -> dict:
        """The first message, from now on, that `wanted` accepts."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.engine.wait(0.1)
            for message in self.engine.receive():
                self.seen.append(message)
                if wanted(message):
                    return message
        raise AssertionError(f"no such message; the last were {self.seen[-5:]}")

    def advance(self, action) -> dict:
        self._id += 1
        self.engine.send("advance", action=list(action.values), id=self._id, period_s=0.05)
        return self.until(lambda m: m["say"] == "frame" and m["id"] == self._id)


@pytest.fixture
def wire(checkpoint_folder):
    wire = Wire(EngineSettings(str(checkpoint_folder), threads=1, backend="eager"))
    wire.until(lambda m: m["say"] == "frame")
    yield wire
    wire.engine.close()


def test_an_engine_makes_the_frames_of_a_session_in_process(wire, loaded, checkpoint_folder, some_actions):
    from worldsim.play.session import Session, SessionSettings
    from worldsim.worlds.catalogue import find_world

    session = Session(loaded, find_world(str(checkpoint_folder)).spawn(None), SessionSettings("off"))
    for action in some_actions[:10]:
        message = wire.advance(action)
        assert np.array_equal(wire.engine.pixels(message), session.advance(action).frame.pixels)


def test_a_frame_says_which_action_it_used_near_what_a_hand_wanted(checkpoint_folder):
    """At rest the draft of no motion is as good as one of less than the tolerance."""
    wire = Wire(EngineSettings(str(checkpoint_folder), threads=1, backend="eager", tolerance_deg=1.0))
    wire.until(lambda m: m["say"] == "frame")
    idle, turned, used = [0, 0, 0, 0, 0], [0, 0, 0, 2, 0], []
    for number in range(-20, 0):
        turns = number % 2 == 1
        wire.engine.send(
            "advance", action=turned if turns else idle, wanted_deg=[0.6, 0.0] if turns else [0.0, 0.0], id=number,
            period_s=5.0,
        )  # fmt: skip
        message = wire.until(lambda m, id=number: m["say"] == "frame" and m["id"] == id)
        assert message["drafted"] or message["action"] == (turned if turns else idle)
        used += [message["action"]] if turns else []
        time.sleep(0.25)  # for a draft
    wire.engine.close()
    assert idle in used


def test_a_replay_comes_to_its_end_and_play_goes_on(wire, some_actions, tmp_path):
    wire.advance(some_actions[0])
    wire.engine.send("record", path=str(tmp_path / "a.jsonl"))
    wire.until(lambda m: m["say"] == "recording")
    for action in some_actions[1:6]:
        last = wire.advance(action)
    wire.engine.send("record", path=None)
    wire.engine.send("replay", path=str(tmp_path / "a.jsonl"))
    wire.until(lambda m: m["say"] == "frame" and m["replaying"])
    message = wire.advance(some_actions[0])
    while message["replaying"]:
        message = wire.advance(some_actions[0])
    assert any(m["say"] == "replayed" and m["identical"] and m["ticks"] == 6 for m in wire.seen)
    assert not message["replaying"] and message["tick"] == last["tick"]
    assert wire.advance(some_actions[0])["tick"] == last["tick"] + 1


def test_a_failed_swap_or_replay_leaves_the_session_running(wire, some_actions, tmp_path):
    wire.advance(some_actions[0])
    wire.engine.send("swap", checkpoint="nowhere")
    assert "nowhere" in wire.until(lambda m: m["say"] == "note" and "not swapped" in m["text"])["text"]
    (tmp_path / "bad.jsonl").write_text("nonsense\n")
    wire.engine.send("replay", path=str(tmp_path / "bad.jsonl"))
    wire.until(lambda m: m["say"] == "note" and "not a worldsim trace" in m["text"])
    assert wire.advance(some_actions[1])["tick"] == 2


def test_a_swap_happens_in_the_background_and_keeps_the_tick(wire, other_folder, some_actions):
    for action in some_actions[:5]:
        wire.advance(action)
    wire.engine.send("swap", checkpoint=str(other_folder))
    ready = wire.until(lambda m: m["say"] == "ready")
    assert ready["checkpoint"] == str(other_folder)
    assert wire.advance(some_actions[5])["tick"] == 6


def test_an_engine_that_cannot_start_says_why():
    wire = Wire(EngineSettings("nowhere"))
    assert "no checkpoint is called 'nowhere'" in wire.until(lambda m: m["say"] == "fatal")["text"]
    wire.engine.close()


def test_keys_meant_for_a_replay_do_not_change_the_session_behind_it(wire, some_actions, tmp_path):
    wire.engine.send("record", path=str(tmp_path / "a.jsonl"))
    for action in some_actions[:8]:
        wire.advance(action)
    wire.engine.send("record", path=None)
    wire.engine.send("replay", path=str(tmp_path / "a.jsonl"))
    wire.until(lambda m: m["say"] == "frame" and m["replaying"])
    wire.advance(some_actions[0])
    wire.engine.send("rewind", tick=2)
    wire.until(lambda m: m["say"] == "frame" and not m["replaying"] and m["tick"] == 8)
    assert wire.advance(some_actions[8])["tick"] == 9
