"""True engines as worlds to play: the entry of a scene's source in the catalogue."""

from __future__ import annotations

import numpy as np

from worldsim.errors import SpawnError, nearest
from worldsim.runtime import Numerics
from worldsim.scene import Scene, former_scene_hash, load_scene, scene_hash
from worldsim.world import Spawn
from worldsim.worlds.catalogue import SOURCE, LoadedWorld, LoadOptions


class SourceEntry:
    """The true engine of a scene, by the scene's name or file."""

    def __init__(self, scene_name: str, scene: Scene | None = None) -> None:
        """scene: what the name stands for, if it has been loaded already. Raises SceneError."""
        self.scene = scene or load_scene(scene_name)
        self.name = SOURCE + scene_name
        self.sha256 = self.scene_sha256 = scene_hash(self.scene)
        self.former_sha256 = (former_scene_hash(self.scene),)

    @property
    def spawn_names(self) -> tuple[str, ...]:
        return tuple(point.name for point in self.scene.spawns)

    def spawn(self, name: str | None) -> Spawn:
        """A place of the scene. Its picture is black: the source draws its own."""
        points = {p.name: p for p in self.scene.spawns}
        point = points.get(name or self.scene.spawns[0].name)
        if point is None:
            raise SpawnError(f"spawn {name!r:.60} is no spawn of scene {self.scene.name}, {nearest(str(name), points)}")
        frame = self.scene.frame
        return Spawn(point.name, np.zeros((frame.height, frame.width, 3), np.uint8), point.pose)

    def load(self, options: LoadOptions) -> LoadedWorld:
        world = self.scene.source.open(self.scene)
        return LoadedWorld(world, self, 0, Numerics("opengl", renderer=world.renderer))
