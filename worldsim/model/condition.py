"""Conditions: what the generator is told of a frame besides its tokens: noise level, action, look and pose."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from worldsim.camera import Camera, token_rays
from worldsim.model.layers import Mlp, RotarySplit, fourier, octaves
from worldsim.model.place_memory import PlaceMemory

PLACE_WAVES = 4 * 6
POSE_FEATURES = PLACE_WAVES + 4 * 8  # Fourier features of a token's ray: where it starts and where it goes
PRIOR_STD = 0.35  # about how far, in units of the latents, the truth lies from the prior of a trained place memory


@dataclass(frozen=True)
class Condition:
    """The tensors the generator sees for an action and a camera, for F frames.

    action (F, A) in [-1, 1]; look (F, 2) yaw and pitch in radians after it; position (F, 2) in metres; posed (F,) 1
    where the position and the origin of yaw are known, 0 where not; apply_action (F,) 1 where the position is that
    before the action, which carries the player on as the network believes, 0 (or no tensor) where it is that after.
    """

    action: Tensor
    look: Tensor
    position: Tensor
    posed: Tensor
    apply_action: Tensor | None = None

    @classmethod
    def at(cls, poses: Tensor, actions: int) -> Condition:
        """Idle frames at poses (F, 4): x, y in metres, yaw, pitch in radians. actions: how many controls there are."""
        idle = poses.new_zeros((len(poses), actions))
        return cls(idle, poses[:, 2:], poses[:, :2], poses.new_ones(len(poses)))

    def packed(self) -> Tensor:
        """All of it in one tensor (F, 6 + A): look, position, posed, apply_action, then the action."""
        posed = self.posed[:, None]
        apply_action = torch.zeros_like(posed) if self.apply_action is None else self.apply_action[:, None]
        return torch.cat([self.look, self.position, posed, apply_action, self.action], dim=1)

    @classmethod
    def unpacked(cls, packed: Tensor) -> Condition:
        """The inverse of `packed`."""
        return cls(packed[:, 6:], packed[:, :2], packed[:, 2:4], packed[:, 4], packed[:, 5])

    def repeat(self, index: Tensor) -> Condition:
        """The frames at `index`, in that order."""
        apply_action = None if self.apply_action is None else self.apply_action[index]
        return Condition(self.action[index], self.look[index], self.position[index], self.posed[index], apply_action)


@dataclass(frozen=True)
class Embedded:
    """A condition after its encoder, without the noise level: vector (F, D), tokens (F, N, D), rotary tables, and
    what the place memory expects to see: prior (F, N, C), prior_std (F, 1, 1) of the truth about it."""

    vector: Tensor
    tokens: Tensor
    cos: Tensor
    sin: Tensor
    prior: Tensor
    prior_std: Tensor

    def parts(self) -> tuple[Tensor, ...]:
        """All tensors, each with the frames as its first axis."""
        return self.vector, self.tokens, self.cos, self.sin, self.prior, self.prior_std


class RayGrid(nn.Module):
    """World angles of each token's ray for a look. Without a camera: the grid itself, as small angles."""

    rays: Tensor

    def __init__(self, camera: Camera | None, aspect: float, rows: int, columns: int) -> None:
        super().__init__()
        grid = token_rays(camera or Camera(), aspect, rows, columns)
        self.register_buffer("rays", torch.tensor(grid, dtype=torch.float32), persistent=False)

    def forward(self, look: Tensor) -> tuple[Tensor, Tensor]:
        """look (F, 2) in radians -> azimuth and elevation (F, N) in radians."""
        yaw, pitch = look[:, :1], look[:, 1:]
        right, up, forward = self.rays.unbind(-1)
        level = forward * pitch.cos() - up * pitch.sin()  # along the look's compass direction
        height = forward * pitch.sin() + up * pitch.cos()
        return yaw + torch.atan2(right.expand_as(level), level), torch.asin(height.clamp(-1, 1))


class ConditionEncoder(nn.Module):
    """Condition and noise level -> one vector a frame (for adaLN) and one a token (added to the tokens)."""

    position_waves: Tensor
    level_waves: Tensor
    turns: Tensor
    space_frequencies: Tensor

    def __init__(
        self, width: int, actions: int, tokens: int, channels: int, grid: RayGrid, split: RotarySplit,
        memory: PlaceMemory | None, posed: bool = True, world_angles: bool = True,
    ) -> None:  # fmt: skip
        """posed: the scene has a camera and poses. world_angles: rotary positions turn with the look; else they are
        those of a camera that never turns."""
        super().__init__()
        self._split, self._channels, self._world_angles = split, channels, world_angles
        self.grid = grid
        self.register_buffer("position_waves", octaves(16.0, 6), persistent=False)  # 16 m down to 0.5 m
        self.register_buffer("level_waves", math.pi * 2.0 ** torch.arange(-1, 6), persistent=False)
        self.register_buffer("turns", torch.tensor([1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0]), persistent=False)
        self.register_buffer("space_frequencies", split.space_frequencies, persistent=False)
        place, direction = PLACE_WAVES, POSE_FEATURES - PLACE_WAVES
        self.level = Mlp(2 * 7, width, width)
        self.action = Mlp(actions, width, width)
        self.posed = posed
        if posed:
            self.pose = Mlp(place + direction, 2 * width, width)
            self.unposed = nn.Parameter(torch.zeros(width))
            self.ray = Mlp(place + direction, 2 * width, width)
            self.unposed_ray = nn.Parameter(torch.zeros(width))
        self.place_in_frame = nn.Parameter(torch.randn(tokens, width) * 0.02)
        self.memory = memory
        if memory is not None:
            self.known = nn.Linear(memory.config.width, width)
            nn.init.zeros_(self.known.weight)

    def embed(self, condition: Condition) -> Embedded:
        """All that does not depend on the noise level: computed once a frame, used in every pass."""
        azimuth, elevation = self.grid(condition.look)
        turned = (azimuth, elevation) if self._world_angles else self.grid(torch.zeros_like(condition.look))
        cos, sin = self._split.space_angles(turned[0], turned[1], self.space_frequencies)
        if not self.posed:
            tokens = self.place_in_frame.expand(len(condition.action), -1, -1)
            prior = tokens.new_zeros((*tokens.shape[:2], self._channels))
            one = tokens.new_ones((len(tokens), 1, 1))
            return Embedded(self.action(condition.action), tokens, cos[:, None], sin[:, None], prior, one)
        place = fourier(condition.position, self.position_waves)  # (F, 24)
        heading = fourier(condition.look, self.turns)
        posed = condition.posed[:, None]
        pose = self.pose(torch.cat([place, heading], dim=-1))
        vector = self.action(condition.action) + pose * posed + self.unposed * (1 - posed)
        own_ray = self._own_rays(condition, azimuth, elevation)
        tokens = self.ray(own_ray)
        known, prior_std = posed[..., None], torch.ones_like(posed[..., None])
        if self.memory is None:
            prior = own_ray.new_zeros((*own_ray.shape[:2], self._channels))
        else:
            content, prior = self.memory(condition.position, condition.look, own_ray)
            tokens, prior = tokens + self.known(content), prior.float() * known
            prior_std = torch.where(known > 0, PRIOR_STD, prior_std)
        tokens = self.place_in_frame + tokens * known + self.unposed_ray * (1 - known)
        return Embedded(vector, tokens, cos[:, None], sin[:, None], prior, prior_std)

    def recall(self, condition: Condition) -> Tensor:
        """The place memory's prior alone (F, N, C), whatever `posed` says."""
        if self.memory is None:
            raise ValueError("this generator has no place memory")
        own_ray = self._own_rays(condition, *self.grid(condition.look))
        return self.memory(condition.position, condition.look, own_ray)[1]

    def _own_rays(self, condition: Condition, azimuth: Tensor, elevation: Tensor) -> Tensor:
        """Where each token's ray starts and goes: (F, N, POSE_FEATURES)."""
        rays = fourier(torch.stack([azimuth, elevation], dim=-1), self.turns)
        place = fourier(condition.position, self.position_waves)[:, None].expand(-1, rays.shape[1], -1)
        return torch.cat([place, rays], dim=-1)

    def with_level(self, vector: Tensor, level: Tensor) -> Tensor:
        """The adaLN vector (F, D) of embedded vectors (F, D) at noise levels (F,) in [0, 1]."""
        return vector + self.level(fourier(level[:, None], self.level_waves))
