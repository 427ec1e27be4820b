"""A real window under Xvfb, driven by xdotool as a person would drive it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from support import ROOT, tool

from worldsim.play.trace import read_trace

pytestmark = [
    pytest.mark.gl,
    pytest.mark.skipif(
        not (shutil.which("Xvfb") and shutil.which("xdotool")), reason="needs Debian's xvfb and xdotool"
    ),
]


@pytest.fixture(scope="module")
def display():
    """A virtual screen of its own."""
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1024x768x24", "-nolisten", "tcp"], pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    number = os.read(read, 16).decode().strip()
    yield f":{number}"
    server.terminate()
    server.wait()


class Desk:
    """A playing window and hands on its keyboard and mouse."""

    def __init__(self, display: str, folder, *arguments: str) -> None:
        self.folder = folder
        self.env = {**os.environ, "DISPLAY": display, "XDG_STATE_HOME": str(folder / "state")}
        self.env.pop("SDL_VIDEODRIVER", None)
        plain = ["--backend", "eager", "--threads", "1"]  # nothing to measure at the start
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "play.py"), *arguments, "--json", *plain], cwd=folder, env=self.env,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def hands(self, *arguments: str) -> None:
        subprocess.run(["xdotool", *arguments], env=self.env, check=True)

    def screenshot(self) -> np.ndarray:
        """F12, then what it wrote."""
        before = set((self.folder / "screenshots").glob("*.png"))
        for _ in range(40):
            self.hands("key", "F12")
            time.sleep(0.6)
            new = set((self.folder / "screenshots").glob("*.png")) - before
            if new:
                return np.asarray(Image.open(new.pop()).convert("RGB"))
        raise AssertionError("no screenshot was written")

    def quit(self) -> dict:
        self.hands("key", "ctrl+q")
        out, err = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, err
        return json.loads(out)


def _wait_for(condition, seconds: float = 30.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("waited in vain")


def test_a_window_is_played_recorded_rewound_swapped_and_its_session_replays(display, checkpoint_folder, tmp_path):
    desk = Desk(display, tmp_path, str(checkpoint_folder), "--size", "640x400", "--recordings", "rec", "--spawn", "a")
    picture = desk.screenshot()  # waits until there is a window that answers; the card closes at the first key
    assert picture.shape == (400, 640, 3)
    _wait_for(lambda: desk.screenshot()[:350].std() > 10)  # the loading screen has given way to a frame
    desk.hands("mousemove", "300", "200", "click", "1")
    desk.hands("key", "F5")
    _wait_for(lambda: list((tmp_path / "rec").glob("*.jsonl")))
    trace_file = next((tmp_path / "rec").glob("*.jsonl"))
    desk.hands("keydown", "w")
    time.sleep(0.8)
    desk.hands("keyup", "w")
    desk.hands("mousemove_relative", "40", "0")
    time.sleep(0.6)
    desk.hands("keydown", "BackSpace")
    time.sleep(0.5)
    desk.hands("keyup", "BackSpace")
    time.sleep(0.5)
    desk.hands("key", "Tab")
    time.sleep(5)
    desk.hands("key", "F5")
    time.sleep(0.5)
    desk.hands("key", "F6")
    time.sleep(2)
    result = desk.quit()
    assert result["ticks"] > 20 and result["first_window_s"] < 1.0
    records = read_trace(trace_file).records
    actions = [r.data["action"] for r in records if r.kind == "tick"]
    assert any(a[0] == 1 for a in actions), "W never reached the world"
    assert any(a[3] > 0 for a in actions), "the mouse never reached the world"
    assert any(r.kind == "rewind" for r in records), "Backspace never went back"
    from worldsim.checkpoint import checkpoint_names

    if checkpoint_names():
        assert any(r.kind == "swap" for r in records), "Tab never swapped"
    done = tool("replay", str(trace_file), "--verify", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["identical"], done.stdout + done.stderr


def test_the_hud_keeps_off_the_picture(display, checkpoint_folder, tmp_path):
    """With the bar shown the picture gets smaller; nothing is drawn over it."""
    desk = Desk(display, tmp_path, str(checkpoint_folder), "--size", "640x400", "--no-card", "--spawn", "a")
    _wait_for(lambda: desk.screenshot()[:350].std() > 10)
    time.sleep(1.0)
    desk.hands("key", "p")
    time.sleep(0.5)
    with_bar = desk.screenshot()
    desk.hands("key", "F1")
    time.sleep(0.5)
    without = desk.screenshot()
    desk.quit()
    assert with_bar[-46:].mean() < 60  # the bar is dark, and where it was there is picture again
    assert np.abs(with_bar[-46:, 200:440].astype(float) - without[-46:, 200:440]).mean() > 20
    small = np.asarray(Image.fromarray(with_bar[:354, 25:615]).resize((160, 96), Image.Resampling.BOX), float)
    large = np.asarray(Image.fromarray(without[8:392]).resize((160, 96), Image.Resampling.BOX), float)
    assert np.abs(small - large).mean() < 12


def test_scripted_play_in_a_window_ends_by_itself(display, checkpoint_folder, tmp_path):
    desk = Desk(display, tmp_path, str(checkpoint_folder), "--size", "640x400", "--actions", "human", "--spawn", "a",
                "--ticks", "60", "--record", "a.jsonl")  # fmt: skip
    out, err = desk.process.communicate(timeout=60)
    assert desk.process.returncode == 0, err
    assert json.loads(out)["ticks"] == 60
    assert tool("replay", str(tmp_path / "a.jsonl"), "--verify").returncode == 0
