"""Who acts in the window: a person's keyboard and mouse, or a script that plays instead.

Both are made anew for a scene of other controls, so an action never means what an earlier scene called so.
"""

from __future__ import annotations

from collections.abc import Iterator

from worldsim.action import Action
from worldsim.app.input import Input
from worldsim.app.settings import WindowSettings
from worldsim.errors import WorldsimError
from worldsim.play.action_sources import action_source
from worldsim.scene import Scene


class Hands:
    """Sampled once a tick. Belongs to one scene at a time."""

    def __init__(self, scene: Scene, settings: WindowSettings, seed: int) -> None:
        self.scene = scene
        self.input = Input(scene.action_space, settings.sensitivity_deg, settings.invert_y)
        self.note: str | None = None
        """What a script could not do here, in one sentence."""
        self._script = self._begun(settings.actions, seed) if settings.actions else None

    @property
    def is_scripted(self) -> bool:
        return self._script is not None

    @property
    def has_mouse(self) -> bool:
        """Whether the scene listens to the mouse at all."""
        return any(control.is_mouse for control in self.scene.controls)

    def moves_mouse(self, action: Action) -> bool:
        """Whether an action holds motion of the mouse."""
        return any(v and c.is_mouse for v, c in zip(action.values, self.scene.controls, strict=True))

    def sample(self) -> Action:
        """The action of this tick."""
        action = self.input.sample()
        return action if self._script is None else next(self._script)

    def _begun(self, kind: str, seed: int) -> Iterator[Action]:
        """The script from its beginning, or standing still where it cannot be played."""
        try:
            return action_source(kind, self.scene, seed)
        except WorldsimError as error:
            self.note = f"standing still: {error}"
            return action_source("idle", self.scene, seed)
