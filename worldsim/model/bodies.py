"""How entities see each other and the player: vectors in their own axes, distances to their boxes. Tensors only.

`...` stands for any leading axes. Angles come as a sine and a cosine, each (..., 1).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from worldsim.entities import FIELDS, HEADING, X, Y

_NEAR_M = (0.15, 0.5, 2.0)  # the scales at which nearness is seen


def turned(vectors: Tensor, sin: Tensor, cos: Tensor) -> Tensor:
    """Vectors (..., 2) in world axes, as across and along of what is headed so."""
    x, y = vectors[..., :1], vectors[..., 1:]
    return torch.cat([x * cos - y * sin, x * sin + y * cos], dim=-1)


def axes(rows: Tensor, field: int = HEADING) -> tuple[Tensor, Tensor]:
    """Sine and cosine of the headings of rows (..., FIELDS)."""
    angle = rows[..., field : field + 1] * (math.pi / 180)
    return angle.sin(), angle.cos()


def beyond_box(point: Tensor, half: Tensor) -> Tensor:
    """From the nearest place of a box to a point, both in the box's own axes: (..., 2), 0 inside. half (..., 2)."""
    return point - torch.minimum(torch.maximum(point, -half), half)


def length(vectors: Tensor) -> Tensor:
    """(..., 2) -> (..., 1). Its gradient is finite at 0."""
    return (vectors.square().sum(-1, keepdim=True) + 1e-8).sqrt()


def direction(vectors: Tensor, blur: float = 0.1) -> Tensor:
    """Vectors (..., 2) at about length 1; shorter where they are no longer than `blur`."""
    return vectors / (length(vectors) + blur)


def nearness(distance: Tensor) -> Tensor:
    """A distance (..., 1) in metres at three scales: (..., 3), 1 where it is 0."""
    return torch.cat([(distance * (-1 / scale)).exp() for scale in _NEAR_M], dim=-1)


def clip(x: Tensor) -> Tensor:
    """Nothing beyond 1 on either side."""
    return x.clamp(-1, 1)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """(..., 2) and (..., 2) -> (..., 1)."""
    return (a * b).sum(-1, keepdim=True)


def nearest_of(entities: Tensor, sizes: Tensor, at: Tensor, count: int, but: Tensor | None = None) -> Tensor:
    """The nearest entities to places: their slots (F, J, count), nearest first.

    entities (F, S, FIELDS) or (F, J, S, FIELDS); sizes (S, 3); at (F, J, 2); but (F, J): a slot that is left out.
    """
    if entities.ndim == 3:
        entities = entities[:, None]
    far = (entities[..., X : Y + 1] - at[..., None, :]).square().sum(-1).sqrt() - sizes[:, :2].amax(-1) / 2
    if but is not None:
        far = far + 1e4 * (but[..., None] == torch.arange(sizes.shape[0], device=but.device))
    return far.topk(count, dim=-1, largest=False).indices


def rows_of(entities: Tensor, index: Tensor) -> Tensor:
    """The rows (F, J, n, FIELDS) at slots (F, J, n) of entities (F, J, S, FIELDS)."""
    return entities.gather(2, index[..., None].expand(*index.shape, len(FIELDS)))
