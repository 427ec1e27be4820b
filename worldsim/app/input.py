"""Keyboard and mouse events -> the action of a tick. Knows pygame's events and a scene's controls, nothing else.

Keeps its own key state from events, so that tests can inject them. Opposite keys: the last one pressed wins. A key
tapped between two ticks still counts once. A key that calls an event of the world counts once however long it is held.
"""

from __future__ import annotations

import pygame

from worldsim.action import Action, ActionSpace, Control, Mouse
from worldsim.errors import SceneError


class Input:
    """Collects events between ticks and is sampled once a tick, as late as possible."""

    def __init__(self, space: ActionSpace, sensitivity_deg: float, invert_y: bool) -> None:
        """sensitivity_deg: degrees of look for one pixel of mouse motion."""
        self._space = space
        pygame.display.init()  # key names are known only then
        held = [c for c in space.controls if c.kind != "event"]
        self._codes = {key: _key_code(key) for c in held for key in c.keys}
        self._callers = {code: i for i, c in enumerate(space.controls) if c.kind == "event" for code in _callers(c)}
        self._called: set[int] = set()  # positions of the events that the next tick calls
        self._pressed: dict[int, int] = {}  # key -> when it was pressed, as a running number
        self._tapped: dict[int, int] = {}
        self._count = 0
        self._mouse = Mouse(space, sensitivity_deg, invert_y)

    def handle(self, event: pygame.event.Event) -> bool:
        """Take one event. Returns True if it belongs to a control."""
        if event.type == pygame.KEYDOWN and event.key in self._codes.values():
            self._count += 1
            self._pressed[event.key] = self._tapped[event.key] = self._count
            return True
        if event.type == pygame.KEYDOWN and (position := self._caller(event)) is not None:
            if event.key not in self._pressed:
                self._called.add(position)
            self._pressed[event.key] = self._count
            return True
        if event.type == pygame.KEYUP and event.key in self._pressed:
            del self._pressed[event.key]
            return True
        if event.type == pygame.WINDOWFOCUSLOST:
            self.release()
        return False

    def move(self, dx: float, dy: float) -> None:
        """Add mouse motion in pixels."""
        self._mouse.move(dx, dy)

    def call(self, name: str) -> None:
        """The next tick calls the event of this name."""
        position = self._space.index(name)
        if position is not None and self._space.controls[position].kind == "event":
            self._called.add(position)

    def release(self) -> None:
        """Let go of every key and forget pending motion: the window lost the focus or the mouse, or keys are letters
        now."""
        self._pressed.clear()
        self._tapped.clear()
        self._called.clear()
        self._mouse.clear()

    def pending_deg(self) -> tuple[float, float]:
        """Look motion (yaw, pitch) that no tick has used yet, in degrees."""
        return self._mouse.pending_deg

    def settle(self, asked: Action, used: Action) -> None:
        """The tick used another motion than `asked`, its sample: the difference is pending again."""
        self._mouse.settle(asked, used)

    def sample(self) -> Action:
        """The action of this tick."""
        held = {**self._tapped, **self._pressed}
        taken = self._mouse.take()
        values = []
        for position, control in enumerate(self._space.controls):
            if control.is_mouse:
                values.append(taken[position])
            elif control.kind == "event":
                values.append(int(position in self._called))
            elif control.kind == "button":
                values.append(int(self._codes[control.keys[0]] in held))
            else:
                negative, positive = (held.get(self._codes[key], 0) for key in control.keys)
                values.append((positive > negative) - (negative > positive))
        self._tapped.clear()
        self._called.clear()
        return Action(tuple(values))

    def _caller(self, event: pygame.event.Event) -> int | None:
        """Position of the event that a key calls. Where digits need Shift, as on French keyboards, what the key writes
        counts."""
        text = getattr(event, "unicode", "")
        return self._callers.get(event.key, self._callers.get(ord(text)) if len(text) == 1 else None)


def _callers(control: Control) -> list[int]:
    """Codes of the keys that call an event: its own, and that of the keypad if it is a digit."""
    key = control.keys[0]
    codes = [_key_code(key)]
    if key in tuple("0123456789"):
        codes.append(pygame.key.key_code(f"keypad {key}"))
    return codes


def _key_code(name: str) -> int:
    try:
        return pygame.key.key_code(name)
    except ValueError:
        raise SceneError(
            f"controls name a key {name!r} that no keyboard has; write it as SDL does, 'left shift'"
        ) from None
