"""A real window under Xvfb, driven by xdotool as a person would drive it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from itertools import takewhile

import numpy as np
import pytest
from PIL import Image
from support import ROOT, tool

from worldsim.app.hud import BACKGROUND
from worldsim.play.trace import read_trace
from worldsim.worlds.catalogue import find_world

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


PATIENCE_S = 120.0  # other work may have all cores


def bar_share(rows: np.ndarray) -> float:
    """Share of pixels in the bar's own colour."""
    return float((np.abs(rows.astype(int) - np.array(BACKGROUND)).max(-1) <= 1).mean())


class Desk:
    """A playing window and hands on its keyboard and mouse."""

    def __init__(self, display: str, folder, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.env = {**os.environ, "DISPLAY": display, "XDG_STATE_HOME": str(folder / "state"), **(env or {})}
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
        begun = time.monotonic()
        while time.monotonic() - begun < PATIENCE_S:
            assert self.process.poll() is None, self.process.stderr and self.process.stderr.read()
            self.hands("key", "F12")
            time.sleep(0.6)
            new = set((self.folder / "screenshots").glob("*.png")) - before
            if new:
                return np.asarray(Image.open(new.pop()).convert("RGB"))
        raise AssertionError("no screenshot was written")

    def wait_for_picture(self) -> None:
        """Until the loading screen, which has no bar, has given way to a world."""
        self.wait_for(lambda: bar_share(self.screenshot()[-46:]) > 0.5)

    def wait_for(self, condition) -> None:
        """As long as the window lives and a slow machine may need."""
        begun = time.monotonic()
        while not condition():
            assert self.process.poll() is None, self.process.stderr and self.process.stderr.read()
            assert time.monotonic() - begun < PATIENCE_S, "waited in vain"
            time.sleep(0.1)

    def quit(self) -> dict:
        self.hands("key", "ctrl+q")
        out, err = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == 0, err
        return json.loads(out)


def _records(trace_file) -> list[str]:
    """Kinds of the records written so far."""
    return [json.loads(line)["kind"] for line in trace_file.read_text().split("\n")[:-1]]


def test_a_window_is_played_recorded_rewound_swapped_and_its_session_replays(display, checkpoint_folder, tmp_path):
    desk = Desk(display, tmp_path, str(checkpoint_folder), "--size", "640x400", "--recordings", "rec", "--spawn", "a")
    picture = desk.screenshot()  # waits until there is a window that answers; the card closes at the first key
    assert picture.shape == (400, 640, 3)
    desk.wait_for_picture()
    desk.hands("mousemove", "300", "200", "click", "1")
    desk.hands("key", "F5")
    desk.wait_for(lambda: list((tmp_path / "rec").glob("*.jsonl")))
    trace_file = next((tmp_path / "rec").glob("*.jsonl"))

    def played(ticks: int) -> None:
        """Wait until so many more ticks have been recorded."""
        wanted = _records(trace_file).count("tick") + ticks
        desk.wait_for(lambda: _records(trace_file).count("tick") >= wanted)

    desk.hands("keydown", "w")
    played(8)
    desk.hands("keyup", "w")
    desk.hands("mousemove_relative", "40", "0")
    played(8)
    desk.hands("keydown", "BackSpace")
    time.sleep(0.5)
    desk.hands("keyup", "BackSpace")
    desk.wait_for(lambda: "rewind" in _records(trace_file))
    from worldsim.checkpoint import checkpoint_names

    if checkpoint_names():
        desk.hands("key", "Tab")
        desk.wait_for(lambda: "swap" in _records(trace_file))
    played(5)
    desk.hands("key", "F5")
    desk.wait_for(lambda: _records(trace_file)[-1] == "summary")
    desk.hands("key", "F6")
    time.sleep(2)
    result = desk.quit()
    assert result["ticks"] > 20 and result["first_frame_s"] > result["first_window_s"]
    trace = read_trace(trace_file)
    controls = trace.header.controls
    pressed = {name: [] for name in controls}
    for record in takewhile(lambda r: r.kind != "swap", trace.records):
        for name, value in zip(controls, record.data.get("action", ()), strict=False):
            pressed[name].append(value)
    assert 1 in pressed["walk"], "W never reached the world"
    assert max(pressed["yaw"]) > 0, "the mouse never reached the world"
    done = tool("replay", str(trace_file), "--verify", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["identical"], done.stdout + done.stderr


def test_the_hud_keeps_off_the_picture(display, checkpoint_folder, tmp_path):
    """With the bar and the timeline shown the picture gets smaller; nothing is drawn over it."""
    desk = Desk(display, tmp_path, str(checkpoint_folder), "--size", "640x400", "--no-card", "--spawn", "a")
    desk.wait_for_picture()
    desk.hands("key", "p")
    time.sleep(1.0)
    with_bar = desk.screenshot()
    desk.hands("key", "F3")
    time.sleep(1.0)
    with_timeline = desk.screenshot()
    desk.hands("key", "F3")
    desk.hands("key", "F1")
    time.sleep(1.0)
    without = desk.screenshot()
    desk.quit()

    def small(pixels: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(pixels).resize((160, 96), Image.Resampling.BOX), float)

    # 640x384 fill the window but for 8 rows above and below; 590x354 are left beside the bar, 430x258 beside both.
    assert bar_share(with_bar[-46:]) > 0.75 > 0.05 > bar_share(without[-46:-8])
    assert bar_share(with_timeline[-142:-46, :420]) > 0.6
    assert np.abs(small(with_bar[:354, 25:615]) - small(without[8:392])).mean() < 12
    assert np.abs(small(with_timeline[:258, 105:535]) - small(without[8:392])).mean() < 12


def test_scripted_play_in_a_window_ends_by_itself(display, checkpoint_folder, tmp_path):
    desk = Desk(display, tmp_path, str(checkpoint_folder), "--size", "640x400", "--actions", "human", "--spawn", "a",
                "--ticks", "60", "--record", "a.jsonl")  # fmt: skip
    out, err = desk.process.communicate(timeout=PATIENCE_S)
    assert desk.process.returncode == 0, err
    assert json.loads(out)["ticks"] == 60
    assert tool("replay", str(tmp_path / "a.jsonl"), "--verify").returncode == 0


def test_tab_goes_from_a_game_without_a_camera_to_a_dream_and_its_script_goes_with_it(display, tmp_path):
    """The scripted player presses each scene's own keys, and the session replays."""
    env = {"PYTHONPATH": os.pathsep.join([str(ROOT / "examples"), str(ROOT)]), "WORLDSIM_PLUGINS": "bounce"}
    desk = Desk(display, tmp_path, f"source:{ROOT / 'examples' / 'bounce.yaml'}", "--size", "640x400", "--actions",
                "random", "--record", "a.jsonl", env=env)  # fmt: skip
    desk.wait_for_picture()
    assert desk.screenshot()[100:300, :100].max() < 20, "a square picture leaves the sides of a wide window empty"
    trace_file = tmp_path / "a.jsonl"
    desk.hands("key", "Tab")
    desk.wait_for(lambda: "swap" in _records(trace_file))

    def ticks_since() -> int:
        records = _records(trace_file)
        return records[records.index("swap") :].count("tick")

    desk.wait_for(lambda: ticks_since() >= 20)
    desk.quit()
    sizes = [len(r.data["action"]) for r in read_trace(trace_file).records if r.kind == "tick"]
    assert set(sizes) == {1, find_world("gallery").scene.action_space.size} and sizes == sorted(sizes)
    done = tool("replay", str(trace_file), "--verify", "--json", env=env)
    assert done.returncode == 0 and json.loads(done.stdout)["identical"], done.stdout + done.stderr
