"""Transitions of entities: where each will be, and what it will be doing, in the next tick, as the network believes.

One small network a kind. It sees its own entity, the place around it in a plan of trained features, the player, the
nearest other entities, events and chance, all relative to the entity. What a kind does is learned: nothing here knows
a ball from a door. For each number the network says whether it changes at all and what it changes to, so that what is
at rest stays exactly where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldsim.entities import AIM, DICE, FIELDS, HEADING, ON, PHASE, QUANTA, RATE, TIMER, TURNS, VX, VY, Slot, X, Y, Z
from worldsim.model.bodies import (
    axes,
    beyond_box,
    clip,
    direction,
    dot,
    length,
    nearest_of,
    nearness,
    rows_of,
    turned,
)
from worldsim.model.odometry import CELLS_M, read_plans
from worldsim.model.place_memory import Extent

_NEAREST = 3
_WIDTH, _OTHERS = 128, 48  # of the networks, and of what they make of other entities
_KIND, _SLOT, _PLAN = 4, 4, 4  # learned numbers: of a kind as others see it, of a slot, of a cell of the plan
_AHEAD_S = 0.05  # how far ahead the plan is read: about a tick
_WITHIN_M = 2.0  # other entities farther away than this are not seen
_UNIT = (0.1, 0.1, 0.1, 10.0, 1.0, 1.0, 0.1, 1.0, 1.0, 1.0, 10.0)  # of what the network says: about a tick's change
_OUT = 2 * len(FIELDS) + 2 * len(TURNS)  # does it change, by how much, and directions to turn to
_DEGREES = 57.29577951308232


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
    size: Tensor
    quanta: Tensor
    unit: Tensor
    members: Tensor
    columns: Tensor
    kind_of: Tensor
    low: Tensor
    span: Tensor

    def __init__(self, slots: tuple[Slot, ...], actions: int, events: int, extent: Extent, step_m: float) -> None:
        """actions, events: how many there are. extent: the box of the place. step_m: the player's longest step."""
        super().__init__()
        self.slots, self.step_m = slots, step_m
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
            "rest": torch.tensor([s.rest for s in slots], dtype=torch.float32),
            "size": torch.tensor([s.size for s in slots], dtype=torch.float32),
            "quanta": torch.tensor(QUANTA, dtype=torch.float32),
            "unit": torch.tensor(_UNIT),
            "low": low,
            "span": high - low,
        }.items():
            self.register_buffer(name, values, persistent=False)
        self.plans = nn.ParameterList()
        for cell in CELLS_M:
            columns, lines = (((high - low) / cell).ceil().int() + 1).tolist()
            self.plans.append(nn.Parameter(torch.randn(1, _PLAN, lines, columns) * 0.003))
        kinds = len(self.kinds)
        self.kind_seen = nn.Parameter(torch.randn(kinds, _KIND))
        self.slot_seen = nn.Parameter(torch.randn(len(slots), _SLOT) * 0.1)
        self.tether = nn.Parameter(torch.zeros(kinds, len(FIELDS)))  # 1: not where it was counts, but where it rests
        seen, other = self._widths(actions, events)
        self.near = PerKind(kinds, other, _OTHERS)
        self.first = PerKind(kinds, seen + _OTHERS, _WIDTH)
        self.second = PerKind(kinds, _WIDTH, _WIDTH)
        self.last = PerKind(kinds, _WIDTH, _OUT, zero=True)
        self.straight = PerKind(kinds, seen, _OUT, zero=True)

    @torch.no_grad()
    def _widths(self, actions: int, events: int) -> tuple[int, int]:
        """How many numbers the networks see, and how many of each other entity."""
        at = self.rest[None, None, :, :]
        two, own = torch.zeros(1, 1, 2), self.rest[self.members]
        nothing = (torch.zeros(1, 1, actions), torch.zeros(1, 1, events), torch.zeros(1, own.shape[1], DICE))
        tick = Tick(self.members, at, two, two, two, *nothing)
        index = torch.zeros(1, own.shape[1], 1, dtype=torch.long)
        other = self._sees_others(at.expand(-1, own.shape[1], -1, -1), self.members, index, own)[0]
        return self._sees(tick, own).shape[-1], other.shape[-1]

    def forward(
        self, entities: Tensor, before: Tensor, after: Tensor, look: Tensor, action: Tensor, levels: Tensor,
        dice: Tensor,
    ) -> Tensor:  # fmt: skip
        """The entities (F, S, FIELDS) one tick later, not yet in whole quanta.

        entities (F, S, FIELDS) in whole quanta; before, after (F, 2) the player's position in metres; look (F, 2) yaw
        and pitch in radians after the turn; action (F, A) in [-1, 1]; levels (F, E) of events; dice (F, S, DICE).
        """
        everyone = (t[:, None] for t in (entities, before, after, look, action, levels))
        tick = Tick(self.members, *everyone, dice[:, self.members[0]])
        return self.change(tick).values()[:, self.columns]

    def rounded(self, values: Tensor) -> Tensor:
        """Numbers (..., FIELDS) in whole quanta, as floats."""
        whole = torch.round(values / self.quanta)
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
        sees = self._by_kind(self._sees(tick, own))
        others = self._by_kind(self._others(entities, which, own))
        x = F.silu(self.second(F.silu(self.first(torch.cat([sees, others], dim=-1)))))
        out = self.last(x) + self.straight(sees)
        out = out.view(len(self.kinds), frames, -1, _OUT).transpose(0, 1).reshape(frames, count, _OUT)
        return Change(own, out[..., : len(FIELDS)], self._changed(out[..., len(FIELDS) :], own, self.rest[tick.which]))

    def _by_kind(self, x: Tensor) -> Tensor:
        """(F, J, D) -> (kinds, F * J / kinds, D)."""
        frames, _, width = x.shape
        return x.view(frames, len(self.kinds), -1, width).transpose(0, 1).reshape(len(self.kinds), -1, width)

    def _changed(self, out: Tensor, own: Tensor, rest: Tensor) -> Tensor:
        """What the numbers change to (F, J, FIELDS), from the network's changes and directions."""
        by, towards = out[..., : len(FIELDS)] * self.unit, out[..., len(FIELDS) :]
        sin, cos = axes(rest)
        tether = self.tether.repeat_interleave(own.shape[1] // len(self.kinds), dim=0)
        moved, faster = turned(by[..., X : Y + 1], -sin, cos), turned(by[..., VX : VY + 1], -sin, cos)
        by = torch.cat([moved, by[..., Z : HEADING + 1], faster, by[..., PHASE:]], dim=-1)
        new = own + by - tether * (own - rest)
        heading, aim = (
            self._turned_to(own, by, 1 - tether[:, field : field + 1], towards[..., i : i + 2], rest, field)
            for i, field in zip((0, 2), TURNS, strict=True)
        )
        off = 1 - own[..., ON : ON + 1]
        return torch.cat(
            [new[..., :HEADING], heading, new[..., VX:ON], off, new[..., TIMER : TIMER + 1], aim], dim=-1
        )  # fmt: skip

    def _turned_to(self, own: Tensor, by: Tensor, keep: Tensor, towards: Tensor, rest: Tensor, field: int) -> Tensor:
        """Where an angle turns (F, J, 1): as it was by so much, and towards a direction, in degrees near `own`."""
        angle = (own[..., field : field + 1] - rest[..., HEADING : HEADING + 1] + by[..., field : field + 1]) / _DEGREES
        sin, cos = angle.sin() * keep + towards[..., :1], angle.cos() * keep + towards[..., 1:]
        to = torch.atan2(sin, cos + 1e-6) * _DEGREES + rest[..., HEADING : HEADING + 1]
        return own[..., field : field + 1] + half_turn(to - own[..., field : field + 1])

    def _sees(self, tick: Tick, own: Tensor) -> Tensor:
        """What the networks see of their own entities, the place, the player, events and chance: (F, J, D)."""
        rest, size = self.rest[tick.which], self.size[tick.which]
        told = [tick.action, tick.levels, tick.dice * 2 - 1]
        chance = torch.cat([tick.dice * (6.283185307179586 * n) for n in (1, 2, 4)], dim=-1)
        told += [chance.sin(), chance.cos(), size, self.slot_seen[tick.which]]
        shape = own.shape[:-1]
        place = self._place(own)
        seen = [*_own_state(own, rest), *self._player(tick, own, rest, size / 2), place, *told]
        return torch.cat([t.expand(*shape, t.shape[-1]) for t in seen], dim=-1)

    def _player(self, tick: Tick, own: Tensor, rest: Tensor, half: Tensor) -> list[Tensor]:
        """The player as entities see it, from where they are, and from where they rest."""
        at, home = axes(own), axes(rest)
        facing = torch.stack([tick.look[..., 0].sin(), tick.look[..., 0].cos()], dim=-1)
        before, after = tick.before - own[..., X : Y + 1], tick.after - own[..., X : Y + 1]
        step, speed = tick.after - tick.before, own[..., VX : VY + 1]
        beyond = beyond_box(turned(after, *at), half[..., :2])
        far, away = tick.after - rest[..., X : Y + 1], direction(after)
        far_home = turned(far, *home)
        beyond_home = beyond_box(far_home, half[..., :2])
        gap, gap_home = length(beyond), length(beyond_home)
        return [
            clip(turned(after, *home)), turned(away, *home),
            clip(turned(before, *home)), turned(direction(before), *home),
            nearness(length(after)), nearness(length(before)), turned(step / self.step_m, *home), turned(facing, *home),
            turned(facing, *at), turned(away, *at), direction(beyond, 0.02), nearness(gap), clip(gap * 5),
            dot(facing, away), dot(away, speed / 4), dot(away, step / self.step_m), tick.look[..., 1:],
            clip(far_home), direction(far_home), nearness(gap_home), clip(gap_home), nearness(length(far)),
            dot(facing, direction(far, 0.02)),
        ]  # fmt: skip

    def _place(self, own: Tensor) -> Tensor:
        """The plan where entities are and where they are going: (F, J, all features of both)."""
        at = own[..., X : Y + 1]
        ends = torch.stack([at, at + own[..., VX : VY + 1] * _AHEAD_S], dim=-2)
        found = read_plans(self.plans, (ends.reshape(-1, 2) - self.low) / self.span * 2 - 1)
        return found.view(*own.shape[:-1], -1)

    def _others(self, entities: Tensor, which: Tensor, own: Tensor) -> Tensor:
        """What the nearest other entities come to (F, J, _OTHERS)."""
        frames, count = which.shape
        if not self.nearest:
            return own.new_zeros(frames, count, _OTHERS)
        index = nearest_of(entities, self.size, own[..., X : Y + 1], self.nearest, which)
        told, gap = self._sees_others(entities, which, index, own)
        made = F.silu(self.near(self._by_kind(told.reshape(frames, count * self.nearest, -1))))
        made = made.view(len(self.kinds), frames, -1, self.nearest, _OTHERS).transpose(0, 1)
        return (made.reshape(frames, count, self.nearest, _OTHERS) * (1 - gap / _WITHIN_M).clamp(0, 1)).sum(2)

    def _sees_others(self, entities: Tensor, which: Tensor, index: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """What an entity sees of those at slots `index` (F, J, n): (F, J, n, D), and the gap to their boxes."""
        other, own, rest = rows_of(entities, index), own[:, :, None], self.rest[which][:, :, None]
        half, mine = self.size[index] / 2, self.size[which][:, :, None] / 2
        at, home = axes(other), axes(rest)
        offset, speed = other[..., X : Y + 1] - own[..., X : Y + 1], other[..., VX : VY + 1]
        relative = speed - own[..., VX : VY + 1]
        beyond = beyond_box(turned(-offset, *at), half[..., :2])  # from the other's box to this one, in its axes
        gap, away = length(beyond), turned(turned(direction(beyond, 0.02), -at[0], at[1]), *home)
        far = other[..., X : Y + 1] - rest[..., X : Y + 1]
        turn = (other[..., HEADING : HEADING + 1] - rest[..., HEADING : HEADING + 1]) / _DEGREES
        told = [
            clip(turned(offset, *home)), turned(direction(offset), *home), away, away * nearness(gap)[..., :1],
            turned(relative / 4, *home), turned(speed / 4, *home), nearness(gap), clip((gap - mine[..., :1]) * 10),
            half, mine, turn.sin(), turn.cos(), other[..., PHASE : ON + 1], other[..., Z : Z + 1] - own[..., Z : Z + 1],
            dot(away, turned(relative / 4, *home)), nearness(length(far)), clip(turned(far, *home)),
            self.kind_seen[self.kind_of[index]],
        ]  # fmt: skip
        return torch.cat([t.expand(*index.shape, t.shape[-1]) for t in told], dim=-1), gap


def _own_state(own: Tensor, rest: Tensor) -> list[Tensor]:
    """What an entity sees of itself, in the axes in which it rests."""
    home = axes(rest)
    off, speed = (turned(v, *home) for v in ((own - rest)[..., X : Y + 1], own[..., VX : VY + 1]))
    heading, aim = own[..., HEADING : HEADING + 1], own[..., AIM : AIM + 1]
    to_rest = rest[..., HEADING : HEADING + 1]
    angles = torch.cat([heading - to_rest, aim - to_rest, aim - heading], dim=-1) / _DEGREES
    height = own[..., Z : Z + 1] - rest[..., Z : Z + 1]
    phase, rate, on, timer = (own[..., i : i + 1] for i in (PHASE, RATE, ON, TIMER))
    return [
        off / 8, clip(off), clip(off * 10), height, clip(height * 10), speed / 4, clip(speed * 2), clip(speed * 20),
        direction(speed, 0.02), length(speed) / 4, angles.sin(), angles.cos(), clip(half_turn(aim - heading) / 20),
        phase, clip(phase * 20), clip((1 - phase) * 20), clip((phase + 1) * 20), phase.square(), rate / 4,
        clip(rate * 10), on, phase * on, timer / 4, clip(timer), clip(timer * 10),
    ]  # fmt: skip


def half_turn(degrees: Tensor) -> Tensor:
    """The same angle in [-180, 180)."""
    return torch.remainder(degrees + 180, 360) - 180
