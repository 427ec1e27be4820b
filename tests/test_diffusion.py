from __future__ import annotations

import pytest
import torch

from worldsim.diffusion.sampler import sampling, step_levels
from worldsim.diffusion.schedule import STEP_LEVELS, add_noise, draw_levels, loss_weight
from worldsim.errors import ConfigError
from worldsim.stepwise import finish


def predict(x: torch.Tensor, level: float) -> torch.Tensor:
    """Any smooth function stands for the network."""
    return torch.tanh(x * (1 - 0.3 * level)) * 0.7 + 0.1


@pytest.mark.parametrize("steps", sorted(STEP_LEVELS))
def test_sampling_equals_diffusers_euler_at_equal_sigmas(steps):
    from diffusers import FlowMatchEulerDiscreteScheduler

    torch.manual_seed(0)
    noise = torch.randn(2, 6, 4)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=1.0)
    scheduler.set_timesteps(sigmas=list(STEP_LEVELS[steps]))
    x = noise
    for level, timestep in zip(STEP_LEVELS[steps], scheduler.timesteps, strict=True):
        x = scheduler.step((x - predict(x, level)) / level, timestep, x).prev_sample
    ours = finish(sampling(noise, step_levels(steps), predict))
    assert torch.allclose(ours, x, atol=1e-6)


def test_an_exact_prediction_is_reached_whatever_the_steps():
    truth, noise = torch.randn(3, 4), torch.randn(3, 4)
    for steps in STEP_LEVELS:
        assert torch.allclose(finish(sampling(noise, step_levels(steps), lambda x, s: truth)), truth)


def test_the_path_runs_from_clean_to_noise():
    x0, e = torch.randn(5), torch.randn(5)
    assert torch.equal(add_noise(x0, e, torch.tensor(0.0)), x0)
    assert torch.allclose(add_noise(x0, e, torch.tensor(1.0)), e)


def test_training_levels_lie_on_the_path_and_often_at_pure_noise():
    levels = draw_levels((4000,), torch.Generator().manual_seed(0))
    assert levels.min() > 0 and levels.max() == 1
    assert 0.15 < (levels == 1).float().mean() < 0.25
    assert loss_weight(torch.tensor(0.01)) == loss_weight(torch.tensor(0.2)) == 5


def test_other_numbers_of_steps_are_refused():
    with pytest.raises(ConfigError, match="steps must be 1, 2, 4 or 8, got 3"):
        step_levels(3)
