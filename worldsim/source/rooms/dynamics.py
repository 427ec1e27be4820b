"""How a player moves through a building: walking, running, sliding along walls and solids. No graphics, no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from worldsim.action import Action
from worldsim.camera import Pose
from worldsim.scene import Scene
from worldsim.source.rooms.collisions import Disc, Leaf, gap_to_leaf
from worldsim.source.rooms.geometry import hearth, wall_holes
from worldsim.source.rooms.layout import Rect, RoomsConfig, camera_of, rooms_of

_WALL_M = 0.3  # depth of a wall behind its face, more than one tick of running
_DEEPER_M = 1e-3  # that a body squeezed between others may come into one of them


class Dynamics:
    """The motion of a body of fixed radius among walls. Pure: `advance` depends on its arguments alone."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._space = scene.action_space
        self.boxes: list[Rect] = _wall_boxes(rooms_of(scene)) + [
            (s.at[0] - s.size[0] / 2, s.at[1] - s.size[1] / 2, s.at[0] + s.size[0] / 2, s.at[1] + s.size[1] / 2)
            for s in rooms_of(scene).solids
            if s.kind == "box"
        ]
        self.boxes += [hearth(rooms_of(scene), show) for show in rooms_of(scene).shows if show.kind == "fire"]
        self.discs: list[Disc] = [(*s.at, s.radius) for s in rooms_of(scene).solids if s.kind != "box"]

    def advance(self, pose: Pose, action: Action, leaves: Sequence[Leaf] = (), bodies: Sequence[Disc] = ()) -> Pose:
        """The pose one tick later: turn first, then walk in the new direction, then out of every wall.

        leaves, bodies: of doors and creatures, which push back too. Who would be squeezed into one stays."""
        space, motion = self._space, rooms_of(self._scene).motion
        look = camera_of(self._scene).turn(pose.look, space.degrees(action, "yaw"), space.degrees(action, "pitch"))
        walk, strafe = space.get(action, "walk"), space.get(action, "strafe")
        if not walk and not strafe:
            return Pose(pose.x, pose.y, look)
        speed = motion.run_m_s if space.get(action, "run") else motion.walk_m_s
        step = speed / self._scene.tick_hz / math.hypot(walk, strafe)
        sin, cos = math.sin(math.radians(look.yaw_deg)), math.cos(math.radians(look.yaw_deg))
        x = pose.x + step * (walk * sin + strafe * cos)
        y = pose.y + step * (walk * cos - strafe * sin)
        x, y = self.push_out(x, y, motion.radius_m, leaves, bodies)
        if (leaves or bodies) and _deeper(x, y, pose, motion.radius_m, leaves, bodies):
            return Pose(pose.x, pose.y, look)
        return Pose(x, y, look)

    def push_out(
        self, x: float, y: float, radius: float | None = None, leaves: Sequence[Leaf] = (), discs: Sequence[Disc] = ()
    ) -> tuple[float, float]:
        """The nearest place to (x, y) where the body touches nothing: this is what makes it slide.

        radius: of the body, the player's if left out. leaves, discs: what pushes besides walls and solids; walls win.
        """
        if radius is None:
            radius = rooms_of(self._scene).motion.radius_m
        for _ in range(3):  # a corner needs two walls; a third pass settles a solid beside it
            begun = x, y
            for leaf in leaves:
                x, y = _out_of_leaf(x, y, radius, leaf)
            for cx, cy, r in discs:
                x, y = _out_of_disc(x, y, radius, cx, cy, r)
            for x0, y0, x1, y1 in self.boxes:
                if x - x1 >= radius or x0 - x >= radius or y - y1 >= radius or y0 - y >= radius:
                    continue
                x, y = _out_of_box(x, y, radius, x0, y0, x1, y1)
            for cx, cy, r in self.discs:
                x, y = _out_of_disc(x, y, radius, cx, cy, r)
            if (x, y) == begun:
                break
        return x, y

    def walls(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far it is from points (N, 2) to the nearest wall or solid, less than 0 within one: (N,); and which way
        leads away from it (N, 2)."""
        clear, away = np.full(len(at), np.inf), np.zeros((len(at), 2))
        for x0, y0, x1, y1 in self.boxes:
            off = at - np.clip(at, (x0, y0), (x1, y1))
            far = np.hypot(*off.T)
            sides = np.stack([at[:, 0] - x0, x1 - at[:, 0], at[:, 1] - y0, y1 - at[:, 1]])
            out = np.array([(-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0)])[sides.argmin(axis=0)]
            way = np.where(far[:, None] > 0, off / np.maximum(far, 1e-9)[:, None], out)
            _keep_nearest(clear, away, np.where(far > 0, far, -sides.min(axis=0)), way)
        for x, y, radius in self.discs:
            off = at - (x, y)
            far = np.hypot(*off.T)
            _keep_nearest(clear, away, far - radius, off / np.maximum(far, 1e-9)[:, None])
        return clear, away

    def is_free(self, x: float, y: float, radius: float | None = None) -> bool:
        """True inside a room where the body touches nothing. radius: of the body, the player's if left out."""
        inside = any(r.rect[0] < x < r.rect[2] and r.rect[1] < y < r.rect[3] for r in rooms_of(self._scene).rooms)
        px, py = self.push_out(x, y, radius)
        return inside and math.hypot(px - x, py - y) < 1e-9


def _keep_nearest(clear: np.ndarray, away: np.ndarray, far: np.ndarray, way: np.ndarray) -> None:
    """Where something is nearer than what was found so far, keep that instead, in place."""
    nearer = far < clear
    clear[nearer], away[nearer] = far[nearer], way[nearer]


def _out_of_box(x: float, y: float, radius: float, x0: float, y0: float, x1: float, y1: float) -> tuple[float, float]:
    nx, ny = min(max(x, x0), x1), min(max(y, y0), y1)
    dx, dy = x - nx, y - ny
    distance = math.hypot(dx, dy)
    if distance >= radius:
        return x, y
    if distance > 1e-9:
        return nx + dx / distance * radius, ny + dy / distance * radius
    # The centre is inside: leave by the nearest face.
    depth, ox, oy = min((x - x0, -1, 0), (x1 - x, 1, 0), (y - y0, 0, -1), (y1 - y, 0, 1))
    return x + ox * (depth + radius), y + oy * (depth + radius)


def _out_of_disc(x: float, y: float, radius: float, cx: float, cy: float, r: float) -> tuple[float, float]:
    dx, dy = x - cx, y - cy
    distance = math.hypot(dx, dy)
    if distance >= r + radius:
        return x, y
    scale = (r + radius) / max(distance, 1e-9)
    return cx + dx * scale, cy + dy * scale


def _out_of_leaf(x: float, y: float, radius: float, leaf: Leaf) -> tuple[float, float]:
    cx, cy, ax, ay, across, along = leaf
    dx, dy = x - cx, y - cy
    u, v = dx * ax + dy * ay, dy * ax - dx * ay
    ou, ov = _out_of_box(u, v, radius, -across, -along, across, along)
    return (x, y) if (ou, ov) == (u, v) else (cx + ou * ax - ov * ay, cy + ou * ay + ov * ax)


def _deeper(x: float, y: float, pose: Pose, radius: float, leaves: Sequence[Leaf], bodies: Sequence[Disc]) -> bool:
    """Whether a step has come deeper into a leaf or a body."""
    for leaf in leaves:
        gap = gap_to_leaf(x, y, leaf)
        if gap < radius - _DEEPER_M and gap <= gap_to_leaf(pose.x, pose.y, leaf):
            return True
    for bx, by, r in bodies:
        gap = math.hypot(x - bx, y - by)
        if gap < radius + r - _DEEPER_M and gap <= math.hypot(pose.x - bx, pose.y - by):
            return True
    return False


def _wall_boxes(source: RoomsConfig) -> list[Rect]:
    """Every wall as boxes outside its room, with gaps for the doorways."""
    boxes: list[Rect] = []
    for room in source.rooms:
        x0, y0, x1, y1 = room.rect
        for side in ("south", "north", "west", "east"):
            length = x1 - x0 if side in ("south", "north") else y1 - y0
            cursor = -_WALL_M
            for start, end in [(s, e) for s, e, _ in wall_holes(source, room, side)] + [(length + _WALL_M, 0.0)]:
                a, b = cursor, start
                if b > a:
                    boxes.append({
                        "south": (x0 + a, y0 - _WALL_M, x0 + b, y0),
                        "north": (x0 + a, y1, x0 + b, y1 + _WALL_M),
                        "west": (x0 - _WALL_M, y0 + a, x0, y0 + b),
                        "east": (x1, y0 + a, x1 + _WALL_M, y0 + b),
                    }[side])  # fmt: skip
                cursor = end
    return boxes
