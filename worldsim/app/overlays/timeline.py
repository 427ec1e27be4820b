"""The timeline: where the time of the last ticks went, part by part. In a strip of its own below the picture."""

from __future__ import annotations

import pygame

from worldsim.app.hud import FAINT
from worldsim.app.overlays.base import Overlay, Size
from worldsim.app.telemetry import TIMELINE_TICKS, Status

_HEIGHT, _EDGE, _LEGEND, _TOP = 96, 10, 20, 4
# Parts of a tick, in the order in which they happen, each with its colour.
PARTS = {
    "input": (120, 124, 140), "commit": (86, 134, 214), "denoise": (236, 140, 72), "decode": (250, 208, 96),
    "draft": (112, 190, 128), "draw": (196, 120, 200),
}  # fmt: skip
_SHOWN_PERIODS = 1.25  # of a tick: what takes longer is cut


class Timeline(Overlay):
    """Stacked bars, the newest tick to the right; the line is a tick's whole time."""

    max_age_s = 0.05

    def wanted(self, status: Status) -> bool:
        return status.scene is not None

    def strip(self, size: Size) -> int:
        return min(_HEIGHT, size[1] // 4)

    def place(self, drawn: Size, room: Size) -> tuple[int, int]:
        return 0, 0

    def draw(self, size: Size, status: Status) -> pygame.Surface:
        assert status.scene is not None
        period_ms = 1e3 / status.scene.tick_hz
        surface = self.hud.strip(min(size[0], 2 * TIMELINE_TICKS + 2 * _EDGE), size[1])
        floor = size[1] - _LEGEND
        room, most = max(floor - _TOP - 2, 1), _SHOWN_PERIODS * period_ms
        x = surface.get_width() - _EDGE
        for spent in reversed(status.timings):
            x -= 2
            if x < _EDGE:
                break
            y = float(floor)
            for part, colour in PARTS.items():
                top = max(y - room * min(spent.get(part, 0.0), most) / most, float(_TOP))
                pygame.draw.rect(surface, colour, (x, round(top), 2, round(y) - round(top)))
                y = top
        line = floor - round(room * period_ms / most)
        pygame.draw.line(surface, FAINT, (_EDGE, line), (surface.get_width() - _EDGE, line))
        x = _EDGE
        for part, colour in PARTS.items():
            pygame.draw.rect(surface, colour, (x, floor + 6, 8, 8))
            x = self.hud.text(surface, self.hud.small, part, x + 11, floor + 4, FAINT) + 9
        return surface
