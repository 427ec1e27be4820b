"""`worldsim train`: puts a stage, its data, the trainer and the checkpoint it writes together."""

from __future__ import annotations

import hashlib
import platform
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from worldsim.checkpoint import (
    CHECKPOINTS,
    FORMAT,
    Checkpoint,
    CheckpointInfo,
    SamplerConfig,
    fill,
    open_checkpoint,
    shape_of,
    write_checkpoint,
)
from worldsim.config import from_mapping, require, to_mapping
from worldsim.data.episodes import list_episodes, read_episode
from worldsim.data.latents import Latents, load_latents
from worldsim.errors import CheckpointError, ConfigError, DataError
from worldsim.model.codec import Codec, CodecConfig, to_pixels, to_tensor
from worldsim.model.generator import Generator, GeneratorConfig
from worldsim.rollout import Course, Rollout, follow
from worldsim.scene import Scene, scene_hash
from worldsim.train.codec import CodecStage
from worldsim.train.forcing import ForcingStage
from worldsim.train.odometry import OdometryStage
from worldsim.train.resampling import ResamplingStage
from worldsim.train.trainer import Stage, TrainConfig, Trainer
from worldsim.world import Spawn


@dataclass(frozen=True)
class Preset:
    """Batch sizes and lengths for a kind of machine. codec_frames: how many frames the codec stage holds in memory."""

    codec_batch: int = 32
    codec_frames: int = 44_000
    clips: int = 10
    clip_frames: int = 9
    bf16: bool = True
    device: str = "cpu"


PRESETS = {
    "cpu": Preset(),
    "gpu": Preset(codec_batch=256, codec_frames=400_000, clips=64, clip_frames=16, device="cuda"),
}
MODELS = {
    "default": GeneratorConfig(),
    "tiny": GeneratorConfig(width=128, depth=4, heads=4, hidden=256, window=4),
}


@dataclass(frozen=True)
class Request:
    """What the command line asks for. `folder` receives the checkpoint; its stages keep their state inside."""

    stage: str
    scene: Scene
    folder: Path
    data: Path
    preset: str = "cpu"
    model: str | None = None
    codec_from: str | None = None
    resume: bool = False
    fresh: bool = False
    quiet: bool = False
    clips: int | None = None
    clip_frames: int | None = None

    def __post_init__(self) -> None:
        require(
            self.clip_frames is None or self.clip_frames >= 2, f"clip_frames must be at least 2, got {self.clip_frames}"
        )


def train(request: Request, config: TrainConfig) -> dict[str, float]:
    """Run one stage and write a checkpoint. Returns the last step's numbers. Raises WorldsimError."""
    preset = PRESETS[request.preset]
    preset = replace(preset, clips=request.clips or preset.clips, clip_frames=request.clip_frames or preset.clip_frames)
    if preset.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"--preset {request.preset} needs a CUDA device and there is none; use --preset cpu")
    base = _base(request)
    if base is not None and request.codec_from:
        raise ConfigError(f"--codec-from is for a new run, {base.path} has a codec; choose another --name")
    if base is not None and request.model and "generator.safetensors" in base.info.files:
        raise ConfigError(f"--model is for a new generator, {base.path} has one; choose another --name or --fresh")
    torch.manual_seed(config.seed)
    codec = _codec(request, base)
    writer = _Writer(request, config, codec, base)
    if request.stage == "codec":
        stage: Stage = _codec_stage(request, preset, codec, base, writer)
    else:
        stage = _generator_stage(request, preset, codec, base, writer)
    trainer = Trainer(
        stage,
        replace(config, bf16=preset.bf16, device=preset.device),
        request.folder / request.stage,
        request.resume,
        request.quiet,
    )
    writer.trainer = trainer
    return trainer.run()


class _Writer:
    """Writes the checkpoint that a stage has reached."""

    def __init__(self, request: Request, config: TrainConfig, codec: Codec, base: Checkpoint | None) -> None:
        self._request, self._config, self._codec, self._base = request, config, codec, base
        self.generator: Generator | None = None
        self.generator_config: dict[str, Any] = {}
        self.trainer: Trainer | None = None
        self.ticks = 0
        self._spawns = _spawns(request.scene, base)

    def __call__(self) -> None:
        request = self._request
        past = self._base.info.provenance if self._base else ()
        if request.resume and past and past[-1].get("stage") == request.stage:
            past = past[:-1]  # the same stage, further
        here = {
            "stage": request.stage,
            "steps": self.trainer.step if self.trainer else 0,
            "minutes": round(self.trainer.seconds / 60, 1) if self.trainer else 0,
            "threads": torch.get_num_threads(),
            "hardware": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
            "torch": str(torch.__version__),
            "train_ticks": self.ticks,
            "date": time.strftime("%Y-%m-%d"),
        }
        info = CheckpointInfo(
            format=FORMAT,
            name=request.folder.name,
            scene=request.scene,
            scene_sha256=scene_hash(request.scene),
            codec=to_mapping(self._codec.config),
            generator=self.generator_config,
            sampler=self._base.info.sampler if self._base else SamplerConfig(),
            provenance=(*past, here),
        )
        write_checkpoint(request.folder, info, self._codec, self.generator, self._spawns)


def _base(request: Request) -> Checkpoint | None:
    """The checkpoint to go on from: the run's own, else the shipped one of that name, else none."""
    if request.fresh:
        return None
    for folder in (request.folder, CHECKPOINTS / request.folder.name):
        if (folder / "world.yaml").is_file():
            found = open_checkpoint(str(folder))
            if found.info.scene_sha256 != scene_hash(request.scene):
                raise CheckpointError(
                    f"{folder} was trained on another version of {request.scene.name}; use --fresh or --name"
                )
            return found
    return None


def _codec(request: Request, base: Checkpoint | None) -> Codec:
    """The codec of the base, of `codec_from`, or a new one for the codec stage; --fresh for a generator keeps it."""
    if base is None and request.codec_from:
        base = open_checkpoint(request.codec_from)
    if base is None and request.stage != "codec" and request.fresh:
        base = _base(replace(request, fresh=False))
    if base is None and request.stage != "codec":
        raise CheckpointError(f"{request.folder} has no codec; run `worldsim train codec {request.scene.name}` first")
    config = CodecConfig() if base is None else from_mapping(CodecConfig, base.info.codec, f"{base.path}: codec")
    codec = Codec(config)
    if base is not None:
        fill(codec, base.path / "codec.safetensors")
    return codec.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _codec_stage(
    request: Request, preset: Preset, codec: Codec, base: Checkpoint | None, writer: _Writer
) -> CodecStage:
    files = list_episodes(request.data, "train")
    frames, total = [], 0
    for file in tqdm(files, desc="read frames", unit="episode", disable=request.quiet):
        episode = read_episode(file)
        if episode.scene_hash != scene_hash(request.scene):
            raise DataError(f"{file} is of another version of {request.scene.name}; collect into an empty folder")
        frames.append(episode.frames)
        total += len(frames[-1])
        if total >= preset.codec_frames:
            break
    pixels = np.concatenate(frames)
    writer.ticks = len(pixels)
    begun = base is not None and "generator.safetensors" in base.info.files
    if base is None:
        codec.start_from_components(to_tensor(pixels[:: max(1, len(pixels) // 600)]))
    if begun:  # latents must keep their meaning for the generator trained on them
        _restore_generator(base, codec, writer)
    return CodecStage(codec, pixels, preset.codec_batch, writer, decoder_only=begun)


def _generator_stage(request: Request, preset: Preset, codec: Codec, base: Checkpoint | None, writer: _Writer) -> Stage:
    codec.eval().requires_grad_(False)
    if not _restore_generator(base, codec, writer):
        config = MODELS[request.model or "default"]
        writer.generator = Generator(config, shape_of(request.scene, codec.config.channels))
        writer.generator_config = to_mapping(config)
    generator = writer.generator
    assert generator is not None
    mark = _encoder_mark(codec)
    latents = load_latents(codec, mark, request.data, "train", request.scene, request.quiet)
    held_out = load_latents(codec, mark, request.data, "held_out", request.scene, request.quiet)
    writer.ticks = len(latents.latents)
    if request.stage == "odometry":
        return OdometryStage(generator, latents, writer)
    kind = {"forcing": ForcingStage, "resampling": ResamplingStage}[request.stage]
    grid = generator.shape.rows, generator.shape.columns
    picture = lambda: dream_picture(generator, codec, held_out, grid)  # noqa: E731
    return kind(generator, latents, preset.clips, preset.clip_frames, writer, picture)


def _restore_generator(base: Checkpoint | None, codec: Codec, writer: _Writer) -> bool:
    if base is None or "generator.safetensors" not in base.info.files:
        return False
    config = from_mapping(GeneratorConfig, base.info.generator, f"{base.path}: generator")
    writer.generator = Generator(config, shape_of(base.scene, codec.config.channels))
    writer.generator_config = base.info.generator
    fill(writer.generator, base.path / "generator.safetensors")
    return True


def _encoder_mark(codec: Codec) -> str:
    """Names the encoder and statistics that latents on disk belong to."""
    hasher = hashlib.sha256()
    for name, value in codec.state_dict().items():
        if not name.startswith("decoder"):
            hasher.update(value.detach().half().contiguous().numpy().tobytes())
    return hasher.hexdigest()


def _spawns(scene: Scene, base: Checkpoint | None) -> list[Spawn]:
    """The base's spawns, or the scene's own rendered by its engine."""
    if base is not None:
        return [base.spawn(entry.name) for entry in base.info.spawns]
    from worldsim.source.source_world import SourceWorld

    world = SourceWorld(scene)
    spawns = world.spawns()
    world.close()
    return spawns


def dream_picture(
    generator: Generator, codec: Codec, held_out: Latents, grid: tuple[int, int], ticks: int = 32, rows: int = 4
) -> np.ndarray:
    """Film strips from held-out episodes, truth above dream, at ticks 1, 2, 4, 8, 16, 32. uint8 (H, W, 3)."""
    window = generator.config.window
    clips = held_out.draw(np.random.Generator(np.random.Philox(key=5)), rows, window + ticks)
    device = next(generator.parameters()).device
    parts = (clips.latents[:, 1 : 1 + window], clips.action[:, 1:], clips.look[:, 1:], clips.position[:, 1:])
    course = Course(*(t.to(device) for t in parts))
    dreamed = follow(Rollout(generator, 2), course, torch.Generator().manual_seed(5))[0].cpu()
    shown = [t for t in (1, 2, 4, 8, 16, 32) if t <= ticks]
    strips = []
    for row in range(rows):
        for latents in (clips.latents[row, 1 + window :], dreamed[row]):
            picks = torch.stack([latents[t - 1] for t in shown]).transpose(1, 2).unflatten(2, grid)
            with torch.no_grad():
                strips.append(np.concatenate(list(to_pixels(codec.decode(picks))), axis=1))
    return np.concatenate(strips, axis=0)
