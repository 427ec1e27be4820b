"""Transitions of entities: where each will be, and what it will be doing, in the next tick, as the network believes.

One small network a kind. It sees its own entity, the place around it in a plan of trained features, how far walls are,
the player, the nearest other entities, what it would touch on its way, events and chance, all relative to the entity.
What a kind does is learned: nothing here knows a ball from a door. For each number the network says whether it changes
at all and what it changes to, so that what is at rest stays exactly where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldsim.entities import AIM, DICE, FIELDS, HEADING, ON, PHASE, QUANTA, RATE, TIMER, TURNS, VX, VY, Slot, X, Y, Z
from worldsim.model.bodies import beyond_box, length, nearest_of, nearness, rows_of, turned
from worldsim.model.contacts import BUMP, SHARES, bounce, bump, first_wall, meeting
from worldsim.model.odometry import CELLS_M, read_plans
from worldsim.model.place_memory import Extent

_NEAREST = 3
_WIDTH, _OTHERS = 128, 48  # of the networks, and of what they make of other entities
_KIND, _SLOT, _PLAN = 4, 4, 4  # learned numbers: of a kind as others see it, of a slot, of a cell of the plan
FARTHEST_M = 2.0  # from a wall: beyond it nothing is told apart
WALLS_CELL_M = 0.1
_WITHIN_M = 2.0  # other entities farther away than this are not seen
_UNIT = (0.1, 0.1, 0.1, 10.0, 1.0, 1.0, 0.1, 1.0, 1.0, 1.0, 10.0)  # of what the network says: about a tick's change
_WAYS = 6  # straight maps between which a network chooses: in each of the ways a thing behaves, it does so simply
_FOLLOW = 5  # how much it turns to where it goes, or to its line; and rolls as fast, as long and as far as it goes
_OUT = 2 * len(FIELDS) + 2 * len(TURNS) + _FOLLOW  # does it change, by how much, directions to turn to
_TURNS_BY = 50.0  # of what the network says of turning: 1 is all but all of it
_DEGREES = 57.29577951308232
_TURN = 6.283185307179586

# Vectors that an entity sees, in the axes in which it rests; the second to the fourth also in its own.
_OFF, _SPEED, _AFTER, _FACING, _BEFORE, _STEP, _FAR = range(7)
_BLUR = (0.1, 0.02, 0.1, 0.1, 0.1, 0.02, 0.02)  # below such lengths a direction means less
_CLIPPED = (  # which vector, and times how much it is seen, cut at 1
    (_OFF, 0.125), (_OFF, 1.0), (_OFF, 10.0), (_SPEED, 0.25), (_SPEED, 2.0), (_SPEED, 20.0), (_AFTER, 1.0),
    (_BEFORE, 1.0), (_STEP, 1.0), (_FACING, 1.0), (_FAR, 1.0),
)  # fmt: skip
_NUMBERS = (  # which number, times how much, plus how much it is seen, cut at 1
    (PHASE, 1.0, 0.0), (PHASE, 20.0, 0.0), (PHASE, 20.0, 20.0), (PHASE, -20.0, 20.0), (RATE, 0.25, 0.0),
    (RATE, 10.0, 0.0), (ON, 1.0, 0.0), (TIMER, 0.25, 0.0), (TIMER, 1.0, 0.0), (TIMER, 10.0, 0.0),
)  # fmt: skip


@dataclass(frozen=True)
class Tick:
    """What decides a tick of J entities, for F frames. An axis J may be 1: the same for all of them.

    which (F or 1, J): their slots, kind by kind; entities (F, J, S, FIELDS), all of them; before, after (F, J, 2) the
    player's position in metres; look (F, J, 2) after the turn, in radians; action (F, J, A) in [-1, 1]; levels
    (F, J, E) of events; dice (F, J, DICE), their own.
    """

    which: Tensor
    entities: Tensor
    before: Tensor
    after: Tensor
    look: Tensor
    action: Tensor
    levels: Tensor
    dice: Tensor


@dataclass(frozen=True)
class Change:
    """What becomes of J entities of F frames: own (F, J, FIELDS) their numbers before; logits (F, J, FIELDS) of each
    number to change; to (F, J, FIELDS) what it changes to if it does."""

    own: Tensor
    logits: Tensor
    to: Tensor

    def values(self) -> Tensor:
        """The numbers after the tick (F, J, FIELDS)."""
        return torch.where(self.logits > 0, self.to, self.own)


class PerKind(nn.Module):
    """A linear layer for each kind: (kinds, N, inputs) -> (kinds, N, outputs)."""

    def __init__(self, kinds: int, inputs: int, outputs: int, zero: bool = False) -> None:
        """zero: give nothing before training."""
        super().__init__()
        spread = 0.0 if zero else inputs**-0.5
        self.weight = nn.Parameter(torch.randn(kinds, inputs, outputs) * spread)
        self.bias = nn.Parameter(torch.zeros(kinds, 1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


class EntityTransitions(nn.Module):
    """From all entities, the player and the tick's events and chances to the entities one tick later."""

    rest: Tensor
    home: Tensor
    size: Tensor
    cyclic: Tensor
    round: Tensor
    shares: Tensor
    quanta: Tensor
    unit: Tensor
    members: Tensor
    columns: Tensor
    kind_of: Tensor
    low: Tensor
    span: Tensor
    bounds: Tensor
    blur: Tensor
    clipped: Tensor
    clipped_by: Tensor
    numbers: Tensor
    numbers_by: Tensor
    numbers_plus: Tensor
    walls: Tensor

    def __init__(
        self, slots: tuple[Slot, ...], actions: int, events: int, extent: Extent, step_m: float, tick_s: float = 0.05,
        body_m: float = 0.3,
    ) -> None:  # fmt: skip
        """actions, events: how many there are. extent: the box of the place. step_m: the player's longest step. tick_s:
        seconds of a tick. body_m: the radius of the player's body."""
        super().__init__()
        self.slots, self.step_m, self._tick_s, self._body_m = slots, step_m, tick_s, body_m
        self.kinds = tuple(dict.fromkeys(s.kind for s in slots))
        self.nearest = min(_NEAREST, len(slots) - 1)
        rows = [[i for i, s in enumerate(slots) if s.kind == kind] for kind in self.kinds]
        most = max(len(row) for row in rows)
        members = [i for row in rows for i in (row + row[:1] * most)[:most]]  # as many of each kind, some twice
        low, high = torch.tensor(extent[:2]), torch.tensor(extent[3:5])
        for name, values in {
            "members": torch.tensor([members]),
            "columns": torch.tensor([members.index(i) for i in range(len(slots))]),
            "kind_of": torch.tensor([self.kinds.index(s.kind) for s in slots]),
            "rest": (rest := torch.tensor([s.rest for s in slots], dtype=torch.float32)),
            "home": torch.stack([(rest[:, HEADING] / _DEGREES).sin(), (rest[:, HEADING] / _DEGREES).cos()], dim=-1),
            "size": torch.tensor([s.size for s in slots], dtype=torch.float32),
            "round": torch.tensor([[s.round_m] for s in slots]),
            "cyclic": torch.tensor([[float(s.cyclic)] for s in slots]),
            "shares": torch.tensor(SHARES)[:, None],
            "quanta": torch.tensor(QUANTA, dtype=torch.float32),
            "unit": torch.tensor(_UNIT),
            "low": low,
            "span": high - low,
            "bounds": _bounds(low.tolist(), high.tolist()),
            "blur": torch.tensor(_BLUR)[:, None],
            "clipped": torch.tensor([which for which, _ in _CLIPPED]),
            "clipped_by": torch.tensor([[by] for _, by in _CLIPPED]),
            "numbers": torch.tensor([field for field, *_ in _NUMBERS]),
            "numbers_by": torch.tensor([by for _, by, _ in _NUMBERS]),
            "numbers_plus": torch.tensor([plus for *_, plus in _NUMBERS]),
        }.items():
            self.register_buffer(name, values, persistent=False)
        self.plans = nn.ParameterList()
        for cell in CELLS_M:
            columns, lines = (((high - low) / cell).ceil().int() + 1).tolist()
            self.plans.append(nn.Parameter(torch.randn(1, _PLAN, lines, columns) * 0.003))
        columns, lines = (((high - low) / WALLS_CELL_M).ceil().int() + 1).tolist()
        nowhere = torch.tensor([FARTHEST_M, 0.0, 0.0]).view(1, 3, 1, 1)
        self.register_buffer("walls", nowhere.expand(-1, -1, lines, columns).clone())
        kinds = len(self.kinds)
        self.kind_seen = nn.Parameter(torch.randn(kinds, _KIND))
        self.slot_seen = nn.Parameter(torch.randn(len(slots), _SLOT) * 0.1)
        self.solid = nn.Parameter(torch.full((kinds, kinds), 0.5))  # how much a kind is in the way of another
        self.tether = nn.Parameter(torch.zeros(kinds, len(FIELDS)))  # 1: not where it was counts, but where it rests
        seen, other = self._widths(actions, events)
        self.near = PerKind(kinds, other, _OTHERS)
        self.first = PerKind(kinds, seen + _OTHERS, _WIDTH)
        self.second = PerKind(kinds, _WIDTH, _WIDTH)
        self.last = PerKind(kinds, _WIDTH, _OUT, zero=True)
        nn.init.constant_(self.last.bias[..., : len(FIELDS)], -2.0)  # most numbers stay as they are
        self.way = PerKind(kinds, _WIDTH, _WAYS)
        self.straight = PerKind(kinds, seen, _WAYS * _OUT, zero=True)

    @torch.no_grad()
    def _widths(self, actions: int, events: int) -> tuple[int, int]:
        """How many numbers the networks see, and how many of each other entity."""
        at = self.rest[None, None, :, :]
        two, own = torch.zeros(1, 1, 2), self.rest[self.members]
        nothing = (torch.zeros(1, 1, actions), torch.zeros(1, 1, events), torch.zeros(1, own.shape[1], DICE))
        tick = Tick(self.members, at, two, two, two, *nothing)
        index = torch.zeros(1, own.shape[1], 1, dtype=torch.long)
        other = self._sees_others(at.expand(-1, own.shape[1], -1, -1), self.members, index, own)[0]
        return self._sees(tick, own).shape[-1] + BUMP, other.shape[-1]

    def walls_at(self) -> Tensor:
        """Where `walls` is known, row by row: (lines * columns, 2) in metres."""
        lines, columns = self.walls.shape[2:]
        cells = torch.stack(
            torch.meshgrid(torch.linspace(0, 1, lines), torch.linspace(0, 1, columns), indexing="ij")[::-1], dim=-1
        )
        return (cells * self.span.cpu() + self.low.cpu()).flatten(0, 1)

    @torch.no_grad()
    def set_walls(self, clear: Tensor, normal: Tensor) -> None:
        """How far it is at `walls_at` to the nearest wall (M,), in metres, less than 0 within one, and which way leads
        away from it (M, 2)."""
        known = torch.cat([clear[:, None].clamp(max=FARTHEST_M), normal], dim=1)
        self.walls.copy_(known.T.reshape(self.walls.shape))

    def forward(
        self, entities: Tensor, before: Tensor, after: Tensor, look: Tensor, action: Tensor, levels: Tensor,
        dice: Tensor,
    ) -> Tensor:  # fmt: skip
        """The entities (F, S, FIELDS) one tick later, not yet in whole quanta.

        entities (F, S, FIELDS) in whole quanta; before, after (F, 2) the player's position in metres; look (F, 2) yaw
        and pitch in radians after the turn; action (F, A) in [-1, 1]; levels (F, E) of events; dice (F, S, DICE).
        """
        tick = Tick(
            self.members, entities[:, None], before[:, None], after[:, None], look[:, None], action[:, None],
            levels[:, None], dice[:, self.members[0]],
        )  # fmt: skip
        return self.change(tick).values()[:, self.columns]

    def rounded(self, values: Tensor) -> Tensor:
        """Numbers (..., FIELDS) in whole quanta, as floats; none beyond what it can be, so that what went wrong once
        does not go on for ever."""
        whole = torch.round(values / self.quanta)
        whole = torch.minimum(torch.maximum(whole, self.bounds[0]), self.bounds[1])
        parts = list(whole.split(1, dim=-1))
        for field in TURNS:
            parts[field] = torch.remainder(parts[field], 4096)
        return torch.cat(parts, dim=-1)

    def change(self, tick: Tick) -> Change:
        """What becomes of the entities `tick.which`: J of them, as many of each kind, kind by kind."""
        entities = tick.entities.expand(-1, tick.which.shape[1], -1, -1)
        frames, count = entities.shape[:2]
        which = tick.which.expand(frames, -1)
        own = rows_of(entities, which[..., None])[:, :, 0]
        others, bumps = self._others(entities, which, own)
        sees, others = self._by_kind(torch.cat([self._sees(tick, own), bumps], dim=-1)), self._by_kind(others)
        x = F.silu(self.second(F.silu(self.first(torch.cat([sees, others], dim=-1)))))
        ways = self.straight(sees).unflatten(-1, (_WAYS, _OUT)) * self.way(x).softmax(-1)[..., None]
        out = self.last(x) + ways.sum(-2)
        out = out.view(len(self.kinds), frames, -1, _OUT).transpose(0, 1).reshape(frames, count, _OUT)
        return Change(own, out[..., : len(FIELDS)], self._changed(out[..., len(FIELDS) :], own, tick.which))

    def _by_kind(self, x: Tensor) -> Tensor:
        """(F, J, D) -> (kinds, F * J / kinds, D)."""
        frames, _, width = x.shape
        return x.view(frames, len(self.kinds), -1, width).transpose(0, 1).reshape(len(self.kinds), -1, width)

    def _changed(self, out: Tensor, own: Tensor, which: Tensor) -> Tensor:
        """What the numbers change to (F, J, FIELDS), from the network's changes and directions."""
        rest, home = self.rest[which], self.home[which]
        by, towards, follow = out.split([len(FIELDS), 2 * len(TURNS), _FOLLOW], dim=-1)
        by, towards = by * self.unit, towards.unflatten(-1, (2, 2))
        tether = self.tether.repeat_interleave(own.shape[1] // len(self.kinds), dim=0)
        vectors = torch.stack([by[..., X : Y + 1], by[..., VX : VY + 1]], dim=-2)
        vectors = turned(vectors, -home[..., None, :1], home[..., None, 1:])
        new = torch.cat([vectors[..., 0, :], by[..., Z : HEADING + 1], vectors[..., 1, :], by[..., PHASE:]], dim=-1)
        new = own + new - tether * (own - rest)
        # Angles as directions: as they were, turned by so much, and then drawn towards another direction.
        was, keep = own[..., HEADING :: AIM - HEADING], 1 - tether[:, HEADING :: AIM - HEADING]
        middle = rest[..., HEADING : HEADING + 1]
        angle = (was - middle + by[..., HEADING :: AIM - HEADING]) * (1 / _DEGREES)
        facing = torch.stack([angle.sin(), angle.cos()], dim=-1) * keep[..., None] + towards
        # A heading may follow the new velocity, or be the nearer end of the line along which it goes.
        speed = turned(new[..., VX : VY + 1], home[..., :1], home[..., 1:])
        goes = speed / (length(speed) + 0.02)
        faced = (was - middle)[..., :1] * (1 / _DEGREES)
        backwards = (goes * torch.cat([faced.sin(), faced.cos()], dim=-1)).sum(-1, keepdim=True) < 0
        line = goes * torch.where(backwards, -1.0, 1.0)
        follows = _TURNS_BY * (follow[..., :1] * goes + follow[..., 1:2] * line)
        facing = torch.stack([facing[..., 0, :] + follows, facing[..., 1, :]], dim=-2)
        angle = was + half_turn(torch.atan2(facing[..., 0], facing[..., 1] + 1e-6) * _DEGREES + middle - was)
        # And it may roll as far as it goes, as a wheel of its size.
        ahead = (angle[..., :1] - middle) * (1 / _DEGREES)
        ahead = torch.cat([ahead.sin(), ahead.cos()], dim=-1)
        rolls = (speed * ahead).sum(-1, keepdim=True)
        around = self.size[which][..., :2].amax(-1, keepdim=True) * (_TURN / 2)
        phase, rate = new[..., PHASE : PHASE + 1], new[..., RATE : RATE + 1]
        rate = rate + follow[..., 2:3] * (rolls / around - rate)
        phase = phase + follow[..., 3:4] * self._tick_s * (rate - own[..., RATE : RATE + 1])
        way = turned(new[..., X : Y + 1] - own[..., X : Y + 1], home[..., :1], home[..., 1:])
        far = (way * ahead).sum(-1, keepdim=True) / around
        phase = phase + follow[..., 4:] * (own[..., PHASE : PHASE + 1] + far - phase)
        phase = phase - self.cyclic[which] * 2 * ((phase + 1) / 2).floor()
        off = 1 - own[..., ON : ON + 1]
        return torch.cat(
            [
                new[..., :HEADING], angle[..., :1], new[..., VX:PHASE], phase, rate, off,
                new[..., TIMER : TIMER + 1], angle[..., 1:],
            ],
            dim=-1,
        )  # fmt: skip

    def _sees(self, tick: Tick, own: Tensor) -> Tensor:
        """What the networks see of their own entities, the player, the place, events and chance: (F, J, D)."""
        rest, home, half = self.rest[tick.which], self.home[tick.which], self.size[tick.which][..., :2] / 2
        heading = rest[..., HEADING : HEADING + 1]
        angles = torch.cat([own[..., HEADING :: AIM - HEADING] - heading, own[..., AIM:] - own[..., HEADING:VX]], -1)
        sin, cos = (angles * (1 / _DEGREES)).sin(), (angles * (1 / _DEGREES)).cos()
        vectors = torch.stack(self._vectors(tick, own, rest), dim=-2)
        vectors = turned(vectors, home[..., None, :1], home[..., None, 1:])
        lengths = length(vectors)
        directions = vectors / (lengths + self.blur)
        own_axes = turned(vectors[..., _SPEED : _FACING + 1, :], sin[..., None, :1], cos[..., None, :1])
        points = torch.stack([own_axes[..., 1, :], vectors[..., _FAR, :]], dim=-2)
        beyond = beyond_box(points, half[..., None, :])
        gaps = length(beyond)
        distances = torch.cat([lengths[..., _AFTER :: _BEFORE - _AFTER, 0], gaps[..., 0]], dim=-1)
        dots = vectors[..., _SPEED : _STEP + 1, :] * directions[..., _AFTER : _AFTER + 1, :]
        looks = vectors[..., _FACING, :] * directions[..., _FAR, :]
        phase = own[..., PHASE : PHASE + 1]
        chance = torch.cat([tick.dice * (_TURN * n) for n in (1, 2, 4)], dim=-1)
        seen = [
            (vectors.index_select(-2, self.clipped) * self.clipped_by).clamp(-1, 1).flatten(-2), directions.flatten(-2),
            own_axes.flatten(-2), (beyond / (gaps + 0.02)).flatten(-2), (distances * 0.3).clamp(0, 1),
            distances.clamp(0, 1), (distances * 5).clamp(0, 1), nearness(distances), dots.sum(-1),
            looks.sum(-1, keepdim=True), sin, cos, (half_turn(angles[..., 2:]) * 0.05).clamp(-1, 1),
            lengths[..., _SPEED, :],
            (own.index_select(-1, self.numbers) * self.numbers_by + self.numbers_plus).clamp(-1, 1),
            phase * own[..., PHASE : ON + 1], own[..., Z : Z + 1] - rest[..., Z : Z + 1], self._place(own),
            chance.sin(), chance.cos(), tick.dice, tick.action, tick.levels, tick.look[..., 1:],
            self.size[tick.which], self.slot_seen[tick.which], self._touches(tick, own, home),
        ]  # fmt: skip
        return torch.cat([t.expand(*own.shape[:-1], t.shape[-1]) for t in seen], dim=-1)

    def _touches(self, tick: Tick, own: Tensor, home: Tensor) -> Tensor:
        """How entities, as discs, meet the player and the walls in this tick, in the axes in which they rest:
        (F, J, MEETING + BOUNCE)."""
        radius = self._radius(tick.which)
        at, speed = own[..., X : Y + 1], own[..., VX : VY + 1]
        ways = speed[..., None, :] * (self._tick_s * self.shares)
        here = (at[..., None, :] + ways - self.low) / self.span * 2 - 1
        found = read_plans((self.walls,), here.reshape(-1, 2), gain=1.0).view(*own.shape[:-1], -1, 3)
        deep, normal = first_wall(found, speed, radius, self._tick_s)
        off, theirs = at - tick.before, (tick.after - tick.before) * (1 / self._tick_s)
        vectors = torch.stack([t.expand_as(at) for t in (off, speed, theirs, normal)], dim=-2)
        vectors = turned(vectors, home[..., None, :1], home[..., None, 1:])
        off, speed, theirs, normal = vectors.unbind(-2)
        return torch.cat(
            [
                meeting(off, speed, theirs, radius + self._body_m, self._tick_s),
                bounce(found[..., 0, :1], radius - deep, normal, speed, radius),
            ],
            dim=-1,
        )

    def _radius(self, which: Tensor) -> Tensor:
        """Of entities at slots `which`, as discs: (..., 1)."""
        own = self.round[which]
        return torch.where(own > 0, own, self.size[which][..., :2].amax(-1, keepdim=True) / 2)

    def _vectors(self, tick: Tick, own: Tensor, rest: Tensor) -> list[Tensor]:
        """The vectors that an entity sees, in world axes and in their order: seven of (F, J, 2)."""
        at, there = own[..., X : Y + 1], rest[..., X : Y + 1]
        yaw = tick.look[..., :1]
        found = [
            at - there, own[..., VX : VY + 1], tick.after - at, torch.cat([yaw.sin(), yaw.cos()], -1),
            tick.before - at, (tick.after - tick.before) * (1 / self.step_m), tick.after - there,
        ]  # fmt: skip
        return [t.expand_as(at) for t in found]

    def _place(self, own: Tensor) -> Tensor:
        """The plan where entities are and where they are going: (F, J, all features of both)."""
        at = own[..., X : Y + 1]
        ends = torch.stack([at, at + own[..., VX : VY + 1] * self._tick_s], dim=-2)
        found = read_plans(self.plans, (ends.reshape(-1, 2) - self.low) / self.span * 2 - 1)
        return found.view(*own.shape[:-1], -1)

    def _others(self, entities: Tensor, which: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """What the nearest other entities come to (F, J, _OTHERS), and how they are met (F, J, BUMP)."""
        frames, count = which.shape
        if not self.nearest:
            return own.new_zeros(frames, count, _OTHERS), own.new_zeros(frames, count, BUMP)
        index = nearest_of(entities, self.size, own[..., X : Y + 1], self.nearest, which)
        told, gap, bumps = self._sees_others(entities, which, index, own)
        made = F.silu(self.near(self._by_kind(told.reshape(frames, count * self.nearest, -1))))
        made = made.view(len(self.kinds), frames, -1, self.nearest, _OTHERS).transpose(0, 1)
        made = (made.reshape(frames, count, self.nearest, _OTHERS) * (1 - gap / _WITHIN_M).clamp(0, 1)).sum(2)
        return made, bumps

    def _sees_others(
        self, entities: Tensor, which: Tensor, index: Tensor, own: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What an entity sees of those at slots `index` (F, J, n): (F, J, n, D), the gap to their boxes, and how it
        meets them in this tick, added up (F, J, BUMP)."""
        other, own = rows_of(entities, index), own[:, :, None]
        rest, home, size = (
            self.rest[which][:, :, None],
            self.home[which][:, :, None, None],
            self.size[which][:, :, None],
        )
        turn = (other[..., HEADING:VX] - rest[..., HEADING:VX]) * (1 / _DEGREES)
        sin, cos = turn.sin(), turn.cos()
        place, speed = other[..., X : Y + 1], other[..., VX : VY + 1]
        vectors = [place - own[..., X : Y + 1], speed, speed - own[..., VX : VY + 1], place - rest[..., X : Y + 1]]
        seen = turned(torch.stack(vectors, dim=-2), home[..., :1], home[..., 1:])
        sizes = self.size[index]
        beyond = beyond_box(turned(-seen[..., 0, :], sin, cos), sizes[..., :2] / 2)  # from its box, in its own axes
        gap, lengths = length(beyond), length(seen)[..., ::3, 0]
        away = turned(beyond / (gap + 0.02), -sin, cos)
        distances = torch.cat([gap, lengths[..., 1:]], dim=-1)
        near = nearness(distances)
        told = [
            (seen * seen.new_tensor([[1.0], [0.25], [0.25], [1.0]])).clamp(-1, 1).flatten(-2),
            (distances * 0.4).clamp(0, 1), seen[..., 0, :] / (lengths[..., :1] + 0.1), away, away * near[..., :1], near,
            ((gap - size[..., :1] / 2) * 10).clamp(-1, 1), (away * seen[..., 2, :]).sum(-1, keepdim=True), sin, cos,
            other[..., PHASE : ON + 1], other[..., Z : Z + 1] - own[..., Z : Z + 1], sizes, size,
            self.kind_seen[self.kind_of[index]],
        ]  # fmt: skip
        disc = self.round[index]
        far = length(seen[..., 0, :])
        gap_now, normal = torch.where(disc > 0, far - disc, gap), torch.where(disc > 0, -seen[..., 0, :] / far, away)
        radius = self._radius(which)[:, :, None]
        bumps = bump(gap_now, normal, seen[..., 1, :] - seen[..., 2, :], seen[..., 1, :], radius, self._tick_s)
        bumps = (bumps * self.solid[self.kind_of[which][..., None], self.kind_of[index]][..., None]).sum(-2)
        return torch.cat([t.expand(*index.shape, t.shape[-1]) for t in told], dim=-1), gap, bumps


def _bounds(low: list[float], high: list[float]) -> Tensor:
    """Least and greatest whole quanta of each number, (2, FIELDS), in a place with this floor."""
    found = np.repeat([[-(2.0**22)], [2.0**22]], len(FIELDS), axis=1)
    found[:, PHASE], found[0, TIMER], found[:, ON] = (-1024, 1024), 0, (0, 1)
    found[:, X : Y + 1] = np.trunc(np.array([low, high]) / QUANTA[X : Y + 1])
    return torch.tensor(found, dtype=torch.float32)


def half_turn(degrees: Tensor) -> Tensor:
    """The same angle in [-180, 180)."""
    return torch.remainder(degrees + 180, 360) - 180
