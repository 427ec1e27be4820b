"""`worldsim train`: puts a stage, its data, the trainer and the checkpoint it writes together."""

from __future__ import annotations

from dataclasses import replace

import torch

from worldsim.checkpoint import GENERATOR
from worldsim.errors import ConfigError
from worldsim.model.sizes import WIDE
from worldsim.registry import STAGES
from worldsim.train.distributed import processes
from worldsim.train.export import Exporter
from worldsim.train.request import PRESETS, Request
from worldsim.train.restore import base_checkpoint, codec_of
from worldsim.train.setup import Setup
from worldsim.train.stages.base import Stage
from worldsim.train.trainer import TrainConfig, Trainer


def train(request: Request, config: TrainConfig) -> dict[str, float]:
    """Run one stage and write a checkpoint. Returns the last step's numbers. Raises WorldsimError."""
    kind: type[Stage] = STAGES.get(request.stage)
    preset = PRESETS[request.preset]
    preset = replace(preset, clips=request.clips or preset.clips, clip_frames=request.clip_frames or preset.clip_frames)
    if preset.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"--preset {request.preset} needs a CUDA device and there is none; use --preset cpu")
    if request.shard and not kind.trains_blocks:
        raise ConfigError(f"--shard is for the stages that train a generator's blocks, {request.stage} does not")
    base = base_checkpoint(request)
    if base is not None and request.parts_from:
        raise ConfigError(f"--parts-from is for a new run, {base.path} has a codec; choose another --name")
    if base is not None and (request.model or request.changes) and GENERATOR in base.info.files:
        raise ConfigError(
            f"--model and --set are for a new generator, {base.path} has one; choose another --name or --fresh"
        )
    dist = processes(preset.device)
    if preset.clips % dist.world or preset.codec_batch % dist.world:
        raise ConfigError(
            f"batches of {preset.clips} clips or {preset.codec_batch} frames cannot be shared evenly by {dist.world} "
            "processes; give another --clips or start another number of them"
        )
    torch.manual_seed(config.seed)
    codec = codec_of(request, base)
    exporter = Exporter(request, codec, base)
    stage = kind.create(Setup(request, preset, base, codec, exporter, dist))
    generator = exporter.generator
    if kind.trains_blocks and generator is not None and (request.compile or preset.compile):
        # Only what training spends its time on; an attribute of the object, so that no name of a weight changes.
        compiled = torch.compile(generator.teacher_forcing, dynamic=False)
        generator.teacher_forcing = compiled  # type: ignore[method-assign]
    bf16 = preset.bf16 and not kind.full_precision and multiplies_bf16(preset.device)
    config = replace(config, bf16=bf16, device=preset.device)
    if kind.ema is not None:
        config = replace(config, ema=kind.ema)
    if kind.trains_blocks and (request.shard or (generator is not None and generator.config.width >= WIDE)):
        dist = dist.sharding()
    trainer = Trainer(stage, config, request.folder / request.stage, request.resume, request.quiet, dist)
    exporter.progress = lambda: (trainer.step, trainer.seconds)
    stage.attach(trainer.averaged)
    numbers = trainer.run()
    dist.close()
    return numbers


def multiplies_bf16(device: str) -> bool:
    """Whether bfloat16 is faster than float32 there: processors without instructions for it are five times slower."""
    return device != "cpu" or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
