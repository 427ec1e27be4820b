"""Where the mouse will be next tick, as a few motions to draft for, the likeliest first.

A draft serves every motion within the tolerance, a square. So the plane of motions is laid out in squares as wide as
that, along the hand's last motion: one around no motion, and others of which one lies around the motion expected. How
often the hand went to each of them is counted, apart for each speed and age of the last motion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from worldsim.action import Control

Quanta = tuple[int, int]  # yaw, pitch
Degrees = tuple[float, float]  # yaw, pitch
Square = tuple[int, int]  # its number along the last motion, and across it

_REST_TICKS = 6  # without motion, after which the last motion says nothing any more
_KEEP = 0.998  # of older counts after one more
_OVERLAP = 0.95  # squares overlap a little, for motions are whole quanta
_SLOWER = 0.8  # the next motion expected, over the last
_SPREAD = 1.5  # how far off that may be, in squares, before anything is counted
_APART = 0.3  # at least so far lies the first square ahead from the one of no motion, in squares


class _Hand(NamedTuple):
    """What is known after a tick. carry: motion that the hand has made and no tick has used. last: the hand's last
    motion that was not 0, `age` ticks ago."""

    carry: Degrees = (0.0, 0.0)
    last: Degrees = (0.0, 0.0)
    age: int = _REST_TICKS + 1


class MousePredictor:
    """Learns from one hand how its motions follow one another."""

    def __init__(self, axes: Sequence[Control | None], tolerance_deg: float) -> None:
        """axes: the controls of yaw and pitch, None where there is none. tolerance_deg: how far a draft may be from
        the hand's motion on each axis."""
        self._quantum = [c.quantum_deg if c else 1.0 for c in axes]
        self._limit = [c.bounds[1] * c.quantum_deg if c else 0.0 for c in axes]
        self._width = max(2 * _OVERLAP * tolerance_deg, *self._quantum)
        self._most = math.ceil(max(self._limit) / self._width)  # squares to the farthest motion
        self._hand = _Hand()
        self._counts: dict[tuple[int, int], dict[Square, float]] = {}  # by age and speed of the last motion

    def observe(self, used: Degrees, wanted: Degrees) -> None:
        """Learn from one tick. wanted: all motion of the hand that no tick before it has used."""
        carry = self._clamp((wanted[0] - used[0], wanted[1] - used[1]))  # of a flick no more is carried
        hand, self._hand = self._hand, self._after(self._hand, used, carry)
        yaw, pitch = self._clamp(self._hand.last) if self._hand.age == 1 else (0.0, 0.0)
        (u, v), ahead, counts = self._direction(hand), self._ahead(hand), self._counts_after(hand)
        scale = self._width * (u * u + v * v)
        along, across = (u * yaw + v * pitch) / scale, round((u * pitch - v * yaw) / scale)
        if along > 0:
            along = max(1.0, along - ahead + 1) if along > ahead / 2 else 0.0
        if abs(across) <= 1:
            for square in counts:
                counts[square] *= _KEEP
            square = round(along), across
            counts[square] = counts.get(square, 0.0) + 1.0

    def candidates(self, count: int) -> list[tuple[Quanta, float]]:
        """At most `count` different motions in quanta, with their probabilities, the likeliest first."""
        hand = self._hand
        (u, v), ahead, counts = self._direction(hand), self._ahead(hand), self._counts_after(hand)
        total = sum(counts.values())
        chances: dict[Quanta, float] = {}
        for (number, across), times in counts.items():
            along = number - 1 + ahead if number > 0 else number
            yaw, pitch = (u * along - v * across) * self._width, (v * along + u * across) * self._width
            yaw, pitch = self._clamp((hand.carry[0] + yaw, hand.carry[1] + pitch))
            motion = int(yaw / self._quantum[0]), int(pitch / self._quantum[1])
            chances[motion] = chances.get(motion, 0.0) + times / total
        return sorted(chances.items(), key=lambda entry: -entry[1])[:count]

    def _counts_after(self, hand: _Hand) -> dict[Square, float]:
        """How often the hand went to each square after such a motion. At first a guess: on as before, or stop."""
        if hand.age > _REST_TICKS:
            return self._counts.setdefault((0, 0), {(0, 0): 30.0})
        speed = _size(hand.last) / self._width
        key = hand.age, min(self._most, round(speed))
        if key not in self._counts:
            numbers = range(-1, self._most + 1)
            off = (abs(number - _SLOWER * speed + 0.5) / _SPREAD for number in numbers)
            self._counts[key] = {(n, 0): math.exp(-o) + (n == 0) for n, o in zip(numbers, off, strict=True)}
        return self._counts[key]

    def _ahead(self, hand: _Hand) -> float:
        """How far the first square ahead is, in squares: so that one lies around the motion expected."""
        expected = _SLOWER * _size(hand.last) / self._width
        if hand.age > _REST_TICKS or expected < _APART:
            return 1.0
        return (expected - _APART) % 1.0 + _APART

    def _direction(self, hand: _Hand) -> Degrees:
        """The last motion's, its greater part 1, so that squares along it touch."""
        size = _size(hand.last)
        return (hand.last[0] / size, hand.last[1] / size) if hand.age <= _REST_TICKS else (1.0, 0.0)

    def _after(self, hand: _Hand, used: Degrees, carry: Degrees) -> _Hand:
        """One tick later. The hand has moved by what was used and what is carried more than before."""
        moved = used[0] + carry[0] - hand.carry[0], used[1] + carry[1] - hand.carry[1]
        return _Hand(carry, moved, 1) if _size(moved) > 1e-6 else _Hand(carry, hand.last, hand.age + 1)

    def _clamp(self, motion: Degrees) -> Degrees:
        yaw, pitch = (max(-limit, min(limit, part)) for part, limit in zip(motion, self._limit, strict=True))
        return yaw, pitch


def _size(motion: Sequence[float]) -> float:
    return max(map(abs, motion))
