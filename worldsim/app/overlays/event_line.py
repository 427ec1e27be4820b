"""The event line: a line at the bottom of the picture in which an event's name is typed."""

from __future__ import annotations

import os

import pygame

from worldsim.app.bindings import event_keys, key_label
from worldsim.app.hud import ACCENT, FAINT, RECORD, TEXT, Hud
from worldsim.app.overlays.base import Overlay, Press, Size
from worldsim.app.telemetry import Status
from worldsim.errors import nearest, shown

_WIDTH, _HEIGHT, _EDGE, _GAP, _ABOVE_FLOOR = 600, 58, 12, 16, 8
_LONGEST = 30  # letters of an event's name
_FUNCTION_KEYS = range(pygame.K_F1, pygame.K_F12 + 1)
_FOOTER = "Enter calls it, Tab completes, Esc closes"


class EventLine(Overlay):
    """Shows what is typed, how it may go on, and below it the events there are, or what is wrong with the word."""

    takes_keys = takes_text = True

    def __init__(self, hud: Hud) -> None:
        super().__init__(hud)
        self._typed = self._wrong = ""
        self._called: str | None = None

    def wanted(self, status: Status) -> bool:
        return status.scene is not None and bool(status.scene.events)

    def press(self, key: int, text: str, status: Status) -> Press:
        if key in _FUNCTION_KEYS:
            return Press.PASS
        names, self._wrong = _names(status), ""
        if key in (0, pygame.K_ESCAPE):
            self._typed = ""
            return Press.CLOSE
        if key in (pygame.K_RETURN, pygame.K_KP_ENTER):
            return self._enter(names)
        if key in (pygame.K_TAB, pygame.K_RIGHT):
            found = _beginning(names, self._typed)
            self._typed = os.path.commonprefix(found) if found else self._typed
        elif key == pygame.K_BACKSPACE:
            self._typed = self._typed[:-1]
        elif text.isprintable() and len(self._typed) + len(text) <= _LONGEST:
            self._typed += text.replace(" ", "_")
        return Press.KEEP

    def take_called(self) -> str | None:
        called, self._called = self._called, None
        return called

    def draw(self, size: Size, status: Status) -> pygame.Surface:
        hud, names = self.hud, _names(status)
        card = hud.card(min(_WIDTH, size[0] - 16), min(_HEIGHT, size[1]))
        found = _beginning(names, self._typed)
        x = hud.text(card, hud.font, "/ " + self._typed, _EDGE, 10, TEXT)
        pygame.draw.line(card, ACCENT, (x + 2, 9), (x + 2, 27))
        if self._typed and found:
            x = hud.text(card, hud.font, found[0][len(self._typed) :], x + 4, 10, FAINT)
        begin = card.get_width() - _EDGE - hud.width(hud.small, _FOOTER)
        if x + _GAP < begin:
            hud.text(card, hud.small, _FOOTER, begin, 11, FAINT)
        if self._wrong:
            hud.text(card, hud.small, self._wrong, _EDGE, 36, RECORD, card.get_width() - 2 * _EDGE)
        else:
            self._hint(card, status, found or names)
        return card

    def place(self, drawn: Size, room: Size) -> tuple[int, int]:
        return max(0, (room[0] - drawn[0]) // 2), max(0, room[1] - drawn[1] - _ABOVE_FLOOR)

    def _enter(self, names: list[str]) -> Press:
        """Call what is typed: a whole name, or the beginning of one only. Nothing typed closes the line."""
        found = _beginning(names, self._typed)
        whole = [name for name in found if name.lower() == self._typed.lower()]
        if self._typed and len(whole or found) != 1:
            self._wrong = f"no event is called {shown(self._typed)}, {nearest(self._typed.lower(), names)}"
            return Press.KEEP
        self._called = (whole or found)[0] if self._typed else None
        self._typed = ""
        return Press.CLOSE

    def _hint(self, card: pygame.Surface, status: Status, names: list[str]) -> None:
        """The events that may be meant, each with its key, as far as there is room."""
        assert status.scene is not None
        x, end = _EDGE, card.get_width() - _EDGE
        for key, name in event_keys(status.scene):
            if name in names:
                after = self.hud.cell(card, name, key_label(key), x, 36, end)
                x = after + _GAP if after > x else x


def _names(status: Status) -> list[str]:
    return [] if status.scene is None else [event.name for event in status.scene.events]


def _beginning(names: list[str], typed: str) -> list[str]:
    """The names that begin as typed."""
    return [name for name in names if name.lower().startswith(typed.lower())]
