"""Place memory: what the network knows by heart of a place, as a learned volume read along the rays of a frame.

The volume holds a density and a few features a cell, nothing but trained weights. Along each ray the density says
where the view ends (volume rendering: Mildenhall et al. 2020, eq. 3; cells instead of a network: Sun et al. 2022), the
features found on the way and, in finer cells, at that end say what is seen, and a small network turns those of a
token's rays into a guess of its latent: the token's prior.
A generator starts from it, and need not store the place in its layers, where it costs hours to learn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldsim.camera import Camera, token_rays
from worldsim.config import require
from worldsim.model.layers import Mlp

Extent = tuple[float, float, float, float, float, float]
"""A box in metres: least x, y, z, then greatest x, y, z."""
Size = tuple[int, int, int]

# Cells learn faster than weights: their unit is chosen so that both may take the same learning rate.
GAIN = 30.0
_PER_METRE = 3.0
_NEAREST_M = 0.15
MOST_NUMBERS = 2**28  # of a place memory's cells: one gigabyte


@dataclass(frozen=True)
class PlaceConfig:
    """Size of a place memory."""

    cell_m: float = 0.2
    features: int = 16
    fine_m: float = 0.1  # cells read only where a ray ends
    fine_features: int = 8
    rays: int = 2  # along a side of a token
    samples: int = 48  # along a ray
    kept: int = 4  # samples of a ray whose features are read
    width: int = 256
    hidden: int = 512
    depth: int = 2

    def __post_init__(self) -> None:
        for name, cell in (("cell_m", self.cell_m), ("fine_m", self.fine_m)):
            require(0.02 <= cell <= 10, f"{name} must lie in [0.02, 10], got {cell:g}")
        for name, value, most in (
            ("features", self.features, 256), ("fine_features", self.fine_features, 256),
            ("samples", self.samples, 1024), ("width", self.width, 4096), ("hidden", self.hidden, 8192),
            ("depth", self.depth, 64),
        ):  # fmt: skip
            least = 0 if name == "depth" else 1
            require(least <= value <= most, f"{name} must lie in [{least}, {most}], got {value}")
        require(1 <= self.kept <= self.samples, f"kept must lie in [1, samples], got {self.kept}")
        require(1 <= self.rays <= 8, f"rays must lie in [1, 8], got {self.rays}")


class Recalled(NamedTuple):
    """What a place memory knows of F frames of N tokens with R rays each.

    content (F, N, width): what is known of each token. guess (F, N, C): the latent guessed from it. direction
    (F, N, R, 3): where each ray goes, unit length, world axes. distance (F, N, R): where its view ends, in metres.
    """

    content: Tensor
    guess: Tensor
    direction: Tensor
    distance: Tensor


class PlaceMemory(nn.Module):
    """From a pose to what each token of the frame there should show."""

    rays: Tensor
    distances: Tensor
    intervals: Tensor

    def __init__(
        self, config: PlaceConfig, camera: Camera, extent: Extent, aspect: float, rows: int, columns: int,
        channels: int, pose_features: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.config, self._eye_m = config, camera.eye_height_m
        n, side = rows * columns, config.rays
        rays = token_rays(camera, aspect, rows * side, columns * side).reshape(rows, side, columns, side, 3)
        rays = rays.transpose(0, 2, 1, 3, 4).reshape(n * side**2, 3)
        self.coarse_cells, self.fine_cells = (_Cells(extent, cell) for cell in (config.cell_m, config.fine_m))
        reach = max(extent[3] - extent[0], extent[4] - extent[1])
        distances = _NEAREST_M + (reach - _NEAREST_M) * torch.linspace(0, 1, config.samples) ** 1.5
        buffers = {
            "rays": torch.tensor(rays, dtype=torch.float32),
            "distances": distances,
            "intervals": torch.diff(distances, append=distances[-1:] + 1.0),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)
        cells, fine_cells = math.prod(self.coarse_cells.size), math.prod(self.fine_cells.size)
        numbers = cells * (1 + config.features) + fine_cells * config.fine_features
        require(
            numbers <= MOST_NUMBERS,
            f"the place memory would hold {numbers:,} numbers, at most {MOST_NUMBERS:,} may be; make place.cell_m and "
            "place.fine_m larger, or the place smaller",
        )
        self.density = nn.Parameter(torch.full((cells, 1), -0.1))
        self.features = nn.Parameter(torch.randn(cells, config.features) * 0.01)
        self.fine = nn.Parameter(torch.randn(fine_cells, config.fine_features) * 0.003)
        found = config.features + config.fine_features + 7
        self.read = Mlp(side**2 * found + pose_features, config.hidden, config.width)
        self.layers = nn.ModuleList(Mlp(config.width, config.hidden, config.width) for _ in range(config.depth))
        self.guess = Mlp(config.width, config.hidden, channels)

    def forward(self, position: Tensor, look: Tensor, pose: Tensor, picked: Tensor | None = None) -> Recalled:
        """position (F, 2) metres, look (F, 2) radians, pose (F, N, P): features of each token's own ray. picked:
        which tokens of each frame they are (F, N); all of them if left out."""
        frames, tokens = pose.shape[:2]
        seen, direction, distance = self._look_along(position, look, picked)
        h = self.read(torch.cat([seen.view(frames, tokens, -1), pose], dim=-1))
        for layer in self.layers:
            h = h + layer(F.rms_norm(h, (h.shape[-1],), eps=1e-6))
        h = F.rms_norm(h, (h.shape[-1],), eps=1e-6)
        rays = frames, tokens, -1
        return Recalled(h, self.guess(h), direction.view(*rays, 3), distance.view(*rays))

    def _look_along(
        self, position: Tensor, look: Tensor, picked: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Every ray's features, coarse and fine, its end, direction and nearness: (F, R, features + fine + 7); its
        direction (F, R, 3) and the distance of its end (F, R, 1)."""
        config, frames = self.config, len(position)
        eye = torch.cat([position, position.new_full((frames, 1), self._eye_m)], dim=1)[:, None]
        direction = self.directions(look, picked)
        points = eye[:, :, None] + direction[:, :, None] * self.distances[:, None]  # (F, R, samples, 3)
        with torch.autocast(position.device.type, enabled=False):
            density = self._density_at(points).view(frames, -1, config.samples)
            optical = F.softplus(GAIN * density) * self.intervals * _PER_METRE
            share = torch.exp(optical - optical.cumsum(-1)) * (1 - torch.exp(-optical))  # of the view that ends there
            kept, at = share.topk(config.kept, dim=-1)
            distance = (share * self.distances).sum(-1, keepdim=True)
            on_the_way = eye[:, :, None] + direction[:, :, None] * self.distances[at][..., None]
            end = eye + direction * distance
            coarse = self._read(self.features, self.coarse_cells, on_the_way, kept)
            fine = self._read(self.fine, self.fine_cells, end[:, :, None], torch.ones_like(distance))
        seen = torch.cat([GAIN * coarse, GAIN * fine, 0.3 * end, direction, 1 / (distance + 0.3)], dim=-1)
        return seen, direction, distance

    def _density_at(self, points: Tensor) -> Tensor:
        """The density, interpolated at points (..., 3), in their order."""
        if torch.jit.is_tracing():  # the back ends that trace have no sampling of volumes
            return self.coarse_cells.interpolated(self.density[:, 0], points)
        return self.coarse_cells.sampled(self.density, points)

    def _read(self, table: Tensor, cells: _Cells, points: Tensor, share: Tensor) -> Tensor:
        """Features (F, R, C) of a table of cells: interpolated at points (F, R, K, 3), summed by shares (F, R, K)."""
        if torch.jit.is_tracing():  # nor a fast sum of bags
            return (cells.interpolated(table, points) * share[..., None]).sum(-2)
        index, weight = cells.corners(points)
        weight = weight * share[..., None]
        found = F.embedding_bag(
            index.flatten(0, 1).flatten(1), table, per_sample_weights=weight.flatten(0, 1).flatten(1), mode="sum"
        )
        return found.view(*points.shape[:2], -1)

    def directions(self, look: Tensor, picked: Tensor | None = None) -> Tensor:
        """World directions of all rays of the picked tokens (F, N), token by token: (F, R, 3)."""
        yaw, pitch = look[:, :1], look[:, 1:]
        rays = self.rays if picked is None else self.rays.unflatten(0, (-1, self.config.rays**2))[picked].flatten(1, 2)
        right, up, forward = rays.unbind(-1)
        level = forward * pitch.cos() - up * pitch.sin()
        height = forward * pitch.sin() + up * pitch.cos()
        return torch.stack(
            [level * yaw.sin() + right * yaw.cos(), level * yaw.cos() - right * yaw.sin(), height], dim=-1
        )


class _Cells(nn.Module):
    """A grid of cells over a box: where in a table (cells, ...) what lies around a point is found."""

    low: Tensor
    span: Tensor
    most: Tensor
    strides: Tensor
    corner: Tensor

    def __init__(self, extent: Extent, cell_m: float) -> None:
        super().__init__()
        low, high = torch.tensor(extent[:3]), torch.tensor(extent[3:])
        self.size: Size = tuple((((high - low) / cell_m).ceil().int() + 1).tolist())  # type: ignore[assignment]
        self._cell_m, self._strides = cell_m, (self.size[1] * self.size[2], self.size[2], 1)
        buffers = {
            "low": low,
            "span": (torch.tensor(self.size) - 1) * cell_m,
            "most": torch.tensor(self.size) - 1.001,
            "strides": torch.tensor(self._strides),
            "corner": torch.tensor([[i // 4, i // 2 % 2, i % 2] for i in range(8)]),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)

    def corners(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The eight cells around each point (..., 3) and their trilinear weights: each (..., 8)."""
        q = torch.minimum(((points - self.low) / self._cell_m).clamp(min=0), self.most)
        base = q.detach().floor()
        near = (1 - self.corner - (q - base)[..., None, :]).abs()  # (..., 8, 3): share of each corner along each axis
        weights = near[..., 0] * near[..., 1] * near[..., 2]
        return (base.long() * self.strides).sum(-1, keepdim=True) + (self.corner * self.strides).sum(-1), weights

    def sampled(self, table: Tensor, points: Tensor) -> Tensor:
        """What a table (cells, 1) holds at points (..., 3), in their order."""
        grid = (points - self.low) / self.span * 2 - 1
        volume = table.view(1, 1, *self.size)
        return F.grid_sample(volume, grid.flip(-1).view(1, 1, 1, -1, 3), align_corners=True, padding_mode="border")

    def interpolated(self, table: Tensor, points: Tensor) -> Tensor:
        """What a table (cells, ...) holds at points (..., 3): plane by plane, which is what back ends that trace do
        best."""
        far, index = [], torch.zeros((), dtype=torch.long)
        for axis, stride in enumerate(self._strides):
            q = ((points[..., axis] - self.low[axis]) / self._cell_m).clamp(0, self.size[axis] - 1.001)
            base = q.floor()
            far.append((q - base).view(*q.shape, *[1] * (table.dim() - 1)))
            index = index + base.long() * stride
        near = [1 - f for f in far]

        def between(offset: int, axis: int) -> Tensor:
            if axis == 3:
                return table[index + offset]
            ahead = between(offset + self._strides[axis], axis + 1)
            return between(offset, axis + 1) * near[axis] + ahead * far[axis]

        return between(0, 0)
