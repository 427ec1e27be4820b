"""The key card: the scene's own controls and the program's keys, from the table in app.bindings."""

from __future__ import annotations

import math

import pygame
import pygame.freetype

from worldsim.app.bindings import card_rows
from worldsim.app.hud import ACCENT, FAINT, TEXT
from worldsim.app.overlays.base import Overlay, Press, Size
from worldsim.app.telemetry import Status

_EDGE, _GAP, _FOOT = 16, 10, 26
_FOOTER = "press any key or click to begin"


class KeyCard(Overlay):
    """Covers the darkened picture until any key is pressed. In one column if there is room, else in two."""

    dims = True
    takes_keys = True

    def wanted(self, status: Status) -> bool:
        return status.scene is not None

    def press(self, key: int, text: str, status: Status) -> Press:
        return Press.CLOSE

    def draw(self, size: Size, status: Status) -> pygame.Surface:
        hud, rows = self.hud, card_rows(status.scene)
        widest, tallest = size[0] - 8, size[1] - 8
        for count, font, step in ((1, hud.font, 23), (1, hud.font, 19), (2, hud.font, 23), (2, hud.small, 17)):
            lines = math.ceil(len(rows) / count)
            columns = [rows[i : i + lines] for i in range(0, len(rows), lines)]
            wide = [self._widths(font, column) for column in columns]
            width = sum(keys + _GAP + does for keys, does in wide) + _EDGE * (len(columns) + 1)
            if width <= widest and _EDGE + lines * step + _FOOT <= tallest:
                break
        step = max(min(step, (tallest - _EDGE - _FOOT) // max(lines, 1)), 1)
        card = hud.card(
            min(max(width, hud.width(hud.small, _FOOTER) + 2 * _EDGE), widest),
            min(_EDGE + lines * step + _FOOT, tallest),
        )
        x = _EDGE
        for column, (keys_width, does_width) in zip(columns, wide, strict=True):
            for i, (keys, does) in enumerate(column):
                hud.text(card, font, keys, x, _EDGE + i * step, ACCENT)
                hud.text(card, font, does, x + keys_width + _GAP, _EDGE + i * step, TEXT)
            x += keys_width + _GAP + does_width + _EDGE
        hud.text(card, hud.small, _FOOTER, _EDGE, card.get_height() - 20, FAINT)
        return card

    def _widths(self, font: pygame.freetype.Font, column: list[tuple[str, str]]) -> tuple[int, int]:
        """Of the keys and of what they do."""
        return max(self.hud.width(font, k) for k, _ in column), max(self.hud.width(font, d) for _, d in column)
