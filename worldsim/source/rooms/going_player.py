"""A player that goes places in a building that lives: through doorways, opening doors, past what stands in the way.

What it does is a generator of wishes, one a tick. Deterministic by seed.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np

from worldsim.action import Action
from worldsim.camera import Pose
from worldsim.entities import ON, PHASE, TIMER, X, Y
from worldsim.scene import Scene
from worldsim.source.rooms.dynamics import Dynamics
from worldsim.source.rooms.entities.base import EntityConfig, bearing_deg, turn_deg
from worldsim.source.rooms.entities.door import REACH_M, Door
from worldsim.source.rooms.geometry import room_at
from worldsim.source.rooms.layout import camera_of, rooms_of
from worldsim.source.rooms.random_player import RandomPlayer
from worldsim.source.rooms.route import Routes

_STUCK_TICKS, _STUCK_M = 14, 0.25


@dataclass(frozen=True)
class Wish:
    """What the player wants to do in a tick. yaw_deg: how far to turn. pitch_to_deg: where to look up or down to."""

    yaw_deg: float = 0.0
    walk: int = 0
    strafe: int = 0
    run: int = 0
    use: int = 0
    call: str = ""
    pitch_to_deg: float | None = None


Task = Generator[Wish, None, None]


class GoingPlayer(RandomPlayer):
    """Knows where it and everything is, and how to get there. Who plays it keeps `_pose` and `_rows` up to date."""

    def __init__(self, scene: Scene, dynamics: Dynamics, seed: int) -> None:
        super().__init__(scene, dynamics, seed)
        self._source, self._entities = rooms_of(scene), rooms_of(scene).entities
        self._routes = Routes(self._source)
        self._pose, self._rows = Pose(), np.zeros((0, 0))
        self._doors = [i for i, e in enumerate(self._entities) if isinstance(e, Door) and e.opens == "by_hand"]

    def _granted(self, wish: Wish) -> Action:
        camera, pitch_deg = camera_of(self._scene), 0.0
        if wish.pitch_to_deg is not None:
            wanted = min(max(wish.pitch_to_deg, camera.pitch_min_deg), camera.pitch_max_deg)
            pitch_deg = float(np.clip((wanted - self._pose.look.pitch_deg) * 0.2, -6, 6))
        values = {wish.call: 1} if wish.call else {}
        return self._space.make(
            walk=wish.walk, strafe=wish.strafe, run=wish.run, use=wish.use,
            yaw=self._quanta("yaw", wish.yaw_deg), pitch=self._quanta("pitch", pitch_deg), **values,
        )  # fmt: skip

    def _one_of(self, which: list[int]) -> int:
        """One of these entities, the nearer the likelier."""
        near = np.array([1 / (1 + self._gap(*self._rows[i, :2])) ** 2 for i in which])
        return which[int(self._rng.choice(len(which), p=near / near.sum()))]

    def _gap(self, x: float, y: float) -> float:
        return math.hypot(x - self._pose.x, y - self._pose.y)

    def _off(self, x: float, y: float) -> float:
        """How far to turn to look at a place, in degrees."""
        return turn_deg(self._pose.look.yaw_deg, bearing_deg(x - self._pose.x, y - self._pose.y))

    def _turn_by(self, off: float, wobble: float = 0.6) -> float:
        return float(np.clip(off * 0.25, -11, 11)) + float(self._rng.normal(0, wobble))

    def _pitch_to(self, which: int) -> float:
        """The pitch at which an entity is in the middle, half way to level: who walks looks ahead."""
        row = self._rows[which]
        down = camera_of(self._scene).eye_height_m - row[2]
        return -0.6 * math.degrees(math.atan2(down, max(self._gap(row[X], row[Y]), 0.6)))

    def _next_point(self, goal: tuple[float, float]) -> tuple[float, float]:
        return self._routes.next_point((self._pose.x, self._pose.y), goal)

    def _go(self, where: Callable[[], tuple[float, float]], within: float, ticks: int, run: int = 0,
            which: int | None = None) -> Task:  # fmt: skip
        """Walk to a place that may move, through doors, until it is near or the ticks are over."""
        track: deque[tuple[float, float]] = deque(maxlen=_STUCK_TICKS)
        while ticks > 0:
            goal = where()
            here, there = (room_at(self._source, at) for at in ((self._pose.x, self._pose.y), goal))
            if self._gap(*goal) < within and here == there:
                return
            door = self._door_ahead(goal)
            if door is not None:
                for wish in self._pass_door(door):
                    yield wish
                    ticks -= 1
                track.clear()
                if self._rows[door, PHASE] < 0.9:
                    return
                continue
            track.append((self._pose.x, self._pose.y))
            if len(track) == _STUCK_TICKS and self._gap(*track[0]) < _STUCK_M:
                side = int(self._rng.choice([-1, 1]))
                for _ in range(int(self._rng.integers(6, 16))):
                    yield Wish(self._turn_by(self._off(*goal)), walk=-int(self._rng.random() < 0.3), strafe=side)
                    ticks -= 1
                track.clear()
                continue
            off = self._off(*self._next_point(goal))
            pitch = None if which is None else self._pitch_to(which)
            yield Wish(self._turn_by(off), walk=int(abs(off) < 40), run=run, pitch_to_deg=pitch)
            ticks -= 1

    def _door_ahead(self, goal: tuple[float, float]) -> int | None:
        """A door that is shut, near, and between here and where to go."""
        step = self._next_point(goal)
        for i in self._doors:
            door = self._entities[i]
            if self._rows[i, PHASE] < 0.95 and self._gap(*door.at) < REACH_M - 0.1 and _side_changes(
                door, (self._pose.x, self._pose.y), step
            ):  # fmt: skip
                return i
        return None

    def _pass_door(self, which: int) -> Task:
        """Open a door and wait until it is."""
        at, still, before = self._entities[which].at, 0, -1.0
        for _ in range(50):
            row = self._rows[which]
            if row[PHASE] >= 0.95:
                return
            off = self._off(*at)
            press = row[ON] < 0.5 and row[TIMER] <= 0 and abs(off) < 40
            still = still + 1 if row[ON] > 0.5 and row[PHASE] == before else 0
            before = row[PHASE]
            yield Wish(self._turn_by(off), use=int(press), walk=-int(still > 2), pitch_to_deg=-3.0)

    def _stand(self, ticks: int) -> Task:
        for _ in range(ticks):
            yield Wish(float(self._rng.normal(0, 0.3)))

    def _place(self, which: int) -> tuple[float, float]:
        return float(self._rows[which, X]), float(self._rows[which, Y])

    def _look_at(self, which: int, ticks: int, strafe: int = 0) -> Task:
        for _ in range(ticks):
            off = self._off(*self._place(which))
            yield Wish(self._turn_by(off, 0.3), strafe=strafe, pitch_to_deg=self._pitch_to(which))


def _side_changes(door: EntityConfig, here: tuple[float, float], there: tuple[float, float]) -> bool:
    """Whether a way crosses the plane of a door."""
    heading = math.radians(float(getattr(door, "heading_deg", 0.0)))

    def side(at: tuple[float, float]) -> float:
        return (at[0] - door.at[0]) * math.sin(heading) + (at[1] - door.at[1]) * math.cos(heading)

    return side(here) * side(there) < 0
