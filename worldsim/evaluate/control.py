"""Control: does the dream do what the player does? Read from the pictures alone, by the ruler."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tqdm import tqdm

from worldsim.camera import Look, Pose
from worldsim.data.episodes import Episode
from worldsim.evaluate.metrics import macro_f1, mean, psnr
from worldsim.evaluate.pose_estimator import PoseEstimator
from worldsim.evaluate.rollouts import Dreamer, poses, with_action
from worldsim.source.player import random_action
from worldsim.source.rooms.layout import rooms_of
from worldsim.source.rooms.world import RoomsWorld


def control(
    world: RoomsWorld, dreamer: Dreamer, walks: list[Episode], ticks: int, readings: int, quiet: bool
) -> dict[str, Any]:
    """Figures of control, over `ticks` ticks of as many walks as `readings` allow, both dream and truth read two ways.

    look.yaw_error_ratio: mean error of the turn seen in a tick over the mean turn commanded, read with the place held
    where the dream believes to be; `ceiling` is that of the ruler itself on true frames after the codec. The two with
    `free_place` let the ruler look for the place as well: a small step to the side looks like a small turn, which makes
    that reading several times less sharp. keys: macro-F1 of walking and strafing, forward, not and back, read
    from how far the picture moved in a tick, against the keys held; its ceiling likewise (a wall may hold a player).
    counterfactual_gap_db: how much better the next frame under the true action fits the truth than one under a random
    action from the same state.
    """
    window = dreamer.window
    measured = walks[: max(1, readings // ticks // 4)]
    ruler = PoseEstimator(world, lambda frame: dreamer.decode(dreamer.encode(frame[None]))[0])
    dreams = dreamer.dream(measured, ticks, "dream", quiet)
    turns: dict[str, list[np.ndarray]] = {"dream": [], "truth": [], "commanded": []}
    moves: dict[str, list[np.ndarray]] = {"dream": [], "truth": [], "keys": []}
    rng = np.random.Generator(np.random.Philox(key=11))
    turned: dict[str, list[np.ndarray]] = {"dream": [], "truth": []}  # as `turns`, the place held
    with tqdm(total=2 * ticks * len(measured), desc="ruler", unit="frame", disable=quiet) as bar:
        for walk, dream in zip(measured, dreams, strict=True):
            track = poses(walk)[window : window + ticks]
            believed = np.column_stack([dream.position, track[:, 2:]])
            again = dreamer.decode(dreamer.encode(walk.frames[window : window + ticks]))
            for name, frames, near in (("dream", dream.frames, believed), ("truth", again, track)):
                read, looks = [], []
                # Not from the very place: the ruler has to find it.
                off = rng.normal(size=near.shape) * (0.03, 0.03, 0.5, 0.3)
                for frame, here, (x, y, yaw, pitch) in zip(frames, near, near + off, strict=True):
                    read.append(ruler.read(frame, Pose(x, y, Look(yaw, pitch))))
                    looks.append(ruler.read(frame, Pose(here[0], here[1], Look(yaw, pitch)), standing=True).look)
                    bar.update()
                turns[name].append(np.diff([p.look.yaw_deg for p in read]))
                turned[name].append(np.diff([look.yaw_deg for look in looks]))
                moves[name].append(_motion(read))
            turns["commanded"].append(np.diff(track[:, 2]))
            moves["keys"].append(_keys(world, walk.actions[window + 1 : window + ticks]))
    turn, step = ({k: np.concatenate(v) for k, v in group.items()} for group in (turns, moves))
    commanded = max(float(np.abs(turn["commanded"]).mean()), 1e-9)
    held_place = {name: np.abs(np.concatenate(turned[name]) - turn["commanded"]) for name in ("dream", "truth")}
    free_place = {name: np.abs(turn[name] - turn["commanded"]) for name in ("dream", "truth")}
    held = step["keys"]
    f1 = {
        name: float(np.mean([macro_f1(_as_keys(world, step[name])[:, axis], held[:, axis]) for axis in (0, 1)]))
        for name in ("dream", "truth")
    }
    return {
        "look": {
            "yaw_error_ratio": round(float(held_place["dream"].mean()) / commanded, 4),
            "ceiling": round(float(held_place["truth"].mean()) / commanded, 4),
            "yaw_error_deg": round(float(held_place["dream"].mean()), 3),
            "yaw_error_median_deg": round(float(np.median(held_place["dream"])), 3),
            "free_place_ratio": round(float(free_place["dream"].mean()) / commanded, 4),
            "free_place_ceiling": round(float(free_place["truth"].mean()) / commanded, 4),
            "commanded_deg": round(commanded, 3),
        },
        "keys": {"macro_f1": round(f1["dream"], 3), "ceiling": round(f1["truth"], 3)},
        "counterfactual_gap_db": _gap(world, dreamer, walks, quiet),
        "readings": 4 * ticks * len(measured),
    }


def _motion(track: list[Pose]) -> np.ndarray:
    """Forward and right displacement of each tick, in metres, in the frame after its turn: (T - 1, 2)."""
    rows = []
    for a, b in zip(track[:-1], track[1:], strict=True):
        dx, dy, yaw = b.x - a.x, b.y - a.y, math.radians(b.look.yaw_deg)
        rows.append((dx * math.sin(yaw) + dy * math.cos(yaw), dx * math.cos(yaw) - dy * math.sin(yaw)))
    return np.array(rows)


def _keys(world: RoomsWorld, actions: np.ndarray) -> np.ndarray:
    """Walk and strafe held in each tick, -1, 0 or 1: (T, 2)."""
    space = world.scene.action_space
    columns = [space.index("walk"), space.index("strafe")]
    return np.stack([actions[:, c] if c is not None else np.zeros(len(actions)) for c in columns], axis=1).astype(int)


def _as_keys(world: RoomsWorld, motion: np.ndarray) -> np.ndarray:
    """Motion in a tick -> the keys it looks like: moved by more than a third of a diagonal walking step, or not."""
    step = rooms_of(world.scene).motion.walk_m_s / world.scene.tick_hz
    return np.where(np.abs(motion) > step / math.sqrt(2) / 3, np.sign(motion), 0).astype(int)


def _gap(world: RoomsWorld, dreamer: Dreamer, walks: list[Episode], quiet: bool) -> float:
    """PSNR of the next frame under the true action, less that under a random one, from the same true frames."""
    window = dreamer.window
    rng = np.random.Generator(np.random.Philox(key=7))
    space = world.scene.action_space
    other = []
    for walk in walks:
        action = space.idle
        for _ in range(20):
            action = random_action(space, rng, action)
        other.append(with_action(world, walk, window, action))
    right = dreamer.dream(walks, 1, "true action", quiet)
    wrong = dreamer.dream(other, 1, "random action", quiet)
    return mean(
        [psnr(a.frames[0], w.frames[window]) - psnr(b.frames[0], w.frames[window])
         for a, b, w in zip(right, wrong, walks, strict=True)]
    )  # fmt: skip
