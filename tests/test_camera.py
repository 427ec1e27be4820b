from __future__ import annotations

import numpy as np
import pytest

from worldsim.camera import Camera, Look, homography, rotation, token_rays

CAMERA = Camera(fov_deg=60, pitch_min_deg=-30, pitch_max_deg=30)


def test_rotation_is_orthonormal_and_right_handed():
    axes = rotation(Look(37.0, -12.0))
    assert np.allclose(axes @ axes.T, np.eye(3))
    assert np.allclose(np.cross(axes[2], axes[1]), axes[0])


def test_yaw_grows_to_the_right_and_pitch_upwards():
    assert np.allclose(rotation(Look(90, 0))[2], [1, 0, 0])
    assert rotation(Look(0, 20))[2][2] > 0


def test_homography_of_no_rotation_is_the_identity():
    look = Look(123.0, 7.0)
    assert np.allclose(homography(CAMERA, 5 / 3, look, look), np.eye(3))


def test_homographies_compose():
    a, b, c = Look(0, 0), Look(9, 4), Look(21, -6)
    ab, bc = homography(CAMERA, 5 / 3, a, b), homography(CAMERA, 5 / 3, b, c)
    assert np.allclose(ab @ bc, homography(CAMERA, 5 / 3, a, c))


def test_homography_maps_a_direction_to_where_the_shown_frame_has_it():
    shown, newest = Look(10, 3), Look(22, -5)
    ray = rotation(newest).T @ np.array([0.2, 0.1, 1.0])  # a world direction inside the newest view
    half = np.tan(np.radians(30))

    def screen(look: Look) -> np.ndarray:
        right, up, forward = rotation(look) @ ray
        return np.array([right / forward / half / (5 / 3), up / forward / half])

    mapped = homography(CAMERA, 5 / 3, shown, newest) @ np.array([*screen(newest), 1.0])
    assert np.allclose(mapped[:2] / mapped[2], screen(shown))


def test_turn_clamps_pitch_as_the_world_does():
    assert CAMERA.turn(Look(0, 28), 5, 10) == Look(5, 30)


def test_token_rays_are_symmetric_and_unit_length():
    rays = token_rays(CAMERA, 5 / 3, 6, 10)
    assert rays.shape == (60, 3)
    assert np.allclose(np.linalg.norm(rays, axis=1), 1)
    assert np.allclose(rays.reshape(6, 10, 3)[:, ::-1, 0], -rays.reshape(6, 10, 3)[..., 0])
    assert rays[0, 1] == pytest.approx(-rays[-1, 1])
