"""What the player did in one tick, as integers.

Knows nothing of pygame or torch. A scene lists its controls; together they are an `ActionSpace`. An `Action` has one
integer for each control, so two actions are equal exactly if the world cannot tell them apart, which is what drafts
and replay rest on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from worldsim.config import require
from worldsim.errors import TraceError, shown


@dataclass(frozen=True)
class Control:
    """One control of a scene.

    kind `axis`: -1, 0 or 1 from two keys; `button`: 0 or 1 from one key, as long as it is held; `event`: 1 in the one
    tick after its key is pressed; `mouse_x` / `mouse_y`: degrees of look in whole `quantum_deg`, at most `limit_deg` in
    one tick.
    """

    name: str
    kind: Literal["axis", "button", "event", "mouse_x", "mouse_y"]
    keys: tuple[str, ...] = ()
    quantum_deg: float = 0.25
    limit_deg: float = 15.0

    def __post_init__(self) -> None:
        wanted = {"axis": 2, "button": 1, "event": 1}.get(self.kind, 0)
        require(len(self.keys) == wanted, f"keys must name {wanted} keys for kind {self.kind}, got {len(self.keys)}")
        require(0.001 <= self.quantum_deg <= 0.25, f"quantum_deg must lie in [0.001, 0.25], got {self.quantum_deg:g}")
        require(
            self.quantum_deg <= self.limit_deg <= 90, f"limit_deg must lie in [quantum_deg, 90], got {self.limit_deg:g}"
        )

    @property
    def is_mouse(self) -> bool:
        return self.kind in ("mouse_x", "mouse_y")

    @property
    def bounds(self) -> tuple[int, int]:
        """Lowest and highest integer of this control."""
        if self.kind == "axis":
            return -1, 1
        if self.kind in ("button", "event"):
            return 0, 1
        limit = int(self.limit_deg / self.quantum_deg)
        return -limit, limit


@dataclass(frozen=True)
class Action:
    """One integer for each control of the scene, in the order of its `ActionSpace`."""

    values: tuple[int, ...]


@dataclass(frozen=True)
class ActionSpace:
    """The controls of a scene, in order."""

    controls: tuple[Control, ...]

    def __post_init__(self) -> None:
        names = [c.name for c in self.controls]
        require(len(set(names)) == len(names), f"controls must have different names, got {shown(names)}")

    @property
    def idle(self) -> Action:
        """No key held, no motion of the mouse."""
        return Action((0,) * len(self.controls))

    @property
    def size(self) -> int:
        return len(self.controls)

    def index(self, name: str) -> int | None:
        """Position of the control called `name`; None if the scene has none."""
        return next((i for i, c in enumerate(self.controls) if c.name == name), None)

    def make(self, **values: int) -> Action:
        """An action from named values, clipped to each control's bounds; the others rest at 0."""
        out = []
        for control in self.controls:
            low, high = control.bounds
            out.append(max(low, min(high, int(values.get(control.name, 0)))))
        return Action(tuple(out))

    @property
    def mouse(self) -> tuple[int | None, int | None]:
        """Positions of the controls that the mouse moves, sideways and up or down; None where the scene has none."""
        kinds = [c.kind for c in self.controls]
        x, y = (kinds.index(kind) if kind in kinds else None for kind in ("mouse_x", "mouse_y"))
        return x, y

    def keys(self, action: Action) -> tuple[int, ...]:
        """The values of all controls but the mouse's, in order."""
        return tuple(v for v, c in zip(action.values, self.controls, strict=True) if not c.is_mouse)

    def quanta(self, motion_deg: tuple[float, float]) -> tuple[int, int]:
        """The whole quanta of a motion, yaw and pitch; what is less than one is cut off. 0 without such a control."""
        yaw, pitch = (
            0 if i is None else int(part / self.controls[i].quantum_deg)
            for part, i in zip(motion_deg, self.mouse, strict=True)
        )
        return yaw, pitch

    def join(self, keys: tuple[int, ...], motion: tuple[int, int]) -> Action:
        """An action from what `keys` gives and the quanta of the mouse, yaw and pitch."""
        rest, of_mouse = iter(keys), dict(zip(self.mouse, motion, strict=True))
        return Action(tuple(of_mouse[i] if i in of_mouse else next(rest) for i in range(self.size)))

    def motion_deg(self, action: Action) -> tuple[float, float]:
        """How far the mouse turns the look, yaw and pitch, in degrees; 0 where the scene has no such control."""
        x, y = (0.0 if i is None else action.values[i] * self.controls[i].quantum_deg for i in self.mouse)
        return x, y

    def clamp_deg(self, motion_deg: tuple[float, float]) -> tuple[float, float]:
        """A motion, yaw and pitch in degrees, cut to what one tick can take."""
        limits = (0.0 if i is None else self.controls[i].bounds[1] * self.controls[i].quantum_deg for i in self.mouse)
        yaw, pitch = (max(-limit, min(limit, part)) for part, limit in zip(motion_deg, limits, strict=True))
        return yaw, pitch

    def called(self, action: Action) -> tuple[int, ...]:
        """Which of the scene's events the action calls, 1 or 0 each, in the scene's order."""
        return tuple(v for v, c in zip(action.values, self.controls, strict=True) if c.kind == "event")

    def get(self, action: Action, name: str) -> int:
        """The value of one control; 0 if the scene has no such control."""
        index = self.index(name)
        return 0 if index is None else action.values[index]

    def degrees(self, action: Action, name: str) -> float:
        """A mouse control's value in degrees; 0 if the scene has no such control."""
        index = self.index(name)
        return 0.0 if index is None else action.values[index] * self.controls[index].quantum_deg

    def scaled(self, action: Action) -> tuple[float, ...]:
        """Each value over its bound, in [-1, 1]: what the generator's condition sees."""
        return tuple(v / c.bounds[1] for v, c in zip(action.values, self.controls, strict=True))

    def scale(self, values: np.ndarray) -> np.ndarray:
        """Many actions (..., A) as `scaled` has one: float32 in [-1, 1]."""
        return values.astype(np.float32) / np.array([c.bounds[1] for c in self.controls], np.float32)

    def check(self, values: Any, where: str) -> Action:
        """An action from plain data (a trace's list). Raises TraceError naming `where`."""
        if not isinstance(values, list) or len(values) != self.size:
            raise TraceError(f"{where}: an action must be a list of {self.size} whole numbers, got {shown(values)}")
        for value, control in zip(values, self.controls, strict=True):
            low, high = control.bounds
            if type(value) is not int or not low <= value <= high:
                raise TraceError(
                    f"{where}: {control.name} must be a whole number in [{low}, {high}], got {shown(value)}"
                )
        return Action(tuple(values))


class MouseAccumulator:
    """Sums mouse motion between ticks, in degrees, and gives it out in whole quanta, carrying the remainder.

    Nothing is truncated away: however slowly the mouse moves, all of it arrives; motion past a control's limit
    is given out in the ticks after.
    """

    def __init__(self, control: Control) -> None:
        self._control = control
        self._pending_deg = 0.0

    def add(self, degrees: float) -> None:
        self._pending_deg += degrees

    @property
    def pending_deg(self) -> float:
        """Motion not yet given out, in degrees."""
        return self._pending_deg

    def take(self) -> int:
        """The quanta for this tick."""
        low, high = self._control.bounds
        quanta = max(low, min(high, int(self._pending_deg / self._control.quantum_deg)))
        self._pending_deg -= quanta * self._control.quantum_deg
        # A flick faster than the limit is played out over at most one more tick, not seconds of drift.
        bound = self._control.limit_deg
        self._pending_deg = max(-bound, min(bound, self._pending_deg))
        return quanta

    def give_back(self, quanta: int) -> None:
        """Quanta that were taken and then not used are pending again. Negative: more were used than taken."""
        self._pending_deg += quanta * self._control.quantum_deg

    def clear(self) -> None:
        self._pending_deg = 0.0


class Mouse:
    """The mouse of a hand: counts of motion go in, quanta for each tick come out, the rest stays pending."""

    def __init__(self, space: ActionSpace, sensitivity_deg: float, invert_y: bool = False) -> None:
        """sensitivity_deg: degrees of look for one count. invert_y: moving the mouse towards oneself looks up."""
        self._positions = space.mouse
        self._accumulators = {i: MouseAccumulator(space.controls[i]) for i in space.mouse if i is not None}
        # Counts grow downwards, pitch upwards.
        self._degrees = sensitivity_deg, sensitivity_deg if invert_y else -sensitivity_deg

    @property
    def pending_deg(self) -> tuple[float, float]:
        """Yaw and pitch that no tick has used yet, in degrees."""
        yaw, pitch = (0.0 if i is None else self._accumulators[i].pending_deg for i in self._positions)
        return yaw, pitch

    def move(self, dx: float, dy: float) -> None:
        """Add motion in counts; dx grows to the right, dy downwards."""
        for i, counts, degrees in zip(self._positions, (dx, dy), self._degrees, strict=True):
            if i is not None:
                self._accumulators[i].add(counts * degrees)

    def take(self) -> dict[int, int]:
        """The quanta of this tick by the position of their control."""
        return {i: accumulator.take() for i, accumulator in self._accumulators.items()}

    def settle(self, asked: Action, used: Action) -> None:
        """The tick used other motion than was taken for it: the difference is pending again."""
        for i, accumulator in self._accumulators.items():
            accumulator.give_back(asked.values[i] - used.values[i])

    def clear(self) -> None:
        """Forget pending motion."""
        for accumulator in self._accumulators.values():
            accumulator.clear()
