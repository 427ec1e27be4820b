"""Conditions: what the generator is told of a frame besides its tokens: noise level, action, look and pose."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from worldsim.camera import Camera, token_rays
from worldsim.entities import DICE, FIELDS, HEADING, Slot, X, Z
from worldsim.model.layers import Mlp, RotarySplit, fourier, octaves
from worldsim.model.painter import PRIOR_STD, RADIANS, STANDING, Painter, standing
from worldsim.model.place_memory import PlaceMemory, Recalled

PLACE_WAVES = 4 * 6
POSE_FEATURES = PLACE_WAVES + 4 * 8  # Fourier features of a token's ray: where it starts and where it goes


_FIRST = 6  # numbers of a packed condition before levels, entities, dice and action


@dataclass(frozen=True)
class Condition:
    """The tensors the generator sees for an action and a camera, for F frames.

    action (F, A) in [-1, 1]; look (F, 2) yaw and pitch in radians after it; position (F, 2) in metres; posed (F,) 1
    where the position and the origin of yaw are known, 0 where not; apply_action (F,) 1 where position and entities are
    those before the action, which carries them on as the network believes, 0 (or no tensor) where they are those after.
    entities (F, S, FIELDS) in their units; levels (F, E) of events after the action, in [0, 1]; dice (F, S, DICE): the
    chances of the tick. Without tensors there are none.
    """

    action: Tensor
    look: Tensor
    position: Tensor
    posed: Tensor
    apply_action: Tensor | None = None
    entities: Tensor | None = None
    levels: Tensor | None = None
    dice: Tensor | None = None

    @classmethod
    def at(cls, poses: Tensor, actions: int) -> Condition:
        """Idle frames at poses (F, 4): x, y in metres, yaw, pitch in radians. actions: how many controls there are."""
        idle = poses.new_zeros((len(poses), actions))
        return cls(idle, poses[:, 2:], poses[:, :2], poses.new_ones(len(poses)))

    @property
    def things(self) -> Tensor:
        """The entities (F, S, FIELDS), of which there may be none."""
        return self.action.new_zeros((len(self.action), 0, len(FIELDS))) if self.entities is None else self.entities

    @property
    def happening(self) -> Tensor:
        """The levels of events (F, E), of which there may be none."""
        return self.action.new_zeros((len(self.action), 0)) if self.levels is None else self.levels

    @property
    def chances(self) -> Tensor:
        """The dice (F, S, DICE); all 0 where none were rolled."""
        slots = self.things.shape[1]
        return self.action.new_zeros((len(self.action), slots, DICE)) if self.dice is None else self.dice

    def packed(self) -> Tensor:
        """All of it in one tensor (F, K): look, position, posed, apply_action, levels, entities, dice, the action."""
        posed = self.posed[:, None]
        apply_action = torch.zeros_like(posed) if self.apply_action is None else self.apply_action[:, None]
        parts = [self.look, self.position, posed, apply_action]
        if self.levels is not None:
            parts.append(self.levels)
        if self.entities is not None:
            parts += [self.entities.flatten(1), self.chances.flatten(1)]
        return torch.cat([*parts, self.action], dim=1)

    @classmethod
    def unpacked(cls, packed: Tensor, slots: int, events: int) -> Condition:
        """The inverse of `packed`, in a scene of so many slots and events."""
        levels, entities, dice, end = None, None, None, _FIRST
        if events:
            levels, end = packed[:, end : end + events], end + events
        if slots:
            entities, dice = packed[:, end:].split(
                [slots * len(FIELDS), packed.shape[1] - end - slots * len(FIELDS)], 1
            )
            entities, end = entities.unflatten(1, (slots, len(FIELDS))), end + slots * (len(FIELDS) + DICE)
            dice = dice[:, : slots * DICE].unflatten(1, (slots, DICE))
        known = packed[:, :2], packed[:, 2:4], packed[:, 4], packed[:, 5]
        return cls(packed[:, end:], *known, entities, levels, dice)

    def repeat(self, index: Tensor) -> Condition:
        """The frames at `index`, in that order."""
        parts: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        picked: dict[str, Any] = {name: None if part is None else part[index] for name, part in parts.items()}
        return Condition(**picked)


@dataclass(frozen=True)
class Embedded:
    """A condition after its encoder, without the noise level: vector (F, D), tokens (F, N + S, D), first those of the
    frame, then one for each entity, rotary tables, and what is expected to be seen: prior (F, N, C), and prior_std
    (F, N, 1) or (F, 1, 1) of the truth about it."""

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
    rest: Tensor

    def __init__(
        self, width: int, actions: int, tokens: int, channels: int, grid: RayGrid, split: RotarySplit,
        memory: PlaceMemory | None, posed: bool = True, world_angles: bool = True, painter: Painter | None = None,
        slots: tuple[Slot, ...] = (), events: int = 0, eye_height_m: float = 0.0,
    ) -> None:  # fmt: skip
        """posed: the scene has a camera and poses. world_angles: rotary positions turn with the look; else they are
        those of a camera that never turns."""
        super().__init__()
        self._split, self._channels, self._world_angles, self._eye_m = split, channels, world_angles, eye_height_m
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
        self.painter = painter
        if painter is not None:
            self.expected = nn.Linear(channels + 1, width)
            nn.init.zeros_(self.expected.weight)
        if events:
            self.events = Mlp(events, width, width)
        self.slots = len(slots) if posed else 0
        if self.slots:
            self.register_buffer("rest", torch.tensor([s.rest[X : Z + 1] for s in slots]), persistent=False)
            self.entity = Mlp(STANDING, width, width)
            self.entity_names = nn.Parameter(torch.randn(len(slots), width) * 0.02)

    def embed(self, condition: Condition) -> Embedded:
        """All that does not depend on the noise level: computed once a frame, used in every pass."""
        azimuth, elevation = self.grid(condition.look)
        vector = self.action(condition.action)
        if condition.happening.shape[1]:
            vector = vector + self.events(condition.happening)
        if not self.posed:
            turned = (azimuth, elevation) if self._world_angles else self.grid(torch.zeros_like(condition.look))
            cos, sin = self._split.space_angles(turned[0], turned[1], self.space_frequencies)
            tokens = self.place_in_frame.expand(len(condition.action), -1, -1)
            prior = tokens.new_zeros((*tokens.shape[:2], self._channels))
            one = tokens.new_ones((len(tokens), 1, 1))
            return Embedded(vector, tokens, cos[:, None], sin[:, None], prior, one)
        place = fourier(condition.position, self.position_waves)  # (F, 24)
        heading = fourier(condition.look, self.turns)
        posed = condition.posed[:, None]
        pose = self.pose(torch.cat([place, heading], dim=-1))
        vector = vector + pose * posed + self.unposed * (1 - posed)
        own_ray = self._own_rays(condition, azimuth, elevation)
        tokens, known = self.ray(own_ray), posed[..., None]
        prior, prior_std = own_ray.new_zeros((*own_ray.shape[:2], self._channels)), torch.ones_like(posed[..., None])
        if self.memory is not None:
            recalled = self._recalled(condition, own_ray)
            prior, prior_std, _ = self.painted(recalled, condition)
            tokens, prior = tokens + self.known(recalled.content), prior.float() * known
            prior_std = torch.where(known > 0, prior_std.float(), 1.0)
            if self.painter is not None:
                tokens = tokens + self.expected(torch.cat([prior, prior_std.log()], dim=-1))
        tokens = self.place_in_frame + tokens * known + self.unposed_ray * (1 - known)
        if self.slots:
            entities, around, up = self._entity_tokens(condition)
            tokens = torch.cat([tokens, entities * known], dim=1)
            ahead = condition.look[:, :1] * (1 - posed)  # where entities are thought to be if nobody knows
            azimuth = torch.cat([azimuth, around * posed + ahead], dim=1)
            elevation = torch.cat([elevation, up * posed], dim=1)
        cos, sin = self._split.space_angles(azimuth, elevation, self.space_frequencies)
        return Embedded(vector, tokens, cos[:, None], sin[:, None], prior, prior_std)

    def expect(self, condition: Condition, picked: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """What is expected of each token, or of the picked ones (F, N), whatever `posed` says: the place memory's guess
        with all that is painted into it (F, N, C), the deviation of the truth from it (F, N, 1) or (F, 1, 1), and how
        much of an entity it may show (F, N)."""
        return self.painted(self.recalled(condition, picked), condition, picked)

    def touched(self, condition: Condition) -> Tensor:
        """How much of an entity each token may show (F, N), from 0 to 1."""
        frames, tokens = len(condition.look), self.grid.rays.shape[0]
        if self.painter is None or self.memory is None or not condition.things.shape[1]:
            return condition.look.new_zeros(frames, tokens)
        direction = self.memory.directions(condition.look).view(frames, tokens, -1, 3)
        return self.painter.touched(direction, condition.position, condition.look, condition.things)

    def recalled(self, condition: Condition, picked: Tensor | None = None) -> Recalled:
        """What the place memory knows of the frames, or of their picked tokens, before anything is painted into it."""
        if self.memory is None:
            raise ValueError("this generator has no place memory")
        azimuth, elevation = self.grid(condition.look)
        if picked is not None:
            azimuth, elevation = azimuth.gather(1, picked), elevation.gather(1, picked)
        return self._recalled(condition, self._own_rays(condition, azimuth, elevation), picked)

    def _recalled(self, condition: Condition, own_ray: Tensor, picked: Tensor | None = None) -> Recalled:
        assert self.memory is not None
        return self.memory(condition.position, condition.look, own_ray, picked)

    def painted(
        self, recalled: Recalled, condition: Condition, picked: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What `expect` says, of what the place memory recalled."""
        if self.painter is None:
            std = torch.full_like(condition.posed[:, None, None], PRIOR_STD)
            return recalled.guess, std, torch.zeros_like(recalled.guess[..., 0])
        with torch.autocast(recalled.guess.device.type, enabled=False):
            recalled = Recalled(*(part.float() for part in recalled))
            return self.painter(
                recalled, condition.position, condition.look, condition.things, condition.happening, picked
            )

    def _entity_tokens(self, condition: Condition) -> tuple[Tensor, Tensor, Tensor]:
        """A token for each entity (F, S, D), and the world angles at which it is seen (F, S)."""
        entities, position = condition.things, condition.position
        eye = torch.cat([position, position.new_full((len(position), 1), self._eye_m)], dim=1)
        away = eye[:, None] - entities[..., X : Z + 1]
        stands = standing(entities, away, entities[..., HEADING] * RADIANS, self.rest)
        across, along, up = (-away).unbind(-1)
        level = (across.square() + along.square()).sqrt().clamp(min=1e-3)
        return self.entity(stands) + self.entity_names, torch.atan2(across, along), torch.atan2(up, level)

    def _own_rays(self, condition: Condition, azimuth: Tensor, elevation: Tensor) -> Tensor:
        """Where each token's ray starts and goes: (F, N, POSE_FEATURES)."""
        rays = fourier(torch.stack([azimuth, elevation], dim=-1), self.turns)
        place = fourier(condition.position, self.position_waves)[:, None].expand(-1, rays.shape[1], -1)
        return torch.cat([place, rays], dim=-1)

    def with_level(self, vector: Tensor, level: Tensor) -> Tensor:
        """The adaLN vector (F, D) of embedded vectors (F, D) at noise levels (F,) in [0, 1]."""
        return vector + self.level(fourier(level[:, None], self.level_waves))
