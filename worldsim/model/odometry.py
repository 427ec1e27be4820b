"""Odometry: how far the next action will carry the player, as the network believes. Walls are learned.

Two learned parts: the step an action would make in the open, and what the place at its end does to that step, read
from a fine plan of trained features. It sees the believed place and the action, not the dreamed picture: in a trial,
features of the newest frame made the place wander as soon as the picture was in doubt, and the picture followed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldsim.model.layers import Mlp
from worldsim.model.place_memory import GAIN, Extent

CELLS_M = (0.4, 0.2, 0.1, 0.05)
_FEATURES = 4


class Odometry(nn.Module):
    """From the pose and the action to the displacement of one tick."""

    low: Tensor
    span: Tensor

    def __init__(self, actions: int, step_m: float, extent: Extent) -> None:
        """step_m: the longest step of one tick, the unit of the network's output; extent: the box of the place."""
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

    def forward(self, action: Tensor, position: Tensor, yaw: Tensor) -> Tensor:
        """action (F, A), position (F, 2) in metres before it, yaw (F,) in radians after its turn.

        Returns the displacement (F, 2) in metres, in world axes.
        """
        right, forward = self.free(action).unbind(-1)
        sin, cos = yaw.sin(), yaw.cos()
        step = torch.stack([forward * sin + right * cos, forward * cos - right * sin], dim=-1)
        end = (position + step * self.step_m - self.low) / self.span * 2 - 1
        features = [
            F.grid_sample(plan, end[None, None], align_corners=True, padding_mode="border")[0, :, 0].T
            for plan in self.plans
        ]
        return (step + self.walls(torch.cat([*(GAIN * f for f in features), step], dim=-1))) * self.step_m
