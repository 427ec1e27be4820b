"""Collects episodes from a scene's true engine, in several processes."""

from __future__ import annotations

import multiprocessing
import os
import queue
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from worldsim.data.episodes import Episode, read_episode, write_episode
from worldsim.errors import DataError
from worldsim.player import RandomPlayer
from worldsim.scene import Scene, scene_hash
from worldsim.world import advance

EPISODE_TICKS = 400
HELD_OUT_SEED = 1_000_000  # held-out episodes take seeds from here on, so that no run can train on them


@dataclass(frozen=True)
class Job:
    """One episode to make."""

    path: Path
    seed: int
    ticks: int


def plan(folder: Path, ticks: int, held_out_ticks: int, mark: str) -> list[Job]:
    """The episodes still missing for so many ticks; existing files are kept. mark: the scene's hash. DataError."""
    jobs = []
    for split, total, base in (("train", ticks, 0), ("held_out", held_out_ticks, HELD_OUT_SEED)):
        (folder / split).mkdir(parents=True, exist_ok=True)
        for i in range(-(-total // EPISODE_TICKS)):
            path = folder / split / f"{i:06d}.episode"
            if path.exists():
                if read_episode(path, 0, 0).scene_hash != mark:
                    raise DataError(f"{path} is of another version of the scene; remove {folder} or give another --out")
            else:
                jobs.append(Job(path, base + i, min(EPISODE_TICKS, total - i * EPISODE_TICKS)))
    return jobs


def play_episode(world, seed: int, ticks: int) -> Episode:
    """One episode of the varied player in a SourceWorld."""
    player = RandomPlayer(world.scene, world.dynamics, seed)
    state, frame = world.at(player.start_pose())
    frames, actions, poses = [frame.pixels], [world.scene.action_space.idle.values], [state.pose.as_tuple()]
    for _ in range(ticks - 1):
        action = player.act(state.pose)
        state, frame = advance(world, state, action)
        frames.append(frame.pixels)
        actions.append(action.values)
        poses.append(state.pose.as_tuple())
    return Episode(
        np.stack(frames), np.array(actions, np.int16), np.array(poses), scene_hash(world.scene), seed
    )


def collect(scene: Scene, folder: Path, ticks: int, held_out_ticks: int, workers: int, quiet: bool = False) -> int:
    """Make the missing episodes. Returns how many ticks were rendered. Raises DataError if a worker dies."""
    jobs = plan(folder, ticks, held_out_ticks, scene_hash(scene))
    total = sum(job.ticks for job in jobs)
    context = multiprocessing.get_context("spawn")  # a fork after an OpenGL context exists hangs
    todo, done = context.Queue(), context.Queue()
    for job in jobs:
        todo.put(job)
    for _ in range(workers):
        todo.put(None)
    processes = [context.Process(target=_work, args=(scene, todo, done), daemon=True) for _ in range(workers)]
    for process in processes:
        process.start()
    with tqdm(total=total, unit="frame", desc=f"collect {scene.name}", disable=quiet) as bar:
        left = len(jobs)
        while left:
            try:
                message = done.get(timeout=2)
            except queue.Empty:
                if not any(p.is_alive() for p in processes):
                    raise DataError(f"{left} episodes were not made: every collecting process died") from None
                continue
            if isinstance(message, str):
                raise DataError(message)
            bar.update(message)
            left -= 1
    for process in processes:
        process.join()
    return total


def _work(scene: Scene, todo, done) -> None:
    """One collecting process: its own OpenGL context, drawn by one thread, since episodes run side by side."""
    os.environ.setdefault("LP_NUM_THREADS", "1")
    from worldsim.source.source_world import SourceWorld

    try:
        world = SourceWorld(scene)
        while (job := todo.get()) is not None:
            write_episode(job.path, play_episode(world, job.seed, job.ticks))
            done.put(job.ticks)
    except Exception as error:
        done.put(f"collecting stopped: {error}")
