"""What every part of the evaluation starts from: true walks, and the same walks dreamed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from worldsim.action import Action
from worldsim.camera import Look, Pose
from worldsim.data.collect import HELD_OUT_SEED, play_episode
from worldsim.data.episodes import Episode, list_episodes, read_episode
from worldsim.errors import DataError
from worldsim.inference.rollout import Rollout, Trajectory, rollout_trajectory
from worldsim.model.codec import Codec, to_pixels, to_tensor
from worldsim.model.generator import Generator
from worldsim.scene import Scene, is_hash_of, scene_hash
from worldsim.source.rooms.world import RoomsWorld

BATCH = 8


@dataclass(frozen=True)
class Dream:
    """A walk as dreamed: frames uint8 (T, H, W, 3) and believed positions (T, 2), first dreamed tick first."""

    frames: np.ndarray
    position: np.ndarray


@dataclass(frozen=True)
class Dreamer:
    """The networks under evaluation, and how they sample."""

    scene: Scene
    codec: Codec
    generator: Generator
    steps: int
    context_level: float

    @property
    def window(self) -> int:
        """True frames that a dream starts from."""
        return self.generator.config.window

    def dream(
        self, walks: Sequence[Episode], ticks: int, what: str, quiet: bool, start: np.ndarray | None = None
    ) -> list[Dream]:
        """Dream `ticks` ticks from the true beginning of each walk, with its actions and looks.

        start: other pictures to begin from, uint8 (len(walks), window, H, W, 3).
        """
        rollout = Rollout(self.generator, self.steps, self.context_level)
        dreams: list[Dream] = []
        for begin in tqdm(range(0, len(walks), BATCH), desc=what, unit="batch", disable=quiet):
            some = walks[begin : begin + BATCH]
            known = np.stack([w.frames[: self.window] for w in some]) if start is None else start[begin : begin + BATCH]
            latents, positions = rollout_trajectory(
                rollout, self._course(some, known, ticks), torch.Generator().manual_seed(begin)
            )
            for latent, position in zip(latents, positions, strict=True):
                dreams.append(Dream(self.decode(latent), position.numpy()))
        return dreams

    def decode(self, latents: Tensor) -> np.ndarray:
        """Latents (T, N, C) -> frames uint8 (T, H, W, 3)."""
        shape = self.generator.shape
        grid = latents.transpose(1, 2).unflatten(2, (shape.rows, shape.columns))
        with torch.no_grad():
            return np.concatenate([to_pixels(self.codec.decode(part)) for part in grid.split(64)])

    def encode(self, frames: np.ndarray) -> Tensor:
        """Frames uint8 (T, H, W, 3) -> latents (T, N, C)."""
        with torch.no_grad():
            parts = [self.codec.encode(to_tensor(part)) for part in np.array_split(frames, -(-len(frames) // 64))]
        return torch.cat(parts).flatten(2).transpose(1, 2)

    def _course(self, walks: Sequence[Episode], known: np.ndarray, ticks: int) -> Trajectory:
        count, end = len(walks), self.window + ticks
        bounds = np.array([c.bounds[1] for c in self.scene.controls], np.float32)
        return Trajectory(
            self.encode(known.reshape(-1, *known.shape[2:])).unflatten(0, (count, self.window)),
            torch.from_numpy(np.stack([w.actions[:end] / bounds for w in walks]).astype(np.float32)),
            torch.from_numpy(np.stack([_look(w)[:end] for w in walks])),
            torch.from_numpy(np.stack([poses(w)[: self.window, :2] for w in walks]).astype(np.float32)),
        )


def poses(walk: Episode) -> np.ndarray:
    """True x, y, yaw and pitch of a walk, (T, 4) in metres and degrees."""
    assert walk.poses is not None  # scenes with a true engine always have them
    return walk.poses


def _look(walk: Episode) -> np.ndarray:
    """Commanded looks (T, 2) in radians, yaw in one turn."""
    angles = np.deg2rad(poses(walk)[:, 2:])
    angles[:, 0] %= 2 * np.pi
    return angles.astype(np.float32)


def true_walks(world: RoomsWorld, count: int, ticks: int, data: Path | None, quiet: bool) -> list[Episode]:
    """Held-out episodes of `ticks` frames: from disk if they lie there, else played and drawn now, same seeds."""
    walks: list[Episode] = []
    if data is not None:
        try:
            for file in list_episodes(data, "held_out")[:count]:
                walk = read_episode(file, 0, ticks)
                if len(walk.frames) == ticks and is_hash_of(walk.scene_hash, world.scene):
                    walks.append(walk)
        except DataError:
            pass
    if len(walks) >= count:
        return walks[:count]
    seeds = range(HELD_OUT_SEED, HELD_OUT_SEED + count)  # the same players as on disk
    return [play_episode(world, s, ticks) for s in tqdm(seeds, desc="true engine", unit="walk", disable=quiet)]


def scripted_walk(world: RoomsWorld, start: Pose, actions: Sequence[Action], idle: int) -> Episode:
    """A walk with given actions after `idle` still frames."""
    space = world.scene.action_space
    state, frame = world.at(start)
    frames, done, track = [frame.pixels], [space.idle.values], [state.pose.as_tuple()]
    for action in [space.idle] * (idle - 1) + list(actions):
        state, frame = world.advance(state, action)
        frames.append(frame.pixels)
        done.append(action.values)
        track.append(state.pose.as_tuple())
    return Episode(np.stack(frames), np.array(done, np.int16), np.array(track), scene_hash(world.scene), 0)


def with_action(world: RoomsWorld, walk: Episode, tick: int, action: Action) -> Episode:
    """The walk up to `tick`, where another action is taken; ends there."""
    x, y, yaw, pitch = poses(walk)[tick - 1]
    pose = world.move(Pose(x, y, Look(yaw, pitch)), action)
    actions, track = walk.actions[: tick + 1].copy(), poses(walk)[: tick + 1].copy()
    actions[tick], track[tick] = action.values, pose.as_tuple()
    return replace(walk, frames=walk.frames[: tick + 1], actions=actions, poses=track)
