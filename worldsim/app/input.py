"""Keyboard and mouse events -> the action of a tick. Knows pygame's events and a scene's controls, nothing else.

Keeps its own key state from events, so that tests can inject them. Opposite keys: the last one pressed wins. A key
tapped between two ticks still counts once.
"""

from __future__ import annotations

import pygame

from worldsim.action import Action, ActionSpace, MouseAccumulator
from worldsim.errors import SceneError


class Input:
    """Collects events between ticks and is sampled once a tick, as late as possible."""

    def __init__(self, space: ActionSpace, sensitivity_deg: float, invert_y: bool) -> None:
        """sensitivity_deg: degrees of look for one pixel of mouse motion."""
        self._space = space
        self._sensitivity = sensitivity_deg
        self._sign_y = 1.0 if invert_y else -1.0  # screen y grows downwards, pitch upwards
        pygame.display.init()  # key names are known only then
        self._codes = {key: _key_code(key) for c in space.controls for key in c.keys}
        self._pressed: dict[int, int] = {}  # key -> when it was pressed, as a running number
        self._tapped: dict[int, int] = {}
        self._count = 0
        self._mouse = {c.name: MouseAccumulator(c) for c in space.controls if c.is_mouse}
        self._axis = {c.kind: c.name for c in space.controls if c.is_mouse}

    def handle(self, event: pygame.event.Event) -> bool:
        """Take one event. Returns True if it belongs to a control."""
        if event.type == pygame.KEYDOWN and event.key in self._codes.values():
            self._count += 1
            self._pressed[event.key] = self._tapped[event.key] = self._count
            return True
        if event.type == pygame.KEYUP and event.key in self._pressed:
            del self._pressed[event.key]
            return True
        if event.type == pygame.WINDOWFOCUSLOST:
            self.release()
        return False

    def move(self, dx: float, dy: float) -> None:
        """Add mouse motion in pixels."""
        for kind, pixels, sign in (("mouse_x", dx, 1.0), ("mouse_y", dy, self._sign_y)):
            if kind in self._axis:
                self._mouse[self._axis[kind]].add(pixels * sign * self._sensitivity)

    def release(self) -> None:
        """Let go of every key and forget pending motion: the window lost the focus or the mouse."""
        self._pressed.clear()
        self._tapped.clear()
        for mouse in self._mouse.values():
            mouse.clear()

    def pending_deg(self) -> tuple[float, float]:
        """Look motion (yaw, pitch) that no tick has taken yet, in degrees."""
        out = []
        for kind in ("mouse_x", "mouse_y"):
            name = self._axis.get(kind)
            out.append(self._mouse[name].pending_deg if name else 0.0)
        return out[0], out[1]

    def sample(self) -> Action:
        """The action of this tick."""
        held = {**self._tapped, **self._pressed}
        values = {}
        for control in self._space.controls:
            if control.is_mouse:
                values[control.name] = self._mouse[control.name].take()
            elif control.kind == "button":
                values[control.name] = int(self._codes[control.keys[0]] in held)
            else:
                negative, positive = (held.get(self._codes[key], 0) for key in control.keys)
                values[control.name] = (positive > negative) - (negative > positive)
        self._tapped.clear()
        return self._space.make(**values)


def _key_code(name: str) -> int:
    try:
        return pygame.key.key_code(name)
    except ValueError:
        raise SceneError(
            f"controls name a key {name!r} that no keyboard has; write it as SDL does, 'left shift'"
        ) from None
