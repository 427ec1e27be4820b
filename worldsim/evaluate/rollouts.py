"""What every part of the evaluation starts from: true walks, and the same walks dreamed, with their null rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from worldsim.action import Action
from worldsim.camera import Look, Pose, look_radians
from worldsim.data.collect import play_episode
from worldsim.data.episodes import Episode, list_episodes, read_episode, what_lives
from worldsim.entities import dice
from worldsim.errors import DataError
from worldsim.evaluate.nulls import (
    DREAM,
    HISTORY_SHUFFLED,
    LAST_FRAME_REPEATED,
    LIVING,
    MEANING,
    MEMORY_ALONE,
    Still,
    network_of,
)
from worldsim.inference.network import Networks, eager
from worldsim.inference.rollout import Rollout, Trajectory, rollout_trajectory
from worldsim.model.codec import Codec, to_grid, to_pixels, to_tensor, to_tokens
from worldsim.model.generator import Generator
from worldsim.scene import Scene, is_hash_of, scene_hash
from worldsim.source.base import PosedSource, SourceWorld
from worldsim.world import Frame, State, World
from worldsim.worlds.neural import NeuralWorld

BATCH = 8
_TRIES = 8  # episodes looked at for each walk that is wanted, where episodes end by themselves


@dataclass(frozen=True)
class Dream:
    """A walk as dreamed: frames uint8 (T, H, W, 3), first dreamed tick first, and the believed positions (T, 2) in
    metres; None where the source has no poses."""

    frames: np.ndarray
    position: np.ndarray | None


@dataclass(frozen=True)
class Dreamer:
    """The networks under evaluation, how they sample, and what runs them tick by tick (None: plain torch)."""

    scene: Scene
    codec: Codec
    generator: Generator
    steps: int
    context_level: float
    played: Networks | None = field(default=None, kw_only=True)

    @property
    def window(self) -> int:
        """True frames that a dream starts from."""
        return self.generator.config.window

    @property
    def nulls(self) -> tuple[str, ...]:
        """The null rows of every part that these networks have, in the order of a report."""
        has_memory = self.generator.condition.memory is not None
        known = (name for name in MEANING if name not in LIVING)
        return tuple(name for name in known if name != MEMORY_ALONE or has_memory)

    def dream(
        self, walks: Sequence[Episode], ticks: int, what: str, quiet: bool, start: np.ndarray | None = None,
        variant: str = DREAM,
    ) -> list[Dream]:  # fmt: skip
        """Dream `ticks` ticks from the true beginning of each walk, with its actions and looks.

        start: other pictures to begin from, uint8 (len(walks), window, H, W, 3). variant: DREAM or a null row.
        HISTORY_SHUFFLED takes the pictures of the next walk, so it needs two.
        """
        known = np.stack([w.frames[: self.window] for w in walks]) if start is None else start
        if variant == HISTORY_SHUFFLED:
            known = np.roll(known, -1, axis=0)
        if variant == LAST_FRAME_REPEATED:
            return [
                _standing(walk, picture[-1], self.window, ticks) for walk, picture in zip(walks, known, strict=True)
            ]
        rollout = Rollout(network_of(self.generator, variant), self.steps, self.context_level)
        dreams: list[Dream] = []
        for begin in tqdm(range(0, len(walks), BATCH), desc=f"{what}, {variant}", unit="batch", disable=quiet):
            some = walks[begin : begin + BATCH]
            trajectory = self._trajectory(some, known[begin : begin + BATCH], ticks)
            latents, positions = rollout_trajectory(rollout, trajectory, torch.Generator().manual_seed(begin))
            for walk, latent, position in zip(some, latents, positions, strict=True):
                dreams.append(Dream(self.decode(latent), None if walk.poses is None else position.numpy()))
        return dreams

    def dream_all(
        self, walks: Sequence[Episode], ticks: int, what: str, quiet: bool, start: np.ndarray | None = None,
        without: Collection[str] = (),
    ) -> dict[str, list[Dream]]:  # fmt: skip
        """The dream and its null rows, by name. without: null rows that tell nothing here."""
        rows = [n for n in self.nulls if n not in without and (n != HISTORY_SHUFFLED or len(walks) > 1)]
        return {row: self.dream(walks, ticks, what, quiet, start, row) for row in (DREAM, *rows)}

    def world(self, variant: str = DREAM) -> World:
        """The world that play opens, or that of a null row, which plain torch runs. HISTORY_SHUFFLED is a dream that is
        started from another picture."""
        if variant == LAST_FRAME_REPEATED:
            return Still(self.scene)
        network = network_of(self.generator, variant)
        if network is self.generator and self.played is not None:
            return NeuralWorld(self.scene, self.played, self.steps, self.context_level)
        networks = replace(eager(self.codec, self.generator), network=network)
        return NeuralWorld(self.scene, networks, self.steps, self.context_level)

    def decode(self, latents: Tensor) -> np.ndarray:
        """Latents (T, N, C) -> frames uint8 (T, H, W, 3)."""
        grid = to_grid(latents, self.generator.shape.rows)
        with torch.no_grad():
            return np.concatenate([to_pixels(self.codec.decode(part)) for part in grid.split(64)])

    def encode(self, frames: np.ndarray) -> Tensor:
        """Frames uint8 (T, H, W, 3) -> latents (T, N, C)."""
        with torch.no_grad():
            parts = [self.codec.encode(to_tensor(part)) for part in np.array_split(frames, -(-len(frames) // 64))]
        return to_tokens(torch.cat(parts))

    def after_codec(self, frames: np.ndarray) -> np.ndarray:
        """Frames uint8 (T, H, W, 3) as the codec shows them: the best that a dream can look like."""
        return self.decode(self.encode(frames))

    def _trajectory(self, walks: Sequence[Episode], known: np.ndarray, ticks: int) -> Trajectory:
        count, end = len(walks), self.window + ticks
        space = self.scene.action_space
        return Trajectory(
            self.encode(known.reshape(-1, *known.shape[2:])).unflatten(0, (count, self.window)),
            torch.from_numpy(np.stack([space.scale(w.actions[:end]) for w in walks])),
            torch.from_numpy(np.stack([_look(w)[:end] for w in walks])),
            torch.from_numpy(np.stack([_positions(w)[: self.window] for w in walks]).astype(np.float32)),
            _stacked([w.entities for w in walks], self.window),
            _stacked([w.levels for w in walks], end),
            _rolled(walks, len(self.scene.slots), end),
        )


def poses(walk: Episode) -> np.ndarray:
    """True x, y, yaw and pitch of a walk, (T, 4) in metres and degrees."""
    assert walk.poses is not None  # parts that need poses run only where the source has them
    return walk.poses


def pose_of(row: np.ndarray) -> Pose:
    """A row (4,) of `poses` as a pose."""
    x, y, yaw, pitch = row.tolist()
    return Pose(x, y, Look(yaw, pitch))


def _positions(walk: Episode) -> np.ndarray:
    """Positions (T, 2) in metres; zeros without poses, which no network then looks at."""
    return np.zeros((len(walk.actions), 2)) if walk.poses is None else walk.poses[:, :2]


def _look(walk: Episode) -> np.ndarray:
    """Commanded looks (T, 2) in radians, yaw in one turn; zeros without poses."""
    if walk.poses is None:
        return np.zeros((len(walk.actions), 2), np.float32)
    return look_radians(walk.poses)


def _stacked(parts: list[np.ndarray | None], ticks: int) -> Tensor | None:
    """The first ticks of each walk's numbers (T, ...), as float32 (B, ticks, ...); None where a source has none."""
    known = [part[:ticks] for part in parts if part is not None]
    return torch.from_numpy(np.stack(known).astype(np.float32)) if known else None


def _rolled(walks: Sequence[Episode], slots: int, ticks: int) -> Tensor | None:
    """The dice of each walk (B, ticks, slots, DICE); None without entities."""
    if not slots:
        return None
    rolled = [[dice(walk.seed, tick, slots) for tick in range(ticks)] for walk in walks]
    return torch.from_numpy(np.array(rolled, np.float32))


def _standing(walk: Episode, picture: np.ndarray, window: int, ticks: int) -> Dream:
    position = None if walk.poses is None else np.tile(walk.poses[window - 1, :2], (ticks, 1))
    return Dream(np.broadcast_to(picture, (ticks, *picture.shape)), position)


def true_walks(
    source: SourceWorld, first_seed: int, count: int, ticks: int, data: Path | None, quiet: bool
) -> list[Episode]:
    """At most `count` episodes of `ticks` frames: held-out ones from disk if enough lie in `data`, else played and
    drawn now from `first_seed` on. Raises DataError if every episode ends too soon."""
    walks: list[Episode] = []
    if data is not None:
        try:
            for file in list_episodes(data, "held_out"):
                walk = read_episode(file, 0, ticks)
                if len(walk.frames) == ticks and is_hash_of(walk.scene_hash, source.scene):
                    walks.append(walk)
                if len(walks) == count:
                    return walks
        except DataError:
            pass
    walks, longest = [], 0
    seeds = range(first_seed, first_seed + count * _TRIES)  # the same players as on disk
    for seed in tqdm(seeds, desc="true engine", unit="episode", disable=quiet):
        walk = play_episode(source, seed, ticks)
        longest = max(longest, len(walk.frames))
        if len(walk.frames) == ticks:
            walks.append(walk)
        if len(walks) == count:
            break
    if not walks:
        raise DataError(
            f"{source.scene.name}: no held-out episode has {ticks} frames, the longest of {len(seeds)} has {longest}; "
            "give fewer --ticks"
        )
    return walks


def scripted_walk(source: SourceWorld, begin: tuple[State, Frame], actions: Sequence[Action], window: int) -> Episode:
    """A walk with given actions after `window` still frames, as play begins: one picture fills the context. It is
    shorter if the source ends the episode."""
    space = source.scene.action_space
    state, frame = begin
    frames, done = [frame] * window, [space.idle.values] * window
    for action in actions:
        state, frame = source.advance(state, action)
        frames.append(frame)
        done.append(action.values)
        if frame.terminated or frame.truncated:
            break
    track = [f.pose.as_tuple() for f in frames if f.pose is not None]
    entities, levels = what_lives(frames)
    return Episode(
        np.stack([f.pixels for f in frames]), np.array(done, np.int16),
        np.array(track) if len(track) == len(frames) else None, scene_hash(source.scene), 0, None,
        frame.terminated, frame.truncated, entities, levels,
    )  # fmt: skip


def with_action(source: PosedSource, walk: Episode, tick: int, action: Action) -> Episode:
    """The walk up to `tick`, where another action is taken; ends there."""
    pose = source.move(pose_of(poses(walk)[tick - 1]), action)
    actions, track = walk.actions[: tick + 1].copy(), poses(walk)[: tick + 1].copy()
    actions[tick], track[tick] = action.values, pose.as_tuple()
    return replace(walk, frames=walk.frames[: tick + 1], actions=actions, poses=track)
