"""The timeline shows what was spent, where it belongs."""

from __future__ import annotations

import pygame
import pytest

from worldsim.app.hud import PARTS, Hud, Status


@pytest.fixture
def hud() -> Hud:
    pygame.display.init()
    return Hud()


def colours(surface: pygame.Surface) -> set[tuple[int, ...]]:
    """Of the bars: left of them lies the legend's row, below."""
    width, height = surface.get_size()
    return {tuple(surface.get_at((x, y)))[:3] for x in range(width - 14, width - 10) for y in range(4, height - 22)}


def test_each_part_of_a_tick_has_its_bar(hud):
    status = Status()
    for _ in range(3):
        status.timings.append({"denoise": 20.0, "draft": 10.0})
    found = colours(hud.timeline(status, 50.0, 600))
    assert PARTS["denoise"] in found and PARTS["draft"] in found and PARTS["commit"] not in found


def test_a_tick_far_over_its_time_stays_in_the_box(hud):
    status = Status()
    status.timings.append({"commit": 1e4, "draw": 1e4})
    surface = hud.timeline(status, 50.0, 300)
    assert surface.get_width() <= 300 and PARTS["commit"] in colours(surface)


def test_nothing_spent_is_an_empty_timeline(hud):
    assert not colours(hud.timeline(Status(), 50.0, 600)) & set(PARTS.values())
