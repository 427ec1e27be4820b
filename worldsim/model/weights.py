"""Weights: from a checkpoint's files to networks and back. Safetensors only, every tensor checked."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from worldsim.checkpoint import CODEC, GENERATOR, YAML, Checkpoint, CheckpointInfo, SpawnEntry, write_files
from worldsim.config import from_mapping, shown_path
from worldsim.errors import CheckpointError, ConfigError, shown
from worldsim.model.codec import PATCH, Codec, CodecConfig
from worldsim.model.generator import Generator, GeneratorConfig, Shape, View
from worldsim.scene import Scene
from worldsim.world import Spawn


def write_checkpoint(
    path: Path, info: CheckpointInfo, codec: Codec, generator: Generator | None, spawns: list[Spawn]
) -> None:
    """Write a whole checkpoint; one that is there already is replaced all at once, see checkpoint.write_files."""
    entries, writers = [], {CODEC: _writer_of(codec)}
    if generator is not None:
        writers[GENERATOR] = _writer_of(generator)
    for spawn in spawns:
        entry = SpawnEntry.of(spawn)
        writers[f"spawns/{entry.file}"] = partial(_write_picture, spawn.pixels)
        entries.append(entry)
    write_files(path, info, tuple(entries), writers)


def _writer_of(network: torch.nn.Module) -> Callable[[Path], None]:
    """Writes a network's weights to the path it is given, in half precision."""
    tensors = {k: v.detach().to("cpu", torch.float16).contiguous() for k, v in network.state_dict().items()}
    return lambda path: save_file(tensors, path)


def _write_picture(pixels: np.ndarray, path: Path) -> None:
    Image.fromarray(pixels).save(path, "PNG", optimize=True)


def load_networks(checkpoint: Checkpoint) -> tuple[Codec, Generator]:
    """Build both networks and load their weights, as float32 in eval mode. Raises CheckpointError."""
    path, info = checkpoint.path, checkpoint.info
    if GENERATOR not in info.files:
        raise CheckpointError(
            f"{shown_path(path)} has no generator yet; run `worldsim train forcing {info.scene.name[:40]}`"
        )
    try:
        codec_config = from_mapping(CodecConfig, info.codec, f"{path / YAML}: codec")
        config = from_mapping(GeneratorConfig, info.generator, f"{path / YAML}: generator")
    except ConfigError as error:
        raise CheckpointError(str(error)) from None
    codec, generator = Codec(codec_config), Generator(config, shape_of(info.scene, codec_config.channels))
    fill(codec, checkpoint.file(CODEC))
    fill(generator, checkpoint.file(GENERATOR))
    return codec.eval().requires_grad_(False), generator.eval().requires_grad_(False)


def shape_of(scene: Scene, channels: int) -> Shape:
    """What a scene and a codec fix of a generator."""
    view, place = None, scene.place
    if place is not None:
        assert scene.camera is not None  # a scene with a place has one
        view = View(scene.camera, place.extent, place.top_speed_m_s / scene.tick_hz, place.body_m, 1 / scene.tick_hz)
    return Shape(
        rows=scene.frame.height // PATCH,
        columns=scene.frame.width // PATCH,
        channels=channels,
        actions=scene.action_space.size,
        aspect=scene.frame.aspect,
        view=view,
        slots=scene.slots,
        events=len(scene.events),
    )


def fill(network: Any, path: Path) -> None:
    """Load a safetensors file into a network; every tensor must be there and fit. Raises CheckpointError."""
    where = shown_path(path)
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(f"{where} cannot be read as safetensors: {str(error)[:100]}") from None
    own = network.state_dict()
    for name, value in own.items():
        if name not in tensors:
            raise CheckpointError(f"{where}: tensor {name} is missing")
        if tensors[name].shape != value.shape:
            raise CheckpointError(
                f"{where}: {name} must have shape {tuple(value.shape)}, got {shown(tuple(tensors[name].shape))}"
            )
    unknown = sorted(set(tensors) - set(own))
    if unknown:
        raise CheckpointError(f"{where}: tensor {unknown[0][:60]} is unknown")
    network.load_state_dict({k: v.float() for k, v in tensors.items()})
