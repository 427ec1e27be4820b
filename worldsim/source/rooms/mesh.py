"""A collector of triangles, and what the fragment shader can draw. Knows nothing of OpenGL.

A vertex is position (3), normal (3), surface coordinates in metres (2), colour (3), accent colour (3), material,
and room: 16 float32.
"""

from __future__ import annotations

import math
from enum import IntEnum

import numpy as np

FLOATS_PER_VERTEX = 16


class Material(IntEnum):
    """What the fragment shader draws. Pictures are PICTURE + index of the picture."""

    PLAIN = 0
    WALL = 1
    PLANKS = 2
    TILES = 3
    CARPET = 4
    CEILING = 5
    LAMP = 6
    SKY = 7
    GLOSSY = 8
    FIRE = 9
    WATER = 10
    SCREEN = 11
    JET = 12
    GLOW = 13
    PICTURE = 16


Vector = np.ndarray | tuple[float, float, float]


class Mesh:
    """Collects vertices."""

    def __init__(self) -> None:
        self.vertices: list[np.ndarray] = []

    def add(self, positions, normals, uv, colour, accent, material: int, room: int) -> None:
        """One or more triangles: positions and normals (n, 3), uv (n, 2)."""
        n = len(positions)
        block = np.empty((n, FLOATS_PER_VERTEX), dtype=np.float32)
        block[:, 0:3], block[:, 3:6], block[:, 6:8] = positions, normals, uv
        block[:, 8:11], block[:, 11:14], block[:, 14], block[:, 15] = colour, accent, material, room
        self.vertices.append(block)

    def quad(self, origin: Vector, u: Vector, v: Vector, colour, material: int, room: int, accent=None, uv=None):
        """A rectangle from `origin` along `u` and `v`; its normal is u x v."""
        o, du, dv = (np.asarray(a, dtype=float) for a in (origin, u, v))
        normal = np.cross(du, dv)
        normal /= np.linalg.norm(normal)
        if uv is None:
            uv = (0.0, 0.0, float(np.linalg.norm(du)), float(np.linalg.norm(dv)))
        corners = [(0, 0), (1, 0), (1, 1), (0, 0), (1, 1), (0, 1)]
        positions = [o + a * du + b * dv for a, b in corners]
        coordinates = [(uv[0] + a * (uv[2] - uv[0]), uv[1] + b * (uv[3] - uv[1])) for a, b in corners]
        self.add(positions, [normal] * 6, coordinates, colour, colour if accent is None else accent, material, room)

    def box(self, low: Vector, high: Vector, colour, room: int, material: int = Material.PLAIN, bottom=False) -> None:
        """An axis-aligned box, seen from outside."""
        (x0, y0, z0), (x1, y1, z1) = low, high
        dx, dy, dz = (x1 - x0, 0, 0), (0, y1 - y0, 0), (0, 0, z1 - z0)
        self.quad((x0, y0, z0), dx, dz, colour, material, room)
        self.quad((x1, y1, z0), (x0 - x1, 0, 0), dz, colour, material, room)
        self.quad((x0, y1, z0), (0, y0 - y1, 0), dz, colour, material, room)
        self.quad((x1, y0, z0), dy, dz, colour, material, room)
        self.quad((x0, y0, z1), dx, dy, colour, material, room)
        if bottom:
            self.quad((x0, y1, z0), dx, (0, y0 - y1, 0), colour, material, room)

    def lathe(
        self, at: tuple[float, float], profile: list[tuple[float, float]], colour, room: int, material: int,
        segments: int = 32,
    ) -> None:  # fmt: skip
        """A body of revolution around the vertical through `at`; profile: (radius, z) from bottom to top."""
        angles = np.linspace(0, 2 * math.pi, segments + 1)
        centre = np.array([at[0], at[1]])
        for (r0, z0), (r1, z1) in zip(profile, profile[1:], strict=False):
            slope = np.array([z1 - z0, r0 - r1])
            slope /= max(np.linalg.norm(slope), 1e-9)
            for a, b in zip(angles, angles[1:], strict=False):
                da, db = np.array([math.cos(a), math.sin(a)]), np.array([math.cos(b), math.sin(b)])
                p = [
                    (*(centre + da * r0), z0), (*(centre + db * r0), z0), (*(centre + db * r1), z1),
                    (*(centre + da * r0), z0), (*(centre + db * r1), z1), (*(centre + da * r1), z1),
                ]  # fmt: skip
                na, nb = (*(da * slope[0]), slope[1]), (*(db * slope[0]), slope[1])
                self.add(p, [na, nb, nb, na, nb, na], [(0, 0)] * 6, colour, colour, material, room)

    def ball(
        self, centre: tuple[float, float, float], radius: float, colour, room: int, accent=None,
        squeeze: tuple[float, float, float] = (1.0, 1.0, 1.0), material: int = Material.GLOSSY, segments: int = 32,
    ) -> None:  # fmt: skip
        """A sphere. accent: the colour of every other of its eight segments. squeeze: of its axes, for an ellipsoid."""
        steps = np.linspace(-math.pi / 2, math.pi / 2, segments // 2 + 1)
        axes = np.array(squeeze)
        for t0, t1 in zip(steps, steps[1:], strict=False):
            for k in range(segments):
                a, b = 2 * math.pi * k / segments, 2 * math.pi * (k + 1) / segments
                n = [_sphere(a, t0), _sphere(b, t0), _sphere(b, t1), _sphere(a, t0), _sphere(b, t1), _sphere(a, t1)]
                p = [np.asarray(centre) + radius * axes * v for v in n]
                around = [v / axes / np.linalg.norm(v / axes) for v in n]
                shown = accent if accent is not None and k * 8 // segments % 2 else colour
                self.add(p, around, [(0, 0)] * 6, shown, shown, material, room)


def _sphere(angle: float, tilt: float) -> np.ndarray:
    return np.array([math.cos(angle) * math.cos(tilt), math.sin(angle) * math.cos(tilt), math.sin(tilt)])
