"""Figures: the triangles of entities, and how their parts stand for a row of numbers. Knows nothing of OpenGL.

A part is made once, in axes of its own; `stands` says where it is for an entity's row (see worldsim.entities) and the
metres that it has walked: a float64 (4, 4) matrix to the world, or None where it is not to be seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from worldsim.entities import HEADING, ON, PHASE, X, Z
from worldsim.source.rooms.entities.ball import Ball
from worldsim.source.rooms.entities.base import EntityConfig
from worldsim.source.rooms.entities.creature import Creature
from worldsim.source.rooms.entities.door import THICK_M, Door
from worldsim.source.rooms.entities.lamp import Lamp
from worldsim.source.rooms.entities.pickup import Pickup
from worldsim.source.rooms.entities.prop import Prop
from worldsim.source.rooms.mesh import Material, Mesh

Stands = Callable[[np.ndarray, float], np.ndarray | None]
_DARK = (0.12, 0.11, 0.11)
_STRIDE_M = 0.5  # of a creature, all four legs once


@dataclass(frozen=True)
class Part:
    """vertices: float32 (n, 16), see mesh.py."""

    vertices: np.ndarray
    stands: Stands


@dataclass(frozen=True)
class Figure:
    """The parts of an entity, and its shadow: the radius of what it darkens on the floor, 0 for none."""

    parts: tuple[Part, ...]
    shadow_m: float = 0.0


def figure(entity: EntityConfig) -> Figure:
    """The figure of an entity of a scene file."""
    for kind, make in _FIGURES.items():
        if isinstance(entity, kind):
            return make(entity)
    return _box(entity)


def moved(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = x, y, z
    return matrix


def headed(heading_deg: float) -> np.ndarray:
    """A turn about the vertical: what lay along +y lies where the heading points."""
    sin, cos = math.sin(math.radians(heading_deg)), math.cos(math.radians(heading_deg))
    matrix = np.eye(4)
    matrix[:2, :2] = [[cos, sin], [-sin, cos]]
    return matrix


def pitched(degrees: float) -> np.ndarray:
    """A turn about the axis across: what lay along +y rises."""
    sin, cos = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    matrix = np.eye(4)
    matrix[1:3, 1:3] = [[cos, -sin], [sin, cos]]
    return matrix


def rolled(degrees: float) -> np.ndarray:
    """A turn about the axis along: what lay along +x rises."""
    sin, cos = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    matrix = np.eye(4)
    matrix[0, 0], matrix[0, 2], matrix[2, 0], matrix[2, 2] = cos, -sin, sin, cos
    return matrix


def _placed(row: np.ndarray) -> np.ndarray:
    """An entity's own axes in the world, its middle as the origin."""
    return moved(*row[X : Z + 1].tolist()) @ headed(float(row[HEADING]))


def _part(mesh: Mesh, stands: Stands = lambda row, gait: _placed(row)) -> Part:
    return Part(np.concatenate(mesh.vertices), stands)


def _ball(ball: Ball) -> Figure:
    mesh = Mesh()
    mesh.ball((0, 0, 0), ball.radius, ball.colour, 0, accent=ball.accent, segments=24)
    part = _part(mesh, lambda row, gait: _placed(row) @ pitched(-360 * float(row[PHASE])) @ rolled(90))
    return Figure((part,), ball.radius)


def _door(door: Door) -> Figure:
    mesh, w, d, h = Mesh(), door.width / 2, THICK_M / 2, door.height / 2
    mesh.box((-w, -d, -h), (w, d, h), door.colour, 0)
    panel = tuple(0.78 * c for c in door.colour)
    for side in (-1, 1):
        for low, high in ((-0.82 * h, -0.08 * h), (0.08 * h, 0.85 * h)):
            a, b = (-0.72 * w, 0.72 * w)
            origin, across = ((a, side * (d + 0.004), low), (b - a, 0, 0)) if side < 0 else (
                (b, side * (d + 0.004), low), (a - b, 0, 0))  # fmt: skip
            mesh.quad(origin, across, (0, 0, high - low), panel, Material.PLAIN, 0)
        mesh.ball((0.84 * w, side * (d + 0.05), -0.02), 0.06, door.accent, 0, segments=12)
    return Figure((_part(mesh),))


def _lamp(lamp: Lamp) -> Figure:
    plate, rocker, light = Mesh(), Mesh(), Mesh()
    plate.box((-0.09, -0.02, -0.13), (0.09, 0.03, 0.13), lamp.colour, 0, bottom=True)
    rocker.box((-0.045, -0.05, -0.07), (0.045, -0.01, 0.07), (0.3, 0.3, 0.32), 0, bottom=True)
    light.box((-0.03, -0.035, 0.085), (0.03, -0.01, 0.11), (0.4, 1.0, 0.5), 0, Material.GLOW, bottom=True)
    return Figure((
        _part(plate),
        _part(rocker, lambda row, gait: _placed(row) @ pitched(12 if row[ON] > 0.5 else -12)),
        _part(light, lambda row, gait: _placed(row) if row[ON] > 0.5 else None),
    ))  # fmt: skip


def _creature(creature: Creature) -> Figure:
    return _cat(creature) if creature.looks == "cat" else _robot(creature)


def _cat(cat: Creature) -> Figure:
    fur, white = cat.colour, cat.accent
    body, head, tail, leg = Mesh(), Mesh(), Mesh(), Mesh()
    body.ball((0, -0.03, 0.03), 0.3, fur, 0, squeeze=(0.42, 0.95, 0.5), material=Material.PLAIN, segments=14)
    body.ball((0, 0.16, -0.03), 0.11, white, 0, squeeze=(0.85, 0.8, 1.0), material=Material.PLAIN, segments=12)
    head.ball((0, 0, 0), 0.13, fur, 0, squeeze=(1.0, 0.95, 0.9), material=Material.PLAIN, segments=14)
    head.ball((0, 0.1, -0.035), 0.06, white, 0, squeeze=(1.1, 0.8, 0.7), material=Material.PLAIN, segments=12)
    for side in (-1, 1):
        head.lathe((side * 0.07, 0.0), [(0.05, 0.08), (0.0, 0.2)], fur, 0, Material.PLAIN, segments=8)
        head.ball((side * 0.055, 0.11, 0.03), 0.026, (0.75, 0.95, 0.3), 0, material=Material.GLOW, segments=8)
    tail.lathe((0, 0), [(0.035, 0.0), (0.03, 0.3), (0.02, 0.36), (0.0, 0.38)], fur, 0, Material.PLAIN, segments=10)
    leg.lathe((0, 0), [(0.045, -0.21), (0.04, -0.18), (0.045, 0.0)], fur, 0, Material.PLAIN, segments=10)
    leg.ball((0, 0.015, -0.19), 0.045, white, 0, squeeze=(1, 1.3, 0.6), material=Material.PLAIN, segments=8)

    def head_stands(row: np.ndarray, gait: float) -> np.ndarray:
        nod = 0.012 * math.sin(4 * math.pi * gait / _STRIDE_M)
        return _placed(row) @ moved(0, 0.31, 0.13 + nod)

    def tail_stands(row: np.ndarray, gait: float) -> np.ndarray:
        return (
            _placed(row) @ moved(0, -0.29, 0.08) @ rolled(18 * math.sin(2 * math.pi * gait / _STRIDE_M)) @ pitched(22)
        )

    def leg_stands(side: int, end: int) -> Stands:
        ahead = 0.0 if side * end > 0 else math.pi

        def stands(row: np.ndarray, gait: float) -> np.ndarray:
            swing = 28 * math.sin(2 * math.pi * gait / _STRIDE_M + ahead)
            return _placed(row) @ moved(side * 0.075, end * 0.19 - 0.02, 0.0) @ pitched(swing)

        return stands

    legs = [_part(leg, leg_stands(side, end)) for side in (-1, 1) for end in (-1, 1)]
    return Figure((_part(body), _part(head, head_stands), _part(tail, tail_stands), *legs), 0.26)


def _robot(robot: Creature) -> Figure:
    body, head, wheel = Mesh(), Mesh(), Mesh()
    body.lathe((0, 0), [(0.0, -0.28), (0.17, -0.28), (0.19, -0.1), (0.14, 0.1), (0.0, 0.12)], robot.colour, 0,
               Material.GLOSSY, segments=14)  # fmt: skip
    head.ball((0, 0, 0.22), 0.14, robot.accent, 0, squeeze=(1.1, 1.0, 0.85), segments=12)
    head.box((-0.1, 0.1, 0.17), (0.1, 0.15, 0.26), (0.3, 0.85, 1.0), 0, Material.GLOW)
    head.lathe((0.0, -0.02), [(0.012, 0.32), (0.012, 0.4)], _DARK, 0, Material.PLAIN, segments=6)
    wheel.ball((0, 0, 0), 0.09, _DARK, 0, accent=robot.accent, squeeze=(0.5, 1, 1), segments=12)

    def wheel_stands(side: int) -> Stands:
        def stands(row: np.ndarray, gait: float) -> np.ndarray:
            return _placed(row) @ moved(side * 0.17, 0, -0.28) @ pitched(-math.degrees(gait / 0.09))

        return stands

    return Figure((_part(body), _part(head), *(_part(wheel, wheel_stands(s)) for s in (-1, 1))), 0.24)


def _pickup(pickup: Pickup) -> Figure:
    mesh, r = Mesh(), pickup.size / 2
    if pickup.looks == "coin":
        mesh.ball((0, 0, 0), r, pickup.colour, 0, squeeze=(1.0, 0.22, 1.0), material=Material.GLOW, segments=12)
        mesh.ball((0, 0, 0), 0.6 * r, tuple(0.55 * c for c in pickup.colour), 0, squeeze=(1.0, 0.5, 1.0), segments=12)
    elif pickup.looks == "star":
        for turn in (0, 60, 120):
            sin, cos = math.sin(math.radians(turn)), math.cos(math.radians(turn))
            for end in (-1, 1):
                mesh.ball((0.5 * r * cos * end, 0, 0.5 * r * sin * end), 0.5 * r, pickup.colour, 0,
                          squeeze=(1.0, 0.45, 1.0), material=Material.GLOW, segments=10)  # fmt: skip
    else:
        mesh.lathe((0, 0), [(0.0, -r), (0.72 * r, 0.15 * r), (0.4 * r, 0.75 * r), (0.0, 0.75 * r)], pickup.colour, 0,
                   Material.GLOW, segments=6)  # fmt: skip
    return Figure((_part(mesh, lambda row, gait: _placed(row) if row[ON] > 0.5 else None),), 0.8 * r)


def _prop(prop: Prop) -> Figure:
    across, along, up = (s / 2 for s in prop.size)
    bob = Mesh()
    if prop.path == "lift":
        bob.box((-across, -along, -up), (across, along, up), prop.colour, 0, bottom=True)
        return Figure((_part(bob),), max(across, along))
    bob.ball((0, 0, 0), 1.0, prop.colour, 0, squeeze=(across, along, up), segments=14)
    rod, case = Mesh(), Mesh()
    rod.box((-0.015, -0.01, -prop.length), (0.015, 0.01, 0), _DARK, 0)
    wide, low = across + 0.12 + prop.length * math.sin(math.radians(prop.reach)), -prop.length - up - 0.1
    wood, pale = (0.36, 0.22, 0.13), (0.93, 0.9, 0.8)
    case.box((-wide, 0.05, low), (wide, 0.12, 0.62), wood, 0, bottom=True)
    case.ball((0, 0.03, 0.3), 0.24, pale, 0, squeeze=(1.0, 0.2, 1.0), material=Material.PLAIN, segments=14)
    case.box((-0.012, -0.05, 0.3), (0.012, -0.03, 0.47), _DARK, 0)
    case.box((0.0, -0.05, 0.29), (0.12, -0.03, 0.31), _DARK, 0)
    hung = moved(*prop.at, prop.up) @ headed(prop.heading_deg)

    def swings(row: np.ndarray, gait: float) -> np.ndarray:
        return hung @ rolled(prop.reach * float(row[PHASE]))

    return Figure((_part(case, lambda row, gait: hung), _part(rod, swings), _part(bob)))


def _box(entity: EntityConfig) -> Figure:
    """A kind without a figure of its own: its box."""
    mesh, half = Mesh(), np.array(entity.slot().size) / 2
    mesh.box(-half, half, (0.7, 0.7, 0.7), 0, bottom=True)
    return Figure((_part(mesh),), float(max(half[:2])))


_FIGURES: dict[type, Callable[..., Figure]] = {
    Ball: _ball,
    Door: _door,
    Lamp: _lamp,
    Creature: _creature,
    Pickup: _pickup,
    Prop: _prop,
}


def shadows(figures: Sequence[Figure], entities: np.ndarray) -> list[tuple[float, float, float, float]]:
    """What moving things darken on the floor: x, y, radius in metres, strength in [0, 1]."""
    found = []
    for made, row in zip(figures, entities, strict=True):
        if made.shadow_m and row[ON] > 0.5:
            height = max(0.0, float(row[Z]) - made.shadow_m)
            found.append((float(row[X]), float(row[X + 1]), made.shadow_m, 0.6 / (1 + 2 * height)))
    return found
