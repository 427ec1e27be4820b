"""From names to worlds: what there is, what is known of it before it is loaded, and loading it. No torch here.

A name is a checkpoint's name or folder, or `KIND:REST` with a kind of registry.WORLDS: `source:gallery` is the true
engine of the scene `gallery`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from worldsim.registry import WORLDS
from worldsim.runtime import Numerics
from worldsim.scene import Scene
from worldsim.world import Spawn, World

SOURCE = "source:"
"""Begins the name of a scene's true engine."""


@dataclass(frozen=True)
class LoadOptions:
    """How a world is to be loaded; what a kind of world has no use for it ignores.

    steps: denoising passes a frame, None for the checkpoint's own. threads, backend, device: what runs the networks,
    see inference.backend_choice. beside_window: a window draws on the same machine.
    """

    steps: int | None = None
    threads: int | None = None
    backend: str = "auto"
    device: str = "cpu"
    beside_window: bool = False


class WorldEntry(Protocol):
    """A world that can be loaded, and what is known of it before. Each kind of world has one such class, made from the
    rest of the name."""

    @property
    def name(self) -> str:
        """The whole name, by which `find_world` finds it again."""
        ...

    @property
    def scene(self) -> Scene: ...

    @property
    def sha256(self) -> str:
        """One hash for all that determines its frames."""
        ...

    @property
    def former_sha256(self) -> tuple[str, ...]:
        """Hashes under which older traces know this same world."""
        ...

    @property
    def scene_sha256(self) -> str:
        """Of what the scene says."""
        ...

    @property
    def spawn_names(self) -> tuple[str, ...]: ...

    def spawn(self, name: str | None) -> Spawn:
        """A spawn by name; the first if None. Raises SpawnError."""
        ...

    def load(self, options: LoadOptions) -> LoadedWorld:
        """Raises WorldsimError."""
        ...


@dataclass(frozen=True)
class LoadedWorld:
    """A world that plays, the entry it was loaded from, and the numerics it plays with.

    spawns: start pictures where a drifted dream may begin afresh.
    """

    world: World
    entry: WorldEntry
    steps: int
    numerics: Numerics
    spawns: tuple[Spawn, ...] = ()

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def scene(self) -> Scene:
        return self.world.scene

    @property
    def sha256(self) -> str:
        return self.entry.sha256

    @property
    def scene_sha256(self) -> str:
        return self.entry.scene_sha256

    def close(self) -> None:
        """Free what the world holds. Whoever opened it closes it."""
        self.world.close()

    def __enter__(self) -> LoadedWorld:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def find_world(name: str) -> WorldEntry:
    """What is known of a world by its name. Raises WorldsimError naming the nearest."""
    kind, colon, rest = name.partition(":")
    if colon and kind in WORLDS.names():
        return WORLDS.get(kind)(rest)
    return WORLDS.get("checkpoint")(name)


def open_world(name: str, options: LoadOptions | None = None) -> LoadedWorld:
    """Load a world by its name. Raises WorldsimError."""
    return find_world(name).load(options or LoadOptions())
