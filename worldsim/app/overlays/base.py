"""What an overlay is: something that draws itself from the status, knows its place, and may take keys.

A new one is one file with a subclass, its line in registry.OVERLAYS, and, if a key is to show it, a line in
app.bindings.BINDINGS.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from enum import Enum

import pygame

from worldsim.app.hud import Hud
from worldsim.app.telemetry import Status

Size = tuple[int, int]


class Press(Enum):
    """What an overlay does with a key: nothing; it keeps it to itself; it closes, and the key stays a control's."""

    PASS = "pass"
    KEEP = "keep"
    CLOSE = "close"


class Overlay(ABC):
    """One layer of the stack. `Screen` draws those that are switched on, bottom to top."""

    on_at_start = False
    dims = False
    """Whether the picture below is darkened."""
    takes_keys = False
    """Whether keys come here first, but for those that always work."""
    takes_text = False
    """Whether keys are letters here: then only those with Ctrl always work."""
    max_age_s = math.inf
    """Drawn again when its picture is older; else only when something is said to have changed."""

    def __init__(self, hud: Hud) -> None:
        self.hud = hud

    def wanted(self, status: Status) -> bool:
        """Whether there is anything to show now, once switched on."""
        return True

    def strip(self, size: Size) -> int:
        """Rows at the bottom of a window of this size that the picture leaves free for this overlay alone."""
        return 0

    @abstractmethod
    def draw(self, size: Size, status: Status) -> pygame.Surface:
        """The overlay's picture. size: the room it has: its strip, else what is left of the window above the strips."""

    def place(self, drawn: Size, room: Size) -> tuple[int, int]:
        """Where in its room the picture's top left corner lies: in the middle, unless told otherwise."""
        return max(0, (room[0] - drawn[0]) // 2), max(0, (room[1] - drawn[1]) // 2)

    def press(self, key: int, text: str, status: Status) -> Press:
        """A key was pressed while this is the topmost overlay that takes keys; or the mouse, then key is 0. key:
        pygame's code. text: what the key writes."""
        return Press.PASS

    def take_called(self) -> str | None:
        """The name of the event that the newest key has called, once."""
        return None
