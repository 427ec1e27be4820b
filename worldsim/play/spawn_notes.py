"""How a trace names where a session starts: a spawn by its name if the world ships it, else with the picture itself."""

from __future__ import annotations

from typing import Any

from worldsim.camera import Look, Pose
from worldsim.errors import SpawnError, TraceError, shown
from worldsim.play.trace import decode_picture, encode_picture
from worldsim.world import Spawn
from worldsim.worlds.catalogue import WorldEntry


def spawn_note(entry: WorldEntry, spawn: Spawn) -> dict[str, Any]:
    """A spawn as plain data."""
    note: dict[str, Any] = {"name": spawn.name}
    if spawn.name not in entry.spawn_names:
        note["picture"] = encode_picture(spawn.pixels)
        if spawn.pose is not None:
            note["pose"] = list(spawn.pose.as_tuple())
    return note


def read_spawn_note(entry: WorldEntry, note: Any, where: str) -> Spawn:
    """The inverse of `spawn_note`. Raises TraceError or SpawnError."""
    if not isinstance(note, dict):
        raise TraceError(f"{where}: a spawn must be a mapping, got {shown(note)}")
    name = note.get("name")
    if not isinstance(name, str):
        raise TraceError(f"{where}: a spawn's name must be text, got {shown(name)}")
    if "picture" not in note:
        return entry.spawn(name)
    pixels, frame = decode_picture(note["picture"], where), entry.scene.frame
    if pixels.shape != (frame.height, frame.width, 3):
        raise TraceError(f"{where}: the spawn's picture must be {frame.width}x{frame.height}, got {pixels.shape}")
    pose = note.get("pose")
    if pose is None:
        return Spawn(name, pixels)
    if not isinstance(pose, list) or len(pose) != 4 or not all(type(p) in (int, float) and abs(p) <= 1e6 for p in pose):
        raise TraceError(f"{where}: the spawn's pose must be four numbers, got {shown(pose)}")
    x, y, yaw_deg, pitch_deg = map(float, pose)
    return Spawn(name, pixels, Pose(x, y, Look(yaw_deg, pitch_deg)))


def spawn_after_swap(entry: WorldEntry, before: WorldEntry, spawn: Spawn) -> Spawn:
    """Where a world that is swapped in starts again: at the same place or picture as the one before, if it can."""
    if spawn.name in entry.spawn_names:
        return entry.spawn(spawn.name)
    if spawn.name not in before.spawn_names and entry.scene == before.scene:  # a picture of one's own
        return spawn
    try:
        return entry.spawn(spawn.name)
    except SpawnError:
        return entry.spawn(None)
