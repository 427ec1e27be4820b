"""The warped frame is what a camera that turned would see; beyond its edges an earlier frame fills in."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.gl

_SCRIPT = """
import json, sys
import numpy as np
from worldsim.app.renderer import Box, Renderer
from worldsim.app.window import Window
from worldsim.camera import Camera, Look, homography, rotation

camera, width, height = Camera(fov_deg=60.0), 160, 96
aspect = width / height
half = np.tan(np.radians(camera.fov_deg) / 2)
x = (np.arange(width) + 0.5) / width * 2 - 1
y = 1 - (np.arange(height) + 0.5) / height * 2

def seen(look):
    \"\"\"A smooth world of colours by direction, as the camera sees it along a look: uint8 (H, W, 3).\"\"\"
    rays = np.stack([*np.meshgrid(x * half * aspect, y * half), np.ones((height, width))], -1)
    world = (rays / np.linalg.norm(rays, axis=-1, keepdims=True)) @ rotation(look)
    return np.round(127.5 + 100 * np.sin(3 * world + np.array([0.0, 1.0, 2.0]))).astype(np.uint8)

window = Window((width, height), "test")
renderer = Renderer(window.gl)
found = []
for shown, newest in json.loads(sys.argv[1]):
    shown, newest = Look(*shown), Look(*newest)
    renderer.upload_frame(seen(shown))
    renderer.upload_earlier(seen(newest))
    warp = homography(camera, aspect, shown, newest)
    row = []
    for earlier in (None, np.eye(3)):
        renderer.begin((width, height))
        renderer.draw_frame(Box(0, 0, width, height), warp, 1.0, earlier)
        off = np.abs(renderer.read().astype(int) - seen(newest)).max(-1)
        near = abs(newest.yaw_deg - shown.yaw_deg) < 20
        row.append([float(off[20:-20, 45:-45].max()) if near else 0, float(off.max())])
    found.append(row)
print(json.dumps(found))
"""


def test_a_turned_frame_is_what_a_turned_camera_sees():
    """Up to 300 degrees a second, 15 a tick, and over more than one tick; pitch too."""
    looks = [[(0, 0), (0, 0)], [(10, 3), (14, 3)], [(350, -5), (365, -2)], [(90, 0), (60, 10)], [(0, 0), (200, 0)]]
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, json.dumps(looks)], capture_output=True, text=True,
        env={**os.environ, "SDL_VIDEODRIVER": "offscreen"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found[0][0][1] <= 2
    for (middle, alone), (_, filled) in found[1:]:
        assert middle <= 6, "the part that the newest frame shows is off"
        assert alone > 30, "without an earlier frame the edge is stretched, not invented"
        assert filled <= 6, "an earlier frame made for this very look fills all of it"


_EARLY = """
from pathlib import Path
from worldsim.app.screen import Screen
from worldsim.app.telemetry import Status
from worldsim.app.window import Window
from worldsim.camera import Look
from worldsim.scene import load_scene

screen = Screen(Window((320, 240), "test"), Status(checkpoint="test"), Path("."))
screen.enter("test", load_scene("gallery"))
screen.draw(Look(10.0, 0.0))
"""

_OTHER_SCENE = """
import json
from dataclasses import replace
from pathlib import Path
import numpy as np
from worldsim.app.screen import Screen
from worldsim.app.telemetry import Status
from worldsim.app.window import Window
from worldsim.camera import Look
from worldsim.scene import FrameSize, SourceConfig, load_scene

gallery = replace(load_scene("gallery"), frame=FrameSize(160, 96))
flat = replace(gallery, frame=FrameSize(64, 64), camera=None, source=SourceConfig("none"), events=())
screen = Screen(Window((400, 240), "test"), Status(), Path("."))
screen.toggle("bar")

def shown(look):
    screen.draw(look)
    return screen._renderer.read()

screen.enter("gallery", gallery)
screen.take_frame(np.full((96, 160, 3), 200, np.uint8), Look(0.0, 0.0), 0)
wide = shown(Look())
screen.enter("flat", flat)
between = shown(Look())
picture = np.zeros((64, 64, 3), np.uint8)
picture[:, :32] = 250
screen.take_frame(picture, None, 1)
square, turned = shown(Look()), shown(Look(20.0, 5.0))
print(json.dumps({
    "wide": [int((wide[120] > 150).all(-1).sum()), int((wide[:, 200] > 150).all(-1).sum())],
    "between": int(between.max()),
    "square": [int((square[120] > 150).all(-1).sum()), int((square[:, 100] > 150).all(-1).sum())],
    "same": bool((square == turned).all()),
}))
"""


def run(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "SDL_VIDEODRIVER": "offscreen"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_scene_of_another_size_and_without_a_camera_fits_and_is_not_warped():
    found = json.loads(run(_OTHER_SCENE).splitlines()[-1])
    assert found["wide"] == [400, 240]
    assert found["between"] < 30, "the picture of the scene before is not stretched to the new one's size"
    assert abs(found["square"][0] - 120) <= 4 and found["square"][1] == 240
    assert found["same"], "without a camera there is no look to turn"


def test_a_look_may_turn_before_the_first_frame_has_come():
    run(_EARLY)
