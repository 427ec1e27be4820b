"""Odometry: how far the next action will carry the player, as the network believes.

An action makes a step in the open: that is learned. What stands where it would end pushes the player out: where walls
are and how large entities is known, and the shortest way out is geometry; which kinds stand in the way is learned. What
the place does besides is read from a fine plan of trained features, and what bodies do besides is learned too. It sees
the believed place and the action, not the dreamed picture: in a trial, features of the newest frame made the place
wander as soon as the picture was in doubt, and the picture followed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldsim.entities import ON, PHASE, Slot, X, Y
from worldsim.model.bodies import axes, beyond_box, clip, direction, length, nearest_of, nearness, rows_of, turned
from worldsim.model.contacts import out_of_box, out_of_disc
from worldsim.model.layers import Mlp
from worldsim.model.place_memory import GAIN, Extent

CELLS_M = (0.4, 0.2, 0.1, 0.05)
_FEATURES = 4
_NEAREST, _KIND = 3, 4
_REACH_M = 0.8  # of a body: what is farther from the end of a step cannot touch the player
_PASSES = 2  # pushed by one thing into another, the player is pushed by that as well
_DEEPER_M = 1e-3
_FELT = 20.0  # what stands in the way pushes who goes, not who rests: all of it from a twentieth of the longest step


class Odometry(nn.Module):
    """From the pose and the action to the displacement of one tick."""

    low: Tensor
    span: Tensor

    def __init__(
        self, actions: int, step_m: float, extent: Extent, slots: tuple[Slot, ...] = (), body_m: float = 0.3
    ) -> None:
        """step_m: the longest step of one tick, the unit of the network's output; extent: the box of the place; slots:
        the scene's entities; body_m: the radius of the player's body."""
        super().__init__()
        self.step_m, self._body_m = step_m, body_m
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
        self.bodies = Bodies(slots, step_m, body_m) if slots else None

    def forward(
        self, action: Tensor, position: Tensor, yaw: Tensor, entities: Tensor | None = None,
        walls: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """action (F, A), position (F, 2) in metres before it, yaw (F,) in radians after its turn, entities
        (F, S, FIELDS) before it; without them nothing but the place is in the way. walls (1, 3, rows, columns): over
        the plan, how far the nearest wall is, in metres, and which way leads away from it; what it is not told of, the
        network learns.

        Returns the displacement (F, 2) in metres, in world axes.
        """
        right, forward = self.free(action).unbind(-1)
        sin, cos = yaw.sin(), yaw.cos()
        step = torch.stack([forward * sin + right * cos, forward * cos - right * sin], dim=-1)
        end = position + step * self.step_m
        features = read_plans(self.plans, self._on_plan(end))
        felt = (length(step) * _FELT).clamp(max=1)
        learned = self.walls(torch.cat([features, step], dim=-1))
        pushed = self._out_of_walls(end, walls)
        if self.bodies is not None and entities is not None:
            near = self.bodies.near(entities, end)
            learned = learned + self.bodies(near, position, end)
            pushed = end
            for _ in range(_PASSES):
                pushed = self._out_of_walls(pushed + self.bodies.push_out(near, pushed), walls)
            pushed = position + (pushed - position) * (1 - self.bodies.squeezed(near, position, pushed))
        return step * self.step_m + felt * (pushed - end + learned * self.step_m)

    def _on_plan(self, at: Tensor) -> Tensor:
        return (at - self.low) / self.span * 2 - 1

    def _out_of_walls(self, at: Tensor, walls: Tensor | None) -> Tensor:
        """Places (F, 2) in metres, out of the walls that they are too near to."""
        if walls is None:
            return at
        for _ in range(_PASSES):  # a corner has two
            clear, away = read_plans((walls,), self._on_plan(at), gain=1.0).split([1, 2], dim=-1)
            at = at + away * (self._body_m - clear).clamp(min=0)
        return at


@dataclass(frozen=True)
class Near:
    """The nearest n entities of F frames: rows (F, n, FIELDS), kinds (F, n), half their size (F, n, 3) and the radius
    of those that are round (F, n, 1)."""

    rows: Tensor
    kinds: Tensor
    half: Tensor
    round: Tensor

    def places(self, at: Tensor) -> Tensor:
        """Places (F, 2) in the axes of each: (F, n, 2)."""
        return turned(at[:, None] - self.rows[..., X : Y + 1], *axes(self.rows))

    def in_world(self, vectors: Tensor) -> Tensor:
        """The inverse for vectors (F, n, 2)."""
        sin, cos = axes(self.rows)
        return turned(vectors, -sin, cos)


class Bodies(nn.Module):
    """How the nearest entities push the player, each in its own axes."""

    size: Tensor
    round: Tensor
    kind_of: Tensor

    def __init__(self, slots: tuple[Slot, ...], step_m: float, body_m: float) -> None:
        super().__init__()
        kinds = list(dict.fromkeys(s.kind for s in slots))
        self.step_m, self._body_m, self.nearest = step_m, body_m, min(_NEAREST, len(slots))
        self.register_buffer("size", torch.tensor([s.size for s in slots], dtype=torch.float32), persistent=False)
        self.register_buffer("round", torch.tensor([[s.round_m] for s in slots]), persistent=False)
        self.register_buffer("kind_of", torch.tensor([kinds.index(s.kind) for s in slots]), persistent=False)
        self.kind_seen = nn.Parameter(torch.randn(len(kinds), _KIND))
        self.solid = nn.Parameter(torch.full((len(kinds), 1), 0.5))  # how much a kind is in the way
        self.push = Mlp(25 + _KIND, 96, 2)
        nn.init.zeros_(self.push.outer.weight)
        nn.init.zeros_(self.push.outer.bias)

    def near(self, entities: Tensor, at: Tensor) -> Near:
        """Of entities (F, S, FIELDS), those nearest to places (F, 2)."""
        index = nearest_of(entities, self.size, at[:, None], self.nearest)
        rows = rows_of(entities[:, None], index)[:, 0]
        index = index[:, 0]
        return Near(rows, self.kind_of[index], self.size[index] / 2, self.round[index])

    def push_out(self, near: Near, at: Tensor) -> Tensor:
        """How those that stand in the way push who is at places (F, 2), in metres: (F, 2)."""
        there, half = near.places(at), near.half[..., :2]
        round_ = out_of_disc(there, near.round + self._body_m)
        ways = torch.where(near.round > 0, round_, out_of_box(there, half, self._body_m))
        return near.in_world(self._stops(near) * ways).sum(1)

    def squeezed(self, near: Near, begin: Tensor, end: Tensor) -> Tensor:
        """How much of a step from `begin` (F, 2) is not taken, since all that pushes leaves no room at `end`: it would
        come deeper into an entity. (F, 1)."""
        before, after = (self._gap(near, at) for at in (begin, end))
        deeper = ((after < self._body_m - _DEEPER_M) & (after <= before)).to(end.dtype)
        return (deeper * self._stops(near)).amax(1)

    def _stops(self, near: Near) -> Tensor:
        """Whether each stands in the way: (F, n, 1), 1 or 0. Half a wall would let through and hold back at once, so
        what is learned is a choice (a straight-through estimator, Bengio et al. 2013)."""
        solid = self.solid[near.kinds]
        return (solid > 0.5).to(solid.dtype) + solid - solid.detach()

    def _gap(self, near: Near, at: Tensor) -> Tensor:
        """From places (F, 2) to the bodies, in metres: (F, n, 1)."""
        there = near.places(at)
        to_box = length(beyond_box(there, near.half[..., :2]))
        return torch.where(near.round > 0, length(there) - near.round, to_box)

    def forward(self, near: Near, begin: Tensor, end: Tensor) -> Tensor:
        """What they do besides to who would step from `begin` to `end` (F, 2), in metres: (F, 2) in steps of the
        longest length, in world axes."""
        other, half = near.rows, near.half
        before, after = near.places(begin), near.places(end)
        beyond = beyond_box(after, half[..., :2])
        gap, depth = length(beyond), half[..., :2] - after.abs()
        sees = [
            clip(after), clip(before), direction(before), direction(after), direction(beyond, 0.01), clip(beyond * 3),
            gap, nearness(gap), clip(depth * 4), (after - before) / self.step_m, half[..., :2],
            other[..., PHASE : PHASE + 1], other[..., ON : ON + 1], length(after), self.kind_seen[near.kinds],
        ]  # fmt: skip
        push = self.push(torch.cat(sees, dim=-1)) * (1 - gap / _REACH_M).clamp(0, 1)
        return near.in_world(push).sum(1)


def read_plans(plans: Iterable[Tensor], at: Tensor, gain: float = GAIN) -> Tensor:
    """The trained features of places at (N, 2), in [-1, 1] across the plan: (N, all features of all plans)."""
    found = [
        F.grid_sample(plan, at[None, None], align_corners=True, padding_mode="border")[0, :, 0].T for plan in plans
    ]
    return torch.cat([gain * f for f in found], dim=-1)
