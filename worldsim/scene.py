"""A scene: what a world is. Loads and validates `scenes/NAME.yaml`.

Knows the words of the file. What the `source` part says is up to the source it names (see registry.SOURCES).
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from worldsim.action import ActionSpace, Control
from worldsim.camera import Camera, Look, Pose
from worldsim.config import from_mapping, mapping_hash, read_yaml, require, to_mapping, without_defaults
from worldsim.entities import MOST_SLOTS, Slot
from worldsim.errors import ConfigError, SceneError, nearest, shown
from worldsim.event import Event
from worldsim.registry import SOURCES

SCENES = Path(__file__).parent / "scenes"


Bounds = tuple[float, float, float, float]
"""A rectangle of the floor in metres: least x, y, then greatest x, y."""


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
class Place:
    """Where a player with a camera can be, in metres.

    bounds: x0, y0, x1, y1 of the floor; extent: least x, y, z, then greatest x, y, z of all that can be seen;
    top_speed_m_s: the player's; body_m: the radius of the player's body.
    """

    bounds: Bounds
    extent: tuple[float, float, float, float, float, float]
    top_speed_m_s: float
    body_m: float = 0.3


@dataclass(frozen=True)
class SourceConfig:
    """The `source` part of a scene file: which true engine, and its settings. Each source has a subclass."""

    world: ClassVar[str]
    """The source's subclass of source.base.SourceWorld, as `module:class`: imported when it is first opened."""

    engine: str

    @classmethod
    def variant(cls, mapping: dict[str, Any], where: str) -> type[SourceConfig]:
        """The subclass that a mapping's `engine` names. Raises ConfigError."""
        if "engine" not in mapping:
            raise ConfigError(f"{where}.engine is missing, known: {', '.join(SOURCES.names())}")
        engine = mapping["engine"]
        if not isinstance(engine, str):
            raise ConfigError(f"{where}.engine must be text, got {shown(engine)}")
        return SOURCES.get(engine, f"{where}.engine")

    @property
    def place(self) -> Place | None:
        """Where the player can be; None for a source without poses."""
        return None

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The entities that the source knows of, which a dream keeps in its state; none by default."""
        return ()

    @property
    def known_events(self) -> tuple[str, ...] | None:
        """The names of events that the source can show; None if it takes any."""
        return ()

    def open(self, scene: Scene) -> Any:
        """The true engine of a scene with this source: a source.base.SourceWorld. Raises WorldsimError if it cannot run
        here."""
        module, _, name = self.world.partition(":")
        return getattr(importlib.import_module(module), name)(scene)


@dataclass(frozen=True)
class SpawnPoint:
    """A named place to start from. at, yaw_deg, pitch_deg: the pose there; `at` is left out without a camera."""

    name: str
    at: tuple[float, float] | None = None
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0

    def __post_init__(self) -> None:
        require(0 < len(self.name) <= 60 and self.name.isprintable(), f"name must be a word, got {shown(self.name)}")
        require(not set(self.name) & set("/\\:"), f"name must hold no slash and no colon, got {shown(self.name)}")
        for value in (*(self.at or ()), self.yaw_deg, self.pitch_deg):
            require(abs(value) <= 1e4, f"at, yaw_deg and pitch_deg must lie in [-10000, 10000], got {value:g}")

    @property
    def pose(self) -> Pose | None:
        return None if self.at is None else Pose(*self.at, Look(self.yaw_deg, self.pitch_deg))


@dataclass(frozen=True)
class Scene:
    """All that a scene file says."""

    name: str
    title: str
    frame: FrameSize
    controls: tuple[Control, ...]
    source: SourceConfig
    camera: Camera | None = None
    tick_hz: float = 20.0
    spawns: tuple[SpawnPoint, ...] = ()
    events: tuple[Event, ...] = ()

    def __post_init__(self) -> None:
        require(1 <= self.tick_hz <= 120, f"tick_hz must lie in [1, 120], got {self.tick_hz:g}")
        if self.camera is None and self.source.place is not None:
            object.__setattr__(self, "camera", Camera())  # who shows a place looks at it
        require(0 < len(self.spawns) <= 256, f"spawns must list 1 to 256 places to start from, got {len(self.spawns)}")
        require(len(self.controls) <= 32, f"controls must list at most 32, got {len(self.controls)}")
        names = [s.name for s in self.spawns]
        require(len(set(names)) == len(names), f"spawns must have different names, got {shown(names)}")
        posed = self.camera is not None and self.source.place is not None
        for spawn in self.spawns:
            require(not posed or spawn.at is not None, f"spawns: {spawn.name} must say where it is (at: [x, y])")
        self._check_events()
        require(len(self.source.slots) <= MOST_SLOTS, f"entities must list at most {MOST_SLOTS}, got {len(self.slots)}")
        self.action_space  # noqa: B018 - names that occur twice are found here

    def _check_events(self) -> None:
        require(len(self.events) <= 9, f"events must list at most 9, got {len(self.events)}")
        require(all(c.kind != "event" for c in self.controls), "controls have no kind event; list it under events")
        taken = [key for c in self.controls for key in c.keys]
        for i, event in enumerate(self.events):
            key = event.key or str(i + 1)
            require(key not in taken, f"events: {event.name} has the key {shown(key)}, which is taken; give it another")
            taken.append(key)
        names, known = [e.name for e in self.events], self.source.known_events
        require(len(set(names)) == len(names), f"events must have different names, got {shown(names)}")
        for event in self.events:
            for other in event.ends:
                require(other in names, f"events: {event.name} ends {shown(other)}, {nearest(other, names)}")
            if event.shows and known is not None:
                require(
                    event.name in known, f"events: the source cannot show {event.name}, {nearest(event.name, known)}"
                )

    @property
    def action_space(self) -> ActionSpace:
        """The controls, then one for each event."""
        called = tuple(Control(e.name, "event", (e.key or str(i + 1),)) for i, e in enumerate(self.events))
        return ActionSpace(self.controls + called)

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The entities that a dream of the scene keeps in its state."""
        return self.source.slots

    @property
    def place(self) -> Place | None:
        """Where the player can be; None unless the scene has a camera and its source knows poses."""
        return None if self.camera is None else self.source.place


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
            raise SceneError(f"{shown(name)} is not a file; give a scene file or one of: {', '.join(scene_names())}")
        return path
    path = SCENES / f"{name}.yaml"
    if not path.is_file():
        raise SceneError(f"no scene is called {shown(name)}, {nearest(name, scene_names())}")
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
    """SHA-256 of all that a scene says, defaults included."""
    return mapping_hash(to_mapping(scene))


def former_scene_hash(scene: Scene) -> str:
    """What older versions named the same scene by: its hash without what is at its default."""
    return mapping_hash(without_defaults(scene))


def is_hash_of(mark: str, scene: Scene) -> bool:
    """Whether data on disk that is marked with this hash is of the scene."""
    return mark in (scene_hash(scene), former_scene_hash(scene))
