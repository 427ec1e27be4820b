"""The loading card: what is being waited for until the first frame is there."""

from __future__ import annotations

from pathlib import Path

import pygame

from worldsim.app.hud import ACCENT, FAINT, TEXT
from worldsim.app.overlays.base import Overlay, Size
from worldsim.app.telemetry import Status

_TEXT = "loading; the first start also finds out what runs fastest here"


class LoadingCard(Overlay):
    """A title, the world's name and a sentence."""

    on_at_start = True

    def wanted(self, status: Status) -> bool:
        return status.scene is None

    def draw(self, size: Size, status: Status) -> pygame.Surface:
        hud = self.hud
        card = hud.card(min(max(460, hud.width(hud.small, _TEXT) + 40), size[0] - 16), 110)
        room = card.get_width() - 40
        hud.text(card, hud.large, "worldsim", 20, 18, TEXT, room)
        hud.text(card, hud.font, f"waking {Path(status.checkpoint).name}", 20, 54, ACCENT, room)
        hud.text(card, hud.small, status.note or _TEXT, 20, 80, FAINT, room)
        return card
