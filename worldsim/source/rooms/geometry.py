"""Triangles of a building of rooms. Turns a `RoomsConfig` into one vertex array; knows nothing of OpenGL."""

from __future__ import annotations

import math

import numpy as np

from worldsim.camera import Pose
from worldsim.source.rooms.layout import Doorway, Picture, Rect, Room, RoomsConfig, Show, Solid, Window
from worldsim.source.rooms.mesh import Material, Mesh

_SHOWS = (Material.FIRE, Material.WATER, Material.SCREEN, Material.JET)
_HEARTH_M = 0.22, 0.3  # how wide and how deep the frame of a fire is
_WITHIN_WALL_M = 0.3  # about the thickness of a wall
_FLOORS = {"planks": Material.PLANKS, "tiles": Material.TILES, "carpet": Material.CARPET}


def build(source: RoomsConfig) -> np.ndarray:
    """All triangles of the building. Returns float32 (vertices, 16)."""
    mesh = Mesh()
    for index, room in enumerate(source.rooms):
        _room(mesh, source, index, room)
    for doorway in source.doorways:
        _doorway(mesh, source, doorway)
    for solid in source.solids:
        _solid(mesh, solid, room_at(source, solid.at))
    for index, picture in enumerate(source.pictures):
        _picture(mesh, source, index, picture)
    for window in source.windows:
        _window(mesh, source, window)
    for show in source.shows:
        _show(mesh, source, show)
    return np.concatenate(mesh.vertices)


def surfaces(vertices: np.ndarray) -> np.ndarray:
    """The class of each vertex: 1 for floors, 2 for what moves by itself, else 0."""
    material = vertices[:, -2]
    floors, shows = np.isin(material, list(_FLOORS.values())), np.isin(material, list(_SHOWS))
    return floors * 1 + shows * 2


def rooms_by_distance(source: RoomsConfig, pose: Pose) -> list[int]:
    """Indices of the rooms, the nearest to a pose first."""

    def away(r: Rect) -> float:
        return math.hypot(max(r[0] - pose.x, 0, pose.x - r[2]), max(r[1] - pose.y, 0, pose.y - r[3]))

    return sorted(range(len(source.rooms)), key=lambda i: away(source.rooms[i].rect))


def room_at(source: RoomsConfig, at: tuple[float, float]) -> int:
    """Index of the room that holds a point, or of the nearest."""
    return min(range(len(source.rooms)), key=lambda i: _outside(source.rooms[i].rect, at))


def lit_in(source: RoomsConfig, at: tuple[float, float], eye: tuple[float, float]) -> int:
    """Index of the room whose light falls on what is seen of an entity at a point: the room that holds it. Within a
    wall, as a closed door is, it is the room on the viewer's side."""
    room = room_at(source, at)
    if _outside(source.rooms[room].rect, at) <= 0:
        return room
    x, y = eye[0] - at[0], eye[1] - at[1]
    step = _WITHIN_WALL_M / max(math.hypot(x, y), 1e-6)
    return room_at(source, (at[0] + x * step, at[1] + y * step))


def _outside(rect: Rect, at: tuple[float, float]) -> float:
    """How many metres a point lies outside a rectangle, negative inside."""
    return max(rect[0] - at[0], at[0] - rect[2], rect[1] - at[1], at[1] - rect[3])


def wall_holes(source: RoomsConfig, room: Room, side: str) -> list[tuple[float, float, float]]:
    """Doorways in one wall as (from, to, height), in metres along the wall from the room's corner, sorted."""
    x0, y0, x1, y1 = room.rect
    holes = []
    for door in source.doorways:
        a0, b0, a1, b1 = door.rect
        if side in ("south", "north"):
            touches = abs((b1 if side == "south" else b0) - (y0 if side == "south" else y1)) < 1e-6
            if touches and a0 < x1 and a1 > x0:
                holes.append((a0 - x0, a1 - x0, door.height))
        else:
            touches = abs((a1 if side == "west" else a0) - (x0 if side == "west" else x1)) < 1e-6
            if touches and b0 < y1 and b1 > y0:
                holes.append((b0 - y0, b1 - y0, door.height))
    return sorted(holes)


def wall_frame(room: Room, side: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Origin, direction along the wall, inward normal, and length of one wall."""
    x0, y0, x1, y1 = room.rect
    along, normal, origin, length = {
        "south": ((1, 0, 0), (0, 1, 0), (x0, y0, 0), x1 - x0),
        "north": ((1, 0, 0), (0, -1, 0), (x0, y1, 0), x1 - x0),
        "west": ((0, 1, 0), (1, 0, 0), (x0, y0, 0), y1 - y0),
        "east": ((0, 1, 0), (-1, 0, 0), (x1, y0, 0), y1 - y0),
    }[side]
    return np.array(origin, float), np.array(along, float), np.array(normal, float), length


def _facing(mesh: Mesh, origin, along, up, normal, **rest) -> None:
    """A quad whose normal points along `normal`, whichever way round that is."""
    if np.dot(np.cross(along, up), normal) < 0:
        origin, along = np.asarray(origin) + along, -np.asarray(along)
    mesh.quad(origin, along, up, **rest)


def _room(mesh: Mesh, source: RoomsConfig, index: int, room: Room) -> None:
    x0, y0, x1, y1 = room.rect
    dx, dy = (x1 - x0, 0, 0), (0, y1 - y0, 0)
    uv = (x0, y0, x1, y1)
    mesh.quad((x0, y0, 0), dx, dy, room.floor_colour, _FLOORS[room.floor], index, room.floor_accent, uv)
    mesh.quad((x0, y1, room.height), dx, (0, y0 - y1, 0), room.ceiling, Material.CEILING, index)
    cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
    mesh.quad((cx - 0.7, cy + 0.7, room.height - 0.03), (1.4, 0, 0), (0, -1.4, 0), room.lamp, Material.LAMP, index)
    for side in ("south", "north", "west", "east"):
        origin, along, normal, length = wall_frame(room, side)
        spans, cursor = [], 0.0
        for start, end, height in wall_holes(source, room, side):
            spans += [(cursor, start, 0.0), (start, end, height)]
            cursor = end
        spans.append((cursor, length, 0.0))
        for start, end, bottom in spans:
            if end - start > 1e-6:
                base = origin + along * start + np.array([0, 0, bottom])
                up = np.array([0, 0, room.height - bottom])
                _facing(mesh, base, along * (end - start), up, normal, colour=room.wall,
                        material=Material.WALL, room=index)  # fmt: skip


def _doorway(mesh: Mesh, source: RoomsConfig, door: Doorway) -> None:
    a0, b0, a1, b1 = door.rect
    room = room_at(source, ((a0 + a1) / 2, (b0 + b1) / 2))
    through_y = b1 - b0 < a1 - a0
    mesh.quad((a0, b0, 0), (a1 - a0, 0, 0), (0, b1 - b0, 0), door.colour, Material.PLAIN, room)
    mesh.quad((a0, b1, door.height), (a1 - a0, 0, 0), (0, b0 - b1, 0), door.colour, Material.PLAIN, room)
    jambs = (
        [((a0, b0, 0), (1, 0, 0)), ((a1, b0, 0), (-1, 0, 0))]
        if through_y
        else [((a0, b0, 0), (0, 1, 0)), ((a0, b1, 0), (0, -1, 0))]
    )
    depth = (0, b1 - b0, 0) if through_y else (a1 - a0, 0, 0)
    for origin, normal in jambs:
        _facing(mesh, origin, np.array(depth, float), (0, 0, door.height), normal, colour=door.colour,
                material=Material.PLAIN, room=room)  # fmt: skip
    trim, thick = 0.1, 0.04  # a moulding around the opening, on both sides
    if through_y:
        for low, high in ((b0 - thick, b0), (b1, b1 + thick)):
            mesh.box((a0 - trim, low, 0), (a0, high, door.height + trim), door.colour, room)
            mesh.box((a1, low, 0), (a1 + trim, high, door.height + trim), door.colour, room)
            mesh.box((a0, low, door.height), (a1, high, door.height + trim), door.colour, room, bottom=True)
    else:
        for low, high in ((a0 - thick, a0), (a1, a1 + thick)):
            mesh.box((low, b0 - trim, 0), (high, b0, door.height + trim), door.colour, room)
            mesh.box((low, b1, 0), (high, b1 + trim, door.height + trim), door.colour, room)
            mesh.box((low, b0, door.height), (high, b1, door.height + trim), door.colour, room, bottom=True)


def _solid(mesh: Mesh, solid: Solid, room: int) -> None:
    x, y = solid.at
    if solid.kind == "box":
        w, d = solid.size[0] / 2, solid.size[1] / 2
        mesh.box((x - w, y - d, 0), (x + w, y + d, solid.height), solid.colour, room)
    elif solid.kind == "pillar":
        r, top = solid.radius, solid.height
        profile = [(r * 1.35, 0), (r * 1.35, 0.14), (r * 1.05, 0.2), (r * 0.95, top - 0.22), (r * 1.3, top - 0.1),
                   (r * 1.3, top)]  # fmt: skip
        mesh.lathe(solid.at, profile, solid.colour, room, Material.PLAIN)
    elif solid.kind == "fountain":
        _fountain(mesh, solid, room)
    else:
        w = solid.radius * 0.75
        mesh.box((x - w, y - w, 0), (x + w, y + w, solid.height), (0.88, 0.87, 0.85), room)
        mesh.ball((x, y, solid.height + solid.radius * 0.97), solid.radius, solid.colour, room)


def _picture(mesh: Mesh, source: RoomsConfig, index: int, picture: Picture) -> None:
    room = source.room(picture.room)
    number = source.rooms.index(room)
    origin, along, normal, _ = wall_frame(room, picture.side)
    w, h = picture.size
    border, depth = 0.09, 0.05
    centre = origin + along * picture.along + np.array([0, 0, picture.up])
    half = along * (w / 2 + border) + np.array([0, 0, h / 2 + border])
    low = np.minimum(centre - half, centre + half + normal * depth)
    high = np.maximum(centre - half, centre + half + normal * depth)
    mesh.box(tuple(low), tuple(high), picture.frame, number, bottom=True)
    right = along if np.dot(np.cross(along, (0, 0, 1)), normal) > 0 else -along
    corner = centre - right * w / 2 - np.array([0, 0, h / 2]) + normal * (depth + 0.005)
    mesh.quad(corner, right * w, (0, 0, h), (1, 1, 1), Material.PICTURE + index, number, uv=(0, 0, 1, 1))


def window_corners(source: RoomsConfig, window: Window) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre, unit vector along the wall, and inward normal of a window."""
    origin, along, normal, _ = wall_frame(source.room(window.room), window.side)
    return origin + along * window.along + np.array([0, 0, window.up]), along, normal


def _window(mesh: Mesh, source: RoomsConfig, window: Window) -> None:
    number = source.rooms.index(source.room(window.room))
    centre, along, normal = window_corners(source, window)
    w, h = window.size
    right = along if np.dot(np.cross(along, (0, 0, 1)), normal) > 0 else -along
    corner = centre - right * w / 2 - np.array([0, 0, h / 2]) + normal * 0.01
    mesh.quad(corner, right * w, (0, 0, h), (0.75, 0.86, 1.0), Material.SKY, number, uv=(0, 0, 1, 1))
    bar, depth, white = 0.07, 0.06, (0.93, 0.92, 0.9)
    for across in (-w / 2, 0.0, w / 2):
        _bar(
            mesh,
            centre + along * across,
            along * bar / 2 + np.array([0, 0, h / 2 + bar / 2]),
            normal * depth,
            white,
            number,
        )
    for up in (-h / 2, 0.12 * h, h / 2):
        _bar(
            mesh,
            centre + np.array([0, 0, up]),
            along * w / 2 + np.array([0, 0, bar / 2]),
            normal * depth,
            white,
            number,
        )


def _bar(mesh: Mesh, centre: np.ndarray, half: np.ndarray, depth: np.ndarray, colour, room: int) -> None:
    ends = np.stack([centre - half, centre + half + depth])
    mesh.box(tuple(ends.min(axis=0)), tuple(ends.max(axis=0)), colour, room, bottom=True)


def _fountain(mesh: Mesh, solid: Solid, room: int) -> None:
    """A basin, its water, a column in the middle, and a bell of water that falls from it."""
    r, top = solid.radius, solid.height
    rim = [(r * 1.04, 0), (r * 1.04, top - 0.06), (r * 1.1, top), (r * 0.92, top), (r * 0.9, top - 0.1)]
    mesh.lathe(solid.at, rim, solid.colour, room, Material.PLAIN)
    mesh.lathe(solid.at, [(r * 0.92, top - 0.08), (0.0, top - 0.08)], (0.3, 0.55, 0.68), room, Material.WATER)
    column = [(0.1, top - 0.1), (0.07, top + 0.35), (0.2, top + 0.42), (0.02, top + 0.45)]
    mesh.lathe(solid.at, column, solid.colour, room, Material.PLAIN)
    bell = [
        (0.45 * r, top - 0.08),
        (0.42 * r, top + 0.3),
        (0.3 * r, top + 0.55),
        (0.08 * r, top + 0.68),
        (0.0, top + 0.7),
    ]
    mesh.lathe(solid.at, bell, (0.72, 0.86, 0.95), room, Material.JET)


def show_corners(source: RoomsConfig, show: Show) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre, unit vector along the wall, and inward normal of a show."""
    origin, along, normal, _ = wall_frame(source.room(show.room), show.side)
    return origin + along * show.along + np.array([0, 0, show.up]), along, normal


def hearth(source: RoomsConfig, show: Show) -> Rect:
    """The floor that a fire and its frame take up: nobody walks there."""
    centre, along, normal = show_corners(source, show)
    half = along * (show.size[0] / 2 + _HEARTH_M[0])
    ends = np.stack([centre - half, centre + half + normal * _HEARTH_M[1]])[:, :2]
    (x0, y0), (x1, y1) = ends.min(axis=0).tolist(), ends.max(axis=0).tolist()
    return x0, y0, x1, y1


def _show(mesh: Mesh, source: RoomsConfig, show: Show) -> None:
    """A screen in its frame, or a fire before the dark back of its hearth."""
    number = source.rooms.index(source.room(show.room))
    centre, along, normal = show_corners(source, show)
    w, h = show.size
    right = along if np.dot(np.cross(along, (0, 0, 1)), normal) > 0 else -along
    border, depth = _HEARTH_M if show.kind == "fire" else (0.07, 0.06)
    up = np.array([0, 0, 1.0])
    bars = [(right * (w / 2 + border / 2) * s, right * border / 2 + up * (h / 2 + border)) for s in (-1, 1)]
    bars += [(up * (h / 2 + border / 2), right * (w / 2 + border) + up * border / 2)]
    if show.kind == "screen":
        bars += [(-up * (h / 2 + border / 2), right * (w / 2 + border) + up * border / 2)]
    for offset, half in bars:
        _bar(mesh, centre + offset, np.abs(half), normal * depth, show.frame, number)
    corner = centre - right * w / 2 - up * h / 2
    material = Material.FIRE if show.kind == "fire" else Material.SCREEN
    mesh.quad(corner + normal * 0.02, right * w, up * h, (1, 1, 1), material, number, uv=(0, 0, 1, 1))
    if show.kind == "fire":
        shelf = right * (w / 2 + border + 0.1) + up * 0.05
        _bar(mesh, centre + up * (h / 2 + border + 0.05), np.abs(shelf), normal * (depth + 0.08), show.frame, number)
