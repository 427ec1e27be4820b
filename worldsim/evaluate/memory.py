"""Memory: what is still there after turning away and coming back.

Entity, environment and causal consistency in the sense of MBench: things keep their presence, colour and place, the
place keeps its look, and walls keep stopping.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from worldsim.action import Action
from worldsim.camera import Look, Pose
from worldsim.data.episodes import Episode
from worldsim.evaluate.metrics import mean, psnr, ssim
from worldsim.evaluate.rollouts import Dreamer, poses, scripted_walk
from worldsim.scene import Scene
from worldsim.source.rooms.layout import rooms_of
from worldsim.source.rooms.renderer import RoomsRenderer
from worldsim.source.rooms.world import RoomsWorld

TURN_TICKS, WALK_TICKS, HALF_TURN_TICKS, BUMP_TICKS = 72, 24, 18, 70
_VISIBLE = 18  # grey levels by which a thing must change a pixel
_LEAST_PIXELS = 80
_REACH = 6  # pixels a thing is looked for around its place


@dataclass(frozen=True)
class Thing:
    """A solid or picture of the scene as seen from one pose: its mask (H, W), and the picture without it."""

    name: str
    mask: np.ndarray
    without: np.ndarray


def memory(world: RoomsWorld, dreamer: Dreamer, count: int, quiet: bool) -> tuple[dict[str, Any], np.ndarray]:
    """Figures over `count` starts, and film strips of walks away and back, truth above dream, uint8 (H, W, 3)."""
    starts = _starts(world, count)
    loops = [_loop(world, dreamer, pose, 1 if i % 2 else -1) for i, pose in enumerate(starts)]
    turned = dreamer.dream(loops, TURN_TICKS, "full turns", quiet)
    loop = [psnr(d.frames[-1], w.frames[-1]) for d, w in zip(turned, loops, strict=True)]
    first = [psnr(d.frames[0], w.frames[dreamer.window]) for d, w in zip(turned, loops, strict=True)]

    trips = [trip for pose in starts if (trip := _there_and_back(world, dreamer, pose)) is not None]
    length = 2 * (WALK_TICKS + HALF_TURN_TICKS)
    back = dreamer.dream(trips, length, "there and back", quiet)
    environment = {
        "psnr_db": mean([psnr(d.frames[-1], w.frames[-1]) for d, w in zip(back, trips, strict=True)]),
        "ssim": mean([ssim(d.frames[-1], w.frames[-1]) for d, w in zip(back, trips, strict=True)], 3),
        "halfway_psnr_db": mean([psnr(d.frames[length // 2], w.frames[dreamer.window + length // 2])
                                 for d, w in zip(back, trips, strict=True)]),
        "trips": len(trips),
    }  # fmt: skip
    views = [(d.frames[-1], w.frames[-1], _pose(poses(w)[-1]))
             for d, w in zip(back, trips, strict=True)]  # fmt: skip
    return {
        "loop_psnr_db": mean(loop),
        "loop_first_psnr_db": mean(first),
        "environment": environment,
        "entity": _entities(world, views),
        "causal": causal(world, dreamer, starts, quiet),
    }, _strips(dreamer, trips[:3], [d.frames for d in back[:3]])


def _strips(dreamer: Dreamer, walks: list[Episode], dreams: list[np.ndarray]) -> np.ndarray:
    """Six moments of each walk, truth above dream."""
    rows = [np.zeros((1, 1, 3), np.uint8)] if not walks else []
    for walk, dream in zip(walks, dreams, strict=True):
        picks = np.linspace(0, len(dream) - 1, 6).astype(int)
        rows += [np.concatenate(list(frames[picks]), axis=1) for frames in (walk.frames[dreamer.window :], dream)]
    return np.concatenate(rows, axis=0)


def causal(world: RoomsWorld, dreamer: Dreamer, starts: list[Pose], quiet: bool) -> dict[str, Any]:
    """Walk ahead into whatever is there, for BUMP_TICKS ticks: does it stop where the truth stops?"""
    ahead = world.scene.action_space.make(walk=1)
    walks = [scripted_walk(world, pose, [ahead] * BUMP_TICKS, dreamer.window) for pose in starts]
    walks = [w for w in walks if _stopped(poses(w)[:, :2])]
    if not walks:
        return {"bumps": 0}
    dreams = dreamer.dream(walks, BUMP_TICKS, "bumps", quiet)
    pairs = list(zip(dreams, walks, strict=True))
    return {
        "bumps": len(walks),
        "stopped": mean([float(_stopped(d.position)) for d in dreams], 3),
        "off_m": mean([float(np.hypot(*(d.position[-1] - poses(w)[-1, :2]))) for d, w in pairs], 3),
        "psnr_db": mean([psnr(d.frames[-1], w.frames[-1]) for d, w in pairs]),
    }


def _pose(row: np.ndarray) -> Pose:
    x, y, yaw, pitch = row.tolist()
    return Pose(x, y, Look(yaw, pitch))


def _stopped(track: np.ndarray) -> bool:
    return float(np.hypot(*(track[-1] - track[-6]))) < 0.05


def _starts(world: RoomsWorld, count: int) -> list[Pose]:
    """Level views from the scene's spawns, turned a little further each round."""
    poses = [spawn.pose for spawn in world.scene.spawns if spawn.pose is not None]
    starts = []
    for i in range(count):
        pose = poses[i % len(poses)]
        starts.append(Pose(pose.x, pose.y, Look(pose.look.yaw_deg + 45.0 * (i // len(poses)))))
    return starts


def _quanta(scene: Scene, degrees: float) -> int:
    control = scene.controls[scene.action_space.index("yaw") or 0]
    return round(degrees / control.quantum_deg)


def _turn(scene: Scene, degrees: float, ticks: int) -> list[Action]:
    return [scene.action_space.make(yaw=_quanta(scene, degrees / ticks))] * ticks


def _loop(world: RoomsWorld, dreamer: Dreamer, start: Pose, side: int) -> Episode:
    return scripted_walk(world, start, _turn(world.scene, side * 360.0, TURN_TICKS), dreamer.window)


def _there_and_back(world: RoomsWorld, dreamer: Dreamer, start: Pose) -> Episode | None:
    """Turn about, walk away, turn about, walk back: to the same pose, if no wall is in the way within the circle."""
    scene = world.scene
    walk = [scene.action_space.make(walk=1)] * WALK_TICKS
    half = _turn(scene, 180.0, HALF_TURN_TICKS)
    for off in range(0, 360, 30):
        pose = replace(start, look=Look(start.look.yaw_deg + off))
        track = pose
        for action in [*half, *walk, *half, *walk]:
            track = world.move(track, action)
        if np.hypot(track.x - pose.x, track.y - pose.y) < 0.01:
            return scripted_walk(world, pose, [*half, *walk, *half, *walk], dreamer.window)
    return None


def _entities(world: RoomsWorld, views: list[tuple[np.ndarray, np.ndarray, Pose]]) -> dict[str, Any]:
    """Share of visible things that are there, of their colour, and in their place, in dreamed views of known poses."""
    there, colour, place, offs = [], [], [], []
    engines = list(_without_each(world))
    try:
        for dream, truth, pose in views:
            for name, engine in engines:
                thing = _see(name, truth, engine.render(pose))
                if thing is None:
                    continue
                there.append(float(_error(dream, truth, thing.mask) < _error(dream, thing.without, thing.mask)))
                apart = np.abs(dream[thing.mask].mean(axis=0) - truth[thing.mask].mean(axis=0)).max()
                colour.append(float(apart < 16))
                off = _offset(dream, truth, thing.mask)
                offs.append(off)
                place.append(float(off <= 2))
    finally:
        for _, engine in engines:
            engine.close()
    if not there:
        return {"things": 0}
    return {"things": len(there), "there": mean(there, 3), "same_colour": mean(colour, 3), "same_place": mean(place, 3),
            "offset_px": mean(offs, 2)}  # fmt: skip


def _without_each(world: RoomsWorld) -> Iterator[tuple[str, RoomsRenderer]]:
    """An engine of the scene without one of its things, for each."""
    source = rooms_of(world.scene)
    for field in ("solids", "pictures"):
        things = getattr(source, field)
        for i in range(len(things)):
            less = replace(source, **{field: things[:i] + things[i + 1 :]})
            yield f"{field}[{i}]", world.renderer_of(replace(world.scene, source=less))


def _see(name: str, truth: np.ndarray, without: np.ndarray) -> Thing | None:
    mask = np.abs(truth.astype(int) - without).max(axis=2) > _VISIBLE
    return Thing(name, mask, without) if mask.sum() >= _LEAST_PIXELS else None


def _error(a: np.ndarray, b: np.ndarray, mask: np.ndarray) -> float:
    return float(np.square(a[mask].astype(float) - b[mask]).mean())


def _offset(dream: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """By how many pixels the thing's true picture must be moved to fit the dream best."""
    rows, columns = np.nonzero(mask)
    best, where = np.inf, 0.0
    height, width = mask.shape
    for dy in range(-_REACH, _REACH + 1):
        for dx in range(-_REACH, _REACH + 1):
            y, x = rows + dy, columns + dx
            inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            if inside.sum() < 0.7 * len(rows):
                continue
            error = float(
                np.square(dream[y[inside], x[inside]].astype(float) - truth[rows[inside], columns[inside]]).mean()
            )
            if error < best:
                best, where = error, float(np.hypot(dx, dy))
    return where
