"""States in which something is about to happen: what transitions are learned from, besides chance."""

from __future__ import annotations

import math

import numpy as np

from worldsim.camera import Look, Pose
from worldsim.entities import HEADING, ON, RATE, VX, VY, X, Y
from worldsim.scene import Scene
from worldsim.source.rooms.entities.ball import Ball
from worldsim.source.rooms.entities.base import EntityConfig, Row, bearing_deg
from worldsim.source.rooms.layout import camera_of, rooms_of
from worldsim.source.rooms.scatter import FreePlaces

NEAR = 0.6  # share of states near a contact
_TRIES = 12
_FARTHEST = {"ball": 0.9, "door": 1.8, "lamp": 1.7, "creature": 2.6, "pickup": 0.9, "prop": 2.5}  # metres to the player


class Contacts:
    """Puts a player into a scattered building, mostly near something."""

    def __init__(self, scene: Scene, places: FreePlaces, rng: np.random.Generator) -> None:
        self._scene, self._places, self._rng = scene, places, rng
        self._entities, self._radius = rooms_of(scene).entities, rooms_of(scene).motion.radius_m
        self._balls = [i for i, e in enumerate(self._entities) if isinstance(e, Ball)]

    def arrange(self, rows: list[Row]) -> Pose:
        """The player's pose. May change rows: a ball is put where it is about to hit something."""
        if self._entities and self._rng.random() < NEAR:
            if self._balls and self._rng.random() < 0.25:
                self._throw(rows)
            else:
                pose = self._meet(rows, int(self._rng.integers(len(rows))))
                if pose is not None:
                    return pose
        x, y = self._places.free(self._radius)
        return self._looking(x, y, float(self._rng.uniform(0, 360)))

    def _looking(self, x: float, y: float, yaw_deg: float) -> Pose:
        camera = camera_of(self._scene)
        return Pose(x, y, Look(yaw_deg, float(self._rng.uniform(camera.pitch_min_deg, camera.pitch_max_deg))))

    def _meet(self, rows: list[Row], which: int) -> Pose | None:
        """The player in front of an entity, looking towards it more or less; None if there is no room."""
        rng, entity, row = self._rng, self._entities[which], rows[which]
        if entity.kind == "pickup":
            row[ON] = 1.0
        x0, y0 = entity.at if entity.kind == "door" else (row[X], row[Y])
        body = entity.body(row)
        least = body[2] + self._radius if body else 0.1
        for _ in range(_TRIES):
            away = math.radians(self._side_deg(entity, row))
            distance = least + 0.002 + (max(_FARTHEST[entity.kind], least + 0.4) - least) * rng.random() ** 1.5
            x, y = x0 + distance * math.sin(away), y0 + distance * math.cos(away)
            if self._places.is_free(x, y, self._radius):
                off = float(rng.normal(0, 25)) + 180.0 * (rng.random() < 0.1)
                return self._looking(x, y, bearing_deg(x0 - x, y0 - y) + off)
        return None

    def _side_deg(self, entity: EntityConfig, row: Row) -> float:
        """Where the player may stand: before a switch, on both sides of a door, anywhere else around."""
        spread = float(self._rng.normal(0, 30))
        if entity.kind == "lamp":
            return row[HEADING] + 180 + spread
        if entity.kind == "door":
            return float(getattr(entity, "heading_deg", 0.0)) + 180.0 * (self._rng.random() < 0.5) + spread
        return float(self._rng.uniform(0, 360))

    def _throw(self, rows: list[Row]) -> None:
        """A ball that rolls towards a door, a creature, another ball or the nearest wall."""
        rng, which = self._rng, self._balls[int(self._rng.integers(len(self._balls)))]
        ball, entity = rows[which], self._entities[which]
        others = [i for i, e in enumerate(self._entities) if i != which and e.kind in ("door", "creature", "ball")]
        if others and rng.random() < 0.6:
            other = rows[others[int(rng.integers(len(others)))]]
            radius = entity.slot().size[0] / 2
            for _ in range(_TRIES):
                away, distance = rng.uniform(0, 2 * math.pi), rng.uniform(0.2, 1.2)
                x, y = other[X] + distance * math.sin(away), other[Y] + distance * math.cos(away)
                if self._places.is_free(x, y, radius):
                    ball[X], ball[Y] = x, y
                    self._places.taken.append((x, y, radius))
                    self._push(ball, radius, bearing_deg(other[X] - x, other[Y] - y) + float(rng.normal(0, 20)))
                    return
        self._push(ball, entity.slot().size[0] / 2, float(rng.uniform(0, 360)))

    def _push(self, ball: Row, radius: float, heading_deg: float) -> None:
        speed, heading = float(self._rng.uniform(0.3, 6.0)), math.radians(heading_deg)
        ball[VX], ball[VY] = speed * math.sin(heading), speed * math.cos(heading)
        ball[HEADING], ball[RATE] = heading_deg % 360, speed / (2 * math.pi * radius)
