"""Worlds that checkpoints dream: the entry of a checkpoint in the catalogue. Imports torch only when it is loaded."""

from __future__ import annotations

from dataclasses import dataclass

from worldsim.checkpoint import Checkpoint, find_checkpoint, read_checkpoint, verify
from worldsim.config import from_mapping
from worldsim.runtime import Numerics
from worldsim.scene import Scene
from worldsim.world import Spawn
from worldsim.worlds.catalogue import LoadedWorld, LoadOptions


@dataclass(frozen=True)
class CheckpointEntry:
    """A checkpoint by the name or folder it was asked for."""

    name: str
    checkpoint: Checkpoint

    def __init__(self, name: str) -> None:
        """Reads what the checkpoint says; its files are verified when it is loaded. Raises CheckpointError."""
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "checkpoint", read_checkpoint(find_checkpoint(name)))

    @property
    def scene(self) -> Scene:
        return self.checkpoint.scene

    @property
    def sha256(self) -> str:
        return self.checkpoint.sha256

    @property
    def former_sha256(self) -> tuple[str, ...]:
        return self.checkpoint.info.former_sha256

    @property
    def scene_sha256(self) -> str:
        return self.checkpoint.info.scene_sha256

    @property
    def spawn_names(self) -> tuple[str, ...]:
        return tuple(entry.name for entry in self.checkpoint.info.spawns)

    def spawn(self, name: str | None) -> Spawn:
        return self.checkpoint.spawn(name)

    def load(self, options: LoadOptions) -> LoadedWorld:
        from worldsim.inference.backend_choice import choose
        from worldsim.model.drift_guard import LatentRange
        from worldsim.model.weights import load_networks
        from worldsim.worlds.neural import NeuralWorld

        verify(self.checkpoint)
        codec, generator = load_networks(self.checkpoint)
        info = self.checkpoint.info
        steps = options.steps or info.sampler.steps
        choice, networks = choose(
            options.backend,
            options.threads,
            codec,
            generator,
            steps,
            self.sha256,
            options.beside_window,
            options.device,
        )
        where = f"{self.checkpoint.path}: latent_range"
        known = from_mapping(LatentRange, info.latent_range, where) if info.latent_range else None
        world = NeuralWorld(self.scene, networks, steps, info.sampler.context_level, known)
        spawns = tuple(self.spawn(name) for name in self.spawn_names)
        numerics = Numerics.of_torch(networks.backend, choice.threads, options.device)
        return LoadedWorld(world, self, steps, numerics, spawns)
