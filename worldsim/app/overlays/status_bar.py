"""The status bar: speed and latency; where one is, and the newest note. In a strip of its own below the picture."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pygame

from worldsim.app.bindings import hints
from worldsim.app.hud import ACCENT, FAINT, RECORD
from worldsim.app.overlays.base import Overlay, Size
from worldsim.app.telemetry import Status

_HEIGHT, _EDGE = 46, 10


class StatusBar(Overlay):
    """Two lines of text. What does not fit is left out, from the right."""

    on_at_start = True
    max_age_s = 0.25

    def wanted(self, status: Status) -> bool:
        return status.scene is not None

    def strip(self, size: Size) -> int:
        return min(_HEIGHT, size[1] // 2)

    def draw(self, size: Size, status: Status) -> pygame.Surface:
        surface = self.hud.strip(*size)
        gap = 12 if size[0] < 760 else 22
        x = _EDGE
        for value, label in self._figures(status):
            end = self.hud.cell(surface, value, label, x, 7, size[0] - 6)
            x = end + gap if end > x else x
        self._place_line(surface, status, gap, size[0])
        return surface

    def _figures(self, status: Status) -> list[tuple[str, str]]:
        drafts = status.accepted + status.missed
        hit = f"{100 * status.accepted / drafts:.0f} %" if drafts else "-"
        p50, p99 = _percentiles(status.tick_ms)
        latency, _ = _percentiles(status.latency_ms)
        cells = [
            (f"{status.fps():.1f}", "fps"), (f"{p50:.{int(p50 < 10)}f} / {p99:.0f} ms", "tick p50 / p99"),
            (f"{latency:.0f} ms", "input to display"), (hit, "drafts hit"), (f"{status.late}", "late"),
            (f"{status.hit_ms:.1f} / {status.plain_ms:.0f} ms", "drafted / not"),
        ]  # fmt: skip
        return cells

    def _place_line(self, surface: pygame.Surface, status: Status, gap: int, width: int) -> None:
        """World and tick, recording, reward, what was found, events, mode; then the note, or the keys to know while
        there is none."""
        hud, y = self.hud, 27
        name = hud.shortened(hud.small, Path(status.checkpoint).name, width // 3)
        x = hud.cell(surface, name, f"tick {status.tick}", _EDGE, y, width - _EDGE)
        marks = [(name.replace("_", " "), ACCENT) for name in status.under_way] + [(status.mode, ACCENT)]
        if status.found is not None:
            marks.insert(0, (f"{status.found[0]} / {status.found[1]} found", ACCENT))
        if status.recording_s is not None:
            minutes, seconds = divmod(int(status.recording_s), 60)
            marks.insert(0, (f"REC {minutes:02d}:{seconds:02d}", RECORD))
        if status.reward is not None:
            marks.insert(0, (f"reward {status.reward:g}", ACCENT))
        for text, colour in marks:
            if text:
                x = hud.text(surface, hud.small, text, x + gap, y, colour, width - x - gap - _EDGE)
        if status.note:
            hud.text(surface, hud.small, status.note, x + gap, y, FAINT, width - x - gap - _EDGE)
            return
        for hint in hints(status.scene):
            if x + gap + hud.width(hud.small, hint) <= width - _EDGE:
                x = hud.text(surface, hud.small, hint, x + gap, y, FAINT)


def _percentiles(values: Iterable[float]) -> tuple[float, float]:
    """The median and the 99th percentile; 0 of nothing."""
    known = np.fromiter(values, float)
    if not known.size:
        return 0.0, 0.0
    p50, p99 = np.percentile(known, [50, 99])
    return float(p50), float(p99)
