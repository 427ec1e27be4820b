"""A scene: what a world is. Loads and validates `scenes/NAME.yaml`.

Knows the words of the file, not how a source draws them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from worldsim.action import ActionSpace, Control
from worldsim.camera import Camera, Look, Pose
from worldsim.config import from_mapping, read_yaml, require, to_mapping
from worldsim.errors import ConfigError, SceneError, nearest

SCENES = Path(__file__).parent / "scenes"

Colour = tuple[float, float, float]
Rect = tuple[float, float, float, float]


@dataclass(frozen=True)
class FrameSize:
    """Size of a frame in pixels; both divisible by 16, the codec's reduction."""

    width: int
    height: int

    def __post_init__(self) -> None:
        for name, value in (("width", self.width), ("height", self.height)):
            require(16 <= value <= 1024 and value % 16 == 0, f"{name} must be a multiple of 16 up to 1024, got {value}")

    @property
    def aspect(self) -> float:
        return self.width / self.height


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
class RoomsSource:
    """A building of rectangular rooms, drawn by the scene engine."""

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


@dataclass(frozen=True)
class SpawnPoint:
    """A named place to start from."""

    name: str
    at: tuple[float, float]
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0

    @property
    def pose(self) -> Pose:
        return Pose(self.at[0], self.at[1], Look(self.yaw_deg, self.pitch_deg))


@dataclass(frozen=True)
class Scene:
    """All that a scene file says."""

    name: str
    title: str
    frame: FrameSize
    controls: tuple[Control, ...]
    source: RoomsSource
    camera: Camera = Camera()
    tick_hz: float = 20.0
    spawns: tuple[SpawnPoint, ...] = ()
    events: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(1 <= self.tick_hz <= 120, f"tick_hz must lie in [1, 120], got {self.tick_hz:g}")
        require(len(self.spawns) > 0, "spawns must list at least one place to start from")
        ActionSpace(self.controls)

    @property
    def action_space(self) -> ActionSpace:
        return ActionSpace(self.controls)


def parse_scene(data: Any, where: str) -> Scene:
    """A scene from plain YAML data. `where` is how errors name the file. Raises SceneError."""
    try:
        return from_mapping(Scene, data, f"{where}:")
    except ConfigError as error:
        raise SceneError(str(error)) from None


def find_scene(name: str) -> Path:
    """The file of a scene given as a name or a path. Raises SceneError naming the nearest known scene."""
    if name.endswith((".yaml", ".yml")) or "/" in name:
        path = Path(name)
        if not path.is_file():
            raise SceneError(f"{name} is not a file; give a scene file or one of: {', '.join(scene_names())}")
        return path
    path = SCENES / f"{name}.yaml"
    if not path.is_file():
        raise SceneError(f"no scene is called {name!r}, {nearest(name, scene_names())}")
    return path


def scene_names() -> list[str]:
    """Names of the scenes that ship with worldsim."""
    return sorted(p.stem for p in SCENES.glob("*.yaml"))


def load_scene(name: str) -> Scene:
    """Load a scene by name or path. Raises SceneError."""
    path = find_scene(name)
    try:
        data = read_yaml(path)
    except ConfigError as error:
        raise SceneError(str(error)) from None
    return parse_scene(data, str(path) if name == str(path) else f"scenes/{path.name}")


def scene_hash(scene: Scene) -> str:
    """SHA-256 of what a scene says, in a canonical form: comments and order of keys do not count."""
    text = json.dumps(to_mapping(scene), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
