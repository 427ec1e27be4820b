"""`worldsim train`: puts a stage, its data, the trainer and the checkpoint it writes together."""

from __future__ import annotations

import hashlib
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import save_file
from tqdm import tqdm

from worldsim.checkpoint import (
    CHECKPOINTS,
    FORMAT,
    Checkpoint,
    CheckpointInfo,
    SamplerConfig,
    fill,
    load_networks,
    open_checkpoint,
    shape_of,
    write_checkpoint,
)
from worldsim.config import from_mapping, require, to_mapping
from worldsim.data.episodes import list_episodes, read_episode
from worldsim.data.latents import Latents, load_latents
from worldsim.data.transitions import draw_transitions
from worldsim.errors import CheckpointError, ConfigError, DataError
from worldsim.model.codec import Codec, CodecConfig, to_pixels, to_tensor
from worldsim.model.condition import Condition
from worldsim.model.generator import Generator, GeneratorConfig
from worldsim.model.guard import LatentRange, distance, measure_range
from worldsim.model.place import PlaceConfig
from worldsim.model.sizes import MODELS, WIDE
from worldsim.rollout import Course, Rollout, follow
from worldsim.scene import Scene, scene_hash
from worldsim.train.codec import CodecStage
from worldsim.train.consistency import ConsistencyStage
from worldsim.train.dmd import DmdStage
from worldsim.train.forcing import ForcingStage
from worldsim.train.odometry import TRANSITIONS, OdometryStage
from worldsim.train.parallel import Alone, processes
from worldsim.train.place import PlaceStage
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
    compile: bool = False


PRESETS = {
    "cpu": Preset(),
    "gpu": Preset(codec_batch=256, codec_frames=400_000, clips=64, clip_frames=16, device="cuda", compile=True),
}


_OF_BLOCKS = ("forcing", "resampling", "consistency", "dmd")


@dataclass(frozen=True)
class Request:
    """What the command line asks for. `folder` receives the checkpoint; its stages keep their state inside."""

    stage: str
    scene: Scene
    folder: Path
    data: Path
    preset: str = "cpu"
    model: str | None = None
    parts_from: str | None = None
    resume: bool = False
    fresh: bool = False
    quiet: bool = False
    clips: int | None = None
    clip_frames: int | None = None
    compile: bool = False
    changes: tuple[str, ...] = ()  # KEY=VALUE: other fields of a new generator
    shard: bool = False

    def __post_init__(self) -> None:
        require(
            not self.shard or self.stage in _OF_BLOCKS,
            f"--shard is for the stages that train a generator's blocks ({', '.join(_OF_BLOCKS)}), got {self.stage}",
        )
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
    if base is not None and request.parts_from:
        raise ConfigError(f"--parts-from is for a new run, {base.path} has a codec; choose another --name")
    if base is not None and (request.model or request.changes) and "generator.safetensors" in base.info.files:
        raise ConfigError(
            f"--model and --set are for a new generator, {base.path} has one; choose another --name or --fresh"
        )
    among = processes(preset.device)
    if preset.clips % among.world or preset.codec_batch % among.world:
        raise ConfigError(
            f"batches of {preset.clips} clips or {preset.codec_batch} frames cannot be shared evenly by {among.world} "
            "processes; give another --clips or start another number of them"
        )
    torch.manual_seed(config.seed)
    codec = _codec(request, base)
    writer = _Writer(request, config, codec, base)
    if request.stage == "codec":
        stage: Stage = _codec_stage(request, preset, codec, base, writer, among)
    else:
        stage = _generator_stage(request, preset, codec, base, writer, among)
        if request.compile or preset.compile:
            assert writer.generator is not None
            # Only what training spends its time on; an attribute of the object, so that no name of a weight changes.
            writer.generator.clip = torch.compile(writer.generator.clip, dynamic=False)  # type: ignore[method-assign]
    config = replace(config, bf16=preset.bf16, device=preset.device)
    if isinstance(stage, ConsistencyStage | DmdStage):  # what they match is finer than bfloat16 resolves
        config = replace(config, bf16=False, ema=0.99)
    if isinstance(stage, ForcingStage) and (request.shard or stage.generator.config.width >= WIDE):
        among = among.sharding()
    folder = request.folder / request.stage
    trainer = Trainer(stage, config, folder, request.resume, request.quiet, among)
    writer.trainer = trainer
    if isinstance(stage, ConsistencyStage):
        stage.averaged = trainer.averaged
    numbers = trainer.run()
    among.close()
    return numbers


class _Writer:
    """Writes the checkpoint that a stage has reached."""

    def __init__(self, request: Request, config: TrainConfig, codec: Codec, base: Checkpoint | None) -> None:
        self._request, self._config, self._codec, self._base = request, config, codec, base
        self.generator: Generator | None = None
        self.generator_config: dict[str, Any] = {}
        self.trainer: Trainer | None = None
        self.taken: tuple[dict[str, Any], ...] = ()  # how parts taken from elsewhere were trained
        self.ticks = 0
        self.measure: Callable[[], LatentRange] | None = None  # of the training frames
        self._spawns = _spawns(request.scene, base)

    def build(self, config: GeneratorConfig, codec: Codec) -> Generator:
        """A new generator, with random weights."""
        self.generator = Generator(config, shape_of(self._request.scene, codec.config.channels))
        self.generator_config = to_mapping(config)
        return self.generator

    def __call__(self) -> None:
        request = self._request
        past = self._base.info.provenance if self._base else self.taken
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
            latent_range=self._latent_range(),
            provenance=(*past, here),
        )
        write_checkpoint(request.folder, info, self._codec, self.generator, self._spawns)

    def _latent_range(self) -> dict[str, Any]:
        if self.measure:
            return to_mapping(self.measure())
        return self._base.info.latent_range if self._base else {}


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
    """The codec of the base, of `parts_from`, or a new one for the codec stage; --fresh for a generator keeps it."""
    if base is None and request.parts_from:
        base = open_checkpoint(request.parts_from)
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
    request: Request, preset: Preset, codec: Codec, base: Checkpoint | None, writer: _Writer, among: Alone
) -> CodecStage:
    files = list_episodes(request.data, "train")
    frames, poses, total = [], [], 0
    for file in tqdm(files, desc="read frames", unit="episode", disable=request.quiet):
        episode = read_episode(file)
        if episode.scene_hash != scene_hash(request.scene):
            raise DataError(f"{file} is of another version of {request.scene.name}; collect into an empty folder")
        frames.append(episode.frames)
        if episode.poses is None:
            raise DataError(f"{file} has no poses; this scene has a camera and needs them")
        poses.append(episode.poses)
        total += len(frames[-1])
        if total >= preset.codec_frames:
            break
    pixels = np.concatenate(frames)
    writer.ticks = len(pixels)
    begun = base is not None and "generator.safetensors" in base.info.files
    if base is None:
        codec.start_from_components(to_tensor(pixels[:: max(1, len(pixels) // 600)]))
    recall = None
    if begun:  # latents must keep their meaning for the generator trained on them
        _restore_generator(base, codec, writer)
        assert writer.generator is not None
        if writer.generator.condition.memory is not None:
            recall = _recall(writer.generator.to(preset.device), codec, np.concatenate(poses))
    share = slice(among.rank, None, among.world)
    return CodecStage(codec, pixels, preset.codec_batch, writer, decoder_only=begun, share=share, recall=recall)


def _recall(generator: Generator, codec: Codec, poses: np.ndarray) -> Callable[[np.ndarray], torch.Tensor]:
    """What the place memory makes of frames, by index: raw latents (B, C, h, w)."""
    generator.eval().requires_grad_(False)
    device, grid = next(generator.parameters()).device, (generator.shape.rows, generator.shape.columns)
    place = torch.from_numpy(poses.astype(np.float32)).to(device)
    place[:, 2:] = place[:, 2:].deg2rad()

    def recall(index: np.ndarray) -> torch.Tensor:
        here = place[torch.from_numpy(index)]
        nothing = here.new_zeros((len(here), generator.shape.actions))
        condition = Condition(nothing, here[:, 2:], here[:, :2], here.new_ones(len(here)))
        with torch.no_grad():
            latents = generator.condition.recall(condition).float().transpose(1, 2).unflatten(2, grid)
        return latents * codec.latent_std[:, None, None] + codec.latent_mean[:, None, None]

    return recall


def _generator_stage(
    request: Request, preset: Preset, codec: Codec, base: Checkpoint | None, writer: _Writer, among: Alone
) -> Stage:
    codec.eval().requires_grad_(False)
    if not _restore_generator(base, codec, writer):
        built = writer.build(_changed(MODELS[request.model or "default"], request.changes), codec)
        if request.parts_from:
            writer.taken = _take_parts(built, request.parts_from)
    generator = writer.generator
    assert generator is not None
    if request.stage == "place" and generator.config.place is None:
        generator = _with_memory(generator, codec, writer)
    mark = _encoder_mark(codec)
    with among.first_alone():  # encodes what is not on disk
        latents = load_latents(codec, mark, request.data, "train", request.scene, request.quiet)
        held_out = load_latents(codec, mark, request.data, "held_out", request.scene, request.quiet)
    latents.share(among.rank, among.world)
    writer.ticks = len(latents.latents)
    writer.measure = lambda: measure_range(
        latents.latents.numpy(), generator.shape.rows, _surprises(generator, latents)
    )
    grid = generator.shape.rows, generator.shape.columns

    def dream(generator: Generator) -> np.ndarray:
        return dream_picture(generator, codec, held_out, grid)

    if request.stage == "odometry":
        return OdometryStage(generator, latents, draw_transitions(request.scene, TRANSITIONS, seed=0), writer)
    if request.stage == "place":
        recalled = lambda: place_picture(generator, codec, held_out, grid)  # noqa: E731
        return PlaceStage(generator, latents, writer, recalled)
    if request.stage in ("consistency", "dmd"):
        distil = {"consistency": ConsistencyStage, "dmd": DmdStage}[request.stage]
        with among.first_alone():  # writes it
            teacher = _teacher(request, generator, among.rank == 0).to(preset.device)
        return distil(generator, teacher, latents, preset.clips, preset.clip_frames, writer, lambda: dream(generator))
    kind = {"forcing": ForcingStage, "resampling": ResamplingStage}[request.stage]
    return kind(generator, latents, preset.clips, preset.clip_frames, writer, lambda: dream(generator))


def _surprises(generator: Generator, latents: Latents, count: int = 1024) -> np.ndarray | None:
    """How far training frames lie from what the place memory expects of their poses: (count,)."""
    if generator.condition.memory is None:
        return None
    rng = np.random.Generator(np.random.Philox(key=9))
    device = next(generator.parameters()).device
    found = []
    for _ in range(count // 64):
        frames = latents.draw_frames(rng, 64).to(device)
        with torch.no_grad():
            expected = generator.condition.recall(frames.condition(torch.ones(len(frames.latents), device=device)))
        found.append(distance(frames.latents[:, 0].float().cpu().numpy(), expected.float().cpu().numpy()))
    return np.concatenate(found)


def _teacher(request: Request, generator: Generator, first: bool) -> Generator:
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
        save_file({k: v.contiguous() for k, v in generator.state_dict().items()}, path)
    return teacher


def _restore_generator(base: Checkpoint | None, codec: Codec, writer: _Writer) -> bool:
    if base is None or "generator.safetensors" not in base.info.files:
        return False
    config = from_mapping(GeneratorConfig, base.info.generator, f"{base.path}: generator")
    fill(writer.build(config, codec), base.path / "generator.safetensors")
    return True


def _changed(config: GeneratorConfig, changes: tuple[str, ...]) -> GeneratorConfig:
    """A configuration with fields replaced by KEY=VALUE, the values as YAML. Raises ConfigError."""
    fields = to_mapping(config)
    for change in changes:
        key, sign, value = change.partition("=")
        if not sign:
            raise ConfigError(f"--set wants KEY=VALUE, got {change!r}")
        try:
            fields[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"--set {key}: {value!r} is not YAML") from None
    return from_mapping(GeneratorConfig, fields, "--set:")


def _take_parts(generator: Generator, name: str) -> tuple[dict[str, Any], ...]:
    """The place memory and odometry of another checkpoint, where it has them in the same size. Returns the provenance
    of all that is taken, the codec included."""
    source = open_checkpoint(name)
    stages = ("codec", "place", "odometry")
    provenance = tuple(p for p in source.info.provenance if p.get("stage") in stages)
    if "generator.safetensors" not in source.info.files:
        return provenance
    _, other = load_networks(source)
    pairs: list[tuple[torch.nn.Module, torch.nn.Module | None]] = [(generator.odometry, other.odometry)]
    if generator.condition.memory is not None and generator.config.place == other.config.place:
        pairs.append((generator.condition.memory, other.condition.memory))
    for own, taken in pairs:
        assert taken is not None  # the same configuration
        own.load_state_dict(taken.state_dict())
    return provenance


def _with_memory(old: Generator, codec: Codec, writer: _Writer) -> Generator:
    """The generator with a new place memory. It now adds to the memory's guess, so what it adds starts at nothing."""
    new = writer.build(replace(old.config, place=PlaceConfig()), codec)
    new.load_state_dict(old.state_dict(), strict=False)
    torch.nn.init.zeros_(new.token_out.weight)
    torch.nn.init.zeros_(new.token_out.bias)
    return new


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


def place_picture(
    generator: Generator, codec: Codec, held_out: Latents, grid: tuple[int, int], columns: int = 6, rows: int = 4
) -> np.ndarray:
    """Held-out frames, truth above what the place memory makes of their poses. uint8 (H, W, 3)."""
    frames = held_out.draw_frames(np.random.Generator(np.random.Philox(key=5)), rows * columns)
    frames = frames.to(next(generator.parameters()).device)
    with torch.no_grad():
        guess = generator.condition.recall(frames.condition(torch.ones(rows * columns))).cpu()
        truth, made = (
            to_pixels(codec.decode(x.cpu().transpose(1, 2).unflatten(2, grid))) for x in (frames.latents[:, 0], guess)
        )
    picks = [slice(row * columns, (row + 1) * columns) for row in range(rows)]
    return np.concatenate([np.concatenate(list(x[p]), axis=1) for p in picks for x in (truth, made)], axis=0)


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
