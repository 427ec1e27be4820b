"""Stage `transitions`: learn how the entities of a living scene move, react and keep their state.

Trains a generator's transitions alone, on short stretches of the true engine with nothing drawn: first single ticks
from everywhere, then over several ticks of its own, so that small errors do not feed on themselves. Within a rollout an
entity follows its own numbers among the others' true ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldsim.data.entity_steps import EntitySteps, draw_entity_steps, liveliness
from worldsim.entities import FIELDS, ON, PHASE, TURNS, X, Z
from worldsim.errors import ConfigError
from worldsim.model.generator import Generator
from worldsim.model.transitions import Change, EntityTransitions, Tick, half_turn
from worldsim.train.setup import Setup
from worldsim.train.stages.base import Stage

STRETCHES = 20_000
HELD_OUT = 500
_ROWS = {1: 512, 4: 160, 8: 96, 16: 56}  # entities of each kind in a step, by how many ticks they are followed
_LONGER_EVERY = 700  # steps until rollouts may be longer
_UNIT = (0.003, 0.003, 0.003, 0.5, 0.01, 0.01, 0.005, 0.05, 1.0, 0.005, 1.0)  # an error of this much costs about 1
_GATES = 3.0  # of the loss: whether a number changes at all
_NOISE = (2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0)  # quanta
_STRAYED_M = 0.02
_RARE = 0.3  # liveliness below which ticks weigh the same
_MEASURE_EVERY = 100


@dataclass(frozen=True)
class Picks:
    """R entities of each kind to follow: the stretch, the first tick and the slot of each, (R, kinds)."""

    stretch: Tensor
    tick: Tensor
    slot: Tensor


class TransitionsStage(Stage):
    """Trains a Generator's transitions on `steps`; all else stays as it is."""

    name = "transitions"
    full_precision = True

    def __init__(
        self, generator: Generator, steps: EntitySteps, held_out: EntitySteps, export: Callable[[], None]
    ) -> None:  # fmt: skip
        """held_out: what the errors in the log are measured on."""
        self._generator, self._steps, self._held_out, self._export = generator, steps, held_out, export
        generator.requires_grad_(False)
        self._model = transitions_of(generator)
        self._model.requires_grad_(True)
        self._lively = liveliness(steps)
        self._pools = [_Pool(self._lively[:, :, slots], slots) for slots in self._slots()]
        self._unit = torch.tensor(_UNIT)
        self._cyclic = self._model.cyclic[[slots[0] for slots in self._slots()], 0] > 0
        self._numbers: dict[str, float] = {}

    @classmethod
    def create(cls, setup: Setup) -> TransitionsStage:
        scene = setup.request.scene
        if not scene.slots:
            raise ConfigError(f"stage transitions is for scenes with entities, and {scene.name} has none; leave it out")
        setup.know_walls()
        steps, held_out = draw_entity_steps(scene, STRETCHES, seed=0), draw_entity_steps(scene, HELD_OUT, seed=1)
        return cls(setup.generator, steps, held_out, setup.exporter)

    @property
    def model(self) -> nn.Module:
        return self._generator

    def loss(self, step_seed: int, step: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.Generator(np.random.Philox(key=step_seed))
        longest = min(step // _LONGER_EVERY, len(_ROWS) - 1)
        choices = [n for n in list(_ROWS)[: longest + 1] if n <= self._steps.ticks]
        length = int(rng.choice(choices))
        picks = self._pick(rng, _ROWS[length], length)
        losses = []
        with torch.autocast(self._model.rest.device.type, enabled=False):
            for i, (change, now, then) in enumerate(followed(self._model, self._steps, picks, length, rng)):
                often = self._lively[picks.stretch, picks.tick + i, picks.slot].to(now.device)
                losses.append(self._error(change, now, then, often.clamp(min=_RARE).rsqrt()))
        if step % _MEASURE_EVERY == 0:
            self._numbers = self.measured()
        return torch.stack(losses).mean(), self._numbers

    def export(self) -> None:
        self._export()

    def _error(self, change: Change, now: Tensor, then: Tensor, weight: Tensor) -> Tensor:
        """Whether each number changes, and to what, against the truth `then` (R, K, FIELDS) that was `now`. weight
        (R, K): makes up for how often such ticks are picked, so that what seldom happens is not expected too often.

        An entity that has strayed from the truth meets things at other ticks: whether numbers change is then not asked,
        else a network learns to doubt what it sees."""
        by = (then - now).abs() / self._model.quanta
        changes = (by > 0.5).float()
        gates = F.binary_cross_entropy_with_logits(change.logits, changes, reduction="none")
        matters = torch.where(by > 0.5, (by / 8).clamp(0.1, 1), 1.0)  # to miss a tiny change is no harm
        gates = (gates * matters).sum(-1) + 3 * gates[..., ON]
        strayed = (change.own - now)[..., X : Z + 1].detach().norm(dim=-1)
        weight = weight * (strayed * (-1 / _STRAYED_M)).exp()
        off = _off(change.to, then, self._cyclic) / self._unit.to(then.device)
        values = torch.log1p(off.abs()) * changes
        return _GATES * (gates * weight).mean() + (values.sum(-1) - values[..., ON]).mean()

    def _slots(self) -> list[list[int]]:
        """The slots of each kind."""
        slots = list(enumerate(self._model.slots))
        return [[i for i, slot in slots if slot.kind == kind] for kind in self._model.kinds]

    def _pick(self, rng: np.random.Generator, rows: int, length: int) -> Picks:
        """Entities to follow for `length` ticks, with something to learn at one of them."""
        found = [pool.draw(rng, rows) for pool in self._pools]
        stretch, tick, slot = (torch.from_numpy(np.stack(part, axis=1)) for part in zip(*found, strict=True))
        begin = tick - torch.from_numpy(rng.integers(0, length, tick.shape))
        return Picks(stretch, begin.clamp(0, self._steps.ticks - length), slot)

    @torch.no_grad()
    def measured(self) -> dict[str, float]:
        """On held-out stretches, for each kind: how far off it is after 1 and 16 ticks, the median in centimetres, and
        how often `on` is right in those ticks in which it changes."""
        steps, model, found = self._held_out, self._model, {}
        held = EntitySteps(*(t[:64] for t in (steps.poses, steps.entities, steps.actions, steps.levels, steps.dice)))
        for name, flips in _flips(model, steps).items():
            found[f"{name}_on"] = flips
        entities = held.entities[:, 0]
        for tick in range(held.ticks):
            entities = one_tick(model, held, entities, tick)
            if tick in (0, held.ticks - 1):
                off = (entities - held.entities[:, tick + 1])[..., X : Z + 1].norm(dim=-1)
                for kind in model.kinds:
                    slots = [i for i, slot in enumerate(model.slots) if slot.kind == kind]
                    found[f"{kind}_cm_{tick + 1}"] = 100 * float(off[:, slots].median())
        return found


class _Pool:
    """The ticks of all entities of a kind, drawn by how lively they are."""

    def __init__(self, weights: Tensor, slots: list[int]) -> None:
        """weights (N, T, slots)."""
        self._shape, self._slots = tuple(weights.shape), np.array(slots)
        self._sums = weights.double().flatten().cumsum(0).numpy()

    def draw(self, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Stretches, ticks and slots (count,)."""
        at = np.searchsorted(self._sums, rng.random(count) * self._sums[-1]).clip(max=len(self._sums) - 1)
        stretch, tick, column = np.unravel_index(at, self._shape)
        return stretch, tick, self._slots[column]


def followed(
    model: EntityTransitions, steps: EntitySteps, picks: Picks, length: int, rng: np.random.Generator
) -> Iterator[tuple[Change, Tensor, Tensor]]:
    """Follow entities for some ticks, a little off at first: what becomes of each, beside its true numbers before and
    after (R, K, FIELDS). `on` stays true: what follows from a wrong one is another story."""
    device = model.rest.device
    stretch, slot = picks.stretch, picks.slot
    here = slot[..., None] == torch.arange(len(model.slots))
    noise = torch.from_numpy(rng.normal(size=(*slot.shape, len(FIELDS))).astype(np.float32))
    some = torch.from_numpy(rng.random((*slot.shape, 1)) < 0.5)
    true = steps.entities[stretch, picks.tick, slot].to(device)
    own = true + (noise * torch.tensor(_NOISE)).round().to(device) * model.quanta * some.to(device)
    for tick in (picks.tick + i for i in range(length)):
        entities = torch.where(here[..., None].to(device), own[:, :, None], steps.entities[stretch, tick].to(device))
        poses, after = steps.poses[stretch, tick].to(device), steps.poses[stretch, tick + 1].to(device)
        told = (steps.actions[stretch, tick], steps.levels[stretch, tick], steps.dice[stretch, tick, slot])
        parts = Tick(slot.to(device), entities, poses[..., :2], after[..., :2], after[..., 2:], *told)
        change = model.change(_on(parts, device))
        then = steps.entities[stretch, tick + 1, slot].to(device)
        yield change, true, then
        own, true = _carried(model, change, then), then


def _on(tick: Tick, device: torch.device) -> Tick:
    return replace(tick, action=tick.action.to(device), levels=tick.levels.to(device), dice=tick.dice.to(device))


def _carried(model: EntityTransitions, change: Change, then: Tensor) -> Tensor:
    """The numbers that the next tick begins with, in whole quanta; gradients pass through rounding and choice (a
    straight-through estimator, Bengio et al. 2013), none greater than that of an error of its own: over many bounces
    they would grow without end, and in a trial they did."""
    soft = change.logits.sigmoid()
    gate = (change.logits > 0).float() + soft - soft.detach()
    values = change.own + gate * (change.to - change.own)
    whole = model.rounded(values.detach()) * model.quanta
    values = whole + values - values.detach()
    most = 1 / (torch.tensor(_UNIT, device=values.device) * values.shape[0] * values.shape[1])
    if values.requires_grad:
        values.register_hook(lambda gradient: gradient.nan_to_num(0.0).clamp(-most, most))
    return torch.cat([values[..., :ON], then[..., ON : ON + 1], values[..., ON + 1 :]], dim=-1)


def one_tick(model: EntityTransitions, steps: EntitySteps, entities: Tensor, tick: int) -> Tensor:
    """All entities (N, S, FIELDS) after tick `tick` of stretches, beside the true player."""
    before, after = steps.poses[:, tick], steps.poses[:, tick + 1]
    told = steps.actions[:, tick], steps.levels[:, tick], steps.dice[:, tick]
    return model.rounded(model(entities, before[:, :2], after[:, :2], after[:, 2:], *told)) * model.quanta


def _flips(model: EntityTransitions, steps: EntitySteps) -> dict[str, float]:
    """For each kind whose `on` changes: how often it is right in the ticks in which it does, from true numbers."""
    on = steps.entities[..., ON]
    found = {}
    stretch, tick, slot = ((on[:, 1:] - on[:, :-1]).abs() > 0.5).nonzero(as_tuple=True)
    for number, kind in enumerate(model.kinds):
        mine = (model.kind_of[slot] == number).nonzero()[:64, 0]
        if len(mine) == 0:
            continue
        n, t = stretch[mine], tick[mine]
        some = EntitySteps(
            torch.stack([steps.poses[n, t], steps.poses[n, t + 1]], 1), steps.entities[n, t][:, None],
            steps.actions[n, t][:, None], steps.levels[n, t][:, None], steps.dice[n, t][:, None],
        )  # fmt: skip
        made = one_tick(model, some, some.entities[:, 0], 0)[torch.arange(len(n)), slot[mine], ON]
        found[kind] = float((made == on[n, t + 1, slot[mine]]).float().mean())
    return found


def _off(made: Tensor, true: Tensor, cyclic: Tensor) -> Tensor:
    """Differences (..., K, FIELDS), angles by the shorter way, and so the phases of those kinds (K,) where they go
    round."""
    parts = list((made - true).split(1, dim=-1))
    for field in TURNS:
        parts[field] = half_turn(parts[field])
    round_ = torch.remainder(parts[PHASE] + 1, 2) - 1
    parts[PHASE] = torch.where(cyclic[:, None], round_, parts[PHASE])
    return torch.cat(parts, dim=-1)


def transitions_of(generator: Generator) -> EntityTransitions:
    """The transitions of a generator of a scene with entities."""
    found = getattr(generator, "transitions", None)
    assert isinstance(found, EntityTransitions)
    return found
