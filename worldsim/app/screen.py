"""What is on the screen: the newest frame warped by the look since, the status bar, cards, screenshots.

Knows how things look and when to draw again, nothing of ticks, keys or the engine.
"""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path

import numpy as np
from PIL import Image

from worldsim.app.hud import BAR_HEIGHT, Hud, Status
from worldsim.app.renderer import Renderer, fit
from worldsim.app.window import Window
from worldsim.camera import Look, homography
from worldsim.scene import Scene

_DISPLAY_S = 1 / 60
_BAR_S = 0.25
_SEEN_FRAMES = 60  # kept to fill what lies beyond the newest frame's edge: three seconds


class Screen:
    """Draws into one window. What it shows are its public fields; set `dirty` to have a change drawn. The scene may be
    known, and the look turned, before its first frame has come."""

    def __init__(self, window: Window, status: Status, screenshots: Path) -> None:
        self._window, self._screenshots = window, screenshots
        self._renderer = Renderer(window.gl)
        self._hud = Hud()
        self.status = status
        self.scene: Scene | None = None  # none yet: the loading card
        self.shown_look = Look()  # the look the newest frame was made for
        self.card = False
        self.bar = True
        self.reproject = True
        self.timeline = False
        self.dirty = False
        self.shot_wanted = False
        self.submitted_s = 0.0  # what the last picture took until the graphics driver had all of it
        self._seen: deque[tuple[Look, np.ndarray]] = deque(maxlen=_SEEN_FRAMES)
        self._tick = -1
        self._earlier: Look | None = None  # of the frame that fills the edges
        self._drawn_at = self._bar_at = self._note_until = 0.0
        self._bar_width = 0

    def take_frame(self, pixels: np.ndarray, look: Look, tick: int) -> None:
        """Show a new frame, uint8 (H, W, 3), made for `look`."""
        self._renderer.upload_frame(pixels)
        if tick != self._tick + 1:  # gone back, begun again: what was seen before is of another time
            self._seen.clear()
        self._seen.append((look, pixels.copy()))
        self.shown_look, self._tick, self.dirty = look, tick, True

    def note(self, text: str, seconds: float = 6.0) -> None:
        """Say something in the bar for a while."""
        self.status.note, self._note_until = text, time.perf_counter() + seconds
        self.refresh()

    def refresh(self) -> None:
        """Draw again soon, the bar included."""
        self._bar_at, self.dirty = 0.0, True

    def due(self, moving: bool) -> bool:
        """True if something has changed and the display's last picture is old enough. moving: the look has changed."""
        now = time.perf_counter()
        stale_bar = self.bar and now - self._bar_at > _BAR_S
        return (self.dirty or moving or stale_bar) and now - self._drawn_at >= _DISPLAY_S

    def draw(self, newest_look: Look) -> float:
        """Draw everything as seen by somebody who looks along `newest_look`. Returns when it was on the display."""
        begun = time.perf_counter()
        width, height = self._window.size
        bar = BAR_HEIGHT if self.bar else 0
        self._renderer.begin((width, height))
        if self.scene is None:
            text = "loading the network; the first start also finds out how it runs fastest here"
            self._draw_card(self._hud.loading_card(self.status.checkpoint, text, width), width, height)
        else:
            box = fit(width, max(height - bar, 1), self.scene.frame.aspect)
            warp, dim = self._warp(self.scene, self.shown_look, newest_look), 0.35 if self.card else 1.0
            self._renderer.draw_frame(box, warp, dim, self._warp_earlier(self.scene, newest_look))
            if bar:
                self._draw_bar(width, height)
            if self.timeline:
                period_ms = 1e3 / self.scene.tick_hz
                self._renderer.upload_overlay("timeline", self._hud.timeline(self.status, period_ms, width - 16))
                self._renderer.draw_overlay("timeline", 8, 8)
            if self.card:
                self._draw_card(self._hud.key_card(width, height - bar), width, height - bar)
        if self.shot_wanted:
            self._save_screenshot()
        self.submitted_s = time.perf_counter() - begun
        self._window.flip()
        self._drawn_at, self.dirty = time.perf_counter(), False
        return self._drawn_at

    def _warp(self, scene: Scene, shown: Look, newest: Look) -> np.ndarray:
        """From where the player looks now to where a frame was made for."""
        if not self.reproject or newest == shown or scene.camera is None:
            return np.eye(3)
        return homography(scene.camera, scene.frame.aspect, shown, newest)

    def _warp_earlier(self, scene: Scene, newest: Look) -> np.ndarray | None:
        """Have the frame of the last seconds that was made nearest to where the player looks now fill the edges; None
        if that is the newest one. Turning back, it shows them all but for the steps walked since."""
        if not self.reproject or newest == self.shown_look or not self._seen:
            return None
        look, pixels = min(self._seen, key=lambda seen: _apart(seen[0], newest))
        if _apart(look, newest) >= _apart(self.shown_look, newest):
            return None
        if look is not self._earlier:
            self._renderer.upload_earlier(pixels)
            self._earlier = look
        return self._warp(scene, look, newest)

    def _draw_card(self, card, width: int, height: int) -> None:
        self._renderer.upload_overlay("card", card)
        x, y = (width - card.get_width()) // 2, (height - card.get_height()) // 2
        self._renderer.draw_overlay("card", max(0, x), max(0, y))

    def _draw_bar(self, width: int, height: int) -> None:
        now = time.perf_counter()
        if now - self._bar_at > _BAR_S or self._bar_width != width:
            if now > self._note_until:
                self.status.note = ""
            self._renderer.upload_overlay("bar", self._hud.bar(self.status, width))
            self._bar_at, self._bar_width = now, width
        self._renderer.draw_overlay("bar", 0, height - BAR_HEIGHT)

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
