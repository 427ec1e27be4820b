"""The `source` part of a scene of rooms: walls, floors, doorways, solids, pictures, windows, sun."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from worldsim.camera import Camera
from worldsim.config import require
from worldsim.entities import Slot
from worldsim.errors import nearest, shown
from worldsim.scene import Place, Scene, SourceConfig
from worldsim.source.rooms.entities.base import EntityConfig

Colour = tuple[float, float, float]
Rect = tuple[float, float, float, float]

FARTHEST_M = 200.0  # of anything from the origin, on either axis
EVENTS = ("night", "fog", "lights_out", "party")  # that the renderer can show
WIDEST_M = 200.0  # the whole building, along either axis


def _require_colours(*colours: Colour) -> None:
    require(all(0 <= c <= 100 for colour in colours for c in colour), "colours must lie in [0, 100]")


def _require_place(field: str, numbers: tuple[float, ...]) -> None:
    near = all(abs(n) <= FARTHEST_M for n in numbers)
    require(near, f"{field} must lie within {FARTHEST_M:g} m of the origin, got {shown(numbers)}")


def _require_rect(rect: Rect) -> None:
    require(rect[0] + 0.01 <= rect[2] and rect[1] + 0.01 <= rect[3], f"rect must grow by 1 cm, got {shown(rect)}")
    _require_place("rect", rect)


def _require_hung(along: float, up: float, size: tuple[float, float]) -> None:
    _require_place("along and up", (along, up))
    require(0.01 <= min(size) <= max(size) <= 50, f"size must lie in [0.01, 50], got {shown(size)}")


@dataclass(frozen=True)
class Motion:
    """How the player moves: speeds in metres a second, radius of the body in metres."""

    walk_m_s: float = 1.6
    run_m_s: float = 3.2
    radius_m: float = 0.3

    def __post_init__(self) -> None:
        require(0 < self.walk_m_s <= self.run_m_s <= 20, f"walk_m_s must lie in (0, run_m_s], got {self.walk_m_s:g}")
        require(0 < self.radius_m <= 2, f"radius_m must lie in (0, 2], got {self.radius_m:g}")


@dataclass(frozen=True)
class Room:
    """A room. rect: x0, y0, x1, y1 in metres; colours in sRGB [0, 1]."""

    name: str
    rect: Rect
    height: float
    wall: Colour
    floor: Literal["planks", "tiles", "carpet"]
    floor_colour: Colour
    floor_accent: Colour
    ceiling: Colour = (0.92, 0.91, 0.88)
    lamp: Colour = (1.0, 0.93, 0.82)

    def __post_init__(self) -> None:
        _require_rect(self.rect)
        _require_colours(self.wall, self.floor_colour, self.floor_accent, self.ceiling, self.lamp)
        require(1.8 <= self.height <= 20, f"height must lie in [1.8, 20], got {self.height:g}")


@dataclass(frozen=True)
class Doorway:
    """An opening between rooms, as a rectangle of floor that reaches from one room into the other."""

    rect: Rect
    height: float = 2.3
    colour: Colour = (0.46, 0.35, 0.25)

    def __post_init__(self) -> None:
        _require_rect(self.rect)
        _require_colours(self.colour)
        require(0.1 <= self.height <= 20, f"height must lie in [0.1, 20], got {self.height:g}")


@dataclass(frozen=True)
class Solid:
    """A pillar (radius, height), sphere (radius, on a plinth of `height`), box (size x, y; height), or a fountain
    (radius and height of its basin, in which water moves)."""

    kind: Literal["pillar", "sphere", "box", "fountain"]
    at: tuple[float, float]
    colour: Colour
    height: float = 0.9
    radius: float = 0.3
    size: tuple[float, float] = (0.6, 0.6)

    def __post_init__(self) -> None:
        _require_place("at", self.at)
        _require_colours(self.colour)
        require(0 <= self.height <= 20, f"height must lie in [0, 20], got {self.height:g}")
        require(0.01 <= self.radius <= 20, f"radius must lie in [0.01, 20], got {self.radius:g}")
        require(0.01 <= min(self.size) <= max(self.size) <= 50, f"size must lie in [0.01, 50], got {shown(self.size)}")


Side = Literal["west", "east", "south", "north"]


@dataclass(frozen=True)
class Picture:
    """A framed picture on a wall: centre `along` the wall in metres from the room's corner, `up` from the floor. One of
    style `anew` is another one in every episode."""

    room: str
    side: Side
    along: float
    style: Literal["sunset", "mountains", "grid", "circles", "waves", "night", "portrait", "bands", "anew"]
    size: tuple[float, float] = (1.4, 1.0)
    up: float = 1.6
    seed: int = 0
    frame: Colour = (0.55, 0.42, 0.18)

    def __post_init__(self) -> None:
        _require_hung(self.along, self.up, self.size)
        _require_colours(self.frame)
        require(self.seed >= 0, f"seed must be 0 or more, got {self.seed}")


@dataclass(frozen=True)
class Show:
    """Something on a wall that moves by itself: a fire in its hearth, or a screen that plays. Centre `along` the wall
    from the room's corner, `up` from the floor."""

    kind: Literal["fire", "screen"]
    room: str
    side: Side
    along: float
    size: tuple[float, float] = (1.2, 0.9)
    up: float = 0.55
    frame: Colour = (0.5, 0.47, 0.44)

    def __post_init__(self) -> None:
        _require_hung(self.along, self.up, self.size)
        _require_colours(self.frame)


@dataclass(frozen=True)
class Window:
    """A window in a wall, through which the sun falls."""

    room: str
    side: Side
    along: float
    size: tuple[float, float] = (2.2, 1.5)
    up: float = 1.75

    def __post_init__(self) -> None:
        _require_hung(self.along, self.up, self.size)


@dataclass(frozen=True)
class Sun:
    """Direction the light travels (x, y, z) and its colour, which may exceed 1."""

    direction: Colour = (0.8, 0.25, -0.55)
    colour: Colour = (1.5, 1.3, 1.0)

    def __post_init__(self) -> None:
        length = math.hypot(*self.direction)
        require(0.01 <= length <= 100, f"direction must be 0.01 to 100 long, got {shown(self.direction)}")
        _require_colours(self.colour)


@dataclass(frozen=True)
class RoomsConfig(SourceConfig):
    """A building of rectangular rooms, drawn by our own renderer."""

    world: ClassVar[str] = "worldsim.source.rooms.world:RoomsWorld"

    engine: Literal["rooms"]
    rooms: tuple[Room, ...]
    doorways: tuple[Doorway, ...] = ()
    solids: tuple[Solid, ...] = ()
    pictures: tuple[Picture, ...] = ()
    windows: tuple[Window, ...] = ()
    shows: tuple[Show, ...] = ()
    entities: tuple[EntityConfig, ...] = ()
    sun: Sun = Sun()
    fog: Colour = (0.74, 0.73, 0.74)
    fog_per_m: float = 0.02
    motion: Motion = Motion()

    def __post_init__(self) -> None:
        require(0 < len(self.rooms) <= 8, f"rooms must list 1 to 8 rooms, got {len(self.rooms)}")
        require(len(self.windows) <= 4, f"windows must list at most 4, got {len(self.windows)}")  # shader arrays
        require(len(self.solids) <= 24, f"solids must list at most 24, got {len(self.solids)}")
        require(len(self.doorways) <= 64, f"doorways must list at most 64, got {len(self.doorways)}")
        require(len(self.pictures) <= 64, f"pictures must list at most 64, got {len(self.pictures)}")
        require(0 <= self.fog_per_m <= 10, f"fog_per_m must lie in [0, 10], got {self.fog_per_m:g}")
        _require_colours(self.fog)
        names = [r.name for r in self.rooms]
        require(len(set(names)) == len(names), f"rooms must have different names, got {shown(names)}")
        x0, y0, x1, y1 = self.bounds
        widest = max(x1 - x0, y1 - y0)
        require(widest <= WIDEST_M, f"rooms must lie within {WIDEST_M:g} m of each other, got {widest:g} m")
        wanted = [(f"pictures[{i}]", p.room) for i, p in enumerate(self.pictures)]
        wanted += [(f"windows[{i}]", w.room) for i, w in enumerate(self.windows)]
        wanted += [(f"shows[{i}]", s.room) for i, s in enumerate(self.shows)]
        fires = sum(s.kind == "fire" for s in self.shows)
        require(fires <= 4 and len(self.shows) <= 16, "shows must list at most 16, of them at most 4 fires")
        for place, room in wanted:
            require(room in names, f"{place}.room is {shown(room)}, {nearest(room, names)}")
        self._check_entities()

    def _check_entities(self) -> None:
        known, rooms = [e.name for e in self.entities], [r.name for r in self.rooms]
        require(len(set(known)) == len(known), f"entities must have different names, got {shown(known)}")
        x0, y0, x1, y1 = self.bounds
        for i, entity in enumerate(self.entities):
            inside = x0 <= entity.at[0] <= x1 and y0 <= entity.at[1] <= y1
            require(inside, f"entities[{i}].at must lie inside the building, got {shown(entity.at)}")
            room = getattr(entity, "room", None)
            require(room is None or room in rooms, f"entities[{i}].room is {shown(room)}, {nearest(str(room), rooms)}")

    def room(self, name: str) -> Room:
        return next(r for r in self.rooms if r.name == name)

    @property
    def bounds(self) -> Rect:
        """Smallest rectangle around all rooms."""
        rects = [r.rect for r in self.rooms]
        return min(r[0] for r in rects), min(r[1] for r in rects), max(r[2] for r in rects), max(r[3] for r in rects)

    @property
    def extent(self) -> tuple[float, float, float, float, float, float]:
        """The box of all that can be seen, walls, floor and ceiling included."""
        x0, y0, x1, y1 = self.bounds
        margin = 0.4
        return x0 - margin, y0 - margin, -0.2, x1 + margin, y1 + margin, max(r.height for r in self.rooms) + 0.2

    @property
    def slots(self) -> tuple[Slot, ...]:
        return tuple(entity.slot() for entity in self.entities)

    @property
    def known_events(self) -> tuple[str, ...]:
        return EVENTS

    @property
    def place(self) -> Place:
        return Place(self.bounds, self.extent, self.motion.run_m_s, self.motion.radius_m)


def rooms_of(scene: Scene) -> RoomsConfig:
    """The source of a scene of rooms."""
    assert isinstance(scene.source, RoomsConfig), f"{scene.name} is no scene of rooms"
    return scene.source


def camera_of(scene: Scene) -> Camera:
    """The camera of a scene of rooms, which always has one."""
    assert scene.camera is not None, f"{scene.name} has no camera"
    return scene.camera
