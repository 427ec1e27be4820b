"""Odometry: how far the next action will carry the player, as the network believes. Walls are learned.

Learned parts: the step an action would make in the open; what the place at its end does to that step, read from a fine
plan of trained features; and, in a scene with entities, how their bodies push back. It sees the believed place and the
action, not the dreamed picture: in a trial, features of the newest frame made the place wander as soon as the picture
was in doubt, and the picture followed.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldsim.entities import ON, PHASE, Slot, X, Y
from worldsim.model.bodies import axes, beyond_box, clip, direction, length, nearest_of, nearness, rows_of, turned
from worldsim.model.layers import Mlp
from worldsim.model.place_memory import GAIN, Extent

CELLS_M = (0.4, 0.2, 0.1, 0.05)
_FEATURES = 4
_NEAREST, _KIND = 3, 4
_REACH_M = 0.8  # of a body: what is farther from the end of a step cannot touch the player


class Odometry(nn.Module):
    """From the pose and the action to the displacement of one tick."""

    low: Tensor
    span: Tensor

    def __init__(self, actions: int, step_m: float, extent: Extent, slots: tuple[Slot, ...] = ()) -> None:
        """step_m: the longest step of one tick, the unit of the network's output; extent: the box of the place; slots:
        the scene's entities."""
        super().__init__()
        self.step_m = step_m
        low, high = torch.tensor(extent[:2]), torch.tensor(extent[3:5])
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("span", high - low, persistent=False)
        self.free = Mlp(actions, 128, 2)
        self.plans = nn.ParameterList()
        for cell in CELLS_M:
            columns, rows = (((high - low) / cell).ceil().int() + 1).tolist()
            self.plans.append(nn.Parameter(torch.randn(1, _FEATURES, rows, columns) * 0.003))
        self.walls = Mlp(_FEATURES * len(CELLS_M) + 2, 128, 2)
        nn.init.zeros_(self.walls.outer.weight)
        nn.init.zeros_(self.walls.outer.bias)
        self.bodies = Bodies(slots, step_m) if slots else None

    def forward(self, action: Tensor, position: Tensor, yaw: Tensor, entities: Tensor | None = None) -> Tensor:
        """action (F, A), position (F, 2) in metres before it, yaw (F,) in radians after its turn, entities
        (F, S, FIELDS) before it; without them nothing but the place is in the way.

        Returns the displacement (F, 2) in metres, in world axes.
        """
        right, forward = self.free(action).unbind(-1)
        sin, cos = yaw.sin(), yaw.cos()
        step = torch.stack([forward * sin + right * cos, forward * cos - right * sin], dim=-1)
        end = (position + step * self.step_m - self.low) / self.span * 2 - 1
        features = read_plans(self.plans, end)
        moved = step + self.walls(torch.cat([features, step], dim=-1))
        if self.bodies is not None and entities is not None:
            moved = moved + self.bodies(entities, position, step * self.step_m)
        return moved * self.step_m


class Bodies(nn.Module):
    """How the nearest entities push the player, each in its own axes: from where a step would end beside its box."""

    size: Tensor
    kind_of: Tensor

    def __init__(self, slots: tuple[Slot, ...], step_m: float) -> None:
        super().__init__()
        kinds = list(dict.fromkeys(s.kind for s in slots))
        self.step_m, self.nearest = step_m, min(_NEAREST, len(slots))
        self.register_buffer("size", torch.tensor([s.size for s in slots], dtype=torch.float32), persistent=False)
        self.register_buffer("kind_of", torch.tensor([kinds.index(s.kind) for s in slots]), persistent=False)
        self.kind_seen = nn.Parameter(torch.randn(len(kinds), _KIND))
        self.push = Mlp(25 + _KIND, 96, 2)
        nn.init.zeros_(self.push.outer.weight)
        nn.init.zeros_(self.push.outer.bias)

    def forward(self, entities: Tensor, position: Tensor, step: Tensor) -> Tensor:
        """entities (F, S, FIELDS); position (F, 2) and the step (F, 2) in the open, in metres. Returns the push (F, 2)
        in steps of the longest length, in world axes."""
        begin, end = position[:, None], (position + step)[:, None]
        index = nearest_of(entities, self.size, end, self.nearest)
        other = rows_of(entities[:, None], index)[:, 0]
        index, half = index[:, 0], self.size[index[:, 0]] / 2
        sin, cos = axes(other)
        at = other[..., X : Y + 1]
        before, after = turned(begin - at, sin, cos), turned(end - at, sin, cos)
        beyond = beyond_box(after, half[..., :2])
        gap, depth = length(beyond), half[..., :2] - after.abs()
        sees = [
            clip(after), clip(before), direction(before), direction(after), direction(beyond, 0.01), clip(beyond * 3),
            gap, nearness(gap), clip(depth * 4), (after - before) / self.step_m, half[..., :2],
            other[..., PHASE : PHASE + 1], other[..., ON : ON + 1], length(after), self.kind_seen[self.kind_of[index]],
        ]  # fmt: skip
        push = self.push(torch.cat(sees, dim=-1)) * (1 - gap / _REACH_M).clamp(0, 1)
        return turned(push, -sin, cos).sum(1)


def read_plans(plans: Iterable[Tensor], at: Tensor, gain: float = GAIN) -> Tensor:
    """The trained features of places at (N, 2), in [-1, 1] across the plan: (N, all features of all plans)."""
    found = [
        F.grid_sample(plan, at[None, None], align_corners=True, padding_mode="border")[0, :, 0].T for plan in plans
    ]
    return torch.cat([gain * f for f in found], dim=-1)
