"""Worlds of random weights, to time sizes that nobody has trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from worldsim.inference.backend_choice import choose
from worldsim.model.codec import Codec, CodecConfig
from worldsim.model.generator import Generator
from worldsim.model.sizes import LARGE_FRAME, LARGE_STEPS, MODELS
from worldsim.model.weights import shape_of
from worldsim.runtime import Numerics
from worldsim.scene import load_scene, scene_hash
from worldsim.world import Spawn
from worldsim.worlds.catalogue import LoadedWorld, LoadOptions
from worldsim.worlds.neural import NeuralWorld


class RandomWeights:
    """The entry of a world of random weights in the gallery: speed does not ask what was learned."""

    former_sha256: tuple[str, ...] = ()
    sha256 = "0" * 64
    spawn_names = ("grey",)

    def __init__(self, model: str) -> None:
        """model: a name of model.sizes.MODELS; `large` has its own frame size and steps."""
        scene = load_scene("gallery")
        self.model, self.steps = model, LARGE_STEPS if model == "large" else 2
        if model == "large":
            width, height = LARGE_FRAME
            scene = replace(scene, frame=replace(scene.frame, width=width, height=height))
        self.name, self.scene, self.scene_sha256 = f"{model} (random weights)", scene, scene_hash(scene)

    def spawn(self, name: str | None) -> Spawn:
        frame = self.scene.frame
        return Spawn("grey", np.full((frame.height, frame.width, 3), 128, np.uint8), self.scene.spawns[0].pose)

    def load(self, options: LoadOptions) -> LoadedWorld:
        torch.manual_seed(0)
        codec = Codec(CodecConfig()).eval().requires_grad_(False)
        shape = shape_of(self.scene, codec.config.channels)
        generator = Generator(MODELS[self.model], shape).eval().requires_grad_(False)
        plain = self.model == "large" and options.backend == "auto" and options.device == "cpu"
        backend, steps = "eager" if plain else options.backend, options.steps or self.steps
        choice, networks = choose(backend, options.threads, codec, generator, steps, self.name, device=options.device)
        numerics = Numerics.of_torch(networks.backend, choice.threads, options.device)
        return LoadedWorld(NeuralWorld(self.scene, networks, steps, 0.1), self, steps, numerics)
