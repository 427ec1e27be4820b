"""From names to things that can be played: checkpoints and sources become `Played`, notes become spawns."""

from __future__ import annotations

from typing import Any

import numpy as np

from worldsim.actions import human_spawn
from worldsim.camera import Look, Pose
from worldsim.checkpoint import load_networks, open_checkpoint
from worldsim.config import from_mapping
from worldsim.errors import SpawnError, TraceError, nearest
from worldsim.history import Home, Played
from worldsim.machine import numerics
from worldsim.scene import Scene, load_scene, scene_hash
from worldsim.trace import decode_picture, encode_picture
from worldsim.world import Spawn

SOURCE = "source:"  # prefix of the name under which a trace knows the true engine of a scene


def open_played(
    name: str, steps: int | None = None, threads: int | None = None, backend: str = "auto",
    beside_window: bool = False, device: str = "cpu",
) -> Played:  # fmt: skip
    """A world by the name of a checkpoint, its path, or `source:SCENE`; threads, back end and device as
    `backends.choose` has it. Raises WorldsimError."""
    if name.startswith(SOURCE):
        return _open_source(name[len(SOURCE) :])
    from worldsim.backends import choose
    from worldsim.model.guard import LatentRange
    from worldsim.neural_world import NeuralWorld

    checkpoint = open_checkpoint(name)
    codec, generator = load_networks(checkpoint)
    sampler = checkpoint.info.sampler
    steps = steps or sampler.steps
    choice, networks = choose(backend, threads, codec, generator, steps, checkpoint.sha256, beside_window, device)
    known = checkpoint.info.latent_range
    within = from_mapping(LatentRange, known, f"{checkpoint.path}: latent_range") if known else None
    world = NeuralWorld(checkpoint.scene, networks, steps, sampler.context_level, within)
    spawns = tuple(checkpoint.spawn(entry.name) for entry in checkpoint.info.spawns)
    bits = numerics(networks.backend, choice.threads, device)
    return Played(world, name, checkpoint.sha256, checkpoint.info.scene_sha256, steps, bits, spawns)


def find_spawn(name: str, spawn: str | None) -> Spawn:
    """A spawn of a checkpoint or source by name, or a picture file; the first if None. Raises SpawnError."""
    if name.startswith(SOURCE):
        scene = load_scene(name[len(SOURCE) :])
        points = {p.name: p for p in scene.spawns}
        point = points.get(spawn or scene.spawns[0].name)
        if point is None:
            raise SpawnError(f"spawn {spawn!r} is no spawn of scene {scene.name}, {nearest(str(spawn), points)}")
        return Spawn(point.name, np.zeros((scene.frame.height, scene.frame.width, 3), np.uint8), point.pose)
    return open_checkpoint(name).spawn(spawn)


def spawn_for(name: str, asked: str | None, actions: str | None, scene: Scene, seed: int) -> str | None:
    """The spawn asked for; else, for bundled play, the one it began at, if `name` has it; None for the first."""
    if asked is None and actions == "human":
        wanted = human_spawn(scene, seed)
        source = name.startswith(SOURCE)
        entries = scene.spawns if source else open_checkpoint(name).info.spawns
        return wanted if wanted in [e.name for e in entries] else None
    return asked


def spawn_note(spawn: Spawn, shipped: bool) -> dict[str, Any]:
    """How a trace names a spawn: by name if the checkpoint ships it, else with the picture itself."""
    note: dict[str, Any] = {"name": spawn.name}
    if not shipped:
        note["picture"] = encode_picture(spawn.pixels)
        if spawn.pose is not None:
            note["pose"] = list(spawn.pose.as_tuple())
    return note


def note_for(name: str, spawn: Spawn) -> dict[str, Any]:
    """`spawn_note`, finding out whether the spawn ships with `name`."""
    if name.startswith(SOURCE):
        return spawn_note(spawn, True)
    return spawn_note(spawn, spawn.name in [e.name for e in open_checkpoint(name).info.spawns])


def spawn_of_note(name: str, note: dict[str, Any], where: str) -> Spawn:
    """The inverse of `spawn_note`. Raises TraceError or SpawnError."""
    if "picture" not in note:
        return find_spawn(name, str(note.get("name")))
    pixels = decode_picture(note["picture"], where)
    frame = _scene_of(name).frame
    if pixels.shape != (frame.height, frame.width, 3):
        raise TraceError(f"{where}: the spawn's picture must be {frame.width}x{frame.height}, got {pixels.shape}")
    pose = note.get("pose")
    if pose is None:
        return Spawn(str(note.get("name")), pixels)
    if not isinstance(pose, list) or len(pose) != 4 or not all(isinstance(p, (int, float)) for p in pose):
        raise TraceError(f"{where}: the spawn's pose must be four numbers, got {pose!r}")
    return Spawn(
        str(note.get("name")), pixels, Pose(float(pose[0]), float(pose[1]), Look(float(pose[2]), float(pose[3])))
    )


def spawn_after_swap(name: str, home: Home) -> tuple[Spawn, dict[str, Any]]:
    """The spawn and its note with which a world that is swapped in starts again: the same place or picture."""
    if "picture" in home.note and _scene_of(name) == home.played.world.scene:
        return home.spawn, home.note
    try:
        spawn = find_spawn(name, home.spawn.name)
    except SpawnError:
        spawn = find_spawn(name, None)
    return spawn, note_for(name, spawn)


def _scene_of(name: str) -> Scene:
    return load_scene(name[len(SOURCE) :]) if name.startswith(SOURCE) else open_checkpoint(name).scene


def _open_source(scene_name: str) -> Played:
    from worldsim.source.source_world import SourceWorld

    world = SourceWorld(load_scene(scene_name))
    sha = scene_hash(world.scene)
    return Played(world, SOURCE + scene_name, sha, sha, 0, {"backend": "opengl", "renderer": world.renderer})
