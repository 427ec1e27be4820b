"""Stills: unrelated pictures of a scene that lives, most from beside an entity: what its painter learns from.

In an episode an entity stands in one place for hundreds of frames, which teach no more than one. Each still shows it in
a new place and from a new side.
"""

from __future__ import annotations

import numpy as np

from worldsim.data.entity_steps import beside
from worldsim.data.episodes import Episode, what_lives
from worldsim.scene import scene_hash
from worldsim.source.base import LivingSource

STILLS = "stills"
"""The split that they are, beside `train` and `held_out`."""


def draw_stills(source: LivingSource, seed: int, count: int) -> Episode:
    """So many frames that do not follow from each other, as an episode in which nothing is done."""
    rng = np.random.Generator(np.random.Philox(key=seed))
    frames = [source.render(beside(source, rng)) for _ in range(count)]
    idle = source.scene.action_space.idle.values
    poses = np.array([f.pose.as_tuple() for f in frames if f.pose is not None])
    return Episode(
        np.stack([f.pixels for f in frames]), np.array([idle] * count, np.int16), poses, scene_hash(source.scene), seed,
        None, False, False, *what_lives(frames),
    )  # fmt: skip
