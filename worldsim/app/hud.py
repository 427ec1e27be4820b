"""What the window says: the status bar below the picture, the key card, the loading card. Draws text on surfaces.

The bar has its own strip of the window, so it never covers the picture.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pygame
import pygame.freetype

BAR_HEIGHT = 46
_TEXT = (225, 225, 230)
_FAINT = (150, 152, 162)
_ACCENT = (255, 196, 92)
_RECORD = (255, 92, 80)

TIMELINE_TICKS, TIMELINE_HEIGHT = 200, 96
# Parts of a tick, in the order in which they happen, each with its colour.
PARTS = {
    "input": (120, 124, 140), "commit": (86, 134, 214), "denoise": (236, 140, 72), "decode": (250, 208, 96),
    "draft": (112, 190, 128), "draw": (196, 120, 200),
}  # fmt: skip

KEYS = (
    ("W A S D, Shift", "walk, run"),
    ("mouse", "look; click to hold it, Esc frees it"),
    ("P   .", "pause, single step"),
    ("Backspace", "hold to rewind"),
    ("R", "start again"),
    ("F5   F6", "record, replay the last recording"),
    ("Tab", "next checkpoint"),
    ("F1   H", "status bar, this card"),
    ("F2   F3", "smooth look, timeline on or off"),
    ("F11   F12", "full screen, screenshot"),
    ("Ctrl+Q", "quit"),
)


@dataclass
class Status:
    """What the bar shows. Times in milliseconds over the last ticks."""

    checkpoint: str = ""
    tick: int = 0
    frame_times: deque[float] = field(default_factory=lambda: deque(maxlen=60))
    tick_ms: deque[float] = field(default_factory=lambda: deque(maxlen=200))
    latency_ms: deque[float] = field(default_factory=lambda: deque(maxlen=200))
    accepted: int = 0
    missed: int = 0
    hit_ms: float = 0.0
    plain_ms: float = 0.0
    late: int = 0
    recording_s: float | None = None
    timings: deque[dict[str, float]] = field(default_factory=lambda: deque(maxlen=TIMELINE_TICKS))  # ms by part
    mode: str = ""
    note: str = ""

    def fps(self) -> float:
        """Frames of the world a second, over the last three seconds or so."""
        if len(self.frame_times) < 2:
            return 0.0
        return (len(self.frame_times) - 1) / max(self.frame_times[-1] - self.frame_times[0], 1e-6)


class Hud:
    """Renders text with pygame.freetype."""

    def __init__(self) -> None:
        pygame.freetype.init()
        self._font = pygame.freetype.Font(None, 15)
        self._small = pygame.freetype.Font(None, 13)
        self._large = pygame.freetype.Font(None, 24)

    def bar(self, status: Status, width: int) -> pygame.Surface:
        """Two lines: speed and latency; where one is, and the newest note."""
        surface = pygame.Surface((width, BAR_HEIGHT), pygame.SRCALPHA)
        surface.fill((18, 18, 22, 255))
        drafts = status.accepted + status.missed
        hit = f"{100 * status.accepted / drafts:.0f} %" if drafts else "-"
        p50, p99 = _percentiles(status.tick_ms)
        latency, _ = _percentiles(status.latency_ms)
        cells = [
            (f"{status.fps():.1f}", "fps"), (f"{p50:.{int(p50 < 10)}f} / {p99:.0f} ms", "tick p50 / p99"),
            (f"{latency:.0f} ms", "input to display"), (hit, "drafts hit"), (f"{status.late}", "late"),
            (f"{status.hit_ms:.1f} / {status.plain_ms:.0f} ms", "drafted / not"),
        ]  # fmt: skip
        x, gap = 10, 12 if width < 760 else 22
        for value, label in cells:
            x = self._cell(surface, self._small, value, label, x, 7, width)
            x += gap
        x = self._cell(surface, self._small, Path(status.checkpoint).name, f"tick {status.tick}", 10, 27, width)
        if status.recording_s is not None:
            minutes, seconds = divmod(int(status.recording_s), 60)
            x = self._text(surface, self._small, f"REC {minutes:02d}:{seconds:02d}", x + gap, 27, _RECORD)
        if status.mode:
            x = self._text(surface, self._small, status.mode, x + gap, 27, _ACCENT)
        if status.note:
            room = width - x - gap - 10
            self._text(surface, self._small, self._shorten(status.note, room), x + gap, 27, _FAINT)
        return surface

    def timeline(self, status: Status, period_ms: float, width: int) -> pygame.Surface:
        """The last ticks as stacked bars, newest to the right; the line is a tick's whole time."""
        surface = pygame.Surface((min(width, 2 * TIMELINE_TICKS + 20), TIMELINE_HEIGHT), pygame.SRCALPHA)
        surface.fill((18, 18, 22, 215))
        room, floor = TIMELINE_HEIGHT - 26, TIMELINE_HEIGHT - 20
        most = 1.25 * period_ms
        x = surface.get_width() - 10
        for spent in reversed(status.timings):
            x -= 2
            if x < 10:
                break
            y = float(floor)
            for part, colour in PARTS.items():
                height = room * min(spent.get(part, 0.0), most) / most
                top = max(y - height, 4.0)
                pygame.draw.rect(surface, colour, (x, round(top), 2, round(y) - round(top)))
                y = top
        line = floor - round(room * period_ms / most)
        pygame.draw.line(surface, _FAINT, (10, line), (surface.get_width() - 10, line))
        x = 10
        for part, colour in PARTS.items():
            pygame.draw.rect(surface, colour, (x, floor + 6, 8, 8))
            x = self._text(surface, self._small, part, x + 11, floor + 4, _FAINT) + 9
        return surface

    def key_card(self, width: int, height: int) -> pygame.Surface:
        """The keys, on a card that fits the window."""
        card = pygame.Surface((min(430, width - 16), min(36 + 24 * len(KEYS) + 30, height - 8)), pygame.SRCALPHA)
        self._card(card)
        y = 14
        step = min(24, (card.get_height() - 44) // len(KEYS))
        for keys, meaning in KEYS:
            self._text(card, self._font, keys, 18, y, _ACCENT)
            self._text(card, self._font, meaning, 160, y, _TEXT)
            y += step
        self._text(card, self._small, "press any key or click to begin", 18, card.get_height() - 22, _FAINT)
        return card

    def loading_card(self, name: str, text: str, width: int) -> pygame.Surface:
        """Shown until the first frame is there."""
        card = pygame.Surface((min(460, width - 16), 110), pygame.SRCALPHA)
        self._card(card)
        self._text(card, self._large, "worldsim", 20, 18, _TEXT)
        self._text(card, self._font, self._shorten(f"waking {Path(name).name}", card.get_width() - 40), 20, 54, _ACCENT)
        self._text(card, self._small, self._shorten(text, card.get_width() - 40), 20, 80, _FAINT)
        return card

    def _card(self, surface: pygame.Surface) -> None:
        surface.fill((0, 0, 0, 0))
        pygame.draw.rect(surface, (18, 18, 24, 236), surface.get_rect(), border_radius=10)

    def _cell(self, surface, font, value: str, label: str, x: int, y: int, width: int) -> int:
        """A value and what it is; left out where there is no room for both."""
        wide = font.get_rect(value).width + font.get_rect(label).width + 6
        if x + wide > width - 6:
            return x
        x = self._text(surface, font, value, x, y, _TEXT)
        return self._text(surface, font, label, x + 6, y, _FAINT)

    def _text(self, surface, font, text: str, x: int, y: int, colour) -> int:
        """Draw one line; returns where it ends."""
        if not text:
            return x
        rect = font.get_rect(text)
        baseline = font.get_sized_ascender()
        font.render_to(surface, (x + rect.x, y + baseline - rect.y), text, colour)
        return x + rect.width

    def _shorten(self, text: str, room: int) -> str:
        if room <= 20 or self._small.get_rect(text).width <= room:
            return text if room > 20 else ""
        while text and self._small.get_rect(text + "...").width > room:
            text = text[:-1]
        return text + "..."


def _percentiles(values: deque[float]) -> tuple[float, float]:
    if not values:
        return 0.0, 0.0
    p50, p99 = np.percentile(np.fromiter(values, float), [50, 99])
    return float(p50), float(p99)
