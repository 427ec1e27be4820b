"""The `source` part of a scene of rooms: walls, floors, doorways, solids, pictures, windows, sun."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from worldsim.camera import Camera
from worldsim.config import require
from worldsim.errors import nearest
from worldsim.scene import Place, Scene, SourceConfig

Colour = tuple[float, float, float]
Rect = tuple[float, float, float, float]


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
        require(self.rect[0] < self.rect[2] and self.rect[1] < self.rect[3], f"rect must grow, got {self.rect}")
        require(1.8 <= self.height <= 20, f"height must lie in [1.8, 20], got {self.height:g}")


@dataclass(frozen=True)
class Doorway:
    """An opening between rooms, as a rectangle of floor that reaches from one room into the other."""

    rect: Rect
    height: float = 2.3
    colour: Colour = (0.46, 0.35, 0.25)


@dataclass(frozen=True)
class Solid:
    """A pillar (radius, height), sphere (radius, on a plinth of `height`) or box (size x, y; height; turned by yaw)."""

    kind: Literal["pillar", "sphere", "box"]
    at: tuple[float, float]
    colour: Colour
    height: float = 0.9
    radius: float = 0.3
    size: tuple[float, float] = (0.6, 0.6)

    def __post_init__(self) -> None:
        require(self.height >= 0 and self.radius > 0 and min(self.size) > 0, "height, radius and size must be positive")


Side = Literal["west", "east", "south", "north"]


@dataclass(frozen=True)
class Picture:
    """A framed picture on a wall: centre `along` the wall in metres from the room's corner, `up` from the floor."""

    room: str
    side: Side
    along: float
    style: Literal["sunset", "mountains", "grid", "circles", "waves", "night", "portrait", "bands"]
    size: tuple[float, float] = (1.4, 1.0)
    up: float = 1.6
    seed: int = 0
    frame: Colour = (0.55, 0.42, 0.18)


@dataclass(frozen=True)
class Window:
    """A window in a wall, through which the sun falls."""

    room: str
    side: Side
    along: float
    size: tuple[float, float] = (2.2, 1.5)
    up: float = 1.75


@dataclass(frozen=True)
class Sun:
    """Direction the light travels (x, y, z) and its colour, which may exceed 1."""

    direction: Colour = (0.8, 0.25, -0.55)
    colour: Colour = (1.5, 1.3, 1.0)


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
    sun: Sun = Sun()
    fog: Colour = (0.74, 0.73, 0.74)
    fog_per_m: float = 0.02
    motion: Motion = Motion()

    def __post_init__(self) -> None:
        require(0 < len(self.rooms) <= 8, f"rooms must list 1 to 8 rooms, got {len(self.rooms)}")
        require(len(self.windows) <= 4, f"windows must list at most 4, got {len(self.windows)}")  # shader arrays
        require(len(self.solids) <= 24, f"solids must list at most 24, got {len(self.solids)}")
        names = [r.name for r in self.rooms]
        wanted = [(f"pictures[{i}]", p.room) for i, p in enumerate(self.pictures)]
        wanted += [(f"windows[{i}]", w.room) for i, w in enumerate(self.windows)]
        for place, room in wanted:
            require(room in names, f"{place}.room is {room!r}, {nearest(room, names)}")

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
    def place(self) -> Place:
        return Place(self.bounds, self.extent, self.motion.run_m_s)


def rooms_of(scene: Scene) -> RoomsConfig:
    """The source of a scene of rooms."""
    assert isinstance(scene.source, RoomsConfig), f"{scene.name} is no scene of rooms"
    return scene.source


def camera_of(scene: Scene) -> Camera:
    """The camera of a scene of rooms, which always has one."""
    assert scene.camera is not None, f"{scene.name} has no camera"
    return scene.camera
