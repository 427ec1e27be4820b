"""When a disc that moves touches something, and how balls roll through one tick. Plain floats: fast, no graphics.

Continuous collision detection: each impact of a tick is found at its own time, so nothing is passed through however
fast it is (Ericson, Real-Time Collision Detection, 2005, section 5.5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Hit = tuple[float, float, float]
"""Seconds until the impact, and the normal (x, y) of what is hit, towards the disc."""
Box = tuple[float, float, float, float]
"""Least x, y, then greatest x, y."""
Disc = tuple[float, float, float]
"""Centre x, y and radius."""
Leaf = tuple[float, float, float, float, float, float]
"""A turned box: centre x, y; its across axis x, y; half its size across and along."""

TOUCH_M = 1e-6  # bodies that overlap by less only touch
FASTEST_M_S = 20.0  # that a kick makes a ball
_IMPACTS = 64  # at most in one tick: a ball that is squeezed has more without end


@dataclass(slots=True)
class Rolling:
    """A ball within a tick. mass: of any unit."""

    x: float
    y: float
    vx: float
    vy: float
    radius: float
    bounce: float
    kick: float
    mass: float


@dataclass(slots=True)
class Mover:
    """A body that no ball can stop, from where it was to where it is at the tick's end. kicks: the player does."""

    x: float
    y: float
    vx: float
    vy: float
    radius: float
    kicks: bool


def hit_disc(dx: float, dy: float, vx: float, vy: float, radius: float) -> Hit | None:
    """When a point at (dx, dy) from a disc's centre enters the disc; at once if it is inside and goes deeper."""
    towards = dx * vx + dy * vy
    if towards >= 0:
        return None
    gap = dx * dx + dy * dy - radius * radius
    if gap <= 0:
        distance = math.sqrt(dx * dx + dy * dy)
        return (0.0, dx / distance, dy / distance) if distance > 1e-9 else None
    speed2 = vx * vx + vy * vy
    root = towards * towards - speed2 * gap
    if root <= 0:
        return None
    seconds = (-towards - math.sqrt(root)) / speed2
    return seconds, (dx + vx * seconds) / radius, (dy + vy * seconds) / radius


def hit_box(x: float, y: float, vx: float, vy: float, radius: float, box: Box) -> Hit | None:
    """When a disc touches a box, as a point that enters the box grown by the radius, its corners round."""
    x0, y0, x1, y1 = box
    dx, dy = x - min(max(x, x0), x1), y - min(max(y, y0), y1)
    if dx * dx + dy * dy < radius * radius:
        distance = math.sqrt(dx * dx + dy * dy)
        if distance > 1e-9:
            nx, ny = dx / distance, dy / distance
        else:
            _, nx, ny = min((x - x0, -1.0, 0.0), (x1 - x, 1.0, 0.0), (y - y0, 0.0, -1.0), (y1 - y, 0.0, 1.0))
        return (0.0, nx, ny) if vx * nx + vy * ny < 0 else None
    if vx and not x0 - radius < x < x1 + radius:
        side = -1.0 if x <= x0 - radius else 1.0
        seconds = ((x0 - radius if side < 0 else x1 + radius) - x) / vx
        if vx * side < 0 and y0 <= y + vy * seconds <= y1:
            return seconds, side, 0.0
    if vy and not y0 - radius < y < y1 + radius:
        side = -1.0 if y <= y0 - radius else 1.0
        seconds = ((y0 - radius if side < 0 else y1 + radius) - y) / vy
        if vy * side < 0 and x0 <= x + vx * seconds <= x1:
            return seconds, 0.0, side
    hits = [hit_disc(x - cx, y - cy, vx, vy, radius) for cx in (x0, x1) for cy in (y0, y1)]
    return min((hit for hit in hits if hit), default=None)


def hit_leaf(x: float, y: float, vx: float, vy: float, radius: float, leaf: Leaf) -> Hit | None:
    """When a disc touches a turned box."""
    cx, cy, ax, ay, across, along = leaf
    dx, dy = x - cx, y - cy
    hit = hit_box(
        dx * ax + dy * ay, dy * ax - dx * ay, vx * ax + vy * ay, vy * ax - vx * ay, radius,
        (-across, -along, across, along),
    )  # fmt: skip
    if hit is None:
        return None
    seconds, nx, ny = hit
    return seconds, nx * ax - ny * ay, nx * ay + ny * ax


def gap_to_leaf(x: float, y: float, leaf: Leaf) -> float:
    """Metres from a point to a turned box, 0 inside."""
    cx, cy, ax, ay, across, along = leaf
    u, v = abs((x - cx) * ax + (y - cy) * ay), abs((y - cy) * ax - (x - cx) * ay)
    return math.hypot(max(u - across, 0.0), max(v - along, 0.0))


def roll(
    balls: Sequence[Rolling], movers: Sequence[Mover], boxes: Sequence[Box], discs: Sequence[Disc],
    leaves: Sequence[Leaf], seconds: float,
) -> list[float]:  # fmt: skip
    """Move the balls, in place, through `seconds`, from one impact to the next. Returns the metres each has rolled."""
    rolled, past = [0.0] * len(balls), 0.0
    for _ in range(_IMPACTS):
        left = seconds - past
        first, normal, ball, other = left, (0.0, 0.0), None, None
        for i, one in enumerate(balls):
            for body, hit in _impacts(one, balls[i + 1 :], movers, boxes, discs, leaves, past, first):
                if hit[0] < first:
                    first, normal, ball, other = hit[0], hit[1:], one, body
        for i, one in enumerate(balls):
            one.x += one.vx * first
            one.y += one.vy * first
            rolled[i] += math.hypot(one.vx, one.vy) * first
        past += first
        if ball is None:
            break
        _bounce(ball, other, *normal)
    return rolled


def _impacts(ball, others, movers, boxes, discs, leaves, past, limit):
    """What a ball may touch next, with when: bodies, and None for what stands still."""
    x, y, vx, vy, radius = ball.x, ball.y, ball.vx, ball.vy, ball.radius
    if vx or vy:
        x0, x1 = (x + vx * limit, x) if vx < 0 else (x, x + vx * limit)
        y0, y1 = (y + vy * limit, y) if vy < 0 else (y, y + vy * limit)
        x0, y0, x1, y1 = x0 - radius, y0 - radius, x1 + radius, y1 + radius
        for box in boxes:
            if box[0] <= x1 and box[2] >= x0 and box[1] <= y1 and box[3] >= y0:
                hit = hit_box(x, y, vx, vy, radius, box)
                if hit:
                    yield None, hit
        for cx, cy, r in discs:
            if cx - r <= x1 and cx + r >= x0 and cy - r <= y1 and cy + r >= y0:
                hit = hit_disc(x - cx, y - cy, vx, vy, radius + r)
                if hit:
                    yield None, hit
        for leaf in leaves:
            hit = hit_leaf(x, y, vx, vy, radius, leaf)
            if hit:
                yield None, hit
    for mover in movers:
        at = mover.x + mover.vx * past, mover.y + mover.vy * past
        hit = hit_disc(x - at[0], y - at[1], vx - mover.vx, vy - mover.vy, radius + mover.radius)
        if hit:
            yield mover, hit
    for other in others:
        hit = hit_disc(x - other.x, y - other.y, vx - other.vx, vy - other.vy, radius + other.radius)
        if hit:
            yield other, hit


def _bounce(ball: Rolling, other: Rolling | Mover | None, nx: float, ny: float) -> None:
    """Change the velocities at an impact. (nx, ny): from the other body towards the ball."""
    speed = ball.vx * nx + ball.vy * ny
    if isinstance(other, Rolling):
        bounce = min(ball.bounce, other.bounce)
        closing = speed - (other.vx * nx + other.vy * ny)
        push = -(1 + bounce) * closing / (1 / ball.mass + 1 / other.mass)
        other.vx -= push / other.mass * nx
        other.vy -= push / other.mass * ny
        gain = push / ball.mass
    elif isinstance(other, Mover):
        shove = other.vx * nx + other.vy * ny
        leaves_at = max(shove, 0.0) * (ball.kick if other.kicks else 1.0) + ball.bounce * max(-speed, 0.0)
        gain = max(min(leaves_at, FASTEST_M_S), shove) - speed
    else:
        gain = -(1 + ball.bounce) * speed
    ball.vx += gain * nx
    ball.vy += gain * ny
