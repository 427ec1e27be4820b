"""Contacts: whether what moves through a tick meets something on its way, when, and how fast both come together.

This is geometry and holds for any kind: a disc that moves in a straight line meets another disc, a box or a wall. What
follows from a contact is for a network to learn. From distances alone a network would have to learn to divide and to
take roots: in a trial it missed the tick of every third kick, and a kick that comes a tick late goes elsewhere.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Speeds along a normal, and how deep a wall is entered, are told large: what follows from them is many times as much as
# other numbers matter, and weights that must grow far are learned late.
_SPEED, _ALONG, _DEEP = 0.25, 2.0, 40.0
_JUST_M = 0.01


def meeting(off: Tensor, own: Tensor, other: Tensor, reach: Tensor | float, seconds: float) -> Tensor:
    """How a disc meets another in a tick: (..., MEETING). All 0 if it does not.

    off (..., 2): from the other's middle to its own, in metres. own, other (..., 2): velocities in metres a second.
    reach (..., 1): the sum of both radii. After Ericson, Real-Time Collision Detection, 2005, section 5.5.3.
    """
    moved = (own - other) * seconds
    towards = (off * moved).sum(-1, keepdim=True)
    apart = off.square().sum(-1, keepdim=True) - reach**2
    root = towards.square() - moved.square().sum(-1, keepdim=True) * apart.clamp(min=0)
    share = (-towards - root.clamp(min=1e-12).sqrt()) / (moved.square().sum(-1, keepdim=True) + 1e-9)
    hits = ((towards < 0) & (root > 0) & (share < 1)).to(off.dtype)
    share = share.clamp(0, 1)
    normal = off + moved * share
    normal = normal / (normal.square().sum(-1, keepdim=True) + 1e-9).sqrt() * hits
    shoved, speed = ((v * normal).sum(-1, keepdim=True) for v in (other, own))
    both = _ALONG * torch.cat([normal * shoved.clamp(min=0), normal * shoved.clamp(max=0), normal * speed], dim=-1)
    told = [normal, hits, hits * (1 - share), both, both * (1 - share), _SPEED * shoved, _SPEED * speed]
    return torch.cat(told, dim=-1)


MEETING = 18


SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of a tick's way, at which it is asked how far the nearest wall is


def first_wall(found: Tensor, own: Tensor, radius: Tensor, seconds: float) -> tuple[Tensor, Tensor]:
    """Which wall a disc meets first on its way through a tick: how deep it would be in it at the tick's end if nothing
    stopped it (..., 1), less than 0 if none is met; and which way leads away from it, or from the wall that is nearest
    at the end (..., 2).

    found (..., SHARES, 3): on the way, how far the nearest wall is from the disc's middle, and which way leads away
    from it. own (..., 2): velocity in metres a second, in the same axes.
    """
    clear, away = found.split([1, 2], dim=-1)
    closing = -(own[..., None, :] * away).sum(-1, keepdim=True)
    deep, normal = radius - clear[..., -1, :], away[..., -1, :]
    for i in range(len(SHARES) - 1, 0, -1):  # from the last to the first
        over, speed = radius - clear[..., i, :], closing[..., i, :]
        meets = (over > 0) & (speed > 0)
        deep = torch.where(meets, over + speed * (seconds * (1 - SHARES[i])), deep)
        normal = torch.where(meets, away[..., i, :], normal)
    return deep, normal


def out_of_box(point: Tensor, half: Tensor, reach: Tensor | float) -> Tensor:
    """The shortest way (..., 2) for a disc to leave a box that it overlaps, in the box's axes; 0 if it does not.

    point (..., 2): the disc's middle. half (..., 2): half the box's size. reach (..., 1): the disc's radius.
    """
    beyond = point - torch.minimum(torch.maximum(point, -half), half)
    far = (beyond.square().sum(-1, keepdim=True) + 1e-10).sqrt()
    sides = half - point.abs()
    nearest = sides[..., :1] < sides[..., 1:]
    side = torch.cat([nearest, ~nearest], dim=-1).to(point.dtype) * torch.where(point < 0, -1.0, 1.0)
    from_within = side * (sides.amin(-1, keepdim=True) + reach)
    return torch.where(far < 1e-4, from_within, beyond / far * (reach - far).clamp(min=0))


def out_of_disc(off: Tensor, reach: Tensor | float) -> Tensor:
    """The shortest way (..., 2) out of a disc of radius `reach` (..., 1), from `off` (..., 2) its middle."""
    far = (off.square().sum(-1, keepdim=True) + 1e-10).sqrt()
    return off / far * (reach - far).clamp(min=0)


def bounce(clear: Tensor, later: Tensor, normal: Tensor, own: Tensor, radius: Tensor | float) -> Tensor:
    """How a disc meets what stands still in a tick: (..., BOUNCE).

    clear, later (..., 1): how far its middle is from the nearest wall now and, if nothing stopped it, a tick later, in
    metres. normal (..., 2): away from that wall, where it would then be. own (..., 2): velocity in metres a second.
    """
    gap, deep = clear - radius, (radius - later).clamp(min=0)
    speed = (own * normal).sum(-1, keepdim=True)
    hits = ((deep > 0) & (speed < 0)).to(clear.dtype)
    near = (-(gap.clamp(min=0)) / 0.1).exp()
    return torch.cat(
        [
            normal * near, near, (gap / _JUST_M).clamp(-1, 1), hits, normal * hits, normal * (_ALONG * speed * hits),
            normal * (_DEEP * deep).clamp(max=12), _SPEED * speed * near,
        ],
        dim=-1,
    )  # fmt: skip


BOUNCE = 12


def bump(gap: Tensor, normal: Tensor, own: Tensor, other: Tensor, radius: Tensor, seconds: float) -> Tensor:
    """How a disc meets a body of any form in a tick: (..., BUMP).

    gap (..., 1): from its middle to the body, in metres. normal (..., 2): away from the body. own, other (..., 2):
    velocities in metres a second. radius (..., 1) of the disc.
    """
    told = bounce(gap, gap + ((own - other) * normal).sum(-1, keepdim=True) * seconds, normal, own - other, radius)
    hits, shoved = told[..., 4:5], (other * normal).sum(-1, keepdim=True)
    return torch.cat([told, normal * (_ALONG * shoved * hits), _SPEED * shoved * hits], dim=-1)


BUMP = 15
