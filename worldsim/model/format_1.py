"""Checkpoints of format 1, which left out what was at its default: rewrites their `world.yaml` in today's format.

Weights and pictures stay byte for byte. Format 1 hashed the scene without defaults, the files and the sampler, so the
checkpoint gets another hash; it keeps the former one, by which traces that were recorded before know it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml

from worldsim.checkpoint import FORMAT, YAML, CheckpointInfo, read_checkpoint, write_info
from worldsim.config import from_mapping, read_yaml, to_mapping, without_defaults
from worldsim.errors import CheckpointError, ConfigError
from worldsim.model.codec import CodecConfig
from worldsim.model.drift_guard import LatentRange
from worldsim.model.generator import GeneratorConfig
from worldsim.scene import former_scene_hash, scene_hash


def migrate(path: Path) -> bool:
    """Rewrite a folder's `world.yaml` if it is of format 1, with every value written out. Returns whether it was.

    Raises CheckpointError, and leaves the file as it is, if it is damaged or of yet another format.
    """
    where = f"{path / YAML}:"
    try:
        data = read_yaml(path / YAML)
        if not isinstance(data, dict) or data.get("format") != 1:
            read_checkpoint(path)
            return False
        info = from_mapping(CheckpointInfo, {**_in_full(data, where), "format": FORMAT}, where)
    except ConfigError as error:
        raise CheckpointError(str(error)) from None
    if former_scene_hash(info.scene) != info.scene_sha256:
        raise CheckpointError(f"{where} the scene is not the one of scene_sha256; restore the file")
    former = (_former_hash(info),)
    new = to_mapping(info) | {"scene_sha256": scene_hash(info.scene), "former_sha256": former}
    write_info(path, from_mapping(CheckpointInfo, new, where))
    return True


def _in_full(data: dict[str, Any], where: str) -> dict[str, Any]:
    """The networks' parts, which a checkpoint keeps as plain data, with their defaults. Raises ConfigError."""
    parts = {"codec": CodecConfig, "generator": GeneratorConfig, "latent_range": LatentRange}
    found = {key: to_mapping(from_mapping(kind, data[key], f"{where} {key}")) for key, kind in parts.items()
             if key == "codec" or data.get(key)}  # fmt: skip
    return data | found


def _former_hash(info: CheckpointInfo) -> str:
    """The checkpoint's hash in format 1."""
    text = yaml.safe_dump([info.scene_sha256, info.files, without_defaults(info.sampler)])
    return hashlib.sha256(text.encode()).hexdigest()
