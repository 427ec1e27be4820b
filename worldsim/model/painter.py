"""Painter: from what a place memory expects to what stands there now: entities, and events that change all.

The memory knows the place as it is when nothing is there and nothing happens. Entities are painted by the rays of the
tokens that their boxes may touch: the guess is unfolded into the colours that fine rays would see, entities are laid
over them, and the difference is folded into the guess again. Events and lamps then make all colours lighter, darker or
other ones. What is told of an entity is geometry: where rays meet its box, in its own axes, and whether the place
stands before it. So a kind has no rules here; an entity behind a pillar is hidden as far as the memory's depth says.
Beside the guess stands how far the truth usually lies from it, token by token: where only history or chance knows.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldsim.camera import Camera
from worldsim.entities import AIM, HEADING, ON, PHASE, RATE, VX, VY, Slot, X, Z
from worldsim.model.codec import Codec
from worldsim.model.light_field import MOST_PAIRS, SEEN, SIDE, LightField, Posture
from worldsim.model.place_memory import Recalled

PRIOR_STD = 0.35  # about how far, in units of the latents, the truth lies from the guess of a trained place memory
MOST_DRAWN = 8  # entities in one frame, the nearest ones of those in view
_HIDDEN, _HIDDEN_WHOLE = 192, 192
RADIANS = math.pi / 180  # of a degree: back ends that trace know no deg2rad
_COLOURS = SEEN * SIDE**2  # numbers of a token's colours
_NAMED = 16  # numbers that a slot is known by
_IN_PICTURE = 2 * 3  # where an entity lies in the picture from a token, and how large it is there
_MAY_LIE_M = 0.5  # the place before an entity: the memory knows distances no better
_FARTHEST = 4.0  # offset in tokens that is told apart
_AT_ONCE = 16  # frames that play asks for together at most: drafts
_THINNEST_M = 0.06
_STEEPEST = 100.0  # units of a latent for one of a colour: beyond, all pictures of a codec look alike
_COVERED = 1.25  # of half a box, from its middle
_LEAST_LOG_STD, _MOST_LOG_STD = math.log(0.05), math.log(1.2)


class _Passing(NamedTuple):
    """How the rays of F frames (NR = N tokens with R rays each) pass their entities.

    away (F, S, 3): from each entity's middle to the eye, in metres. turn (F, S): headings in radians. at (F, S, NR):
    metres along the ray to where it passes the middle. off (F, S, NR): how far from it, in halves of its box. gate
    (F, S, N): how much of the entity a token may show. offset (F, S, 2, N): in the picture, from the token's middle to
    the entity's, in tokens to the right and up. scale (F, S): tokens that a metre spans there.
    """

    away: Tensor
    turn: Tensor
    at: Tensor
    off: Tensor
    gate: Tensor
    offset: Tensor
    scale: Tensor


class Painter(nn.Module):
    """Entities (F, S, FIELDS) and events (F, E) into the guess of a place memory."""

    box: Tensor
    rest: Tensor
    rest_on: Tensor

    def __init__(
        self, slots: tuple[Slot, ...], events: int, camera: Camera, aspect: float, rows: int, columns: int, width: int,
        channels: int, rays: int,
    ) -> None:  # fmt: skip
        """rows, columns: of tokens in a frame. width: of the memory's content. rays: along a side of a token, whose
        views' ends the memory tells."""
        super().__init__()
        self._eye_m, self._channels, self._drawn = camera.eye_height_m, channels, min(MOST_DRAWN, len(slots))
        self._token = 2 * math.tan(math.radians(camera.fov_deg) / 2) / rows  # height of a token at 1 m
        self._lights = [i for i, slot in enumerate(slots) if slot.lights]
        self._whole = events + len(self._lights)
        half = torch.tensor([slot.size for slot in slots]).view(-1, 3) / 2
        rest = torch.tensor([slot.rest for slot in slots]).view(len(slots), -1)
        self.register_buffer("box", half.clamp(min=_THINNEST_M), persistent=False)
        self.register_buffer("rest", rest[:, X : Z + 1], persistent=False)
        self.register_buffer("rest_on", rest[:, ON][self._lights] if slots else torch.zeros(0), persistent=False)
        self.spread = nn.Linear(width, 1)
        self.unfold = nn.Linear(channels, _COLOURS)
        self.fold = nn.Linear(_COLOURS, channels, bias=False)
        if slots:
            self.names = nn.Parameter(torch.randn(len(slots), _NAMED) * 0.3)
            self.content = nn.Linear(width, _HIDDEN)
            self.guess = nn.Linear(channels, _HIDDEN, bias=False)
            told = STANDING + _NAMED + self._whole
            self.field = LightField(camera, aspect, rows, columns, rays, width, told)
            self.laid = nn.Linear(_COLOURS, _HIDDEN, bias=False)
            self.entity = nn.Linear(_IN_PICTURE, _HIDDEN, bias=False)
            self.entity_is = nn.Linear(told, _HIDDEN, bias=False)
            self.middle = nn.Linear(_HIDDEN, _HIDDEN)
            self.paint = nn.Linear(_HIDDEN, channels + 1)
        if self._whole:
            self.whole_content = nn.Linear(width, _HIDDEN_WHOLE)
            self.whole_guess = nn.Linear(channels, _HIDDEN_WHOLE, bias=False)
            self.whole = nn.Linear(self._whole, _HIDDEN_WHOLE, bias=False)
            self.whole_middle = nn.Linear(_HIDDEN_WHOLE, _HIDDEN_WHOLE)
            self.whole_paint = nn.Linear(_HIDDEN_WHOLE, 2 * _COLOURS + 1)
        for layer in (self.spread, getattr(self, "paint", None), getattr(self, "whole_paint", None)):
            if layer is not None:
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)

    @torch.no_grad()
    def start_from(self, codec: Codec) -> None:
        """Fold as a codec encodes; unfold to the least colours that it would encode to the same."""
        matrix, added = codec.latent_of_colours(SIDE)
        matrix = matrix * (matrix.abs().amax(dim=1, keepdim=True) < _STEEPEST)
        inverse = torch.linalg.pinv(matrix.double(), rtol=0.05).float()  # the rest is noise
        self.fold.weight.copy_(matrix)
        self.unfold.weight.copy_(inverse)
        self.unfold.bias.copy_(-inverse @ added)

    def happening(self, entities: Tensor, levels: Tensor) -> Tensor:
        """What changes the whole picture (F, E + lamps): levels of events, and lamps that are not as they rest."""
        if not self._lights:
            return levels
        return torch.cat([levels, entities[:, self._lights, ON] - self.rest_on], dim=-1)

    def forward(
        self, recalled: Recalled, position: Tensor, look: Tensor, entities: Tensor, levels: Tensor,
        picked: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        """The guess (F, N, C) of what is there now, the deviation of the truth from it (F, N, 1), and how much of an
        entity each token may show (F, N), from 0 to 1.

        position (F, 2) in metres. look (F, 2) in radians. entities (F, S, FIELDS) in their units. levels (F, E) in
        [0, 1]. picked (F, N): which tokens of each frame they are; all of them if left out.
        """
        log_std = math.log(PRIOR_STD) + self.spread(recalled.content)
        guess = recalled.guess
        near = guess.new_zeros(guess.shape[:2])
        happening = self.happening(entities, levels)
        if self._drawn:
            laid, told, near = self._laid_over(
                recalled._replace(guess=guess), position, look, entities, happening, picked
            )
            h = F.silu(self.content(recalled.content) + self.guess(guess) + self.laid(laid) + told)
            out = self.paint(h + F.silu(self.middle(h))) * near[..., None]
            guess, log_std = guess + self.fold(laid) + out[..., :-1], log_std + out[..., -1:]
        if self._whole:
            amount = happening.abs().amax(dim=-1).clamp(max=1)[:, None, None]
            h = self.whole_content(recalled.content) + self.whole_guess(guess) + self.whole(happening)[:, None]
            h = F.silu(h)
            out = self.whole_paint(h + F.silu(self.whole_middle(h))) * amount
            gain, more, wider = out.split([_COLOURS, _COLOURS, 1], dim=-1)
            guess, log_std = guess + self.fold(self.unfold(guess) * gain + more), log_std + wider
        return guess, log_std.clamp(_LEAST_LOG_STD, _MOST_LOG_STD).exp(), near

    def touched(self, direction: Tensor, position: Tensor, look: Tensor, entities: Tensor) -> Tensor:
        """How much of an entity each token may show (F, N): see `forward`. direction (F, N, R, 3) of the rays."""
        return self._passing(direction, position, look, entities).gate.amax(dim=1)

    def covered(self, direction: Tensor, position: Tensor, look: Tensor, entities: Tensor) -> Tensor:
        """Which tokens each entity covers, if nothing hides it: bool (F, S, N)."""
        passing = self._passing(direction, position, look, entities)
        frames, slots, tokens = passing.gate.shape
        return (passing.off.view(frames, slots, tokens, -1).amin(-1) < _COVERED) & (passing.gate > 0)

    def _passing(self, direction: Tensor, position: Tensor, look: Tensor, entities: Tensor) -> _Passing:
        """Where rays pass entities."""
        frames, tokens, rays, _ = direction.shape
        eye = torch.cat([position, position.new_full((frames, 1), self._eye_m)], dim=1)
        away = eye[:, None] - entities[..., X : Z + 1]
        turn = entities[..., HEADING] * RADIANS
        origin = _turned(away, turn) / self.box
        along = _turned(direction.reshape(frames, 1, tokens * rays, 3), turn[..., None]) / self.box[:, None]
        # The point of the ray that is nearest to the middle, where its box is the cube from -1 to 1.
        at = -(origin[:, :, None] * along).sum(-1) / along.square().sum(-1)
        point = origin[:, :, None] + at[..., None] * along
        off = point.norm(dim=-1)
        beyond = (point * self.box[:, None]).norm(dim=-1) * (1 - 1.5 / off.clamp(min=1.5))  # metres past its box
        gate = (2 - 2 * beyond / (at.clamp(min=0.1) * self._token)).clamp(0, 1) * (at / 0.2).clamp(0, 1)
        across, up, ahead = _camera_axes(look)  # (F, 3) each
        depth = -(away * ahead[:, None]).sum(-1)
        scale = 1 / (depth.clamp(min=0.15) * self._token)
        middle = direction.mean(dim=2)
        far = (middle * ahead[:, None]).sum(-1).clamp(min=0.05) * self._token
        offset = torch.stack(
            [
                -(away * axis[:, None]).sum(-1)[..., None] * scale[..., None]
                - ((middle * axis[:, None]).sum(-1) / far)[:, None]
                for axis in (across, up)
            ],
            dim=2,
        )
        return _Passing(away, turn, at, off, gate.view(frames, -1, tokens, rays).amax(dim=-1), offset, scale)

    def _laid_over(
        self, recalled: Recalled, position: Tensor, look: Tensor, entities: Tensor, happening: Tensor,
        picked: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        """How what fine rays see differs from what the guess alone would show them (F, N, colours), what is told
        of the entities there (F, N, _HIDDEN), and how much of one each token may show (F, N)."""
        frames, tokens, rays, _ = recalled.direction.shape
        away, turn, at, _, gate, offset, scale = self._passing(recalled.direction, position, look, entities)
        before = recalled.distance.reshape(frames, 1, -1) + _MAY_LIE_M > at
        gate = gate * before.view(frames, -1, tokens, rays).any(dim=-1)
        nearness = (gate.amax(dim=-1) > 0) / (1 + away.norm(dim=-1))
        chosen = nearness.topk(self._drawn, dim=1).indices  # (F, K), nearest first
        size = torch.stack([self.box[:, :2].amax(-1), self.box[:, 2]], dim=-1) * scale[..., None]  # (F, S, 2) tokens
        within = (offset / size[..., None]).clamp(-2, 2)
        size = size.clamp(max=6)[..., None].expand_as(offset)
        in_picture = torch.cat([offset.clamp(-_FARTHEST, _FARTHEST), within, size], dim=2)
        of_slot = torch.cat(
            [
                standing(entities, away, turn, self.rest),
                self.names.expand(frames, -1, -1),
                happening[:, None].expand(-1, entities.shape[1], -1),
            ],
            dim=-1,
        )
        camera = torch.stack(_camera_axes(look), dim=1)[:, None].expand(-1, entities.shape[1], -1, -1)
        posture = Posture(
            _turned(away, turn), _turned(camera, turn[..., None]), 2 * math.pi * entities[..., PHASE : PHASE + 1],
            self.box.expand(frames, -1, -1),
        )  # fmt: skip
        gate, in_picture, of_slot = (_picked(part, chosen) for part in (gate, in_picture, of_slot))
        told = self.entity(in_picture.transpose(2, 3)) + self.entity_is(of_slot)[:, :, None]
        told = (told * gate[..., None]).sum(1)

        pair = _pairs(gate)
        of, token = pair // tokens, pair % tokens  # which of the F * K entities, which of the N tokens
        frame = of // self._drawn
        posture = Posture(*(_picked(part, chosen).flatten(0, 1)[of] for part in posture))
        content, ends = (part[frame, token] for part in (recalled.content, recalled.distance))
        where = token if picked is None else picked[frame, token]
        much, seen = self.field(posture, of_slot.flatten(0, 1)[of], content, where, ends)
        seen = torch.cat([much * gate.flatten()[pair][:, None, None], seen], dim=1).flatten(1)
        row = pair.new_full(
            (frames * self._drawn * tokens,), len(pair)
        )  # of those not looked at: one that shows nothing
        row = row.scatter(0, pair, torch.arange(len(pair), device=pair.device))
        every = torch.cat([seen, seen.new_zeros(1, seen.shape[1])])[row]
        every = every.view(frames, self._drawn, tokens, 1 + SEEN, SIDE**2)
        behind = self.unfold(recalled.guess).unflatten(-1, (SEEN, SIDE**2))
        laid, through = torch.zeros_like(behind), torch.ones_like(behind[:, :, :1])
        for k in range(self._drawn):
            much, seen = every[:, k, :, :1], every[:, k, :, 1:]
            laid, through = laid + through * much * (seen - behind), through * (1 - much)
        return laid.flatten(2), told, gate.amax(dim=1)


def _pairs(gate: Tensor) -> Tensor:
    """Which pairs of an entity and a token (F, K, N), as indices of the flat tensor, are looked at: in training and
    in batches all that show something, in play always as many of each frame, those of the nearest entities first."""
    shown = gate > 0
    if torch.is_grad_enabled() or len(gate) > _AT_ONCE:
        return torch.nonzero(shown.flatten())[:, 0]
    frames, each = len(gate), gate[0].numel()
    first = torch.arange(gate.shape[1], 0, -1, device=gate.device)[None, :, None]
    within = (shown * first).flatten(1).topk(min(MOST_PAIRS, each)).indices
    return (within + each * torch.arange(frames, device=gate.device)[:, None]).flatten()


STANDING = 16


def standing(entities: Tensor, away: Tensor, turn: Tensor, rest: Tensor) -> Tensor:
    """How entities stand to whoever looks: (F, S, STANDING).

    away (F, S, 3): from each entity's middle to the eye, in metres. turn (F, S): headings in radians. rest (S, 3):
    where each is when nothing has happened.
    """
    reach = away.norm(dim=-1, keepdim=True).clamp(min=1e-3)
    side = _turned(away, turn) / reach  # from which side it is seen
    phase, aim = math.pi * entities[..., PHASE], entities[..., AIM] * RADIANS
    speed = entities[..., VX : VY + 1].norm(dim=-1)
    numbers = [
        phase / math.pi, phase.sin(), phase.cos(), aim.sin(), aim.cos(), entities[..., RATE] / 4, entities[..., ON],
        speed / 2, (entities[..., ON] - 0.5).sign(),
    ]  # fmt: skip
    moved = (entities[..., X : Z + 1] - rest).clamp(-2, 2)
    return torch.cat([side, 1 / (reach + 0.3), torch.stack(numbers, dim=-1), moved], dim=-1)


def _turned(vector: Tensor, turn: Tensor) -> Tensor:
    """World vectors (..., 3) in the axes of entities with headings (...) in radians: across, along, up."""
    sin, cos = turn.sin(), turn.cos()
    x, y, z = vector.unbind(-1)
    return torch.stack([x * cos - y * sin, x * sin + y * cos, z.expand_as(x * cos)], dim=-1)


def _camera_axes(look: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where right, up and ahead of looks (F, 2) in radians point in the world: (F, 3) each."""
    (sin_yaw, sin_pitch), (cos_yaw, cos_pitch) = look.sin().unbind(-1), look.cos().unbind(-1)
    across = torch.stack([cos_yaw, -sin_yaw, torch.zeros_like(sin_yaw)], dim=-1)
    up = torch.stack([-sin_pitch * sin_yaw, -sin_pitch * cos_yaw, cos_pitch], dim=-1)
    ahead = torch.stack([cos_pitch * sin_yaw, cos_pitch * cos_yaw, sin_pitch], dim=-1)
    return across, up, ahead


def _picked(part: Tensor, chosen: Tensor) -> Tensor:
    """Of a tensor (F, S, ...) the slots (F, K) of each frame: (F, K, ...)."""
    index = chosen.view(*chosen.shape, *[1] * (part.dim() - 2)).expand(-1, -1, *part.shape[2:])
    return part.gather(1, index)
