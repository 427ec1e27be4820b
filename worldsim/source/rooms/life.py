"""What lives in a building, one tick at a time: things, then creatures, then balls, each by its own kind's rules.

Knows the order of a tick and who is in whose way; what each entity does is up to its kind. Plain floats, no graphics.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

from worldsim.camera import Pose
from worldsim.entities import TIMER, VX, VY, X, Y
from worldsim.scene import Scene
from worldsim.source.rooms.collisions import TOUCH_M, Disc, Leaf, Mover, Rolling, roll
from worldsim.source.rooms.dynamics import Dynamics
from worldsim.source.rooms.entities.ball import Ball
from worldsim.source.rooms.entities.base import Moment, Row, in_quanta
from worldsim.source.rooms.layout import rooms_of

_THINGS, _CREATURES, _BALLS = range(3)  # EntityConfig.turn


class Life:
    """The entities of a scene. Pure: `step` depends on its arguments alone."""

    def __init__(self, scene: Scene, dynamics: Dynamics) -> None:
        self.entities = rooms_of(scene).entities
        self._walls, self._dt, self._radius = dynamics, 1 / scene.tick_hz, rooms_of(scene).motion.radius_m
        self._turns = [[i for i, e in enumerate(self.entities) if e.turn == turn] for turn in range(3)]

    def leaves(self, rows: Sequence[Row]) -> list[Leaf]:
        """The leaves of all doors."""
        return [leaf for e, row in zip(self.entities, rows, strict=True) if (leaf := e.leaf(row))]

    def walkers(self, rows: Sequence[Row], but: int = -1) -> list[Disc]:
        """The bodies of all creatures, which push the player back."""
        return [cast(Disc, self.entities[i].body(rows[i])) for i in self._turns[_CREATURES] if i != but]

    def bodies(self, rows: Sequence[Row]) -> list[Disc]:
        """The bodies of all creatures and balls."""
        return [body for e, row in zip(self.entities, rows, strict=True) if (body := e.body(row))]

    def step(
        self, rows: Sequence[Row], before: Pose, after: Pose, use: bool, dice: Sequence[Sequence[float]]
    ) -> tuple[list[Row], Pose]:
        """The rows one tick later, and the player's pose: who squeezes a ball stays where it was."""
        new = list(rows)
        walkers = self.walkers(rows)
        seen = Moment(self._dt, before, after, use, self._radius, self._walls, walkers, self.bodies(rows))
        for i in self._turns[_THINGS]:
            changed = self.entities[i].step(rows[i], dice[i], seen)
            new[i] = rows[i] if changed == rows[i] else in_quanta(changed)
        leaves = self.leaves(new)
        for i in self._turns[_CREATURES]:
            others = self.walkers(new, i)  # those that have stepped already stand where they are now
            seen = Moment(self._dt, before, after, use, self._radius, self._walls, others, (), leaves)
            new[i] = in_quanta(self.entities[i].step(rows[i], dice[i], seen))
        return (new, self._roll(rows, new, leaves, before, after)) if self._turns[_BALLS] else (new, after)

    def _roll(self, rows: Sequence[Row], new: list[Row], leaves: list[Leaf], before: Pose, after: Pose) -> Pose:
        """Roll the balls into `new`. Returns the player's pose."""
        who = self._turns[_BALLS]
        while True:
            movers = [self._mover(before.x, before.y, after.x, after.y, self._radius, True)]
            for i in self._turns[_CREATURES]:
                radius = cast(Disc, self.entities[i].body(rows[i]))[2]
                movers.append(self._mover(rows[i][X], rows[i][Y], new[i][X], new[i][Y], radius, False))
            balls = [cast(Ball, self.entities[i]).rolling(rows[i], self._dt) for i in who]
            metres = roll(balls, movers, self._walls.boxes, self._walls.discs, leaves, self._dt)
            squeezing = [k for k, mover in enumerate(movers) if (mover.vx or mover.vy) and self._overlaps(mover, balls)]
            if not squeezing:
                break
            for k in squeezing:
                if k == 0:
                    after = Pose(before.x, before.y, after.look)
                else:
                    i = self._turns[_CREATURES][k - 1]
                    new[i] = list(new[i])
                    new[i][X], new[i][Y] = rows[i][X], rows[i][Y]
                    new[i][VX] = new[i][VY] = new[i][TIMER] = 0.0
        for i, ball, rolled in zip(who, balls, metres, strict=True):
            new[i] = cast(Ball, self.entities[i]).rolled(rows[i], ball, rolled)
        return after

    def _mover(self, x0: float, y0: float, x1: float, y1: float, radius: float, kicks: bool) -> Mover:
        return Mover(x0, y0, (x1 - x0) / self._dt, (y1 - y0) / self._dt, radius, kicks)

    def _overlaps(self, mover: Mover, balls: Sequence[Rolling]) -> bool:
        """Whether a body ends a tick in a ball."""
        x, y = mover.x + mover.vx * self._dt, mover.y + mover.vy * self._dt
        return any(math.hypot(b.x - x, b.y - y) < b.radius + mover.radius - TOUCH_M for b in balls)
