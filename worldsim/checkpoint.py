"""Checkpoints: a folder with weights, configuration, scene, spawns, provenance and scores.

Knows no torch: what is done with the weights is in model/weights.py. Nothing is ever unpickled: weights are
safetensors, all else YAML and PNG. Every file is named with its SHA-256 in `world.yaml`.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image, UnidentifiedImageError

from worldsim.camera import Look, Pose
from worldsim.config import from_mapping, read_yaml, require, to_mapping
from worldsim.errors import CheckpointError, ConfigError, SpawnError, nearest
from worldsim.scene import Scene, scene_hash
from worldsim.world import Spawn

FORMAT = 1
CHECKPOINTS = Path(__file__).parent / "checkpoints"
YAML = "world.yaml"


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
    """A start picture of the checkpoint: file in `spawns/`, pose as x, y, yaw, pitch."""

    name: str
    file: str
    pose: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class CheckpointInfo:
    """All that `world.yaml` says. `codec` and `generator` are the networks' configurations as plain mappings."""

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

    def __post_init__(self) -> None:
        require(self.format == FORMAT, f"format is {self.format}, this version of worldsim reads format {FORMAT}")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk: where it lies and what it says."""

    path: Path
    info: CheckpointInfo

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def scene(self) -> Scene:
        return self.info.scene

    @property
    def sha256(self) -> str:
        """One hash for all that determines its frames."""
        text = yaml.safe_dump([self.info.scene_sha256, self.info.files, to_mapping(self.info.sampler)])
        return hashlib.sha256(text.encode()).hexdigest()

    def spawn(self, name: str | None) -> Spawn:
        """A spawn by name (the first if None), or any picture file, resized to the frame. Raises SpawnError."""
        entries = self.info.spawns
        if name is None and entries:
            name = entries[0].name
        for entry in entries:
            if entry.name == name:
                pixels = _read_picture(self.path / "spawns" / entry.file, self.scene)
                pose = None if entry.pose is None else Pose(entry.pose[0], entry.pose[1], Look(*entry.pose[2:]))
                return Spawn(entry.name, pixels, pose)
        if name is not None and Path(name).is_file():
            return Spawn(str(name), _read_picture(Path(name), self.scene))
        known = [e.name for e in entries]
        raise SpawnError(
            f"spawn {name!r} is neither a spawn of {self.name} nor a picture file, {nearest(str(name), known)}"
        )


def find_checkpoint(name: str) -> Path:
    """The folder of a checkpoint given by name or path. Raises CheckpointError naming the nearest."""
    for path in (CHECKPOINTS / name, Path(name)):
        if (path / YAML).is_file():
            return path
    raise CheckpointError(f"no checkpoint is called {name!r}, {nearest(name, checkpoint_names())}")


def checkpoint_names() -> list[str]:
    """Names of the shipped checkpoints that can be played, the best default first."""
    names = sorted(p.parent.name for p in CHECKPOINTS.glob(f"*/{YAML}"))
    return sorted(names, key=lambda n: (n != "gallery", n))


def open_checkpoint(name: str) -> Checkpoint:
    """Read and verify a checkpoint by name or path. Raises CheckpointError."""
    path = find_checkpoint(name)
    checkpoint = Checkpoint(path, read_info(path))
    verify(checkpoint)
    return checkpoint


def verify(checkpoint: Checkpoint) -> None:
    """Hold every file against its hash. Raises CheckpointError."""
    path = checkpoint.path
    for file, wanted in checkpoint.info.files.items():
        if not (path / file).is_file():
            raise CheckpointError(f"{path}: {file} is missing; restore the checkpoint's folder")
        if file_hash(path / file) != wanted:
            raise CheckpointError(f"{path}: {file} is damaged (its SHA-256 is not the one in {YAML}); restore it")


def read_info(path: Path) -> CheckpointInfo:
    """What `world.yaml` says. Raises CheckpointError."""
    try:
        info = from_mapping(CheckpointInfo, read_yaml(path / YAML), f"{path / YAML}:")
    except ConfigError as error:
        raise CheckpointError(str(error)) from None
    if scene_hash(info.scene) != info.scene_sha256:
        raise CheckpointError(f"{path / YAML}: the scene is not the one of scene_sha256; restore the file")
    return info


def write_info(path: Path, info: CheckpointInfo) -> None:
    """Replace `world.yaml`."""
    part = path / f"{YAML}.part"
    part.write_text(yaml.safe_dump(to_mapping(info), sort_keys=False, allow_unicode=True, width=120), encoding="utf-8")
    os.replace(part, path / YAML)


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_picture(path: Path, scene: Scene) -> np.ndarray:
    size = scene.frame.width, scene.frame.height
    try:
        with Image.open(path) as image:
            picture = image.convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError) as error:
        raise SpawnError(f"{path} cannot be read as a picture: {error}") from None
    if picture.size != size:  # fill the frame, cutting what sticks out
        scale = max(size[0] / picture.width, size[1] / picture.height)
        picture = picture.resize(
            (max(size[0], round(picture.width * scale)), max(size[1], round(picture.height * scale)))
        )
        left, top = (picture.width - size[0]) // 2, (picture.height - size[1]) // 2
        picture = picture.crop((left, top, left + size[0], top + size[1]))
    return np.asarray(picture, dtype=np.uint8)
