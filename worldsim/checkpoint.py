"""Checkpoints: a folder with weights, configuration, scene, spawns, provenance and scores.

Knows no torch: what is done with the weights is in model/weights.py. Nothing is ever unpickled: weights are
safetensors, all else YAML and PNG.

`world.yaml` names every file with its SHA-256. A checkpoint is replaced in three steps: the new files are written under
names with their hash, as `codec.safetensors.012345...`; a new `world.yaml` is renamed over the old one; the files
take their plain names. A file is looked for under its name with its hash first, then under its plain name. So a process
that is killed at any moment leaves the old or the new checkpoint whole.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml
from PIL import Image, UnidentifiedImageError

from worldsim.camera import Look, Pose
from worldsim.config import from_mapping, mapping_hash, plain_data, read_yaml, require, shown_path, to_mapping
from worldsim.entities import FIELDS, Entities, quantised, values_of
from worldsim.errors import CheckpointError, ConfigError, SpawnError, nearest, shown
from worldsim.event import FADE, Happening
from worldsim.scene import Scene
from worldsim.world import Spawn

FORMAT = 2
CHECKPOINTS = Path(__file__).parent / "checkpoints"
YAML = "world.yaml"
CODEC, GENERATOR = "codec.safetensors", "generator.safetensors"
_IDENTITY = ("scene", "codec", "generator", "sampler", "latent_range", "spawns", "files")  # all that decides frames
PICTURE_ERRORS = (
    OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError, TypeError, SyntaxError, EOFError,
    KeyError, IndexError, AttributeError, OverflowError, MemoryError, struct.error, zlib.error,
)  # fmt: skip
"""What Pillow raises for files that are no pictures: each of its readers has its own ways."""
_HASH = re.compile(r"[0-9a-f]{64}")
_WAITING = re.compile(r".+\.[0-9a-f]{16}|.+\.part")  # names of files that were written, but never took their own name


@dataclass(frozen=True)
class SamplerConfig:
    """How a checkpoint wants to be played."""

    steps: int = 2
    context_level: float = 0.1

    def __post_init__(self) -> None:
        require(self.steps in (1, 2, 4, 8), f"steps must be 1, 2, 4 or 8, got {self.steps}")
        require(0 <= self.context_level < 1, f"context_level must lie in [0, 1), got {self.context_level:g}")


@dataclass(frozen=True)
class SpawnEntry:
    """A start picture of the checkpoint: file in `spawns/`, pose as x, y, yaw, pitch; if known, the entities in whole
    quanta and how far events are."""

    name: str
    file: str
    pose: tuple[float, float, float, float] | None = None
    entities: Entities | None = None
    events: Happening | None = None

    def __post_init__(self) -> None:
        require(_stays_inside(self.file), f"file must be a name inside the folder spawns, got {shown(self.file)}")

    @staticmethod
    def of(spawn: Spawn) -> SpawnEntry:
        """What is written of a start picture beside the picture."""
        pose = None if spawn.pose is None else spawn.pose.as_tuple()
        entities = None if spawn.entities is None else quantised(spawn.entities)
        return SpawnEntry(spawn.name, f"{spawn.name}.png", pose, entities, spawn.happening)

    def check(self, scene: Scene) -> None:
        """Hold the entities and events against those of the scene. Raises ConfigError."""
        name, rows, events = f"spawns: {self.name[:40]}", self.entities, self.events
        if rows is not None:
            slots, fields = len(scene.slots), len(FIELDS)
            require(len(rows) == slots, f"{name} must tell of the scene's {slots} entities, got {len(rows)}")
            for row in rows:
                require(len(row) == fields, f"{name}: an entity has {fields} whole numbers, got {len(row)}")
                require(all(abs(n) < 2**31 for n in row), f"{name}: an entity's numbers must fit in 32 bits")
        if events is not None:
            for numbers in (events.steps, events.left):
                require(
                    len(numbers) == len(scene.events),
                    f"{name} must tell of the scene's {len(scene.events)} events, got {len(numbers)}",
                )
            require(all(0 <= n <= FADE for n in events.steps), f"{name}: steps of events must lie in [0, {FADE}]")
            require(all(-1 <= n < 2**31 for n in events.left), f"{name}: the ticks left of events must be -1 or more")


@dataclass(frozen=True)
class CheckpointInfo:
    """All that `world.yaml` says. `codec` and `generator` are the networks' configurations as plain mappings.

    former_sha256: the checkpoint's own hashes in older formats, under which recorded traces know it.
    """

    format: int
    name: str
    scene: Scene
    scene_sha256: str
    codec: dict[str, Any]
    generator: dict[str, Any] = field(default_factory=dict)
    sampler: SamplerConfig = SamplerConfig()
    latent_range: dict[str, Any] = field(default_factory=dict)  # of training frames: model.guard.LatentRange
    spawns: tuple[SpawnEntry, ...] = ()
    provenance: tuple[dict[str, Any], ...] = ()
    scores: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    former_sha256: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(self.format == FORMAT, f"format is {self.format}, this version of worldsim reads format {FORMAT}")
        for file, mark in self.files.items():
            require(_stays_inside(file), f"files must lie inside the checkpoint's folder, got {shown(file)}")
            require(bool(_HASH.fullmatch(mark)), f"files.{file[:40]} must be a SHA-256, got {shown(mark)}")
        for entry in self.spawns:
            require(f"spawns/{entry.file}" in self.files, f"files must list spawns/{entry.file[:60]}")
            entry.check(self.scene)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk: where it lies, what it says, and one hash for all that determines its frames.

    The hash is of what is stored: a setting that a later version of worldsim adds does not change it.
    """

    path: Path
    info: CheckpointInfo
    sha256: str

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def scene(self) -> Scene:
        return self.info.scene

    def file(self, name: str) -> Path:
        """Where one of its files lies: under its name with its hash, if it was written just now, else under its name.
        Raises CheckpointError if it has no such file."""
        if name not in self.info.files:
            raise CheckpointError(f"{shown_path(self.path)} has no {name}; train its stage first")
        return _stored(self.path, name, self.info.files[name])

    def spawn(self, name: str | None) -> Spawn:
        """A spawn by name (the first if None), or any picture file, resized to the frame. Raises SpawnError."""
        entries = self.info.spawns
        if name is None and entries:
            name = entries[0].name
        for entry in entries:
            if entry.name == name:
                pixels = _read_picture(self.file(f"spawns/{entry.file}"), self.scene)
                pose = None if entry.pose is None else Pose(entry.pose[0], entry.pose[1], Look(*entry.pose[2:]))
                entities = None if entry.entities is None else values_of(entry.entities)
                return Spawn(entry.name, pixels, pose, entities, entry.events)
        if name is not None and _is_file(name):
            return Spawn(str(name), _read_picture(Path(name), self.scene))
        known = [e.name for e in entries]
        raise SpawnError(
            f"spawn {shown(name)} is neither a spawn of {self.name[:40]} nor a picture file, "
            f"{nearest(str(name), known)}"
        )


def find_checkpoint(name: str) -> Path:
    """The folder of a checkpoint given by name or path. Raises CheckpointError naming the nearest."""
    for path in (CHECKPOINTS / name, Path(name)):
        if _is_file(path / YAML):
            return path
    raise CheckpointError(f"no checkpoint is called {shown(name)}, {nearest(name, checkpoint_names())}")


def checkpoint_names() -> list[str]:
    """Names of the shipped checkpoints that can be played, the best default first."""
    names = sorted(p.parent.name for p in CHECKPOINTS.glob(f"*/{YAML}"))
    return sorted(names, key=lambda n: (n != "gallery", n))


def open_checkpoint(name: str) -> Checkpoint:
    """Read and verify a checkpoint by name or path. Raises CheckpointError."""
    checkpoint = read_checkpoint(find_checkpoint(name))
    verify(checkpoint)
    return checkpoint


def verify(checkpoint: Checkpoint) -> None:
    """Hold every file against its hash. Raises CheckpointError."""
    for file, wanted in checkpoint.info.files.items():
        path = checkpoint.file(file)
        wrong = "is missing" if not path.is_file() else "is damaged" if file_hash(path) != wanted else None
        if wrong is None:
            continue
        if read_checkpoint(checkpoint.path).sha256 != checkpoint.sha256:
            raise CheckpointError(f"{shown_path(checkpoint.path)} was replaced while it was opened; open it again")
        reason = "" if wrong == "is missing" else f" (its SHA-256 is not the one in {YAML})"
        raise CheckpointError(f"{shown_path(checkpoint.path)}: {file[:60]} {wrong}{reason}; restore it")


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in a folder, its other files not yet verified. Raises CheckpointError."""
    try:
        data = read_yaml(path / YAML)
        where = f"{shown_path(path / YAML)}:"
        if isinstance(data, dict) and data.get("format") == 1:
            raise CheckpointError(f"{where} format is 1; run `worldsim checkpoints --migrate {path}` once")
        info = from_mapping(CheckpointInfo, data, where)
    except ConfigError as error:
        raise CheckpointError(str(error)) from None
    if mapping_hash(data["scene"]) != info.scene_sha256:
        raise CheckpointError(f"{where} the scene is not the one of scene_sha256; restore the file")
    return Checkpoint(path, info, mapping_hash({key: data.get(key) for key in _IDENTITY}))


def write_files(
    folder: Path, info: CheckpointInfo, spawns: tuple[SpawnEntry, ...], writers: Mapping[str, Callable[[Path], None]]
) -> None:
    """Replace a checkpoint by one of these files, all at once: whoever is killed in between leaves the old one.

    writers: by its name in the folder what writes a file to the path it is given. `info` gets the spawns and the files.
    """
    files: dict[str, str] = {}
    for name, write in writers.items():
        plain = folder / name
        plain.parent.mkdir(parents=True, exist_ok=True)
        part = plain.with_name(f"{plain.name}.part")
        write(part)
        files[name] = file_hash(part)
        _rename(part, _waiting(plain, files[name]))
    write_info(folder, replace(info, spawns=spawns, files=files))
    _settle(folder, files)


def write_info(folder: Path, info: CheckpointInfo) -> None:
    """Replace `world.yaml`. What else it names must be there already, see `write_files`."""
    _write_yaml(folder, to_mapping(info))


def save_scores(checkpoint: Checkpoint, scores: dict[str, Any]) -> None:
    """Replace the scores and nothing else: the checkpoint stays the same one, whichever version wrote it."""
    data = read_yaml(checkpoint.path / YAML)
    _write_yaml(checkpoint.path, {**data, "scores": plain_data(scores, "scores")})


def copy_checkpoint(source: Checkpoint, target: Path) -> None:
    """Put a checkpoint in the place of another or of none, all at once, and nothing of the training state beside it."""
    for name, mark in source.info.files.items():
        plain = target / name
        plain.parent.mkdir(parents=True, exist_ok=True)
        part = plain.with_name(f"{plain.name}.part")
        part.write_bytes(source.file(name).read_bytes())
        _rename(part, _waiting(plain, mark))
    _write_yaml(target, read_yaml(source.path / YAML))
    _settle(target, source.info.files)


def _write_yaml(folder: Path, data: Any) -> None:
    part = folder / f"{YAML}.part"
    part.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120), encoding="utf-8")
    _rename(part, folder / YAML)


def _rename(part: Path, name: Path) -> None:
    """Give a written file its name, once it is on the disk: also a machine that fails leaves it whole or not there."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, name)


def _waiting(plain: Path, mark: str) -> Path:
    """Where a file with this hash lies until it may take its plain name."""
    return plain.with_name(f"{plain.name}.{mark[:16]}")


def _stored(folder: Path, name: str, mark: str) -> Path:
    waiting = _waiting(folder / name, mark)
    return waiting if waiting.is_file() else folder / name


def _settle(folder: Path, files: Iterable[str]) -> None:
    """Give the files of a checkpoint that was just replaced their plain names, and remove what no longer counts."""
    info = read_checkpoint(folder).info
    for name in files:
        waiting = _waiting(folder / name, info.files[name])
        if waiting.is_file():
            os.replace(waiting, folder / name)
    for parent in (folder, folder / "spawns"):
        for path in parent.iterdir() if parent.is_dir() else ():
            if path.is_file() and _WAITING.fullmatch(path.name):
                path.unlink(missing_ok=True)


def _stays_inside(name: str) -> bool:
    """Whether a relative name, as of a POSIX path, leads to a file below the folder it is of."""
    path = PurePosixPath(name)
    plain = 0 < len(name) <= 200 and name.isprintable() and "\\" not in name and ":" not in name
    return plain and not path.is_absolute() and ".." not in path.parts and str(path) == name != "."


def _is_file(path: str | Path) -> bool:
    """Whether there is such a file; False also for what cannot be a path."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_picture(path: Path, scene: Scene) -> np.ndarray:
    """A picture of the scene's size, uint8 (H, W, 3): fills the frame, what sticks out is cut. Raises SpawnError."""
    width, height = scene.frame.width, scene.frame.height
    try:
        with Image.open(path) as image:
            picture = image.convert("RGB")
    except PICTURE_ERRORS as error:
        raise SpawnError(f"{shown_path(path)} cannot be read as a picture: {str(error)[:100]}") from None
    if picture.size != (width, height):
        scale = max(width / picture.width, height / picture.height)
        left, top = (picture.width - width / scale) / 2, (picture.height - height / scale) / 2
        right, bottom = min(picture.width, left + width / scale), min(picture.height, top + height / scale)
        box = max(0.0, left), max(0.0, top), right, bottom
        picture = picture.resize((width, height), box=box)
    return np.asarray(picture, dtype=np.uint8)
