"""Stage `consistency`: causal consistency distillation (Song et al. 2023, eq. 7-8; causal as in Causal Forcing++).

A frozen teacher takes one Euler step from a noise level to the next lower one of a grid; the student's clean prediction
at the higher level must equal its own averaged self's at the lower. At the last pair, down to 0, the target is where
the teacher's step ends. So every level of a frame agrees on where the path leads, and few steps suffice at play.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from worldsim.data.latents import Clips
from worldsim.diffusion.sampler import euler_step
from worldsim.diffusion.schedule import add_noise, loss_weight
from worldsim.model.generator import Generator
from worldsim.train.restore import teacher_of
from worldsim.train.setup import Setup
from worldsim.train.stages.resampling import ResamplingStage

GRID = 20  # levels between noise and picture


class ConsistencyStage(ResamplingStage):
    """Distils `teacher` into `generator`, over history as it is at play. `averaged` is a context in which the
    student carries its averaged weights."""

    name = "consistency"
    full_precision = True
    ema = 0.99

    def __init__(self, generator: Generator, teacher: Generator, *rest: Any) -> None:
        """rest: as for every stage of the generator, see ForcingStage."""
        super().__init__(generator, *rest)
        self.teacher = teacher.eval().requires_grad_(False)
        self.averaged: Callable[[], AbstractContextManager[None]] = nullcontext

    @classmethod
    def create(cls, setup: Setup) -> ConsistencyStage:
        generator, preset, dist = setup.generator, setup.preset, setup.dist
        latents = setup.latents
        with dist.main_first():  # writes the teacher
            teacher = teacher_of(setup.request, generator, dist.rank == 0).to(preset.device)
        return cls(generator, teacher, latents, preset.clips, preset.clip_frames, setup.exporter, setup.dream)

    def attach(self, averaged: Callable[[], AbstractContextManager[None]]) -> None:
        self.averaged = averaged

    def clip_loss(self, clips: Clips, history: Tensor, noise_rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        batch, count = history.shape[:2]
        history_level = self._history_levels(batch, count, noise_rng)
        clean = add_noise(history, self._noise(history, noise_rng), history_level[..., None, None])
        posed = self._posed(batch, noise_rng)
        condition = clips.condition(posed)
        truth = clips.latents[:, 2:]
        step = self._latents.own(torch.randint(1, GRID + 1, (self._in_all(batch), count - 2), generator=noise_rng))
        level, lower = (step / GRID).to(self._device), ((step - 1) / GRID).to(self._device)
        x = add_noise(truth, self._noise(truth, noise_rng), level[..., None, None])
        with torch.no_grad():
            taught, _ = self.teacher.teacher_forcing(clean, history_level, x, level, condition)
            ahead = euler_step(x, taught, level[..., None, None], lower[..., None, None])
            with self.averaged():
                target, _ = self.generator.teacher_forcing(clean, history_level, ahead, lower, condition)
            target = torch.where(lower[..., None, None] > 0, target, ahead)
        made, _ = self.generator.teacher_forcing(clean, history_level, x, level, condition)
        error = self._frame_error(made, target)
        return (error * loss_weight(level)).mean(), {
            "consistency": float(error.detach().mean()),
            "truth": float(self._frame_error(made.detach(), truth).mean()),
        }
