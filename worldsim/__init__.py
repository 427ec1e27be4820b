"""worldsim: walk through worlds that a small neural network dreams in real time.

    from worldsim import Session, open_world

    session = Session(open_world("gallery"))
    frame = session.advance(session.scene.action_space.make(walk=1)).frame  # pixels: uint8 (H, W, 3)

Nothing heavy is imported before it is used: a window never loads torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worldsim.action import Action
    from worldsim.play.session import Session
    from worldsim.scene import Scene
    from worldsim.world import Frame
    from worldsim.worlds.catalogue import open_world

__version__ = "0.2.0"
__all__ = ["Action", "Frame", "Scene", "Session", "__version__", "open_world"]

_HOMES = {
    "Action": "worldsim.action",
    "Frame": "worldsim.world",
    "Scene": "worldsim.scene",
    "Session": "worldsim.play.session",
    "open_world": "worldsim.worlds.catalogue",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'worldsim' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOMES[name]), name)
