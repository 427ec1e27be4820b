"""Latents of all episodes, encoded once and kept on disk; clips are drawn from them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from worldsim.action import ActionSpace
from worldsim.camera import look_radians
from worldsim.data.episodes import Episode, list_episodes, read_episode
from worldsim.data.transitions import Transitions
from worldsim.entities import dice
from worldsim.errors import DataError
from worldsim.model.codec import PATCH, Codec, to_grid, to_tensor, to_tokens
from worldsim.model.condition import Condition
from worldsim.scene import Scene, is_hash_of


@dataclass(frozen=True)
class Clips:
    """A batch of clips, each one sink frame followed by T frames. latents (B, 1 + T, N, C); action (B, 1 + T, A);
    look (B, 1 + T, 2) radians; position (B, 1 + T, 2) metres; entities (B, 1 + T, S, FIELDS) in their units, levels
    (B, 1 + T, E) and dice (B, 1 + T, S, DICE), None in a scene without."""

    latents: Tensor
    action: Tensor
    look: Tensor
    position: Tensor
    entities: Tensor | None = None
    levels: Tensor | None = None
    dice: Tensor | None = None

    def to(self, device: torch.device) -> Clips:
        """On another device."""
        return self._each(lambda part: part.to(device))

    def ticks(self, part: slice) -> Clips:
        """Some of the ticks, the sink being the first."""
        return self._each(lambda whole: whole[:, part])

    def _each(self, change: Callable[[Tensor], Tensor]) -> Clips:
        parts: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        changed: dict[str, Any] = {name: None if part is None else change(part) for name, part in parts.items()}
        return Clips(**changed)

    def tick(self, index: int, posed: Tensor) -> Condition:
        """The condition of one tick; posed (B,) 1 or 0."""
        return self.ticks(slice(index, index + 1)).condition(posed)

    def condition(self, posed: Tensor) -> Condition:
        """Flat condition over B * (1 + T) frames; posed (B,) 1 or 0."""
        flat = self._each(lambda part: part.flatten(0, 1))
        known = posed[:, None].expand(-1, self.latents.shape[1]).flatten()
        return Condition(flat.action, flat.look, flat.position, known, None, flat.entities, flat.levels, flat.dice)


class Latents:
    """All latents of one split, in memory."""

    def __init__(self, tensors: dict[str, Tensor], space: ActionSpace) -> None:
        self.latents, self.starts = tensors["latents"], tensors["starts"].numpy()
        self.action = torch.from_numpy(space.scale(tensors["actions"].numpy()))
        poses = tensors["poses"].numpy()
        self.posed = bool(len(poses))
        """Whether the source knows poses; without them positions and looks are zeros."""
        if not self.posed:
            poses = np.zeros((len(self.latents), 4))
        self.position = torch.from_numpy(poses[:, :2].astype(np.float32))
        self.look = torch.from_numpy(look_radians(poses))
        self.entities, self.levels, self.dice = (tensors.get(name) for name in ("entities", "levels", "dice"))
        self._later = np.setdiff1d(np.arange(len(self.latents)), self.starts)  # frames with one before them
        self.channel_weight = tensors["channel_weight"]
        self._rank, self.world = 0, 1

    def and_stills(self, stills: Latents) -> Latents:
        """These frames and those of another split, after them: for what draws unrelated frames."""
        both = copy(self)
        for name in ("latents", "action", "position", "look", "entities", "levels", "dice"):
            parts = getattr(self, name), getattr(stills, name)
            setattr(both, name, None if parts[0] is None else torch.cat(parts))
        both.starts = np.concatenate([self.starts, self.starts[-1] + stills.starts[1:]])
        both._later = np.setdiff1d(np.arange(len(both.latents)), both.starts)
        return both

    @property
    def longest(self) -> int:
        """Frames of the longest episode."""
        return int(np.diff(self.starts).max())

    def share(self, rank: int, world: int) -> None:
        """Draw for one of several processes from now on: of every batch, each gets its own rows."""
        self._rank, self.world = rank, world

    def own(self, drawn: Tensor) -> Tensor:
        """This process's rows of what was drawn for all."""
        return drawn[self._rank :: self.world]

    def draw(self, rng: np.random.Generator, batch: int, frames: int) -> Clips:
        """Random clips of `frames` after a sink: an earlier frame of the same episode, or the clip's own first."""
        lengths = np.diff(self.starts)
        usable = np.flatnonzero(lengths >= frames)
        if not len(usable):
            raise DataError(f"no episode has {frames} frames; give fewer --clip-frames, or collect longer episodes")
        rows = []
        for episode in rng.choice(usable, batch):
            first = int(rng.integers(lengths[episode] - frames + 1))
            sink = first if rng.random() < 0.25 else int(rng.integers(first + 1))
            rows.append(self.starts[episode] + np.array([sink, *range(first, first + frames)]))
        return self.at(torch.from_numpy(np.stack(rows[self._rank :: self.world])))

    def draw_frames(self, rng: np.random.Generator, count: int) -> Clips:
        """Unrelated single frames, as clips of one."""
        return self.at(self.draw_rows(rng, count))

    def draw_rows(self, rng: np.random.Generator, count: int) -> Tensor:
        """Which frames `draw_frames` would give: (count, 1)."""
        return torch.from_numpy(rng.integers(len(self.latents), size=(count, 1)))[self._rank :: self.world]

    def at(self, index: Tensor) -> Clips:
        """The frames at `index` (B, T)."""
        known = (None if part is None else part[index].float() for part in (self.entities, self.levels, self.dice))
        return Clips(self.latents[index].float(), self.action[index], self.look[index], self.position[index], *known)

    def draw_ticks(self, rng: np.random.Generator, count: int) -> Transitions:
        """Random steps of the player, each within an episode."""
        after = torch.from_numpy(self._later[rng.integers(len(self._later), size=count)])[self._rank :: self.world]
        here, there = self.position[after - 1], self.position[after]
        entities = None if self.entities is None else self.entities[after - 1].float()
        return Transitions(self.action[after], here, self.look[after, 0], there - here, entities)


def load_latents(codec: Codec, codec_hash: str, data: Path, split: str, scene: Scene, quiet: bool = False) -> Latents:
    """Latents of a split under this codec, encoding what is not yet on disk. Raises DataError."""
    files = list_episodes(data, split)
    listing = "".join(f"{f.name} {f.stat().st_size} " for f in files)
    of_scene = read_episode(files[0], with_frames=False).scene_hash
    mark = hashlib.sha256(f"{codec_hash} {of_scene} {listing}".encode()).hexdigest()
    path = data / f"latents-{split}-{mark[:16]}.safetensors"
    if path.exists() and is_hash_of(of_scene, scene):
        return Latents(load_file(path), scene.action_space)
    latents, actions, poses, starts = [], [], [], [0]
    things: dict[str, list[Tensor]] = {"entities": [], "levels": [], "dice": []}
    for file in tqdm(files, desc=f"encode {split}", unit="episode", disable=quiet):
        episode = read_episode(file)
        if not is_hash_of(episode.scene_hash, scene):
            raise DataError(f"{file} is of another version of {scene.name}; collect into an empty folder")
        if episode.poses is None and scene.place is not None:
            raise DataError(f"{file} has no poses; scene {scene.name} has a camera and needs them")
        with torch.no_grad():
            parts = [
                codec.encode(to_tensor(f)) for f in np.array_split(episode.frames, max(1, len(episode.frames) // 50))
            ]
        latents.append(to_tokens(torch.cat(parts)).half())  # (T, N, C)
        actions.append(torch.from_numpy(episode.actions.astype(np.int16)))
        if episode.poses is not None and scene.place is not None:
            poses.append(torch.from_numpy(episode.poses.astype(np.float64)))
        starts.append(starts[-1] + len(episode.frames))
        for name, found in _things(episode, scene, file).items():
            things[name].append(found)
    tensors = {
        "latents": torch.cat(latents),
        "actions": torch.cat(actions),
        "poses": torch.cat(poses) if poses else torch.zeros(0, 4, dtype=torch.float64),
        "starts": torch.tensor(starts),
        **{name: torch.cat(parts) for name, parts in things.items() if parts},
    }
    tensors["channel_weight"] = channel_weights(
        codec, tensors["latents"], read_episode(files[0], 0, 1).frames.shape[1:3]
    )
    part = path.with_suffix(".part")
    save_file(tensors, part)
    part.replace(path)  # a killed process leaves no half file
    return Latents(tensors, scene.action_space)


def _things(episode: Episode, scene: Scene, file: Path) -> dict[str, Tensor]:
    """Entities, levels and dice of an episode, as far as its scene has them. Raises DataError."""
    found = {}
    for name, wanted, part in (
        ("entities", len(scene.slots), episode.entities),
        ("levels", len(scene.events), episode.levels),
    ):
        if not wanted:
            continue
        if part is None or part.shape[1] != wanted:
            raise DataError(f"{file} has no {name}, scene {scene.name} has {wanted}; collect into an empty folder")
        found[name] = torch.from_numpy(part.astype(np.float32))
    if scene.slots:
        rolled = [dice(episode.seed, tick, len(scene.slots)) for tick in range(len(episode.actions))]
        found["dice"] = torch.from_numpy(np.stack(rolled).astype(np.float32))
    return found


@torch.no_grad()
def channel_weights(codec: Codec, latents: Tensor, size: tuple[int, int], floor: float = 0.3) -> Tensor:
    """What an error in each channel costs in pixels, mean 1, with a floor: weights of the generator's loss. (C,)"""
    picks = latents[torch.linspace(0, len(latents) - 1, 16).long()].float()
    grid = to_grid(picks, size[0] // PATCH)
    plain = codec.decode(grid)
    cost = []
    for channel in range(grid.shape[1]):
        nudged = grid.clone()
        nudged[:, channel] += 0.3
        cost.append((codec.decode(nudged) - plain).square().mean())
    weight = torch.stack(cost)
    return floor + (1 - floor) * weight / weight.mean()
