"""Writes the checkpoint that a training stage has reached."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from typing import Any

import torch

from worldsim.checkpoint import FORMAT, Checkpoint, CheckpointInfo, SamplerConfig
from worldsim.config import to_mapping
from worldsim.model.codec import Codec
from worldsim.model.drift_guard import LatentRange
from worldsim.model.generator import Generator, GeneratorConfig
from worldsim.model.weights import shape_of, write_checkpoint
from worldsim.scene import Scene, scene_hash
from worldsim.train.request import Request
from worldsim.world import Spawn


class Exporter:
    """Writes the checkpoint that a stage has reached."""

    def __init__(self, request: Request, codec: Codec, base: Checkpoint | None) -> None:
        self._request, self._codec, self._base = request, codec, base
        self.generator: Generator | None = None
        self.generator_config: dict[str, Any] = {}
        self.progress: Callable[[], tuple[int, float]] = lambda: (0, 0.0)  # steps taken and seconds trained so far
        self.taken: tuple[dict[str, Any], ...] = ()  # how parts taken from elsewhere were trained
        self.ticks = 0
        self.measure: Callable[[], LatentRange] | None = None  # of the training frames
        self._spawns = _spawns(request.scene, base)

    def build(self, config: GeneratorConfig, codec: Codec) -> Generator:
        """A new generator, with random weights; its painter knows the colours of the codec."""
        self.generator = Generator(config, shape_of(self._request.scene, codec.config.channels))
        if self.generator.condition.painter is not None:
            self.generator.condition.painter.start_from(codec)
        self.generator_config = to_mapping(config)
        return self.generator

    def __call__(self) -> None:
        request = self._request
        past = self._base.info.provenance if self._base else self.taken
        if request.resume and past and past[-1].get("stage") == request.stage:
            past = past[:-1]  # the same stage, further
        steps, seconds = self.progress()
        here = {
            "stage": request.stage,
            "steps": steps,
            "minutes": round(seconds / 60, 1),
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


def _spawns(scene: Scene, base: Checkpoint | None) -> list[Spawn]:
    """The base's spawns, or the scene's own as its engine draws them."""
    if base is not None:
        return [base.spawn(entry.name) for entry in base.info.spawns]
    with scene.source.open(scene) as world:
        return world.spawns()
