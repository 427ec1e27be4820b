"""Euler sampling of the flow from predicted clean latents: x' = x + (s' - s) (x - x0) / s.

Equal to diffusers' FlowMatchEulerDiscreteScheduler at equal sigmas (a test).
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from worldsim.diffusion.schedule import STEP_LEVELS
from worldsim.errors import ConfigError
from worldsim.stepwise import Stepwise


def step_levels(steps: int) -> tuple[float, ...]:
    """Levels of a sampler of 1, 2, 4 or 8 steps. Raises ConfigError for any other number."""
    if steps not in STEP_LEVELS:
        raise ConfigError(f"steps must be 1, 2, 4 or 8, got {steps}")
    return STEP_LEVELS[steps]


def sampling(noise: Tensor, levels: tuple[float, ...], predict: Callable[[Tensor, float], Tensor]) -> Stepwise[Tensor]:
    """From pure noise to a clean latent, pausing after each pass. predict(x, level) gives the clean latent."""
    x = noise
    for level, after in zip(levels, (*levels[1:], 0.0), strict=True):
        clean = predict(x, level)
        x = clean if after == 0.0 else euler_step(x, clean, level, after)
        yield
    return x


def euler_step(x: Tensor, clean: Tensor, level: float | Tensor, after: float | Tensor) -> Tensor:
    """One step along the velocity (x - clean) / level."""
    return x + (after - level) * ((x - clean) / level)
