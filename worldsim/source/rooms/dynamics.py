"""How a player moves through a building: walking, running, sliding along walls and solids. No graphics, no torch."""

from __future__ import annotations

import math

from worldsim.action import Action
from worldsim.camera import Pose
from worldsim.scene import Scene
from worldsim.source.rooms.geometry import wall_holes
from worldsim.source.rooms.layout import Rect, RoomsConfig, camera_of, rooms_of

_WALL_M = 0.3  # depth of a wall behind its face, more than one tick of running


class Dynamics:
    """The motion of a body of fixed radius among walls. Pure: `advance` depends on its arguments alone."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._space = scene.action_space
        self._boxes = _wall_boxes(rooms_of(scene)) + [
            (s.at[0] - s.size[0] / 2, s.at[1] - s.size[1] / 2, s.at[0] + s.size[0] / 2, s.at[1] + s.size[1] / 2)
            for s in rooms_of(scene).solids
            if s.kind == "box"
        ]
        self._discs = [(*s.at, s.radius) for s in rooms_of(scene).solids if s.kind != "box"]

    def advance(self, pose: Pose, action: Action) -> Pose:
        """The pose one tick later: turn first, then walk in the new direction, then out of every wall."""
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
        x, y = self.push_out(x, y)
        return Pose(x, y, look)

    def push_out(self, x: float, y: float) -> tuple[float, float]:
        """The nearest place to (x, y) where the body touches nothing: this is what makes it slide."""
        radius = rooms_of(self._scene).motion.radius_m
        for _ in range(3):  # a corner needs two walls; a third pass settles a solid beside it
            for x0, y0, x1, y1 in self._boxes:
                nx, ny = min(max(x, x0), x1), min(max(y, y0), y1)
                dx, dy = x - nx, y - ny
                distance = math.hypot(dx, dy)
                if distance >= radius:
                    continue
                if distance > 1e-9:
                    x, y = nx + dx / distance * radius, ny + dy / distance * radius
                else:  # the centre is inside: leave by the nearest face
                    out = [(x - x0, -1, 0), (x1 - x, 1, 0), (y - y0, 0, -1), (y1 - y, 0, 1)]
                    depth, ox, oy = min(out)
                    x, y = x + ox * (depth + radius), y + oy * (depth + radius)
            for cx, cy, r in self._discs:
                dx, dy = x - cx, y - cy
                distance = math.hypot(dx, dy)
                if distance < r + radius:
                    scale = (r + radius) / max(distance, 1e-9)
                    x, y = cx + dx * scale, cy + dy * scale
        return x, y

    def is_free(self, x: float, y: float) -> bool:
        """True inside a room where the body touches nothing."""
        inside = any(r.rect[0] < x < r.rect[2] and r.rect[1] < y < r.rect[3] for r in rooms_of(self._scene).rooms)
        px, py = self.push_out(x, y)
        return inside and math.hypot(px - x, py - y) < 1e-9


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
