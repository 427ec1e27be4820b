"""Episodes on disk: what a player saw and did, one file each.

Layout of a file: the magic line, one JSON header line, then the sections it lists: actions (int16), poses (float64),
rewards (float32), entities (float64) and levels of events (float32) if the source knows them, and the frames,
zstd-compressed in blocks, so that a clip can be read without the rest.
Knows nothing of how episodes are collected or used.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import zstandard

from worldsim.errors import DataError
from worldsim.world import Frame

MAGIC = b"worldsim episode 1\n"
_BLOCK = 16  # frames compressed together: a whole block is decoded to read one of its frames
_LEVEL = 3


@dataclass(frozen=True)
class Episode:
    """frames uint8 (T, H, W, 3); actions int16 (T, A), actions[t] leads from frame t-1 to frame t (actions[0] is
    idle); poses float64 (T, 4): x, y in metres, yaw, pitch in degrees; None where the source has no poses; rewards
    float32 (T,), None where it has none. terminated, truncated: how the last frame ended the episode, if it did.
    entities float64 (T, slots, FIELDS), see worldsim.entities; levels float32 (T, events) in [0, 1]; None where the
    source has none. The dice of tick t are those of (seed, t)."""

    frames: np.ndarray
    actions: np.ndarray
    poses: np.ndarray | None
    scene_hash: str
    seed: int
    rewards: np.ndarray | None = None
    terminated: bool = False
    truncated: bool = False
    entities: np.ndarray | None = None
    levels: np.ndarray | None = None


def what_lives(frames: Sequence[Frame]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Entities (T, slots, FIELDS) and levels of events (T, events) of frames; None where a source has none."""
    entities = [f.entities for f in frames if f.entities is not None]
    levels = np.array([f.happening.levels for f in frames], np.float32)
    return np.stack(entities) if entities else None, levels if levels.shape[1] else None


def write_episode(path: Path, episode: Episode) -> None:
    """Write one file, by rename: a killed process leaves no half episode."""
    compressor = zstandard.ZstdCompressor(level=_LEVEL)
    blocks = [
        compressor.compress(np.ascontiguousarray(episode.frames[i : i + _BLOCK]).tobytes())
        for i in range(0, len(episode.frames), _BLOCK)
    ]
    header = {
        "frames": list(episode.frames.shape),
        "actions": list(episode.actions.shape),
        "poses": episode.poses is not None,
        "rewards": episode.rewards is not None,
        "entities": None if episode.entities is None else list(episode.entities.shape),
        "levels": None if episode.levels is None else list(episode.levels.shape),
        "terminated": episode.terminated,
        "truncated": episode.truncated,
        "scene": episode.scene_hash,
        "seed": episode.seed,
        "blocks": [len(b) for b in blocks],
    }
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(MAGIC + json.dumps(header).encode() + b"\n")
        file.write(episode.actions.astype("<i2").tobytes())
        if episode.poses is not None:
            file.write(episode.poses.astype("<f8").tobytes())
        if episode.rewards is not None:
            file.write(episode.rewards.astype("<f4").tobytes())
        if episode.entities is not None:
            file.write(episode.entities.astype("<f8").tobytes())
        if episode.levels is not None:
            file.write(episode.levels.astype("<f4").tobytes())
        for block in blocks:
            file.write(block)
    os.replace(part, path)


def read_episode(path: Path, start: int = 0, stop: int | None = None, with_frames: bool = True) -> Episode:
    """Read an episode, or only the frames [start, stop). Actions and poses are cut to the same ticks. DataError."""
    try:
        with path.open("rb") as file:
            if file.readline() != MAGIC:
                raise DataError(f"{path} is not an episode of this version; collect it again")
            header = json.loads(file.readline())
            count, height, width, channels = header["frames"]
            rows, columns = header["actions"]
            actions = np.frombuffer(file.read(rows * columns * 2), "<i2").reshape(rows, columns)
            poses = np.frombuffer(file.read(rows * 4 * 8), "<f8").reshape(rows, 4) if header["poses"] else None
            rewards = np.frombuffer(file.read(rows * 4), "<f4") if header.get("rewards") else None
            entities = _section(file, header.get("entities"), "<f8")
            levels = _section(file, header.get("levels"), "<f4")
            stop = count if stop is None else min(stop, count)
            first, last = start // _BLOCK, -(-stop // _BLOCK)
            frames = np.zeros((0, height, width, channels), np.uint8)
            if with_frames and stop > start:
                file.seek(sum(header["blocks"][:first]), os.SEEK_CUR)
                expand = zstandard.ZstdDecompressor().decompress
                data = b"".join(expand(file.read(n)) for n in header["blocks"][first:last])
                block = np.frombuffer(data, np.uint8).reshape(-1, height, width, channels)
                frames = block[start - first * _BLOCK : stop - first * _BLOCK]
    except (OSError, ValueError, KeyError, zstandard.ZstdError) as error:
        raise DataError(f"{path} cannot be read as an episode: {error}; collect it again") from None
    poses, rewards, entities, levels = (
        None if part is None else part[start:stop] for part in (poses, rewards, entities, levels)
    )
    ended = bool(header.get("terminated")), bool(header.get("truncated"))
    return Episode(
        frames, actions[start:stop], poses, header["scene"], header["seed"], rewards, *ended, entities, levels
    )


def _section(file: BinaryIO, shape: list[int] | None, kind: str) -> np.ndarray | None:
    """The next numbers of a file, of this shape and type; None if it has no such section."""
    if shape is None:
        return None
    return np.frombuffer(file.read(math.prod(shape) * np.dtype(kind).itemsize), kind).reshape(shape)


def list_episodes(folder: Path, split: str) -> list[Path]:
    """Files of `train`, `held_out` or `stills` episodes, sorted. Raises DataError if there is none."""
    files = sorted((folder / split).glob("*.episode"))
    if not files:
        raise DataError(f"no {split} episodes in {folder}; run `worldsim collect {folder.name}` first")
    return files
