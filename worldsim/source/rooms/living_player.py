"""The player that collects training data in a world that lives: besides wandering about, it does things.

It kicks balls, opens doors, turns switches, fetches what lies about, meets creatures, watches all of them, and calls
events. Deterministic by seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from worldsim.action import Action
from worldsim.camera import Pose
from worldsim.entities import ON, VX, VY
from worldsim.event import Happening
from worldsim.scene import Scene
from worldsim.source.rooms.dynamics import Dynamics
from worldsim.source.rooms.entities.base import EntityConfig
from worldsim.source.rooms.entities.door import Door
from worldsim.source.rooms.going_player import GoingPlayer, Task, Wish
from worldsim.world import Frame

_WANDERS = 0.25  # share of moods that are those of a world without entities
_CALLS = 1 / 110  # chance in a tick that it calls an event, or ends what goes on: plain daylight stays half of all


class LivingPlayer(GoingPlayer):
    """Moods of RandomPlayer, and those that entities and events invite to."""

    def __init__(self, scene: Scene, dynamics: Dynamics, seed: int) -> None:
        super().__init__(scene, dynamics, seed)
        self._task: Task | None = None
        self._happening = Happening()
        self._moods: list[tuple[float, list[int], Callable[[int], Task]]] = []
        for odds, kind, mood in (
            (0.3, "ball", self._kick), (0.32, "door", self._open), (0.3, "lamp", self._switch),
            (0.3, "pickup", self._fetch), (0.1, "creature", self._meet), (0.14, "", self._watch),
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
            gone = {i for i, e in enumerate(self._entities) if e.kind == "pickup" and self._rows[i, ON] < 0.5}
            there = [(odds, [i for i in which if i not in gone], mood) for odds, which, mood in self._moods]
            there = [mood for mood in there if mood[1]] or self._moods
            near = [min(self._gap(*self._rows[i, :2]) for i in which) for _, which, _ in there]
            odds = np.array([mood[0] / (2 + gap) for mood, gap in zip(there, near, strict=True)])
            _, which, begin = there[int(self._rng.choice(len(odds), p=odds / odds.sum()))]
            self._task = begin(self._one_of(which))
            return
        self._segment, self._age, self._turned_deg = self._next_segment(pose), 0, 0.0
        goal = self._segment.goal
        if goal is not None:
            self._task = self._go(lambda: goal, 0.4, self._segment.ticks, self._segment.run)

    def _calling(self, action: Action, call: str) -> Action:
        index = self._space.index(call)
        return Action(tuple(1 if i == index else value for i, value in enumerate(action.values)))

    def _kick(self, which: int) -> Task:
        """Walk into a ball, look after it, and again."""
        for _ in range(int(self._rng.integers(1, 5))):
            yield from self._run_into(which, int(self._rng.random() < 0.35))
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
