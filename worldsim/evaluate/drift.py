"""Drift: ten minutes of play in one go, on the very path that play takes, with the true engine as the judge."""

from __future__ import annotations

from typing import Any

import numpy as np
from tqdm import tqdm

from worldsim.camera import Pose
from worldsim.data.collect import HELD_OUT_SEED
from worldsim.evaluate.metrics import gradient_energy, psnr
from worldsim.evaluate.rollouts import Dreamer
from worldsim.inference.network import eager
from worldsim.source.rooms.random_player import RandomPlayer
from worldsim.source.rooms.world import RoomsWorld
from worldsim.world import Spawn
from worldsim.worlds.neural import NeuralWorld

EVERY = 20  # ticks between looks: one a second
_COLLAPSE_LOOKS = 10  # in a row
_BLAND, _STILL = 0.3, 0.1


def drift(world: RoomsWorld, dreamer: Dreamer, ticks: int, quiet: bool) -> tuple[dict[str, Any], np.ndarray]:
    """Play the varied player for `ticks` ticks from one start. Returns figures and dreamed frames to look at.

    Every second the picture is held against the true engine's from where the dream believes to be: PSNR there says
    whether the dream still shows the place it is in; sharpness and motion are ratios to the truth's. Collapsed: for ten
    looks in a row the dream has less than 0.3 of the truth's sharpness, or less than 0.1 of its motion while it moves.
    """
    scene = dreamer.scene
    networks = eager(dreamer.codec, dreamer.generator)
    dream = NeuralWorld(scene, networks, dreamer.steps, dreamer.context_level)
    player = RandomPlayer(scene, world.dynamics, HELD_OUT_SEED + 777)
    pose = player.start_pose()
    start = world.at(pose)[1].pixels
    state, frame = dream.start(0, Spawn("drift", start, pose))
    fits: list[float] = []
    sharp: list[float] = []
    motion: list[float] = []
    strength: list[float] = []
    shown: list[np.ndarray] = []
    bad, collapsed_at = 0, None
    last_true = start
    moved_true = moved_dream = 0.0
    for tick in tqdm(range(1, ticks + 1), desc="play", unit="tick", disable=quiet):
        action = player.act(frame)
        before = frame.pixels
        state, frame = dream.advance(state, action)
        pose = frame.pose or pose
        if tick % EVERY in (EVERY - 1, 0):  # two neighbours, for motion
            true = world.at(Pose(pose.x, pose.y, pose.look))[1].pixels
            if tick % EVERY == 0:
                moved_true, moved_dream = _change(last_true, true), _change(before, frame.pixels)
            last_true = true
        if tick % EVERY:
            continue
        fits.append(psnr(frame.pixels, true))
        sharp.append(gradient_energy(frame.pixels) / max(gradient_energy(true), 1e-9))
        strength.append(float(state.latent.square().mean().sqrt()))
        if moved_true > 1.0:
            motion.append(moved_dream / moved_true)
        bland, still = sharp[-1] < _BLAND, moved_true > 1.0 and moved_dream / moved_true < _STILL
        bad = bad + 1 if bland or still else 0
        if bad >= _COLLAPSE_LOOKS and collapsed_at is None:
            collapsed_at = tick - (_COLLAPSE_LOOKS - 1) * EVERY
        if tick % max(EVERY, ticks // 12 // EVERY * EVERY) == 0 and len(shown) < 12:
            shown.append(np.concatenate([true, frame.pixels], axis=0))
    tenth = max(1, len(fits) // 10)
    figures = {
        "ticks": ticks,
        "collapsed": collapsed_at is not None,
        "collapse_tick": collapsed_at,
        "psnr_at_believed_place_db": round(float(np.mean(fits)), 2),
        "psnr_first_tenth_db": round(float(np.mean(fits[:tenth])), 2),
        "psnr_last_tenth_db": round(float(np.mean(fits[-tenth:])), 2),
        "sharpness": round(float(np.median(sharp)), 3),
        "sharpness_last_tenth": round(float(np.median(sharp[-tenth:])), 3),
        "motion": round(float(np.median(motion)), 3) if motion else None,
        "latent_rms": [round(float(np.min(strength)), 3), round(float(np.max(strength)), 3)],
        "psnr_curve_db": np.round(fits, 2).tolist(),
        "sharpness_curve": np.round(sharp, 3).tolist(),
    }
    return {"drift": figures}, np.concatenate(shown, axis=1) if shown else np.zeros((1, 1, 3), np.uint8)


def _change(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference, in grey levels."""
    return float(np.abs(a.astype(float) - b).mean())
