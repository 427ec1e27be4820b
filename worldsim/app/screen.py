"""What is on the screen: the newest frame warped by the look since, the stack of overlays, screenshots.

Knows how things look and when to draw again, nothing of ticks, keys or the engine.
"""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path

import numpy as np
from PIL import Image

from worldsim.app.hud import Hud
from worldsim.app.overlays.base import Overlay
from worldsim.app.renderer import Renderer, fit
from worldsim.app.telemetry import Status
from worldsim.app.window import Window
from worldsim.camera import Look, homography
from worldsim.registry import OVERLAYS
from worldsim.scene import Scene

_DISPLAY_S = 1 / 60
_SEEN_FRAMES = 60  # kept to fill what lies beyond the newest frame's edge: three seconds
_DIMMED = 0.35


class Screen:
    """Draws into one window. The scene is the status's; it may be known, and the look turned, before its first frame
    has come. Set `dirty` to have a change drawn."""

    def __init__(self, window: Window, status: Status, screenshots: Path) -> None:
        self._window, self._screenshots = window, screenshots
        self._renderer = Renderer(window.gl)
        self.status = status
        hud = Hud()
        self.overlays: dict[str, Overlay] = {name: OVERLAYS.get(name)(hud) for name in OVERLAYS.names()}
        """Bottom to top."""
        self.shown = {name for name, overlay in self.overlays.items() if overlay.on_at_start}
        """Which of them are switched on."""
        self.shown_look = Look()  # the look the newest frame was made for
        self.reproject = True
        self.dirty = False
        self.shot_wanted = False
        self.submitted_s = 0.0  # what the last picture took until the graphics driver had all of it
        self._seen: deque[tuple[Look, np.ndarray]] = deque(maxlen=_SEEN_FRAMES)
        self._tick = -1
        self._earlier: Look | None = None  # of the frame that fills the edges
        self._drawn_at = self._note_until = 0.0
        self._uploaded: dict[str, tuple[float, tuple[int, int]]] = {}  # overlay -> when it was drawn, for what room

    @property
    def warps(self) -> bool:
        """Whether a turn of the look shows before its frame has come: wanted, and there is a camera to turn."""
        return self.reproject and self.status.scene is not None and self.status.scene.camera is not None

    def enter(self, checkpoint: str, scene: Scene) -> None:
        """Another world is shown from now on. The frames of another scene are forgotten."""
        if scene != self.status.scene:
            self._forget_seen()
            self._renderer.forget_frames()
            self.shown_look = Look()
        self.status.enter(checkpoint, scene)
        self.shown -= {n for n, o in self.overlays.items() if o.takes_keys and not o.wanted(self.status)}
        self.refresh()

    def take_frame(self, pixels: np.ndarray, look: Look | None, tick: int) -> None:
        """Show a new frame, uint8 (H, W, 3), made for `look`, which is None without a camera."""
        self._renderer.upload_frame(pixels)
        if tick != self._tick + 1:  # gone back, begun again: what was seen before is of another time
            self._forget_seen()
        self.shown_look, self._tick, self.dirty = look or Look(), tick, True
        if look is not None:
            self._seen.append((look, pixels))

    def note(self, text: str, seconds: float = 6.0) -> None:
        """Say something in the bar for a while."""
        self.status.note, self._note_until = text, time.perf_counter() + seconds
        self.refresh()

    def refresh(self) -> None:
        """Draw again soon, every overlay included."""
        self._uploaded.clear()
        self.dirty = True

    def toggle(self, name: str) -> None:
        """Switch an overlay on or off."""
        self.shown ^= {name}
        self.refresh()

    def stack(self) -> list[tuple[str, Overlay]]:
        """The overlays on the screen, bottom to top."""
        return [(n, o) for n, o in self.overlays.items() if n in self.shown and o.wanted(self.status)]

    def takes_keys(self) -> tuple[str, Overlay] | None:
        """The topmost overlay that keys go to; None if they go to the program and the world."""
        return next(((name, overlay) for name, overlay in reversed(self.stack()) if overlay.takes_keys), None)

    def due(self, moving: bool) -> bool:
        """True if something has changed and the display's last picture is old enough. moving: the look has changed."""
        now = time.perf_counter()
        if now - self._drawn_at < _DISPLAY_S:
            return False
        return self.dirty or moving or any(self._is_stale(name, overlay, now) for name, overlay in self.stack())

    def draw(self, newest_look: Look) -> float:
        """Draw everything as seen by somebody who looks along `newest_look`. Returns when it was on the display."""
        begun = time.perf_counter()
        if begun > self._note_until:
            self.status.note = ""
        size, stack, scene = self._window.size, self.stack(), self.status.scene
        self._renderer.begin(size)
        room = size[0], max(size[1] - sum(overlay.strip(size) for _, overlay in stack), 1)
        if scene is not None:
            dim = _DIMMED if any(overlay.dims for _, overlay in stack) else 1.0
            warp, earlier = self._warp(scene, self.shown_look, newest_look), self._warp_earlier(scene, newest_look)
            self._renderer.draw_frame(fit(*room, scene.frame.aspect), warp, dim, earlier)
        floor = size[1]
        for name, overlay in stack:
            strip = overlay.strip(size)
            floor -= strip
            if strip:
                self._draw_overlay(name, overlay, floor, (size[0], strip))
            else:
                self._draw_overlay(name, overlay, 0, room)
        if self.shot_wanted:
            self._save_screenshot()
        self.submitted_s = time.perf_counter() - begun
        self._window.flip()
        self._drawn_at, self.dirty = time.perf_counter(), False
        return self._drawn_at

    def _draw_overlay(self, name: str, overlay: Overlay, top: int, room: tuple[int, int]) -> None:
        """Draw one into its room, which begins `top` pixels below the window's top."""
        now = time.perf_counter()
        if self._is_stale(name, overlay, now) or self._uploaded[name][1] != room:
            self._renderer.upload_overlay(name, overlay.draw(room, self.status))
            self._uploaded[name] = now, room
        x, y = overlay.place(self._renderer.overlay_size(name), room)
        self._renderer.draw_overlay(name, x, top + y)

    def _is_stale(self, name: str, overlay: Overlay, now: float) -> bool:
        return name not in self._uploaded or now - self._uploaded[name][0] > overlay.max_age_s

    def _forget_seen(self) -> None:
        self._seen.clear()
        self._earlier = None

    def _warp(self, scene: Scene, shown: Look, newest: Look) -> np.ndarray:
        """From where the player looks now to where a frame was made for."""
        if not self.warps or newest == shown or scene.camera is None:
            return np.eye(3)
        return homography(scene.camera, scene.frame.aspect, shown, newest)

    def _warp_earlier(self, scene: Scene, newest: Look) -> np.ndarray | None:
        """Have the frame of the last seconds that was made nearest to where the player looks now fill the edges; None
        if that is the newest one. Turning back, it shows them all but for the steps walked since."""
        if not self.warps or newest == self.shown_look or not self._seen:
            return None
        look, pixels = min(self._seen, key=lambda seen: _apart(seen[0], newest))
        if _apart(look, newest) >= _apart(self.shown_look, newest):
            return None
        if look is not self._earlier:
            self._renderer.upload_earlier(pixels)
            self._earlier = look
        return self._warp(scene, look, newest)

    def _save_screenshot(self) -> None:
        """Keep what has just been drawn: before the flip, since what a buffer holds after it is undefined."""
        self.shot_wanted = False
        name = f"worldsim-{time.strftime('%Y%m%d-%H%M%S')}-{int(time.time() * 1e3) % 1000:03d}.png"
        path = self._screenshots / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(self._renderer.read()).save(path)
            self.note(f"wrote {path}")
        except OSError as error:
            self.note(f"{path} cannot be written: {error.strerror}")


def _apart(a: Look, b: Look) -> float:
    """Degrees between two looks, about; yaw within a turn."""
    yaw = (a.yaw_deg - b.yaw_deg + 180.0) % 360.0 - 180.0
    return abs(yaw) + abs(a.pitch_deg - b.pitch_deg)
