"""Counterfactual consistency (CRONOS): the same event under another wall colour or viewpoint keeps its outcome.

The event is a walk into a wall. Recoloured: the start pictures have their colours exchanged. Another viewpoint: the
same way is walked backwards or sideways, looking elsewhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from worldsim.camera import Look, Pose
from worldsim.data.episodes import Episode
from worldsim.evaluate.memory import BUMP_TICKS
from worldsim.evaluate.metrics import mean, psnr
from worldsim.evaluate.rollouts import Dream, Dreamer, poses, scripted_walk
from worldsim.source.rooms.world import RoomsWorld

_VIEWS = {"backwards": (180.0, {"walk": -1}), "sideways": (90.0, {"strafe": -1})}


def counterfactual(world: RoomsWorld, dreamer: Dreamer, count: int, quiet: bool) -> dict[str, Any]:
    """outcome_kept: share of variants that end within 10 cm of the plain event; structure: how alike the outlines of
    the last pictures are (correlation of gradients), recoloured against plain, and `unrelated` between two events."""
    poses_there = [spawn.pose for spawn in world.scene.spawns if spawn.pose is not None]
    starts = [
        Pose(pose.x, pose.y, Look(pose.look.yaw_deg + 60.0 * i)) for i, pose in enumerate((poses_there * count)[:count])
    ]
    plain = [_walk(world, dreamer, pose, 0.0, {"walk": 1}) for pose in starts]
    events = dreamer.dream(plain, BUMP_TICKS, "event", quiet)
    recoloured = np.stack([w.frames[: dreamer.window][..., [2, 0, 1]] for w in plain])
    colours = dreamer.dream(plain, BUMP_TICKS, "recoloured", quiet, start=recoloured)
    figures: dict[str, Any] = {"events": len(plain)}
    pairs = list(zip(events, colours, strict=True))
    structure = [_alike(a.frames[-1], b.frames[-1]) for a, b in pairs]
    unrelated = [_alike(a.frames[-1], events[i - 1].frames[-1]) for i, a in enumerate(events)]
    figures["recoloured"] = {
        "outcome_kept": mean([float(_apart(a, b) < 0.1) for a, b in pairs], 3),
        "structure": mean(structure, 3),
        "unrelated": mean(unrelated, 3),
    }
    for name, (turn, keys) in _VIEWS.items():
        walks = [_walk(world, dreamer, pose, turn, keys) for pose in starts]
        dreams = dreamer.dream(walks, BUMP_TICKS, name, quiet)
        figures[name] = {
            "outcome_kept": mean([float(_apart(a, b) < 0.1) for a, b in zip(events, dreams, strict=True)], 3),
            "psnr_db": mean([psnr(d.frames[-1], w.frames[-1]) for d, w in zip(dreams, walks, strict=True)]),
        }
    figures["truth_kept"] = mean(
        [float(np.hypot(*(poses(a)[-1, :2] - poses(b)[-1, :2])) < 0.1) for a, b in zip(plain, walks, strict=True)], 3
    )
    return {"counterfactual": figures}


def _walk(world: RoomsWorld, dreamer: Dreamer, start: Pose, turn: float, keys: dict[str, int]) -> Episode:
    """The way ahead of `start`, looking `turn` degrees away from it."""
    pose = Pose(start.x, start.y, Look(start.look.yaw_deg + turn, 0.0))
    return scripted_walk(world, pose, [world.scene.action_space.make(**keys)] * BUMP_TICKS, dreamer.window)


def _apart(a: Dream, b: Dream) -> float:
    return float(np.hypot(*(a.position[-1] - b.position[-1])))


def _alike(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of gradient magnitudes, whatever the colours."""
    edges = []
    for frame in (a, b):
        f = frame.astype(float)
        edges.append(np.hypot(np.diff(f, axis=0)[:, :-1], np.diff(f, axis=1)[:-1]).max(axis=2).ravel())
    return float(np.corrcoef(*edges)[0, 1])
