"""Odometry: how far the next action will carry the player, as the network believes. Walls are learned.

It sees the believed place and the action, not the dreamed picture: in a trial, features of the newest frame made the
place wander as soon as the picture was in doubt, and the picture then followed the place.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from worldsim.model.layers import Mlp, fourier, octaves


class Odometry(nn.Module):
    """From the pose and the action to the displacement of one tick."""

    waves: Tensor
    turns: Tensor

    def __init__(self, actions: int, step_m: float) -> None:
        """step_m: the longest step of one tick, the unit of the network's output."""
        super().__init__()
        self.step_m = step_m
        self.register_buffer("waves", octaves(16.0, 7), persistent=False)
        self.register_buffer("turns", torch.tensor([1.0, 2.0, 3.0, 4.0, 6.0, 8.0]), persistent=False)
        self.hidden = nn.Linear(actions + 4 * 7 + 2 * 6, 384)
        self.out = Mlp(384, 384, 2)

    def forward(self, action: Tensor, position: Tensor, yaw: Tensor) -> Tensor:
        """action (F, A), position (F, 2) in metres before it, yaw (F,) in radians after its turn.

        Returns the displacement (F, 2) in metres, in world axes.
        """
        inputs = [action, fourier(position, self.waves), fourier(yaw[:, None], self.turns)]
        right_forward = self.out(nn.functional.silu(self.hidden(torch.cat(inputs, dim=-1)))).float() * self.step_m
        right, forward = right_forward.unbind(-1)
        return torch.stack([forward * yaw.sin() + right * yaw.cos(), forward * yaw.cos() - right * yaw.sin()], dim=-1)
