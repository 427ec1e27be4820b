"""The one path that makes a next frame and its context. Play, evaluation and training all come through here.

Works on latents as tokens (B, N, C); knows no pixels, no session, no seeds: noise is handed in.
"""

from __future__ import annotations

from collections.abc import Generator as Paused
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from worldsim.diffusion.sampler import sampling, step_levels
from worldsim.diffusion.schedule import CONTEXT_LEVEL, add_noise
from worldsim.model.condition import Condition, Embedded
from worldsim.model.context import Context
from worldsim.model.generator import Modulated, Pass
from worldsim.model.layers import RotarySplit
from worldsim.model.networks import Network
from worldsim.world import finish

PausedPasses = Paused[None, None, Pass]


Commit = Literal["pass", "last"]


class Memory:
    """What a rollout keeps between frames: the context. Its assembled form is made when needed and may be let go."""

    def __init__(self, context: Context, split: RotarySplit) -> None:
        self.context = context
        self._split = split
        self._assembled: tuple[Tensor, Tensor] | None = None

    @property
    def assembled(self) -> tuple[Tensor, Tensor]:
        """Keys rotated by slot, and values, for the next frame; see Context.assembled."""
        if self._assembled is None:
            self._assembled = self.context.assembled(self._split)
        return self._assembled

    def shed(self) -> None:
        """Let go of what can be made again."""
        self._assembled = None


@dataclass(frozen=True)
class Prepared:
    """A frame's condition, ready for every pass: embedded, and modulated at each sampling level and for the commit."""

    embedded: Embedded
    steps: dict[float, Modulated]
    commit: Modulated


class Rollout:
    """Next frames of a generator at a fixed number of steps. All methods run without gradient and are pure."""

    def __init__(
        self, generator: Network, steps: int, context_level: float = CONTEXT_LEVEL, commit: Commit = "pass"
    ) -> None:
        """commit: what writes a dreamed frame's keys and values: a `pass` of its own over the finished frame, noised to
        context_level, or the `last` denoising pass, which saves one pass a frame. Other pictures always take a pass."""
        self.generator = generator
        self.levels = step_levels(steps)
        self.context_level = context_level
        self.commits = commit

    @torch.no_grad()
    def prepare(self, condition: Condition) -> Prepared:
        """All that a tick's passes need of the condition (B frames), in one product for all noise levels."""
        embedded = self.generator.embed(condition)
        frames, levels = len(embedded.vector), (*self.levels, self.context_level)
        level = torch.tensor(levels, device=embedded.vector.device).repeat_interleave(frames)
        made = self.generator.modulate(embedded.vector.repeat(len(levels), 1), level)
        rows = [slice(i * frames, (i + 1) * frames) for i in range(len(levels))]
        parts = [Modulated(made.level[r], made.blocks[:, r], made.final[r]) for r in rows]
        return Prepared(embedded, dict(zip(self.levels, parts, strict=False)), parts[-1])

    @torch.no_grad()
    def begin(self, latent: Tensor, prepared: Prepared, noise: Tensor) -> Memory:
        """Memory of a start picture (B, N, C): it fills every slot."""
        made = self._write(latent, prepared, noise, None)
        return self.remember(Context.filled(made.keys, self.generator.config.window))

    @torch.no_grad()
    def displacement(self, action: Tensor, position: Tensor, yaw: Tensor) -> Tensor:
        """How far the action carries the player, in metres (B, 2), as the network believes."""
        return self.generator.displacement(action, position, yaw)

    def denoising(self, memory: Memory, prepared: Prepared, noise: Tensor) -> PausedPasses:
        """The next frame from pure noise, pausing after each pass: its clean latent, and the last pass's keys."""
        last: list[Pass] = []

        def predict(x: Tensor, level: float) -> Tensor:
            last[:] = [self.predict(memory, prepared, x, level)]
            return last[0].latent

        latent = yield from sampling(noise, self.levels, predict)
        return Pass(latent, last[0].keys)

    def next_frame(self, memory: Memory, prepared: Prepared, noise: Tensor) -> Pass:
        """The same without a pause."""
        return finish(self.denoising(memory, prepared, noise))

    @torch.no_grad()
    def predict(self, memory: Memory, prepared: Prepared, x: Tensor, level: float) -> Pass:
        """One denoising pass: the clean latent believed in, from x (B, N, C) at a noise level."""
        return self.generator.denoise(x, prepared.steps[level], prepared.embedded, memory.assembled)

    @torch.no_grad()
    def commit(self, memory: Memory, frame: Tensor | Pass, prepared: Prepared, noise: Tensor) -> Memory:
        """Memory with a frame as the newest: a dreamed one as this rollout commits, any other latent (B, N, C) by a
        pass of its own."""
        if isinstance(frame, Pass) and self.commits == "last":
            return self.remember(memory.context.pushed(frame.keys))
        latent = frame.latent if isinstance(frame, Pass) else frame
        made = self._write(latent, prepared, noise, memory.assembled)
        return self.remember(memory.context.pushed(made.keys))

    def _write(self, latent: Tensor, prepared: Prepared, noise: Tensor, past: tuple[Tensor, Tensor] | None) -> Pass:
        x = add_noise(latent, noise, prepared.commit.level[:, None, None])
        return self.generator.denoise(x, prepared.commit, prepared.embedded, past)

    def remember(self, context: Context) -> Memory:
        """A context, assembled for the next frame."""
        memory = Memory(context, self.generator.split)
        _ = memory.assembled  # in the slack of this tick rather than at the start of the next
        return memory


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
    posed = torch.ones(batch, device=course.latents.device)
    position = course.position[:, 0]

    def noise() -> Tensor:
        return torch.randn(course.latents[:, 0].shape, generator=generator).to(course.latents.device)

    def prepare(tick: int) -> Prepared:
        return rollout.prepare(Condition(course.action[:, tick], course.look[:, tick], position, posed))

    memory = rollout.begin(course.latents[:, 0], prepare(0), noise())
    latents, positions = [], []
    frame: Tensor | Pass
    for tick in range(1, course.action.shape[1]):
        if tick < known:
            position, frame = course.position[:, tick], course.latents[:, tick]
            prepared = prepare(tick)
        else:
            position = position + rollout.displacement(course.action[:, tick], position, course.look[:, tick, 0])
            prepared = prepare(tick)
            frame = rollout.next_frame(memory, prepared, noise())
            latents.append(frame.latent)
            positions.append(position)
        memory = rollout.commit(memory, frame, prepared, noise())
    return torch.stack(latents, dim=1), torch.stack(positions, dim=1)
