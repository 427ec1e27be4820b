"""Laws of the place memory: where density begins a view ends, a full turn changes nothing, cells are interpolated."""

from __future__ import annotations

import math

import pytest
import torch

from worldsim.camera import Camera
from worldsim.errors import ConfigError
from worldsim.model.place_memory import PlaceConfig, PlaceMemory

EXTENT = (-4.0, -4.0, 0.0, 4.0, 4.0, 3.2)
WALL_M = 2.0


@pytest.fixture
def memory() -> PlaceMemory:
    torch.manual_seed(0)
    config = PlaceConfig(cell_m=0.1, fine_m=0.5, fine_features=2, features=3, rays=2, samples=96, width=16, hidden=16)
    return PlaceMemory(config, Camera(eye_height_m=1.6), EXTENT, 1.5, 2, 3, channels=4, pose_features=5)


def build_wall(memory: PlaceMemory) -> None:
    """Nothing up to y = WALL_M, everything beyond."""
    columns, rows, heights = memory.coarse_cells.size
    y = torch.arange(rows) * memory.config.cell_m + EXTENT[1]
    density = torch.where(y >= WALL_M, 1.0, -1.0)[None, :, None].expand(columns, rows, heights)
    with torch.no_grad():
        memory.density.copy_(density.reshape(-1, 1))


@pytest.mark.parametrize("yaw_deg", [-30.0, 0.0, 20.0])
def test_a_view_ends_where_density_begins(memory, yaw_deg):
    build_wall(memory)
    look = torch.tensor([[math.radians(yaw_deg), 0.0]])
    seen = memory._look_along(torch.zeros(1, 2), look)[0][0]
    end_y = seen[:, -6] / 0.3  # the end's x, y, z, then three of direction, one of nearness
    assert torch.allclose(end_y, torch.full_like(end_y, WALL_M), atol=0.25)


def test_a_full_turn_changes_nothing(memory):
    build_wall(memory)
    here, pose = torch.tensor([[0.5, -1.0]]), torch.randn(1, 6, 5)
    once = memory(here, torch.tensor([[0.3, 0.1]]), pose)
    again = memory(here, torch.tensor([[0.3 + 2 * math.pi, 0.1]]), pose)
    for a, b in zip(once, again, strict=True):
        assert torch.allclose(a, b, atol=1e-4)


def test_cells_are_interpolated_linearly(memory):
    """A feature that is the x of its cell reads as x anywhere between cells."""
    size, cell = memory.coarse_cells.size, memory.config.cell_m
    x = torch.arange(size[0]) * cell + EXTENT[0]
    table = x[:, None, None, None].expand(*size, 1).reshape(-1, 1)
    points = torch.rand(1, 7, 1, 3) * 2 - 1 + torch.tensor([0.0, 0.0, 1.5])
    read = memory._read(table, memory.coarse_cells, points, torch.ones(1, 7, 1))
    assert torch.allclose(read[0, :, 0], points[0, :, 0, 0], atol=1e-4)


def test_every_way_to_read_cells_finds_the_same(memory):
    cells = memory.coarse_cells
    table, points = torch.randn(math.prod(cells.size), 1), torch.randn(3, 5, 4, 3) * 3
    index, weight = cells.corners(points)
    truth = (table[:, 0][index] * weight).sum(-1)
    assert torch.allclose(cells.interpolated(table[:, 0], points), truth, atol=1e-4)
    assert torch.allclose(cells.interpolated(table, points)[..., 0], truth, atol=1e-4)
    assert torch.allclose(cells.sampled(table, points).view(truth.shape), truth, atol=2e-3)


def test_all_of_it_learns(memory):
    build_wall(memory)
    with torch.no_grad():
        memory.density.mul_(0.1)  # not so opaque that nothing changes
    recalled = memory(torch.zeros(2, 2), torch.tensor([[0.0, 0.0], [1.0, 0.2]]), torch.randn(2, 6, 5))
    recalled.guess.square().sum().backward()
    for name, parameter in memory.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_the_guard_sees_a_picture_that_is_not_what_should_be_there():
    from worldsim.model.drift_guard import distance, measure_range

    torch.manual_seed(0)
    expected = torch.randn(200, 12, 4).numpy()
    true = expected + 0.1 * torch.randn(200, 12, 4).numpy()
    within = measure_range(true, rows=3, distances=distance(true, expected))
    assert within.surprise == pytest.approx(0.13, abs=0.03)
    for latent, fits in ((true[:1], True), (true[1:2], False)):  # each as good a picture as the other, one elsewhere
        assert within.holds(latent, 3, float(distance(latent, expected[:1])[0])) == fits
    assert not within.holds(true[:1], 3, float("nan"))
    assert within.holds(true[1:2], 3, None)  # where nothing was expected


def test_a_memory_of_too_many_cells_is_one_sentence():
    """Rather than gigabytes."""
    with pytest.raises(ConfigError, match="make place.cell_m and place.fine_m larger, or the place smaller"):
        PlaceMemory(PlaceConfig(cell_m=0.02), Camera(), (0, 0, 0, 200, 200, 3), 1.6, 6, 10, 8, 4)
