"""How the window behaves: what the command line or a test sets, and whether a person is here for the first time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class WindowSettings:
    """size: of the window in pixels. sensitivity_deg: degrees of look a pixel of mouse motion. card: show the key card;
    None on the first start only. checkpoints: the worlds that Tab goes through. ticks: end after so many. actions:
    scripted play instead of a person's, see play.action_sources."""

    size: tuple[int, int] = (960, 622)
    sensitivity_deg: float = 0.15
    invert_y: bool = False
    bar: bool = True
    reproject: bool = True
    card: bool | None = None
    checkpoints: tuple[str, ...] = ()
    recordings: Path = Path("recordings")
    screenshots: Path = Path("screenshots")
    ticks: int | None = None
    actions: str | None = None

    @property
    def card_at_start(self) -> bool:
        """Whether the key card is shown at once. Asking counts as the first start."""
        return _first_start() if self.card is None else self.card


def _first_start() -> bool:
    """True once for each user."""
    try:
        base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        seen = base / "worldsim" / "started"
        if seen.exists():
            return False
        seen.parent.mkdir(parents=True, exist_ok=True)
        seen.touch()
    except (OSError, RuntimeError):
        pass  # no home, or one that cannot be written, shows the card each time
    return True
