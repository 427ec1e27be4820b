"""What tests share besides fixtures. Import it as `support`; conftest is pytest's own and imported by nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from worldsim.entities import at_rest
from worldsim.scene import FrameSize, Scene, load_scene

ROOT = Path(__file__).parent.parent


LIVING = str(ROOT / "tests/data/living.yaml")


def small_gallery() -> Scene:
    """The gallery in pictures that cost less than half as much."""
    return replace(load_scene("gallery"), frame=FrameSize(160, 96))


def still_gallery() -> Scene:
    """The small gallery as a place where nothing lives and nothing changes."""
    scene = small_gallery()
    hung = tuple(picture for picture in scene.source.pictures if picture.style != "anew")
    return replace(scene, source=replace(scene.source, entities=(), shows=(), pictures=hung), events=())


def write_nonsense_episodes(folder: Path, scene: Scene) -> None:
    """Two short episodes of smooth nonsense with the scene's controls, entities and events."""
    from worldsim.data.episodes import Episode, write_episode
    from worldsim.scene import scene_hash

    rng = np.random.Generator(np.random.Philox(key=0))
    for split in ("train", "held_out"):
        (folder / split).mkdir()
        colours = rng.integers(0, 255, (60, scene.frame.height // 16, scene.frame.width // 16, 3)).astype(np.uint8)
        frames = colours.repeat(16, 1).repeat(16, 2)
        poses = np.cumsum(rng.normal(0, 0.05, (60, 4)), axis=0) + [4, 2, 0, 0]
        most = scene.action_space.make(walk=1, strafe=1, yaw=9, pitch=3).values
        actions = (rng.integers(-1, 2, (60, len(most))) * most).astype(np.int16)
        entities = levels = None
        if scene.slots:
            entities = at_rest(scene.slots) + rng.integers(0, 2, (60, len(scene.slots), 1)) * [0.5, 0.5, *[0] * 9]
        if scene.events:
            levels = rng.integers(0, 2, (60, len(scene.events))).astype(np.float32)
        episode = Episode(frames, actions, poses, scene_hash(scene), 0, entities=entities, levels=levels)
        write_episode(folder / split / "000000.episode", episode)


def make_checkpoint(folder: Path, seed: int, scene: Scene | None = None) -> Path:
    """A checkpoint of random weights, of the still gallery if no scene is given."""
    import torch

    from worldsim.camera import Look, Pose
    from worldsim.checkpoint import FORMAT, CheckpointInfo
    from worldsim.config import to_mapping
    from worldsim.model.codec import Codec, CodecConfig
    from worldsim.model.generator import Generator, GeneratorConfig
    from worldsim.model.place_memory import PlaceConfig
    from worldsim.model.weights import shape_of, write_checkpoint
    from worldsim.scene import scene_hash
    from worldsim.world import Spawn

    scene = scene or still_gallery()
    torch.manual_seed(seed)
    codec = Codec(CodecConfig(channels=8, encoder_widths=(16, 8, 8), decoder_widths=(16, 8, 8)))
    place = PlaceConfig(
        cell_m=1.0, fine_m=1.0, fine_features=2, features=4, rays=1, samples=12, width=32, hidden=32, depth=1
    )
    config = GeneratorConfig(width=64, depth=2, heads=2, hidden=64, window=3, place=place)
    generator = Generator(config, shape_of(scene, 8))
    for parameter in (*codec.parameters(), *generator.parameters()):
        if not parameter.any():  # zero at the start of training; here everything must matter
            torch.nn.init.normal_(parameter, std=0.05)
    rng = np.random.Generator(np.random.Philox(key=seed))
    spawns = []
    for name, pose in (("a", Pose(4.0, 2.0, Look(10.0, 0.0))), ("b", None)):
        size = scene.frame.height // 16, scene.frame.width // 16, 3
        pixels = np.asarray(rng.integers(0, 255, size), np.uint8).repeat(16, 0).repeat(16, 1)
        told = at_rest(scene.slots) if pose and scene.slots else None  # else they are read from the picture: slow
        spawns.append(Spawn(name, pixels, pose, told))
    info = CheckpointInfo(
        format=FORMAT, name=folder.name, scene=scene, scene_sha256=scene_hash(scene), codec=to_mapping(codec.config),
        generator=to_mapping(config),
    )  # fmt: skip
    write_checkpoint(folder, info, codec, generator, spawns)
    return folder


def tool(*arguments: str, timeout: float = 240, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    """Run `worldsim` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "worldsim", *arguments], capture_output=True, text=True, timeout=timeout,
        env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
