"""The player that collects training data in a world that lives: besides wandering about, it does things.

It kicks balls, opens doors, turns switches, fetches what lies about, meets creatures, watches all of them, and calls
events. What it does is a generator of wishes, one a tick. Deterministic by seed.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

import numpy as np

from worldsim.action import Action
from worldsim.camera import Pose
from worldsim.entities import ON, PHASE, TIMER, VX, VY, X, Y
from worldsim.event import Happening
from worldsim.scene import Scene
from worldsim.source.rooms.dynamics import Dynamics
from worldsim.source.rooms.entities.base import EntityConfig, bearing_deg, turn_deg
from worldsim.source.rooms.entities.door import REACH_M, Door
from worldsim.source.rooms.geometry import room_at
from worldsim.source.rooms.layout import camera_of, rooms_of
from worldsim.source.rooms.random_player import RandomPlayer
from worldsim.source.rooms.route import Routes
from worldsim.world import Frame

_WANDERS = 0.25  # share of moods that are those of a world without entities
_CALLS = 1 / 110  # chance in a tick that it calls an event, or ends what goes on: plain daylight stays half of all
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


class LivingPlayer(RandomPlayer):
    """Moods of RandomPlayer, and those that entities and events invite to."""

    def __init__(self, scene: Scene, dynamics: Dynamics, seed: int) -> None:
        super().__init__(scene, dynamics, seed)
        self._source, self._entities = rooms_of(scene), rooms_of(scene).entities
        self._routes = Routes(self._source)
        self._task: Task | None = None
        self._pose, self._rows, self._happening = Pose(), np.zeros((0, 0)), Happening()
        self._doors = [i for i, e in enumerate(self._entities) if isinstance(e, Door) and e.opens == "by_hand"]
        self._moods: list[tuple[float, list[int], Callable[[int], Task]]] = []
        for odds, kind, mood in (
            (0.3, "ball", self._kick), (0.26, "door", self._open), (0.18, "lamp", self._switch),
            (0.16, "pickup", self._fetch), (0.1, "creature", self._meet), (0.14, "", self._watch),
        ):  # fmt: skip
            which = [i for i, e in enumerate(self._entities) if kind in ("", e.kind)]
            if which:
                self._moods.append((odds, which, mood))

    def act(self, frame: Frame) -> Action:
        """What this player does in the tick after `frame`, which tells where everything is."""
        assert frame.pose is not None
        self._pose, self._happening = frame.pose, frame.happening
        if frame.entities is not None:
            self._rows = frame.entities
        call = self._call() if self._scene.events and self._rng.random() < _CALLS else ""
        if call and self._rng.random() < 0.5:
            self._task = self._look_around()  # whatever it was about: it looks what has become of the world
        while True:
            if self._task is None and self._age >= self._segment.ticks:
                self._think(frame.pose)
            if self._task is None:
                action = self._move(frame.pose)
                return self._calling(action, call) if call else action
            wish = next(self._task, None)
            if wish is not None:
                return self._granted(replace(wish, call=call))
            self._task, self._age = None, self._segment.ticks

    def _think(self, pose: Pose) -> None:
        """Begin something else: what is near is likelier."""
        if self._moods and self._rng.random() >= _WANDERS:
            near = [min(self._gap(*self._rows[i, :2]) for i in which) for _, which, _ in self._moods]
            odds = np.array([mood[0] / (2 + gap) for mood, gap in zip(self._moods, near, strict=True)])
            _, which, mood = self._moods[int(self._rng.choice(len(odds), p=odds / odds.sum()))]
            self._task = mood(self._one_of(which))
            return
        self._segment, self._age, self._turned_deg = self._next_segment(pose), 0, 0.0
        goal = self._segment.goal
        if goal is not None:
            self._task = self._go(lambda: goal, 0.4, self._segment.ticks, self._segment.run)

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

    def _calling(self, action: Action, call: str) -> Action:
        index = self._space.index(call)
        return Action(tuple(1 if i == index else value for i, value in enumerate(action.values)))

    # What it knows and wants of a place.

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

    # Going places.

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

    # Moods.

    def _place(self, which: int) -> tuple[float, float]:
        return float(self._rows[which, X]), float(self._rows[which, Y])

    def _kick(self, which: int) -> Task:
        """Walk into a ball, look after it, and again."""
        for _ in range(int(self._rng.integers(1, 5))):
            run = int(self._rng.random() < 0.35)
            goal = self._place(which)
            yield from (
                self._go(lambda: self._place(which), 0.0, 80, run, which=which)
                if self._gap(*goal) > 6
                else (self._run_into(which, run))
            )
            yield from self._look_at(which, int(self._rng.integers(4, 22)))

    def _run_into(self, which: int, run: int) -> Task:
        """Walk towards where a ball will be until it is kicked."""

        def ahead() -> tuple[float, float]:
            x, y = self._place(which)
            return x + 0.3 * self._rows[which, VX], y + 0.3 * self._rows[which, VY]

        task = self._go(ahead, 0.0, 70, run, which=which)
        speed = math.hypot(*self._rows[which, VX : VY + 1])
        for wish in task:
            yield wish
            now = math.hypot(*self._rows[which, VX : VY + 1])
            if now > speed + 0.5 and self._gap(*self._place(which)) < 1.2:
                return
            speed = now

    def _look_at(self, which: int, ticks: int, strafe: int = 0) -> Task:
        for _ in range(ticks):
            off = self._off(*self._place(which))
            yield Wish(self._turn_by(off, 0.3), strafe=strafe, pitch_to_deg=self._pitch_to(which))

    def _watch(self, which: int) -> Task:
        """Stand and look at an entity, or walk round it."""
        yield from self._go(lambda: self._place(which), float(self._rng.uniform(1.2, 3.5)), 90, which=which)
        strafe = int(self._rng.choice([0, 0, -1, 1]))
        yield from self._look_at(which, int(self._rng.integers(15, 70)), strafe)

    def _open(self, which: int) -> Task:
        """Go in front of a door, open it, mostly go through, sometimes shut it; or shut it at once if it is open."""
        door = self._entities[which]
        assert isinstance(door, Door)
        sides = [_before(door, side) for side in (-1.3, 1.3)]
        near, far = sorted(sides, key=lambda at: self._gap(*at))
        yield from self._go(lambda: near, 0.35, 90)
        yield from self._look_at_place(door.at, 8)
        if door.opens == "by_hand":
            yield from self._press(lambda: self._off(*door.at))
            yield from self._look_at_place(door.at, int(self._rng.integers(8, 24)))
        if self._rng.random() < 0.75:
            yield from self._go(lambda: far, 0.35, 60)
            if door.opens == "by_hand" and self._rng.random() < 0.45:
                yield from self._look_at_place(door.at, 10)
                yield from self._press(lambda: self._off(*door.at))
                yield from self._look_at_place(door.at, int(self._rng.integers(10, 24)))

    def _look_at_place(self, at: tuple[float, float], ticks: int) -> Task:
        for _ in range(ticks):
            yield Wish(self._turn_by(self._off(*at), 0.3), pitch_to_deg=-2.0)

    def _press(self, off: Callable[[], float]) -> Task:
        """Press `use`, mostly for a tick or two."""
        for _ in range(int(self._rng.choice([1, 1, 2, 3, 8]))):
            yield Wish(self._turn_by(off(), 0.2), use=1)

    def _switch(self, which: int) -> Task:
        """Go to a switch and press it, some more times."""
        lamp = self._entities[which]
        front = _before(lamp, -float(self._rng.uniform(0.7, 1.1)))
        yield from self._go(lambda: front, 0.4, 110)
        yield from self._look_at(which, 10)
        for _ in range(int(self._rng.integers(1, 4))):
            yield from self._press(lambda: self._off(*lamp.at))
            yield from self._look_at(which, int(self._rng.integers(4, 20)))
            if self._rng.random() < 0.5:
                yield from self._look_around()

    def _fetch(self, which: int) -> Task:
        """Walk to a pickup that is there."""
        if self._rows[which, ON] > 0.5:
            yield from self._go(lambda: self._place(which), 0.3, 120, int(self._rng.random() < 0.3), which)
        yield from self._stand(int(self._rng.integers(2, 8)))

    def _meet(self, which: int) -> Task:
        """Walk up to a creature, look at it, and sometimes after it."""
        for _ in range(int(self._rng.integers(1, 3))):
            yield from self._go(lambda: self._place(which), float(self._rng.uniform(0.4, 2.0)), 90, which=which)
            yield from self._look_at(which, int(self._rng.integers(10, 50)), int(self._rng.choice([0, 0, 0, -1, 1])))

    def _call(self) -> str:
        """An event to call: one that shows if none goes on, else mostly one that ends it."""
        events, going = self._scene.events, any(left != 0 for left in self._happening.left)
        ends, shown = [e.name for e in events if not e.shows], [e.name for e in events if e.shows]
        picks = ends if ends and (going or not shown) and self._rng.random() < 0.75 else shown or ends
        return picks[int(self._rng.integers(len(picks)))]

    def _look_around(self) -> Task:
        ticks, turn = int(self._rng.integers(12, 40)), float(self._rng.uniform(60, 360)) * self._rng.choice([-1, 1])
        for _ in range(ticks):
            yield Wish(turn / ticks, walk=int(self._rng.random() < 0.2))


def _before(entity: EntityConfig, metres: float) -> tuple[float, float]:
    """A place so far along from an entity that has a heading."""
    heading = math.radians(float(getattr(entity, "heading_deg", 0.0)))
    return entity.at[0] + metres * math.sin(heading), entity.at[1] + metres * math.cos(heading)


def _side_changes(door: EntityConfig, here: tuple[float, float], there: tuple[float, float]) -> bool:
    """Whether a way crosses the plane of a door."""
    heading = math.radians(float(getattr(door, "heading_deg", 0.0)))

    def side(at: tuple[float, float]) -> float:
        return (at[0] - door.at[0]) * math.sin(heading) + (at[1] - door.at[1]) * math.cos(heading)

    return side(here) * side(there) < 0
