"""Stage `dmd`: distribution matching on self-forcing rollouts (Yin et al. 2024, eq. 7; Huang et al. 2025).

The student dreams its own history and frames, in its own few steps. A frozen teacher and a critic, which is trained on
the student's frames beside it, each say where a noised frame of the student should go; their difference points from
what the student makes to what the teacher would. Unlike regression to the truth, this does not reward the mean of all
that is possible, which is what blur is.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from worldsim.data.latents import Clips
from worldsim.diffusion.sampler import euler_step
from worldsim.diffusion.schedule import CONTEXT_LEVEL, STEP_LEVELS, add_noise, draw_levels, loss_weight
from worldsim.model.generator import Generator
from worldsim.train.restore import teacher_of
from worldsim.train.setup import Setup
from worldsim.train.stages.forcing import train_trunk
from worldsim.train.stages.resampling import ResamplingStage

STEPS = 2  # of the student
REGRESSION = 0.1  # weight of the truth, which keeps a few minutes of this from wandering off


class DmdStage(ResamplingStage):
    """Matches the student's distribution to the teacher's; student and critic take their steps together."""

    name = "dmd"
    full_precision = True
    ema = 0.99

    def __init__(self, generator: Generator, teacher: Generator, *rest: Any) -> None:
        """rest: as for every stage of the generator, see ForcingStage."""
        super().__init__(generator, *rest)
        self.teacher = teacher.eval().requires_grad_(False)
        self.critic = copy.deepcopy(teacher)
        self.critic.condition.memory = generator.condition.memory  # frozen, so one will do
        self.critic.condition.painter = generator.condition.painter
        train_trunk(self.critic)
        self._both = nn.ModuleDict({"student": generator, "critic": self.critic})

    @property
    def model(self) -> nn.Module:
        return self._both

    @classmethod
    def create(cls, setup: Setup) -> DmdStage:
        generator, preset, dist = setup.generator, setup.preset, setup.dist
        latents = setup.latents
        with dist.main_first():  # writes the teacher
            teacher = teacher_of(setup.request, generator, dist.rank == 0).to(preset.device)
        return cls(generator, teacher, latents, preset.clips, preset.clip_frames, setup.exporter, setup.dream)

    def clip_loss(self, clips: Clips, history: Tensor, noise_rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        batch, count = history.shape[:2]
        history_level = torch.full((batch, count), CONTEXT_LEVEL, device=self._device)
        clean = add_noise(history, self._noise(history, noise_rng), history_level[..., None, None])
        condition = clips.condition(torch.ones(batch, device=self._device))
        truth = clips.latents[:, 2:]

        def denoise(network: Generator, x: Tensor, level: Tensor) -> Tensor:
            return network.teacher_forcing(clean, history_level, x, level, condition)[0].float()

        made = self._dreamed(denoise, truth, noise_rng)
        level = self._latents.own(draw_levels((self._in_all(batch), count - 2), noise_rng)).to(self._device)
        x = add_noise(made.detach(), self._noise(made, noise_rng), level[..., None, None])
        with torch.no_grad():
            true, own = denoise(self.teacher, x, level), denoise(self.critic, x, level)
            apart = (made - true).abs().mean(dim=(2, 3), keepdim=True).clamp(min=1e-3)
            target = made - (own - true) / apart * apart.mean()
        matching = 0.5 * self._frame_error(made, target).mean()
        regression = self._frame_error(made, truth).mean()
        own_error = self._frame_error(denoise(self.critic, x, level), made.detach())
        critic = (own_error * loss_weight(level)).mean()
        return matching + REGRESSION * regression + critic, {
            "matching": float(matching.detach()),
            "critic": float(critic.detach()),
            "truth": float(regression.detach()),
        }

    def _dreamed(self, denoise: Any, truth: Tensor, noise_rng: torch.Generator) -> Tensor:
        """The student's frames (B, T, N, C) in a random number of its own steps, the last with gradient."""
        levels = STEP_LEVELS[STEPS]
        last = int(torch.randint(STEPS, (), generator=noise_rng))
        x = self._noise(truth, noise_rng)
        with torch.no_grad():
            for level, after in zip(levels[:last], levels[1:], strict=False):
                x = euler_step(x, denoise(self.generator, x, x.new_full(x.shape[:2], level)), level, after)
        return denoise(self.generator, x, x.new_full(x.shape[:2], levels[last]))
