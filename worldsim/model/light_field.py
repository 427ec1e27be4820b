"""Light field: what rays see of entities, each in its own axes (Sitzmann et al. 2021, light field networks).

A token is looked through by a fine grid of rays. For each ray one small network says, from where it meets an entity's
box, the ball in that box, and that ball as it has rolled, how much of it the ray sees and what it sees there. So an
edge is as sharp as the grid, and what is drawn on a thing turns with it, by geometry and not by heart.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldsim.camera import Camera, token_rays

SIDE = 8  # rays along a side of a token
SEEN = 3  # numbers that say what a ray sees: a colour, as a codec has it
MOST_PAIRS = 192  # of an entity and a token in one frame of play: a door in one's face, and more
_HIDDEN = 64
_LONGEST = math.pi / 2  # the wave that crosses half a box in a quarter of its period; each next one is half as long
_BOX_WAVES, _ROLLED_WAVES = 5, 4
_PIXELS = 16.0  # of a frame along a side of a token
_RAY = 6 * (_BOX_WAVES + _ROLLED_WAVES) + 3 * 5 + 6


class Posture(NamedTuple):
    """How entities stand to the camera, each in its own axes, for any leading axes.

    origin (..., 3): from its middle to the eye, in metres. axes (..., 3, 3): where right, up and ahead of the camera
    point. over (..., 1): how far it has rolled, in radians. box (..., 3): half its size, in metres.
    """

    origin: Tensor
    axes: Tensor
    over: Tensor
    box: Tensor


class LightField(nn.Module):
    """From pairs of an entity and a token to what each ray of the token sees of the entity."""

    rays: Tensor
    among: Tensor

    def __init__(
        self, camera: Camera, aspect: float, rows: int, columns: int, ends: int, width: int, told: int
    ) -> None:
        """rows, columns: of tokens in a frame. ends: rays along a side of a token whose ends the place tells. width: of
        a token's content. told: how many numbers say how an entity is."""
        super().__init__()
        grid = token_rays(camera, aspect, rows * SIDE, columns * SIDE).reshape(rows, SIDE, columns, SIDE, 3)
        grid = grid.transpose(0, 2, 4, 1, 3).reshape(rows * columns, 3, SIDE**2)
        self.register_buffer("rays", torch.tensor(grid, dtype=torch.float32), persistent=False)
        end = [int((i + 0.5) * ends / SIDE) for i in range(SIDE)]  # the ray whose view ends nearest, along a side
        among = torch.tensor([[row * ends + column for column in end] for row in end]).flatten()
        self.register_buffer("among", among, persistent=False)
        self._pixel = 2 * math.tan(math.radians(camera.fov_deg) / 2) / rows / _PIXELS  # metres at 1 m
        self.ray = nn.Linear(_RAY, _HIDDEN, bias=False)
        self.entity = nn.Linear(told, 2 * _HIDDEN)
        self.place = nn.Linear(width, _HIDDEN, bias=False)
        self.middle = nn.Linear(_HIDDEN, _HIDDEN)
        self.seen = nn.Linear(_HIDDEN, SEEN + 1)

    def forward(
        self, posture: Posture, told: Tensor, content: Tensor, token: Tensor, ends: Tensor
    ) -> tuple[Tensor, Tensor]:
        """How much of the entity each ray of P pairs sees (P, 1, SIDE**2), from 0 to 1, and what it sees
        (P, SEEN, SIDE**2).

        posture: of the entities, leading axis P. told (P, told); content (P, width) and number (P,) of the tokens. ends
        (P, R): where the view of a token's R rays, row by row, ends in the place, in metres.
        """
        pairs = len(token), SIDE**2
        met = self._met(posture, self.rays[token], ends[:, self.among])
        h = (self.ray.weight @ met.flatten(1)).unflatten(1, pairs)
        shift, scale = self.entity(told).T[..., None].chunk(2)  # (_HIDDEN, P, 1) each
        h = F.relu(h + shift) * (1 + scale)
        place = (self.place(content) + self.middle.bias).T[..., None]
        h = F.relu((self.middle.weight @ h.flatten(1)).unflatten(1, pairs) + place)
        seen = self.seen.weight @ h.flatten(1) + self.seen.bias[:, None]
        seen = seen.unflatten(1, pairs).transpose(0, 1)
        return torch.sigmoid(seen[:, :1] - 1), seen[:, 1:]

    def _met(self, posture: Posture, rays: Tensor, ends: Tensor) -> Tensor:
        """Where rays (P, 3, R) in camera axes, whose views end after metres (P, R), meet entities: (_RAY, P, R). All
        that has three parts is kept as three planes of rays, which is what processors like."""
        direction = (posture.axes.transpose(1, 2) @ rays).transpose(0, 1)  # (3, P, R)
        box = posture.box.T[..., None]  # (3, P, 1)
        origin, along = posture.origin.T[..., None] / box, direction / box  # the box is the cube from -1 to 1
        square = along.square().sum(0)
        at = -(origin * along).sum(0) / square
        nearest = origin + at * along
        off = nearest.square().sum(0)
        ball = (nearest - ((1 - off).clamp(min=0) / square).sqrt() * along).clamp(-2, 2)
        along = torch.where(along.abs() < 1e-4, 1e-4, along)
        one, other = (-1 - origin) / along, (1 - origin) / along
        into, out = torch.minimum(one, other).amax(0), torch.maximum(one, other).amin(0)
        cube = torch.where(into < out, origin + into * along, nearest).clamp(-2, 2)
        pixel = self._pixel * at.clamp(min=0.1)
        edges = torch.stack([(1 - off.sqrt()) * box.amin(0) / pixel, (out - into) / pixel]) / 2
        hidden = (ends - at).clamp(-4, 4) / 0.3
        below = (origin[:2] + one[2] * along[:2]).clamp(-3, 3) * (one[2] > 0)  # on the plane that it stands on
        sin, cos = posture.over.sin().T[..., None], posture.over.cos().T[..., None]
        rolled = torch.cat([ball[:1], ball[1:2] * cos - ball[2:] * sin, ball[1:2] * sin + ball[2:] * cos])
        near = torch.stack([1 / (at.clamp(min=0) + 0.3), hidden.tanh()])
        told = [ball, rolled, cube, nearest.clamp(-3, 3), direction, below, edges.tanh(), near]
        return torch.cat([*told, *_waves(cube, _BOX_WAVES), *_waves(rolled, _ROLLED_WAVES)])


def _waves(point: Tensor, count: int) -> list[Tensor]:
    """Sines, then cosines, of points (3, ...) at so many octaves: each octave from the last, by doubling angles."""
    sines, cosines = [(point * _LONGEST).sin()], [(point * _LONGEST).cos()]
    for _ in range(count - 1):
        sin, cos = sines[-1], cosines[-1]
        sines.append(2 * sin * cos)
        cosines.append(1 - 2 * sin * sin)
    return sines + cosines
