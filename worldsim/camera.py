"""Where the player looks: look and pose, intrinsics, the rays of the token grid, the homography between two looks.

Coordinates: x and y on the floor, z up, metres. Yaw 0 looks along +y and grows to the right; pitch grows upwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from worldsim.config import require


@dataclass(frozen=True)
class Look:
    """View direction in degrees. Yaw is not wrapped: it counts turns."""

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0

    @property
    def radians(self) -> tuple[float, float]:
        """Yaw, within one turn, and pitch in radians: what networks are told."""
        return math.radians(self.yaw_deg % 360.0), math.radians(self.pitch_deg)


@dataclass(frozen=True)
class Pose:
    """Position on the floor in metres, and look."""

    x: float = 0.0
    y: float = 0.0
    look: Look = Look()

    def as_tuple(self) -> tuple[float, float, float, float]:
        return self.x, self.y, self.look.yaw_deg, self.look.pitch_deg


@dataclass(frozen=True)
class Camera:
    """Perspective camera of a scene. `fov_deg` is the vertical field of view."""

    fov_deg: float = 60.0
    pitch_min_deg: float = -40.0
    pitch_max_deg: float = 40.0
    eye_height_m: float = 1.6

    def __post_init__(self) -> None:
        require(1 <= self.fov_deg <= 179, f"fov_deg must lie in [1, 179], got {self.fov_deg:g}")
        require(-85 <= self.pitch_min_deg <= 0, f"pitch_min_deg must lie in [-85, 0], got {self.pitch_min_deg:g}")
        require(0 <= self.pitch_max_deg <= 85, f"pitch_max_deg must lie in [0, 85], got {self.pitch_max_deg:g}")
        require(0 < self.eye_height_m <= 100, f"eye_height_m must lie in (0, 100], got {self.eye_height_m:g}")

    def turn(self, look: Look, yaw_deg: float, pitch_deg: float) -> Look:
        """The look after a rotation, with the pitch clamped as the world clamps it."""
        pitch = min(self.pitch_max_deg, max(self.pitch_min_deg, look.pitch_deg + pitch_deg))
        return Look(look.yaw_deg + yaw_deg, pitch)


def look_radians(poses: np.ndarray) -> np.ndarray:
    """Looks (T, 2) of poses (T, 4) as `Look.radians` has one: yaw within one turn and pitch, float32."""
    radians = np.deg2rad(poses[:, 2:].astype(np.float64))
    radians[:, 0] %= 2 * math.pi
    return radians.astype(np.float32)


def rotation(look: Look) -> np.ndarray:
    """World axes of a view as rows: right, up, forward. float64 (3, 3)."""
    yaw, pitch = math.radians(look.yaw_deg), math.radians(look.pitch_deg)
    cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    return np.array([[cy, -sy, 0.0], [-sy * sp, -cy * sp, cp], [sy * cp, cy * cp, sp]])


def token_rays(camera: Camera, aspect: float, rows: int, columns: int) -> np.ndarray:
    """Directions through the centres of a grid of tokens in camera axes (right, up, forward).

    aspect: width over height of the frame. Returns float64 (rows * columns, 3), unit length, row by row from the top.
    """
    half = math.tan(math.radians(camera.fov_deg) / 2)
    up = (1 - 2 * (np.arange(rows) + 0.5) / rows) * half
    right = (2 * (np.arange(columns) + 0.5) / columns - 1) * half * aspect
    rays = np.stack(
        [
            np.broadcast_to(right, (rows, columns)),
            np.broadcast_to(up[:, None], (rows, columns)),
            np.ones((rows, columns)),
        ],
        axis=-1,
    ).reshape(-1, 3)
    return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


def homography(camera: Camera, aspect: float, shown: Look, newest: Look) -> np.ndarray:
    """Maps screen points of the newest look to screen points of the frame that was made for the look `shown`.

    Screen points are homogeneous (x, y, 1) with x and y in [-1, 1], y up. A pure rotation needs no depth.
    Returns float64 (3, 3).
    """
    half = math.tan(math.radians(camera.fov_deg) / 2)
    scale = np.diag([half * aspect, half, 1.0])
    return np.linalg.inv(scale) @ rotation(shown) @ rotation(newest).T @ scale
