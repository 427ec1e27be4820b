"""The one path that makes a next frame and its context. Play, evaluation and training all come through here.

Works on latents as tokens (B, N, C); knows no pixels, no session, no seeds: noise is handed in.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from worldsim.diffusion.sampler import step_levels
from worldsim.diffusion.schedule import CONTEXT_LEVEL
from worldsim.entities import QUANTA
from worldsim.inference.network import Network, PreparedFrames
from worldsim.model.condition import Condition
from worldsim.model.context import Context
from worldsim.stepwise import Stepwise, finish


class Rollout:
    """Next frames of a generator at a fixed number of steps. All methods run without gradient and are pure."""

    def __init__(self, generator: Network, steps: int, context_level: float = CONTEXT_LEVEL) -> None:
        """context_level: of the noise on a finished frame while its keys and values are made."""
        self.generator = generator
        self.levels = step_levels(steps)
        self.context_level = context_level
        self._all_levels = torch.tensor((*self.levels, context_level))

    @torch.no_grad()
    def prepare(self, condition: Condition) -> PreparedFrames:
        """All that a tick's passes need of the condition (B frames), for all their noise levels."""
        self._all_levels = self._all_levels.to(condition.posed.device)
        return self.generator.prepare(condition, self._all_levels)

    @torch.no_grad()
    def begin(self, latent: Tensor, prepared: PreparedFrames, noise: Tensor) -> Context:
        """The context of a start picture (B, N, C): it fills every slot."""
        keys = self.generator.encode_kv(latent, noise, prepared, None)
        return Context.filled(keys, self.generator.config.window)

    def denoising(self, context: Context, prepared: PreparedFrames, noise: Tensor) -> Stepwise[Tensor]:
        """The clean latent (B, N, C) of the next frame, from pure noise; pauses in between, where a network can."""
        work = self.generator.sampling(noise, self.levels, prepared, context)
        while True:
            try:
                with torch.no_grad():  # not across a pause: what runs there has its own
                    next(work)
            except StopIteration as stop:
                return stop.value
            yield

    def next_frame(self, context: Context, prepared: PreparedFrames, noise: Tensor) -> Tensor:
        """The same without a pause."""
        return finish(self.denoising(context, prepared, noise))

    @torch.no_grad()
    def commit(self, context: Context, latent: Tensor, prepared: PreparedFrames, noise: Tensor) -> Context:
        """The context with a frame's latent (B, N, C) as the newest."""
        keys = self.generator.encode_kv(latent, noise, prepared, context)
        return context.pushed(keys)


@dataclass(frozen=True)
class Trajectory:
    """What is known of a run to be dreamed: W true context frames, then T ticks of actions.

    latents (B, W, N, C); action (B, W + T, A); look (B, W + T, 2) in radians; position (B, W, 2) in metres; entities
    (B, W, S, FIELDS) in their units; levels of events (B, W + T, E); dice (B, W + T, S, DICE); None in a scene without.
    """

    latents: Tensor
    action: Tensor
    look: Tensor
    position: Tensor
    entities: Tensor | None = None
    levels: Tensor | None = None
    dice: Tensor | None = None


@torch.no_grad()
def rollout_trajectory(rollout: Rollout, course: Trajectory, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Dream along a course: latents (B, T, N, C) and believed positions (B, T, 2).

    The first true frame fills the context and is the sink, the others are committed after it. Looks and events are
    those that the actions command; position and entities are carried on by what the network has learned of them.
    """
    batch, known = course.latents.shape[:2]
    posed = torch.ones(batch, device=course.latents.device)
    quanta = torch.tensor(QUANTA, dtype=torch.float32, device=course.latents.device)

    def noise() -> Tensor:
        return torch.randn(course.latents[:, 0].shape, generator=generator).to(course.latents.device)

    def prepare(tick: int, before: PreparedFrames | None) -> PreparedFrames:
        levels, dice = (None if part is None else part[:, tick] for part in (course.levels, course.dice))
        if before is None:
            position = course.position[:, tick]
            entities = None if course.entities is None else course.entities[:, tick]
        else:
            position = before.position
            entities = None if course.entities is None else before.entities * quanta
        moves = None if before is None else posed
        return rollout.prepare(
            Condition(course.action[:, tick], course.look[:, tick], position, posed, moves, entities, levels, dice)
        )

    prepared = prepare(0, None)
    context = rollout.begin(course.latents[:, 0], prepared, noise())
    latents, positions = [], []
    for tick in range(1, course.action.shape[1]):
        if tick < known:
            prepared, latent = prepare(tick, None), course.latents[:, tick]
        else:
            prepared = prepare(tick, prepared)
            latent = rollout.next_frame(context, prepared, noise())
            latents.append(latent)
            positions.append(prepared.position)
        context = rollout.commit(context, latent, prepared, noise())
    return torch.stack(latents, dim=1), torch.stack(positions, dim=1)
