"""All that a training stage is made of: request, preset, codec, generator, data, exporter.

Each is made when first asked for, so a stage pays only for what it uses.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from tqdm import tqdm

from worldsim.checkpoint import Checkpoint
from worldsim.data.episodes import list_episodes, read_episode
from worldsim.data.latents import Latents, load_latents
from worldsim.data.stills import STILLS
from worldsim.errors import ConfigError, DataError
from worldsim.model.codec import Codec
from worldsim.model.drift_guard import LatentRange, distance, measure_range
from worldsim.model.generator import Generator
from worldsim.model.sizes import MODELS
from worldsim.scene import is_hash_of
from worldsim.source.base import LivingSource
from worldsim.train.distributed import SingleProcess
from worldsim.train.export import Exporter
from worldsim.train.pictures import dream_picture
from worldsim.train.request import Preset, Request
from worldsim.train.restore import changed_config, encoder_hash, restore_generator, take_parts


class Setup:
    """What `worldsim train` has at hand when it makes a stage."""

    def __init__(
        self, request: Request, preset: Preset, base: Checkpoint | None, codec: Codec, exporter: Exporter,
        dist: SingleProcess,
    ) -> None:  # fmt: skip
        """base: the checkpoint to go on from. dist: this process among the others."""
        self.request, self.preset, self.base, self.codec, self.exporter, self.dist = (
            request, preset, base, codec, exporter, dist,
        )  # fmt: skip

    def require_place(self) -> None:
        """Raises ConfigError unless the scene has a camera and poses."""
        if self.request.scene.place is None:
            raise ConfigError(
                f"stage {self.request.stage} is for scenes with a camera and poses, and {self.request.scene.name} has "
                "none; go on with `forcing`"
            )

    def restored(self) -> bool:
        """Take the base's generator, if it has one."""
        return restore_generator(self.base, self.codec, self.exporter)

    @cached_property
    def generator(self) -> Generator:
        """The base's, or a new one of the size asked for. The codec it is trained on is frozen."""
        self.codec.eval().requires_grad_(False)
        if not self.restored():
            config = MODELS[self.request.model or "default"]
            if self.request.scene.place is None:
                config = config.without_place()
            built = self.exporter.build(changed_config(config, self.request.changes), self.codec)
            if self.request.parts_from:
                self.exporter.taken = take_parts(built, self.request.parts_from)
        assert self.exporter.generator is not None
        return self.exporter.generator

    def replace_generator(self, generator: Generator) -> None:
        """Train another one from now on."""
        self.__dict__["generator"] = generator

    def know_walls(self) -> None:
        """Let what moves in a living scene know where the walls are, if the scene's source can tell."""
        scene, transitions = self.request.scene, self.generator.transitions
        if transitions is None:
            return
        with scene.source.open(scene) as source:
            assert isinstance(source, LivingSource)
            known = source.walls(transitions.walls_at().double().numpy())
        if known is not None:
            transitions.set_walls(*(torch.from_numpy(part).float() for part in known))

    @cached_property
    def latents(self) -> Latents:
        """Of the frames to train on."""
        latents = self._splits[0]
        latents.share(self.dist.rank, self.dist.world)
        self.exporter.ticks = len(latents.latents)

        def measure() -> LatentRange:
            generator = self.exporter.generator  # not `self.generator`, which freezes the codec: it may be in training
            assert generator is not None
            return measure_range(latents.latents.numpy(), generator.shape.rows, surprises(generator, latents))

        self.exporter.measure = measure
        return latents

    @cached_property
    def latents_and_stills(self) -> Latents:
        """Of the frames to train on and, if some were collected, of stills."""
        if not (self.request.data / STILLS).is_dir():
            return self.latents
        with self.dist.main_first():
            return self.latents.and_stills(self._load(STILLS))

    @cached_property
    def held_out(self) -> Latents:
        """Of frames that are looked at, not trained on."""
        return self._splits[1]

    @cached_property
    def _splits(self) -> tuple[Latents, Latents]:
        with self.dist.main_first():  # encodes what is not on disk; every process must come here
            return self._load("train"), self._load("held_out")

    def _load(self, split: str) -> Latents:
        request = self.request
        return load_latents(self.codec, encoder_hash(self.codec), request.data, split, request.scene, request.quiet)

    def dream(self) -> np.ndarray | None:
        """Film strips of the generator as it stands. uint8 (H, W, 3)."""
        return dream_picture(self.generator, self.codec, self.held_out)

    def frames(self) -> np.ndarray:
        """Frames uint8 (N, H, W, 3) to train a codec on, in the order of `latents`: at most as many as the preset holds
        in memory. Raises DataError."""
        request = self.request
        lengths, kept, total = [], [], 0
        for file in list_episodes(request.data, "train"):
            episode = read_episode(file, with_frames=False)
            if not is_hash_of(episode.scene_hash, request.scene):
                raise DataError(f"{file} is of another version of {request.scene.name}; collect into an empty folder")
            kept.append(file)
            lengths.append(len(episode.actions))
            total += lengths[-1]
            if total >= self.preset.codec_frames:
                break
        size = request.scene.frame
        pixels = np.empty((total, size.height, size.width, 3), np.uint8)  # filled in place: it may be gigabytes
        begin = 0
        for file, length in zip(
            tqdm(kept, desc="read frames", unit="episode", disable=request.quiet), lengths, strict=True
        ):
            episode = read_episode(file)
            pixels[begin : begin + length] = episode.frames
            begin += length
        self.exporter.ticks = total
        return pixels


def surprises(generator: Generator, latents: Latents, count: int = 1024) -> np.ndarray | None:
    """How far training frames lie from what the place memory expects of their poses: (count,)."""
    if generator.condition.memory is None:
        return None
    rng = np.random.Generator(np.random.Philox(key=9))
    device = next(generator.parameters()).device
    found = []
    for _ in range(count // 64):
        frames = latents.draw_frames(rng, 64).to(device)
        with torch.no_grad():
            expected = generator.condition.expect(frames.condition(torch.ones(len(frames.latents), device=device)))[0]
        found.append(distance(frames.latents[:, 0].float().cpu().numpy(), expected.float().cpu().numpy()))
    return np.concatenate(found)
