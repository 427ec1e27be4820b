"""A hand's pans: where a motion of the mouse is going, judged from the whole quanta it has given out so far.

A pan is a minimum-jerk motion: share s(t) = 10 t^3 - 15 t^4 + 6 t^5 of it is done after share t of its time (Flash &
Hogan 1985, eq. 3). Its duration, onset and size are unknown, and a tick shows whole quanta only, the rest is carried.
So every duration and onset is kept as a hypothesis, the same for all axes; size and carried rest are a linear-Gaussian
fit to each. The next quanta are judged by all hypotheses together. Durations are in ticks, sizes in quanta.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

Quanta = tuple[int, ...]  # of each mouse axis in one tick

_DURATIONS = np.arange(1.0, 30.25, 0.5)
_STARTS = np.arange(0.25, 4.25, 0.25)  # how long a pan was under way at the end of the first tick that showed it
_LONGEST = 64  # ticks one pan is followed for, at most
_BINS, _BIN_WIDTH, _BIN_LEAST = 28, 0.25, -0.7  # of the logarithm of a pan's size
_SHOWN = 25  # different quanta of one axis that are told apart in a forecast
_KEPT = 128  # hypotheses a forecast is made of, the likeliest

_ROUNDING = 0.12  # variance of a whole quantum about its middle: 1/12, and some for a hand that is not quite exact
_CARRIED = 0.5  # variance of what was carried into the pan, in [-1, 1]: 1/3, and some for what no model knows
_UNSHOWN, _UNSHOWN_WEIGHT = 0.35, 0.5  # quanta gone before the first tick that showed one: less than 1, so vague
_STILL_AXIS = 0.5  # prior probability that an axis that has not moved takes no part in the pan
_CLOSE = 0.12  # the timing of a hand is off by a share of the duration (scalar timing, Gibbon 1977)
_ALIKE = 0.35  # in the logarithm of the size

_D = np.repeat(np.arange(len(_DURATIONS)), len(_STARTS))  # of each hypothesis, its row in _DURATIONS
_DURATION = _DURATIONS[_D]
_START = np.tile(_STARTS, len(_DURATIONS))
_ON_TICKS = (np.round(_DURATION % 1 / 0.5) * 4 + np.round(_START % 1 / 0.25)).astype(int)  # place between ticks


def minimum_jerk(time: np.ndarray) -> np.ndarray:
    """Share of a pan done after a share of its time (Flash & Hogan 1985, eq. 3)."""
    t = np.clip(time, 0.0, 1.0)
    return t**3 * (10 + t * (6 * t - 15))


# [ticks, hypothesis]: share of the pan done after so many ticks, the first being the first that showed it.
_SHARE = minimum_jerk((_START + np.arange(-1, _LONGEST + 1)[:, None]) / _DURATION)

# Probability that an axis shows nothing: it takes no part, or has gone less than a quantum after its share, its size
# being of any scale up to a thousand quanta. Same shape.
_STAYS = _STILL_AXIS + (1 - _STILL_AXIS) * np.clip(-np.log(np.maximum(_SHARE, 1e-9)) / np.log(1e3), 0.0, 1.0)


def _bin(size: np.ndarray) -> np.ndarray:
    """Which bin of the logarithm of the size."""
    return np.minimum((np.log(np.maximum(size, 0.5)) - _BIN_LEAST) / _BIN_WIDTH, _BINS - 1).astype(int)


def _blur(values: np.ndarray, width: float) -> np.ndarray:
    """Gaussian weights between all pairs of values; columns sum to 1."""
    weight = np.exp(-0.5 * np.square((values[:, None] - values) / width))
    return weight / weight.sum(axis=0)


_BLUR_DURATION = _blur(np.log(_DURATIONS), _CLOSE)
_BLUR_SIZE = _blur(np.arange(_BINS) * _BIN_WIDTH, _ALIKE)


class PanPrior(NamedTuple):
    """What is likely before a pan shows itself; both 1 on average. by_size: of duration and size's bin;
    on_ticks: of how duration and onset lie between ticks."""

    by_size: np.ndarray
    on_ticks: np.ndarray


class PanHabits:
    """How long and how far this player pans, learned from the pans they finished, in a context and overall.

    A context with few pans leans on all pans, those on the belief that anything goes; old pans fade.
    """

    _ANYTHING, _OVERALL, _KEEP = 3.0, 2.0, 0.98  # weights in pans; what is kept of the counts after one more pan

    def __init__(self) -> None:
        self._seen: dict[Hashable, np.ndarray] = {}  # [duration, bin], sums to the number of pans
        self._on_ticks = np.full(_ON_TICKS.max() + 1, 0.25)  # either on the ticks or anywhere, few pans tell

    def prior(self, context: Hashable) -> PanPrior:
        """What a pan that begins in this context will probably be like."""
        seen = self._of(_ALL)
        overall = (self._ANYTHING + seen * seen.size) / (self._ANYTHING + seen.sum())
        seen = self._of(context)
        by_size = (self._OVERALL * overall + seen * seen.size) / (self._OVERALL + seen.sum())
        return PanPrior(by_size, self._on_ticks / self._on_ticks.mean())

    def learn(self, pan: Pan, context: Hashable) -> None:
        """Remember a finished pan."""
        weight = pan.weights
        seen = np.outer(_BLUR_DURATION @ np.bincount(_D, weight, len(_DURATIONS)), _BLUR_SIZE[:, _bin(pan.size)])
        for key in (_ALL, context):
            self._seen[key] = self._KEEP * self._of(key) + seen
        if pan.ticks > 4:  # shorter ones do not tell
            self._on_ticks = self._on_ticks * self._KEEP + np.bincount(_ON_TICKS, weight, len(self._on_ticks))

    def _of(self, context: Hashable) -> np.ndarray:
        return self._seen.get(context, np.zeros((len(_DURATIONS), _BINS)))


_ALL = "all contexts"


class _Axis(NamedTuple):
    """One axis that moves. sums: for each hypothesis those that a weighted line fit of the quanta gone (y) over the
    share done (s) needs: of 1, s, s s, y, s y, y y."""

    sign: int
    total: int
    sums: np.ndarray


class _Fit(NamedTuple):
    """For each hypothesis: size, carried rest, their covariance, and the logarithm of the evidence."""

    size: np.ndarray
    rest: np.ndarray
    var_size: np.ndarray
    var_both: np.ndarray
    var_rest: np.ndarray
    evidence: np.ndarray


@dataclass(frozen=True)
class Forecast:
    """Probabilities of the next quanta. values: for each axis those told apart; table: joint, an axis for each."""

    values: tuple[np.ndarray, ...]
    table: np.ndarray

    def probability(self, quanta: Quanta) -> float:
        """Of exactly these quanta."""
        at = [np.flatnonzero(v == q) for v, q in zip(self.values, quanta, strict=True)]
        return float(self.table[np.ix_(*at)].sum())  # at a limit, several

    def likeliest(self, count: int) -> list[tuple[Quanta, float]]:
        """The likeliest quanta with their probabilities, best first."""
        order = np.argsort(-self.table, axis=None, kind="stable")[:count]
        places = np.stack(np.unravel_index(order, self.table.shape), axis=1)
        return [
            (tuple(int(v[i]) for v, i in zip(self.values, place, strict=True)), float(self.table[tuple(place)]))
            for place in places
        ]


@dataclass(frozen=True)
class Pan:
    """What is known of one pan after some ticks. Never changed: `after` makes the next. limits: quanta of each axis
    that one tick can give out."""

    prior: PanPrior
    limits: tuple[int, ...]
    ticks: int = 0
    axes: tuple[_Axis | None, ...] = field(default=())

    @classmethod
    def begin(cls, prior: PanPrior, limits: Sequence[int], quanta: Quanta) -> Pan:
        """A pan that shows itself first in these quanta, not all 0."""
        pan = cls(prior, tuple(limits), 0, (None,) * len(quanta)).after(quanta)
        assert pan is not None
        return pan

    def after(self, quanta: Quanta) -> Pan | None:
        """After one more tick; None if this cannot be the same pan: it is too long or goes back."""
        if self.ticks == _LONGEST:
            return None
        axes: list[_Axis | None] = []
        for axis, moved in zip(self.axes, quanta, strict=True):
            if axis is None and moved:
                axis = _Axis(1 if moved > 0 else -1, 0, self._unshown())
            if axis is not None:
                total = axis.total + axis.sign * moved
                if total < axis.total:
                    return None
                axis = _Axis(axis.sign, total, axis.sums + _terms(_SHARE[self.ticks + 1], total + 0.5))
            axes.append(axis)
        return Pan(self.prior, self.limits, self.ticks + 1, tuple(axes))

    @property
    def size(self) -> np.ndarray:
        """Quanta gone along the axis that went furthest."""
        return np.array(max(axis.total + 0.5 for axis in self.axes if axis))

    @cached_property
    def weights(self) -> np.ndarray:
        """Probability of each hypothesis."""
        log = np.log(self.prior.on_ticks[_ON_TICKS])
        for axis, fit in zip(self.axes, self._fits, strict=True):
            log = log + (np.log(_STAYS[self.ticks]) if axis is None or fit is None else fit.evidence)
        weight = np.exp(log - log.max())
        return weight / weight.sum()

    @property
    def over(self) -> float:
        """Probability that it has come to its end."""
        return float(self.weights[_START + self.ticks - 1 >= _DURATION].sum())

    @cached_property
    def forecast(self) -> Forecast:
        """The quanta of the next tick."""
        top = np.argpartition(-self.weights, _KEPT)[:_KEPT]
        top = np.sort(top[self.weights[top] > 1e-4 * self.weights.max()])
        weight = self.weights[top] / self.weights[top].sum()
        share = _SHARE[self.ticks + 1, top]
        values, chances = [], []
        for axis, fit, limit in zip(self.axes, self._fits, self.limits, strict=True):
            value, chance = _unmoved(self.ticks, top) if fit is None else _moving(axis, fit, top, weight, share)
            values.append(np.clip(value, -limit, limit))
            chances.append(chance)
        joint = weight[:, None]
        for chance in chances[:-1]:
            joint = (joint[:, :, None] * chance[:, None, :]).reshape(len(top), -1)
        return Forecast(tuple(values), (joint.T @ chances[-1]).reshape([len(v) for v in values]))

    @cached_property
    def _fits(self) -> list[_Fit | None]:
        return [
            None if axis is None else _fit(axis, limit, self.prior)
            for axis, limit in zip(self.axes, self.limits, strict=True)
        ]

    def _unshown(self) -> np.ndarray:
        """The sums of an axis before its first quantum: the tick before, it had gone less than one."""
        share = _SHARE[self.ticks]
        return _terms(share, _UNSHOWN) * np.where(share > 0, _UNSHOWN_WEIGHT, 0.0)


def _terms(share: np.ndarray, gone: float) -> np.ndarray:
    """What one tick adds to the sums of `_Axis`."""
    sums = np.empty((6, len(share)))
    sums[0], sums[1], sums[2] = 1.0, share, share * share
    sums[3], sums[4], sums[5] = gone, gone * share, gone * gone
    return sums


def _fit(axis: _Axis, limit: int, prior: PanPrior) -> _Fit:
    """Bayesian line y = rest + size s for each hypothesis: rounding and carried rest Gaussian, the size of any scale.

    A size whose fastest tick, 1.875 size / duration, were beyond the limit is impossible."""
    one, s, ss, y, sy, yy = axis.sums
    a, b, c = ss, s, one + _ROUNDING / _CARRIED
    det = a * c - b * b + 1e-12
    size, rest = (c * sy - b * y) / det, (a * y - b * sy) / det
    missed = np.maximum(yy - size * sy - rest * y, 0.0)
    evidence = -0.5 * (missed / _ROUNDING + np.log(det)) - np.log(np.maximum(size, 0.5))
    evidence += np.log(prior.by_size[_D, _bin(size)])
    possible = (size > 0) & (size < limit * np.maximum(_DURATION / 1.875, 1.0) + 1)
    noise = _ROUNDING / det
    return _Fit(size, rest, c * noise, b * noise, a * noise, np.where(possible, evidence, -1e9))


def _moving(
    axis: _Axis | None, fit: _Fit, top: np.ndarray, weight: np.ndarray, share: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Quanta of the next tick for an axis that moves, and their chances for each of the top hypotheses."""
    assert axis is not None
    size, rest, var_size, var_both, var_rest, _ = (x[top] for x in fit)
    mean = rest + size * share
    spread = np.sqrt(np.maximum(var_size * share**2 - 2 * var_both * share + var_rest, 0.0) + 0.1 * _ROUNDING)
    least = max(0, int(weight @ mean) - axis.total - _SHOWN // 2)
    edges = axis.total + np.arange(least, least + _SHOWN + 1)
    below = _normal_below((edges - mean[:, None]) / spread[:, None])
    if not least:
        below[:, 0] = 0.0  # a pan does not go back
    return axis.sign * (edges[:-1] - axis.total), np.diff(below, axis=1)


def _normal_below(z: np.ndarray) -> np.ndarray:
    """Share of a standard normal below z, to 3e-4 (Page 1977)."""
    z = np.minimum(np.maximum(z, -9.0), 9.0)
    return 0.5 + 0.5 * np.tanh(0.79788456 * z * (1 + 0.044715 * z * z))


def _unmoved(ticks: int, top: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Quanta of the next tick for an axis that has not moved yet, and their chances."""
    stays = _STAYS[ticks + 1, top] / _STAYS[ticks, top]
    return np.array([0, 1, -1]), np.stack([stays, (1 - stays) / 2, (1 - stays) / 2], axis=1)


class Hand:
    """Follows the mouse: at rest or in a pan, and which pans this player makes."""

    _REST = 4  # ticks without motion after which a pan has ended for good
    _STRANGE, _ENDED = 0.01, 0.7  # a motion so unlikely, after a pan so surely over, is a new one

    def __init__(self, limits: Sequence[int]) -> None:
        self._limits = tuple(limits)
        self._habits = PanHabits()
        self._pan: Pan | None = None
        self._context: Hashable = None
        self._still = 0

    def observe(self, quanta: Quanta, keys: Hashable) -> None:
        """Learn from the quanta of a tick, in which these keys were held."""
        self._still = 0 if any(quanta) else self._still + 1
        before, self._pan = self._pan, self._go_on(quanta)
        if before is not None and self._pan is None:
            self._habits.learn(before, self._context)
        if self._pan is None and any(quanta):
            self._context = (keys, before is not None)  # what follows another pan at once corrects it
            self._pan = Pan.begin(self._habits.prior(self._context), self._limits, quanta)

    def forecast(self, drafted: Sequence[Quanta] = ()) -> Forecast | None:
        """The next quanta after those drafted; None at rest."""
        pan = self._pan
        for quanta in drafted:
            pan = pan.after(quanta) if pan is not None else None
            if pan is None and any(quanta):
                pan = Pan.begin(self._habits.prior(self._context), self._limits, quanta)
        return None if pan is None else pan.forecast

    def _go_on(self, quanta: Quanta) -> Pan | None:
        """The pan in progress after one more tick; None if there is none or these are not part of it."""
        if self._pan is None or self._still >= self._REST:
            return None
        strange = any(quanta) and self._pan.forecast.probability(quanta) < self._STRANGE
        return None if strange and self._pan.over > self._ENDED else self._pan.after(quanta)
