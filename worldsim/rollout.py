"""The one path that makes a next frame and its context. Play, evaluation and training all come through here.

Works on latents as tokens (B, N, C); knows no pixels, no session, no seeds: noise is handed in.
"""

from __future__ import annotations

from collections.abc import Generator as Paused
from dataclasses import dataclass

import torch
from torch import Tensor

from worldsim.diffusion.sampler import sampling, step_levels
from worldsim.diffusion.schedule import CONTEXT_LEVEL, add_noise
from worldsim.model.condition import Condition, Embedded
from worldsim.model.context import Context
from worldsim.model.generator import Generator
from worldsim.world import finish

PausedPasses = Paused[None, None, Tensor]


@dataclass(frozen=True)
class Memory:
    """What a rollout keeps between frames: the context, its assembled form, and the newest frame's features."""

    context: Context
    assembled: tuple[Tensor, Tensor]
    features: Tensor


class Rollout:
    """Next frames of a generator at a fixed number of steps. All methods run without gradient and are pure."""

    def __init__(self, generator: Generator, steps: int, context_level: float = CONTEXT_LEVEL) -> None:
        self.generator = generator
        self.levels = step_levels(steps)
        self.context_level = context_level

    @torch.no_grad()
    def embed(self, condition: Condition) -> Embedded:
        """The part of the condition that all passes over a frame share."""
        return self.generator.condition.embed(condition)

    @torch.no_grad()
    def begin(self, latent: Tensor, embedded: Embedded, noise: Tensor) -> Memory:
        """Memory of a start picture (B, N, C): it fills every slot."""
        made = self._write(latent, embedded, noise, None)
        return self._remember(Context.filled(made.keys, self.generator.config.window), made.features)

    @torch.no_grad()
    def displacement(self, memory: Memory, action: Tensor, position: Tensor, yaw: Tensor) -> Tensor:
        """How far the action carries the player, in metres (B, 2), as the network believes."""
        return self.generator.odometry(memory.features, action, position, yaw)

    def denoising(self, memory: Memory, embedded: Embedded, noise: Tensor) -> PausedPasses:
        """The next frame's clean latent (B, N, C) from pure noise, pausing after each pass."""
        return sampling(noise, self.levels, lambda x, level: self.predict(memory, embedded, x, level))

    def next_latent(self, memory: Memory, embedded: Embedded, noise: Tensor) -> Tensor:
        """The same without a pause."""
        return finish(self.denoising(memory, embedded, noise))

    @torch.no_grad()
    def predict(self, memory: Memory, embedded: Embedded, x: Tensor, level: float) -> Tensor:
        """One denoising pass: the clean latent believed in, from x (B, N, C) at a noise level."""
        return self.generator.denoise(x, self._levels(x, level), embedded, memory.assembled).latent

    @torch.no_grad()
    def commit(self, memory: Memory, latent: Tensor, embedded: Embedded, noise: Tensor) -> Memory:
        """Memory with this frame as the newest: the pass that writes its keys and values."""
        made = self._write(latent, embedded, noise, memory.assembled)
        return self._remember(memory.context.pushed(made.keys), made.features)

    def _write(self, latent: Tensor, embedded: Embedded, noise: Tensor, past):
        level = self._levels(latent, self.context_level)
        return self.generator.denoise(add_noise(latent, noise, level[:, None, None]), level, embedded, past)

    def _remember(self, context: Context, features: Tensor) -> Memory:
        return Memory(context, context.assembled(self.generator.split), features)

    @staticmethod
    def _levels(x: Tensor, level: float) -> Tensor:
        return torch.full((x.shape[0],), level, dtype=x.dtype)


@dataclass(frozen=True)
class Course:
    """What is known of a run to be dreamed: W true context frames, then T ticks of actions.

    latents (B, W, N, C); action (B, W + T, A); look (B, W + T, 2) in radians; position (B, W, 2) in metres.
    """

    latents: Tensor
    action: Tensor
    look: Tensor
    position: Tensor


@torch.no_grad()
def follow(rollout: Rollout, course: Course, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Dream along a course: latents (B, T, N, C) and believed positions (B, T, 2).

    The first true frame fills the context and is the sink, the others are committed after it. The look is the
    commanded one; the position is summed from the network's own displacements.
    """
    batch, known = course.latents.shape[:2]
    posed = torch.ones(batch)
    position = course.position[:, 0]

    def noise() -> Tensor:
        return torch.randn(course.latents[:, 0].shape, generator=generator)

    def embed(tick: int) -> Embedded:
        return rollout.embed(Condition(course.action[:, tick], course.look[:, tick], position, posed))

    memory = rollout.begin(course.latents[:, 0], embed(0), noise())
    latents, positions = [], []
    for tick in range(1, course.action.shape[1]):
        if tick < known:
            position, latent = course.position[:, tick], course.latents[:, tick]
            embedded = embed(tick)
        else:
            position = position + rollout.displacement(memory, course.action[:, tick], position, course.look[:, tick, 0])
            embedded = embed(tick)
            latent = rollout.next_latent(memory, embedded, noise())
            latents.append(latent)
            positions.append(position)
        memory = rollout.commit(memory, latent, embedded, noise())
    return torch.stack(latents, dim=1), torch.stack(positions, dim=1)
