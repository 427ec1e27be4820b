"""A picture without a pose is found in the place it was taken, if the place is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from worldsim.checkpoint import open_checkpoint
from worldsim.model.codec import to_tensor
from worldsim.model.weights import load_networks
from worldsim.worlds.relocalise import relocalise


@pytest.mark.slow
@pytest.mark.parametrize("name", ["blue", "entrance"])
def test_a_start_picture_of_the_shipped_world_is_found(name):
    checkpoint = open_checkpoint("museum")
    codec, generator = load_networks(checkpoint)
    spawn = checkpoint.spawn(name)
    with torch.no_grad():
        latent = codec.encode(to_tensor(spawn.pixels[None].copy())).flatten(2).transpose(1, 2)
    found = relocalise(generator, latent, checkpoint.scene.source.bounds)
    assert found == relocalise(generator, latent, checkpoint.scene.source.bounds)  # a replay must find the same
    assert math.hypot(found.x - spawn.pose.x, found.y - spawn.pose.y) < 0.4
    assert abs((found.look.yaw_deg - spawn.pose.look.yaw_deg + 180) % 360 - 180) < 8


def test_a_start_without_a_pose_lies_within_the_place(loaded, scene):
    from worldsim.world import Spawn

    rng = np.random.Generator(np.random.Philox(key=1))
    pixels = rng.integers(0, 255, (scene.frame.height, scene.frame.width, 3)).astype(np.uint8)
    frame = loaded.world.start(0, Spawn("x", pixels))[1]
    x0, y0, x1, y1 = scene.source.bounds
    assert frame.pose is not None and x0 <= frame.pose.x <= x1 and y0 <= frame.pose.y <= y1
