"""Collects episodes from a scene's true engine, in several processes."""

from __future__ import annotations

import multiprocessing
import os
import queue
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from worldsim.data.episodes import Episode, read_episode, what_lives, write_episode
from worldsim.data.stills import STILLS, draw_stills
from worldsim.errors import DataError
from worldsim.scene import Scene, is_hash_of, scene_hash
from worldsim.source.base import SourceWorld

EPISODE_TICKS = 400
HELD_OUT_SEED = 1_000_000  # held-out episodes take seeds from here on, so that no run can train on them
STILLS_SEED = 2_000_000


@dataclass(frozen=True)
class Job:
    """One episode to make; still: of unrelated frames."""

    path: Path
    seed: int
    ticks: int
    still: bool = False


class Split:
    """The episodes of one split: what lies on disk, and jobs for what is missing for so many ticks.

    An episode that ends by itself is shorter than its job asked for, so how many jobs there are shows as they are done.
    """

    def __init__(self, folder: Path, ticks: int, base_seed: int, scene: Scene, still: bool = False) -> None:
        """Existing files of the scene are kept. Raises DataError."""
        folder.mkdir(parents=True, exist_ok=True)
        self._still = still
        self._folder, self._ticks, self._base_seed, self._scene = folder, ticks, base_seed, scene
        self._next, self._have = 0, 0
        self.done = 0
        """Ticks made by jobs that were finished."""

    def jobs(self) -> Iterator[Job | None]:
        """The next job; None while enough are on their way. Ends when all is there."""
        while True:
            path = self._folder / f"{self._next:06d}.episode"
            if path.exists():
                episode = read_episode(path, with_frames=False)
                if not is_hash_of(episode.scene_hash, self._scene):
                    raise DataError(
                        f"{path} is of another version of the scene; remove {self._folder.parent} or give another --out"
                    )
                self._have += len(episode.actions)
                self._next += 1
                continue
            if self._have >= self._ticks:
                return
            asked = min(EPISODE_TICKS, self._ticks - self._have)
            self._have += asked
            self._next += 1
            yield Job(path, self._base_seed + self._next - 1, asked, self._still)

    def finished(self, job: Job, ticks: int) -> None:
        """A job has made so many ticks."""
        self._have -= job.ticks - ticks
        self.done += ticks


def play_episode(world: SourceWorld, seed: int, ticks: int) -> Episode:
    """One episode of the source's own player, of at most so many ticks: it may end before."""
    player, state, frame = world.episode(seed)
    frames, actions = [frame], [world.scene.action_space.idle.values]
    while len(frames) < ticks and not (frame.terminated or frame.truncated):
        action = player.act(frame)
        state, frame = world.advance(state, action)
        frames.append(frame)
        actions.append(action.values)
    poses = [f.pose.as_tuple() for f in frames if f.pose is not None]
    rewards = [f.reward for f in frames if f.reward is not None]  # a start picture has none
    return Episode(
        np.stack([f.pixels for f in frames]), np.array(actions, np.int16),
        np.array(poses) if len(poses) == len(frames) else None, scene_hash(world.scene), seed,
        np.array([0.0] * (len(frames) - len(rewards)) + rewards, np.float32) if rewards else None,
        frame.terminated, frame.truncated,
        *what_lives(frames),
    )  # fmt: skip


def collect(
    scene: Scene, folder: Path, ticks: int, held_out_ticks: int, workers: int, quiet: bool = False, stills: int = 0
) -> int:  # fmt: skip
    """Make the missing episodes, and so many stills. Returns how many frames were drawn. Raises DataError if a worker
    dies."""
    splits = [
        Split(folder / "train", ticks, 0, scene),
        Split(folder / "held_out", held_out_ticks, HELD_OUT_SEED, scene),
    ]
    if stills:
        splits.append(Split(folder / STILLS, stills, STILLS_SEED, scene, still=True))
    context = multiprocessing.get_context("spawn")  # a fork after an OpenGL context exists hangs
    todo, done = context.Queue(), context.Queue()
    processes = [context.Process(target=_work, args=(scene, todo, done), daemon=True) for _ in range(workers)]
    for process in processes:
        process.start()
    with tqdm(unit="frame", desc=f"collect {scene.name}", disable=quiet) as bar:
        for split in splits:
            under_way = 0
            while True:
                for job in split.jobs():
                    todo.put(job)
                    under_way += 1
                if not under_way:
                    break
                job, made = _answer(done, processes, under_way)
                split.finished(job, made)
                under_way -= 1
                bar.update(made)
    for _ in processes:
        todo.put(None)
    for process in processes:
        process.join()
    return sum(split.done for split in splits)


def _answer(done, processes, under_way: int) -> tuple[Job, int]:
    """The next finished job and its ticks. Raises DataError if no worker is left, or one says why it stopped."""
    while True:
        try:
            message = done.get(timeout=2)
        except queue.Empty:
            if not any(p.is_alive() for p in processes):
                raise DataError(f"{under_way} episodes were not made: every collecting process died") from None
            continue
        if isinstance(message, str):
            raise DataError(message)
        return message


def _work(scene: Scene, todo, done) -> None:
    """One collecting process: its own OpenGL context, drawn by one thread, since episodes run side by side."""
    os.environ.setdefault("LP_NUM_THREADS", "1")
    try:
        with scene.source.open(scene) as world:
            while (job := todo.get()) is not None:
                make = draw_stills if job.still else play_episode
                episode = make(world, job.seed, job.ticks)
                write_episode(job.path, episode)
                done.put((job, len(episode.frames)))
    except Exception as error:
        done.put(f"collecting stopped: {error}")
