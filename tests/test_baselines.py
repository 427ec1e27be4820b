"""The yardsticks have the shape they claim."""

from __future__ import annotations

from worldsim.bench.baselines import DiamondShape, diamond_frame


def test_the_denoiser_has_diamonds_size():
    count = sum(p.numel() for p in DiamondShape().parameters())
    assert abs(count / 4.4e6 - 1) < 0.05, count


def test_it_makes_a_frame():
    assert diamond_frame(16, 24)().shape == (1, 3, 16, 24)
