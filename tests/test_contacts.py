"""What contacts tell is what the engine finds: when discs meet, what a kick and a bounce do, and how far walls are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from worldsim.model.contacts import BOUNCE, BUMP, MEETING, SHARES, bounce, bump, first_wall, meeting
from worldsim.scene import load_scene
from worldsim.source.rooms.collisions import Mover, Rolling, hit_box, hit_disc, roll
from worldsim.source.rooms.dynamics import Dynamics

TICK_S, RADIUS, BODY, KICK, KEEPS = 0.05, 0.22, 0.35, 1.6, 0.8


def drawn(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Balls near a player, both on their way: offset, velocity of the ball and of the player, none overlapping."""
    rng = np.random.Generator(np.random.Philox(key=1))
    far, around = rng.uniform(RADIUS + BODY, RADIUS + BODY + 0.25, count), rng.uniform(0, 2 * np.pi, count)
    off = np.stack([far * np.sin(around), far * np.cos(around)], axis=1)
    speeds = rng.normal(0, 2, (2, count, 2))
    return tuple(torch.from_numpy(a) for a in (off, *speeds))


def after_the_tick(off: np.ndarray, ball_v: np.ndarray, player_v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the engine has the ball after a tick, from the player's place before it, and how fast it then is."""
    ball = Rolling(*off, *ball_v, RADIUS, KEEPS, KICK, 1.0)
    roll([ball], [Mover(0.0, 0.0, *player_v, BODY, True)], [], [], [], TICK_S)
    return np.array([ball.x, ball.y]), np.array([ball.vx, ball.vy])


def test_a_kick_is_a_sum_of_what_a_meeting_tells():
    """Place and speed after the tick are linear in it where the player walks towards the ball and the ball comes."""
    off, own, other = drawn(3000)
    told = meeting(off, own, other, RADIUS + BODY, TICK_S)
    assert told.shape[-1] == MEETING
    hits = 0
    for i, row in enumerate(told):
        place, speed = after_the_tick(off[i].numpy(), own[i].numpy(), other[i].numpy())
        hit, shoved, comes = row[2], float(row[16]), float(row[17])
        if not hit:
            assert np.allclose(speed, own[i]) and np.allclose(place, off[i] + TICK_S * own[i])
        elif shoved > 0 > comes:
            hits += 1
            now, later = row[4:10], row[10:16]  # normals times shove, pull and own speed; then times what is left
            gained = [(KICK * part[:2] - (1 + KEEPS) * part[4:6]) / 2 for part in (now, later)]
            assert np.allclose(speed, own[i] + gained[0], atol=1e-5)
            assert np.allclose(place, off[i] + TICK_S * (own[i] + gained[1]), atol=1e-5)
    assert hits > 100


def test_a_bounce_is_a_sum_of_what_a_wall_tells():
    rng = np.random.Generator(np.random.Philox(key=2))
    hits = 0
    for _ in range(300):
        x, vx, vy = rng.uniform(RADIUS, 0.6), *rng.normal(0, 3, 2)
        ball = Rolling(x, 0.0, vx, vy, RADIUS, KEEPS, KICK, 1.0)
        roll([ball], [], [(-1.0, -9.0, 0.0, 9.0)], [], [], TICK_S)  # a wall up to x = 0
        row = bounce(*(torch.tensor([v]) for v in (x, x + vx * TICK_S)), torch.tensor([1.0, 0.0]),
                     torch.tensor([vx, vy]), RADIUS)  # fmt: skip
        assert row.shape[-1] == BOUNCE
        speed, deep = row[7:9] / 2, row[9:11] / 40
        hits += bool(row[4])
        assert np.allclose([ball.vx, ball.vy], np.array([vx, vy]) - (1 + KEEPS) * speed.numpy(), atol=1e-5)
        if deep[0] < 0.29:
            assert ball.x == pytest.approx(x + vx * TICK_S + (1 + KEEPS) * float(deep[0]), abs=1e-5)
    assert hits > 30


def test_a_bump_into_a_body_that_walks_is_a_sum_of_what_it_tells():
    """Straight on; from the side the way there turns the normal a little."""
    rng = np.random.Generator(np.random.Philox(key=4))
    hits = 0
    for _ in range(300):
        gap, own, other = rng.uniform(RADIUS, 0.5), *rng.normal(0, 3, 2)
        ball = Rolling(0.0, gap + BODY, 0.0, own, RADIUS, KEEPS, KICK, 1.0)
        roll([ball], [Mover(0.0, 0.0, 0.0, other, BODY, False)], [], [], [], TICK_S)
        told = [torch.tensor([v]) for v in ((gap,), (0.0, 1.0), (0.0, own), (0.0, other), (RADIUS,))]
        row = bump(*told, TICK_S)[0]
        assert row.shape[-1] == BUMP
        closing, shoved = row[7:9] / 2, row[12:14] / 2
        hits += bool(row[4]) and other > 0 > own
        if own < 0 < other or not row[4]:
            gained = -(1 + KEEPS) * closing - KEEPS * shoved
            assert np.allclose([ball.vx, ball.vy], [0.0, own + gained[1]], atol=1e-5)
    assert hits > 20


def test_walls_are_as_far_as_a_body_has_room():
    dynamics = Dynamics(load_scene("gallery"))
    x0, y0, x1, y1 = load_scene("gallery").place.bounds
    rng = np.random.Generator(np.random.Philox(key=3))
    points = rng.uniform((x0, y0), (x1, y1), (2000, 2))
    clear, away = dynamics.walls(points)
    assert np.allclose(np.hypot(*away.T), 1)
    for (x, y), far in zip(points, clear, strict=True):
        if far > 0.02:
            assert dynamics.push_out(x, y, far - 0.01) == (x, y) != dynamics.push_out(x, y, far + 0.01)
    further = points + 0.01 * away
    free = clear > 0.02
    gained = dynamics.walls(further)[0] - clear
    assert np.median(gained[free]) == pytest.approx(0.01, abs=1e-4)


def test_the_first_wall_of_a_way_is_the_one_that_the_engine_finds():
    """Fast discs from anywhere free: hit or not, and from which side, but for corners that a plan of cells rounds."""
    living = load_scene(str(Path(__file__).parent / "data" / "living.yaml"))
    dynamics, radius, seconds = living.source.open(living).dynamics, 0.2, 0.05
    rng = np.random.default_rng(0)
    low, high = np.array(living.place.extent[:2]), np.array(living.place.extent[3:5])
    at = rng.uniform(low, high, (4000, 2))
    at = np.array([p for p in at if dynamics.is_free(*p, radius)])
    own = rng.normal(0, 4, at.shape)
    truth = []
    for (x, y), (vx, vy) in zip(at, own, strict=True):
        hits = [hit_box(x, y, vx, vy, radius, box) for box in dynamics.boxes]
        hits += [hit_disc(x - cx, y - cy, vx, vy, radius + r) for cx, cy, r in dynamics.discs]
        truth.append(min((hit for hit in hits if hit and hit[0] < seconds), default=None))
    ways = at[:, None] + own[:, None] * seconds * np.array(SHARES)[:, None]
    clear, away = dynamics.walls(ways.reshape(-1, 2))
    found = torch.from_numpy(np.concatenate([clear[:, None], away], axis=1)).view(len(at), len(SHARES), 3)
    deep, normal = first_wall(found, torch.from_numpy(own), torch.tensor(radius), seconds)
    hit = np.array([t is not None for t in truth])
    assert hit.sum() > 50
    agrees = (deep[:, 0].numpy() > 0) == hit
    assert agrees.mean() > 0.99
    both = hit & agrees
    sides = np.array([t[1:] for t, h in zip(truth, both, strict=True) if h])
    assert ((sides * normal.numpy()[both]).sum(-1) > 0.95).mean() > 0.95
    left = np.array([seconds - t[0] for t, h in zip(truth, both, strict=True) if h])
    deeper = -(own[both] * sides).sum(-1) * left
    assert np.median(np.abs(deep.numpy()[both, 0] - deeper)) < 1e-3
