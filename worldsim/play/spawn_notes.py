"""How a trace names where a session starts: a spawn by its name if the world ships it, else with the picture itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from worldsim.camera import Look, Pose
from worldsim.checkpoint import SpawnEntry
from worldsim.config import from_mapping, to_mapping
from worldsim.entities import FIELDS
from worldsim.errors import ConfigError, SpawnError, TraceError, shown
from worldsim.event import Happening
from worldsim.play.trace import decode_picture, encode_picture
from worldsim.scene import Scene
from worldsim.world import Spawn
from worldsim.worlds.catalogue import WorldEntry


def spawn_note(entry: WorldEntry, spawn: Spawn) -> dict[str, Any]:
    """A spawn as plain data."""
    note: dict[str, Any] = {"name": spawn.name}
    if spawn.name not in entry.spawn_names:
        note["picture"] = encode_picture(spawn.pixels)
        if spawn.pose is not None:
            note["pose"] = list(spawn.pose.as_tuple())
        if spawn.entities is not None:
            note["entities"] = spawn.entities.tolist()  # as they are: a true engine keeps no quanta
    if spawn.happening is not None:
        note["events"] = to_mapping(spawn.happening)
    return note


def with_events(scene: Scene, spawn: Spawn, names: Sequence[str]) -> Spawn:
    """A spawn with these events under way; as it is if there are none. Raises ConfigError naming the nearest."""
    return replace(spawn, happening=Happening.begun(scene.events, names, scene.tick_hz)) if names else spawn


def read_spawn_note(entry: WorldEntry, note: Any, where: str) -> Spawn:
    """The inverse of `spawn_note`. Raises TraceError or SpawnError."""
    if not isinstance(note, dict):
        raise TraceError(f"{where}: a spawn must be a mapping, got {shown(note)}")
    name = note.get("name")
    if not isinstance(name, str):
        raise TraceError(f"{where}: a spawn's name must be text, got {shown(name)}")
    spawn = entry.spawn(name) if "picture" not in note else _own_picture(entry, name, note, where)
    if note.get("events") is None:
        return spawn
    try:
        happening = from_mapping(Happening, note["events"], f"{where}: events of the spawn")
        SpawnEntry("spawn", "spawn.png", events=happening).check(entry.scene)
    except ConfigError as error:
        raise TraceError(str(error) if where in str(error) else f"{where}: {error}") from None
    return replace(spawn, happening=happening)


def _own_picture(entry: WorldEntry, name: str, note: dict[str, Any], where: str) -> Spawn:
    """A spawn of which the trace holds the picture."""
    pixels, frame = decode_picture(note["picture"], where), entry.scene.frame
    if pixels.shape != (frame.height, frame.width, 3):
        raise TraceError(f"{where}: the spawn's picture must be {frame.width}x{frame.height}, got {pixels.shape}")
    entities, pose = _entities(entry.scene, note.get("entities"), where), note.get("pose")
    if pose is None:
        return Spawn(name, pixels, None, entities)
    if not isinstance(pose, list) or len(pose) != 4 or not all(type(p) in (int, float) and abs(p) <= 1e6 for p in pose):
        raise TraceError(f"{where}: the spawn's pose must be four numbers, got {shown(pose)}")
    x, y, yaw_deg, pitch_deg = map(float, pose)
    return Spawn(name, pixels, Pose(x, y, Look(yaw_deg, pitch_deg)), entities)


def _entities(scene: Scene, rows: Any, where: str) -> np.ndarray | None:
    """A spawn's entities, float64 (slots, FIELDS). Raises TraceError."""
    if rows is None:
        return None
    shape = len(scene.slots), len(FIELDS)
    flat = isinstance(rows, list) and all(isinstance(row, list) and len(row) == shape[1] for row in rows)
    if not flat or len(rows) != shape[0]:
        raise TraceError(f"{where}: the spawn's entities must be {shape[0]} lists of {shape[1]} numbers")
    if not all(type(n) in (int, float) and abs(n) <= 1e6 for row in rows for n in row):
        raise TraceError(f"{where}: the numbers of the spawn's entities must lie in [-1000000, 1000000]")
    return np.array(rows, np.float64).reshape(shape)


def spawn_after_swap(entry: WorldEntry, before: WorldEntry, spawn: Spawn) -> Spawn:
    """Where a world that is swapped in starts again: at the same place or picture as the one before, if it can."""
    if spawn.name in entry.spawn_names:
        same = entry.scene == before.scene and spawn.happening is not None
        own = entry.spawn(spawn.name)
        return replace(own, happening=spawn.happening) if same else own
    if spawn.name not in before.spawn_names and entry.scene == before.scene:  # a picture of one's own
        return spawn
    try:
        return entry.spawn(spawn.name)
    except SpawnError:
        return entry.spawn(None)
