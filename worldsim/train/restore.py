"""What a training stage goes on from: checkpoints, and parts of other checkpoints."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import torch
import yaml
from safetensors.torch import save_file

from worldsim.checkpoint import CHECKPOINTS, CODEC, GENERATOR, Checkpoint, open_checkpoint
from worldsim.config import from_mapping, to_mapping
from worldsim.errors import CheckpointError, ConfigError, shown
from worldsim.model.codec import Codec, CodecConfig
from worldsim.model.generator import Generator, GeneratorConfig
from worldsim.model.place_memory import PlaceConfig
from worldsim.model.weights import fill, load_networks
from worldsim.train.export import Exporter
from worldsim.train.request import Request


def base_checkpoint(request: Request) -> Checkpoint | None:
    """The checkpoint to go on from: the run's own, else the shipped one of that name, else none."""
    if request.fresh:
        return None
    for folder in (request.folder, CHECKPOINTS / request.folder.name):
        if (folder / "world.yaml").is_file():
            found = open_checkpoint(str(folder))
            if found.scene != request.scene:
                raise CheckpointError(
                    f"{folder} was trained on another version of {request.scene.name}; use --fresh or --name"
                )
            return found
    return None


def codec_of(request: Request, base: Checkpoint | None) -> Codec:
    """The codec of the base, of `parts_from`, or a new one for the codec stage; --fresh for a generator keeps it."""
    if base is None and request.parts_from:
        base = open_checkpoint(request.parts_from)
    if base is None and request.stage != "codec" and request.fresh:
        base = base_checkpoint(replace(request, fresh=False))
    if base is None and request.stage != "codec":
        raise CheckpointError(f"{request.folder} has no codec; run `worldsim train codec {request.scene.name}` first")
    config = CodecConfig() if base is None else from_mapping(CodecConfig, base.info.codec, f"{base.path}: codec")
    codec = Codec(config)
    if base is not None:
        fill(codec, base.file(CODEC))
    return codec.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def teacher_of(request: Request, generator: Generator, first: bool) -> Generator:
    """What a stage that distils began with; the first process keeps it beside the stage's state, so that a resumed run
    has the same teacher."""
    path = request.folder / request.stage / "teacher.safetensors"
    teacher = Generator(generator.config, generator.shape)
    if request.resume and path.exists():
        fill(teacher, path)
        return teacher
    teacher.load_state_dict(generator.state_dict())
    if first:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        save_file({k: v.contiguous() for k, v in generator.state_dict().items()}, part)
        part.replace(path)
    return teacher


def restore_generator(base: Checkpoint | None, codec: Codec, exporter: Exporter) -> bool:
    if base is None or GENERATOR not in base.info.files:
        return False
    config = from_mapping(GeneratorConfig, base.info.generator, f"{base.path}: generator")
    fill(exporter.build(config, codec), base.file(GENERATOR))
    return True


def changed_config(config: GeneratorConfig, changes: tuple[str, ...]) -> GeneratorConfig:
    """A configuration with fields replaced by KEY=VALUE, the values as YAML. Raises ConfigError."""
    fields = to_mapping(config)
    for change in changes:
        key, sign, value = change.partition("=")
        if not sign:
            raise ConfigError(f"--set wants KEY=VALUE, got {shown(change)}")
        try:
            fields[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"--set {key[:40]}: {shown(value)} is not YAML") from None
    return from_mapping(GeneratorConfig, fields, "--set:")


def take_parts(generator: Generator, name: str) -> tuple[dict[str, Any], ...]:
    """The place memory, painter, odometry and transitions of another checkpoint, where it has them in the same size.
    Returns the provenance of all that is taken, the codec included."""
    source = open_checkpoint(name)
    stages = ("codec", "place", "odometry", "transitions")
    provenance = tuple(p for p in source.info.provenance if p.get("stage") in stages)
    if GENERATOR not in source.info.files:
        return provenance
    _, other = load_networks(source)
    pairs: list[tuple[torch.nn.Module | None, torch.nn.Module | None]] = [(generator.odometry, other.odometry)]
    if generator.shape.slots == other.shape.slots:
        pairs.append((generator.transitions, other.transitions))
    if generator.condition.memory is not None and generator.config.place == other.config.place:
        pairs.append((generator.condition.memory, other.condition.memory))
        if generator.shape == other.shape:
            pairs.append((generator.condition.painter, other.condition.painter))
    for own, taken in pairs:
        if own is not None and taken is not None:
            own.load_state_dict(taken.state_dict())
    return provenance


def with_place_memory(old: Generator, codec: Codec, exporter: Exporter) -> Generator:
    """The generator with a new place memory. It now adds to the memory's prior, so what it adds starts at nothing."""
    new = exporter.build(replace(old.config, place=PlaceConfig()), codec)
    new.load_state_dict(old.state_dict(), strict=False)
    torch.nn.init.zeros_(new.token_out.weight)
    torch.nn.init.zeros_(new.token_out.bias)
    return new


def encoder_hash(codec: Codec) -> str:
    """Names the encoder and statistics that latents on disk belong to."""
    hasher = hashlib.sha256()
    for name, value in codec.state_dict().items():
        if not name.startswith("decoder"):
            hasher.update(value.detach().half().contiguous().numpy().tobytes())
    return hasher.hexdigest()
