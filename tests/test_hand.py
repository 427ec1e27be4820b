"""Recorded counts of a mouse, played through the same sums as the window's."""

from __future__ import annotations

import json

import pytest
from support import tool

from worldsim.app.input import Input
from worldsim.errors import TraceError
from worldsim.play.hand import HandRecording, read_hand, recorded_hand

CSV = "ms,dx,dy\n0,4,0\n30,5,-2\n60,-3,0\n100,200,0\n399,0,7\n"


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "someone.csv"
    path.write_text(CSV)
    return path


def test_counts_come_at_their_times_and_again_from_the_beginning(recording):
    hand = HandRecording(read_hand(recording))
    assert [hand.until(ms) for ms in (50, 100, 100, 101, 400, 401, 450)] == [
        (9, -2), (-3, 0), (0, 0), (200, 0), (0, 7), (4, 0), (5, -2),
    ]  # fmt: skip


@pytest.mark.parametrize("invert", [False, True])
def test_a_recorded_hand_acts_as_the_same_mouse_in_the_window(recording, scene, invert):
    hand, window = recorded_hand(recording, scene, 0.15, invert), Input(scene.action_space, 0.15, invert)
    counts = HandRecording(read_hand(recording))
    for tick in range(1, 40):
        window.move(*counts.until(50 * tick))
        wanted = window.pending_deg()
        asked = window.sample()
        assert (next(hand), hand.wanted_deg) == (asked, wanted)
        used = scene.action_space.make(yaw=asked.values[3] - tick % 3, pitch=asked.values[4])
        for mouse in (hand, window):
            mouse.settle(asked, used)


@pytest.mark.parametrize(
    "text",
    ["", "1,2,3\n", "ms,dx,dy\n", "ms,dx,dy\n1,2\n", "ms,dx,dy\n1,2,x\n", "ms,dx,dy\n5,1,1\n4,1,1\n",
     "ms,dx,dy\n1,2,nan\n", "ms,dx,dy\n-1,0,0\n", "ms,dx,dy\n0,99999999999999999999,0\n", "\0" * 50],
)  # fmt: skip
def test_a_malformed_recording_is_one_sentence(tmp_path, text):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(TraceError, match=r"bad\.csv") as error:
        read_hand(path)
    assert "\n" not in str(error.value)


def test_a_recording_that_is_no_text_or_missing_is_one_sentence(tmp_path):
    (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\x80")
    for name in ("bad.csv", "none.csv", "."):
        with pytest.raises(TraceError, match="cannot be read"):
            read_hand(tmp_path / name)


def test_a_hand_plays_headless_and_its_trace_replays(checkpoint_folder, recording, tmp_path):
    trace = tmp_path / "hand.jsonl"
    done = tool("play", str(checkpoint_folder), "--headless", "--realtime", "--ticks", "60", "--json", "--threads", "1",
                "--backend", "eager", "--actions", f"hand:{recording}", "--record", str(trace))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["draft"]["accepted"] > 0
    replayed = tool("replay", str(trace), "--verify", "--json")
    assert replayed.returncode == 0 and json.loads(replayed.stdout)["identical"]
    bad = tool("play", str(checkpoint_folder), "--headless", "--actions", f"hand:{tmp_path / 'none.csv'}")
    assert bad.returncode == 2 and len(bad.stderr.strip().splitlines()) == 1
