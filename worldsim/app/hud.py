"""What overlays are drawn with: fonts, lines of text that end before they leave their room, cards. Knows surfaces and
text, nothing of what is written."""

from __future__ import annotations

from typing import TypeAlias

import pygame
import pygame.freetype

Colour: TypeAlias = tuple[int, int, int]

TEXT: Colour = (225, 225, 230)
FAINT: Colour = (150, 152, 162)
ACCENT: Colour = (255, 196, 92)
RECORD: Colour = (255, 92, 80)
BACKGROUND: Colour = (18, 18, 22)
_ELLIPSIS = "..."


class Hud:
    """Fonts of three sizes, and text drawn with them."""

    def __init__(self) -> None:
        pygame.freetype.init()
        self.font = pygame.freetype.Font(None, 15)
        self.small = pygame.freetype.Font(None, 13)
        self.large = pygame.freetype.Font(None, 24)

    def strip(self, width: int, height: int) -> pygame.Surface:
        """An empty strip of the window."""
        surface = pygame.Surface((max(width, 1), max(height, 1)), pygame.SRCALPHA)
        surface.fill((*BACKGROUND, 255))
        return surface

    def card(self, width: int, height: int) -> pygame.Surface:
        """An empty card with round corners."""
        surface = pygame.Surface((max(width, 1), max(height, 1)), pygame.SRCALPHA)
        pygame.draw.rect(surface, (*BACKGROUND, 236), surface.get_rect(), border_radius=10)
        return surface

    def width(self, font: pygame.freetype.Font, text: str) -> int:
        """Of a line of text in pixels."""
        return font.get_rect(text).width if text else 0

    def text(
        self, surface: pygame.Surface, font: pygame.freetype.Font, text: str, x: int, y: int, colour: Colour,
        room: int | None = None,
    ) -> int:  # fmt: skip
        """Draw one line at (x, y), its top left. room: pixels it may take, to the surface's edge if None; what does not
        fit is cut. Returns where the line ends."""
        room = surface.get_width() - x if room is None else room
        text = self.shortened(font, text, room)
        if not text:
            return x
        rect = font.get_rect(text)
        ascender = font.get_sized_ascender()  # type: ignore[call-arg]  # the stubs want a size, the font has one
        font.render_to(surface, (x + rect.x, y + ascender - rect.y), text, colour)
        return x + rect.width

    def cell(self, surface: pygame.Surface, value: str, label: str, x: int, y: int, end: int) -> int:
        """A value and what it is; left out where there is no room for both before `end`. Returns where it ends."""
        wide = self.width(self.small, value) + self.width(self.small, label) + 6
        if x + wide > end:
            return x
        x = self.text(surface, self.small, value, x, y, TEXT)
        return self.text(surface, self.small, label, x + 6, y, FAINT)

    def shortened(self, font: pygame.freetype.Font, text: str, room: int) -> str:
        """The text, or as much of its beginning as has room."""
        if self.width(font, text) <= room:
            return text
        while text and self.width(font, text + _ELLIPSIS) > room:
            text = text[:-1]
        return text + _ELLIPSIS if text else ""
