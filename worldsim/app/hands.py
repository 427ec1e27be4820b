"""Who acts in the window: a person's keyboard and mouse, a recorded hand that moves the mouse, or a script.

All are made anew for a scene of other controls, so an action never means what an earlier scene called so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from worldsim.action import Action
from worldsim.app.input import Input
from worldsim.app.settings import WindowSettings
from worldsim.errors import WorldsimError
from worldsim.play.action_sources import action_source
from worldsim.play.hand import PREFIX, HandRecording, read_hand
from worldsim.scene import Scene

Degrees = tuple[float, float]  # of yaw and pitch


class Hands:
    """Sampled once a tick. Belongs to one scene at a time."""

    def __init__(self, scene: Scene, settings: WindowSettings, seed: int) -> None:
        self.scene = scene
        self.input = Input(scene.action_space, settings.sensitivity_deg, settings.invert_y)
        self.note: str | None = None
        """What a script could not do here, in one sentence."""
        self._script: Iterator[Action] | None = None
        self._recording: HandRecording | None = None
        self._begun = time.perf_counter()
        self._asked: Action | None = None  # the input's newest sample, which the engine may still be working on
        kind = settings.actions
        if kind and kind.startswith(PREFIX):
            self._recording = HandRecording(read_hand(Path(kind.removeprefix(PREFIX))))
        elif kind:
            self._script = self._started(kind, seed)

    @property
    def is_scripted(self) -> bool:
        return self._script is not None

    @property
    def has_mouse(self) -> bool:
        """Whether the scene listens to the mouse at all."""
        return any(control.is_mouse for control in self.scene.controls)

    def moves_mouse(self, action: Action) -> bool:
        """Whether an action holds motion of the mouse."""
        return any(v and c.is_mouse for v, c in zip(action.values, self.scene.action_space.controls, strict=True))

    def play_recording(self) -> bool:
        """Move the mouse as a recorded hand has by now. Returns whether it moved."""
        if self._recording is None:
            return False
        dx, dy = self._recording.until((time.perf_counter() - self._begun) * 1e3)
        self.input.move(dx, dy)
        return bool(dx or dy)

    def sample(self) -> tuple[Action, Degrees | None]:
        """The action of this tick, and the motion the hand has really made; None of a script, which is to be exact."""
        wanted_deg = self.input.pending_deg()
        action = self.input.sample()
        if self._script is not None:
            return next(self._script), None
        self._asked = action
        return action, wanted_deg

    def settle(self, used: Action) -> None:
        """The tick used this action: what it left of the hand's motion is pending again."""
        if self._asked is not None:
            self.input.settle(self._asked, used)
        self._asked = None

    def _started(self, kind: str, seed: int) -> Iterator[Action]:
        """The script from its beginning, or standing still where it cannot be played."""
        try:
            return action_source(kind, self.scene, seed)
        except WorldsimError as error:
            self.note = f"standing still: {error}"
            return action_source("idle", self.scene, seed)
