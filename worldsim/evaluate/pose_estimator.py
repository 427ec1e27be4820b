"""The pose estimator: reads from a picture where it was taken, by laying the true engine's pictures over it.

From a pose near by, Gauss-Newton steps move the engine's camera until its picture fits the given one best (direct image
alignment: Lucas & Kanade 1981). No training, and on true frames it is right to fractions of a degree and of a
centimetre, which makes it a sharper instrument than a network that has learned to read motion.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from worldsim.camera import Look, Pose
from worldsim.psnr import psnr
from worldsim.source.base import PosedSource

# Steps at which the engine's picture is differentiated: metres to the right and forward, degrees of yaw and pitch.
_DELTA = (0.03, 0.03, 0.5, 0.5)
# What a pose may plausibly be off by: holds still what a picture does not tell, say the distance of a bare wall.
_DOUBT = (0.1, 0.1, 1.5, 1.5)
_NOISE = 12.0  # of a pixel, in grey levels: what a decoded picture is off by
_PIXELS_PER_FACT = 40.0  # neighbouring pixels err together
_BLURS = (8, 8, 4, 4, 2, 2, 1, 1)  # width in pixels, round by round: edges only pull from as far as they are wide
_STANDING_BLURS = (8, 4, 2, 1)  # where the place is given
_FINE_BLURS = (4, 1)  # where the look is known already
_CODEC_BLUR = 2  # a wider blur hides what the codec does to a picture
_FITS_DB = 20.0  # a picture of elsewhere fits at 10 to 16 dB, however the camera is moved


@dataclass(frozen=True)
class Reading:
    """A pose read from a picture, and the PSNR between the picture and the true engine's from there."""

    pose: Pose
    psnr_db: float

    @property
    def fits(self) -> bool:
        """Whether the picture shows that pose at all."""
        return self.psnr_db >= _FITS_DB


class PoseEstimator:
    """Measures poses with one engine."""

    def __init__(self, world: PosedSource, again: Callable[[np.ndarray], np.ndarray] = lambda frame: frame) -> None:
        """again: what the codec makes of a true frame; its blur is then no part of what is measured."""
        self._world, self._again = world, again

    def read(self, frame: np.ndarray, near: Pose, standing: bool = False, fine: bool = False) -> Pose:
        """The pose whose true picture fits `frame`, uint8 (H, W, 3), best; looked for around `near`.

        standing: the place is taken to be that of `near` and only the look is read. A small step to the side and a
        small turn move most pictures alike, so a turn is read several times more sharply when the place is given.
        fine: the look of `near` is known within a tenth of a degree or two, which takes fewer steps.
        """
        free = slice(2, None) if standing else slice(None)
        doubt, delta = np.array(_DOUBT)[free], np.diag(_DELTA)[free]
        blurs = _FINE_BLURS if fine else _STANDING_BLURS if standing else _BLURS
        pose = near
        beside: list[np.ndarray] = []
        for turn, blur in enumerate(blurs):
            seen = self._world.at(pose)[1].pixels
            if turn % 2 == 0:
                beside = [self._world.at(_moved(pose, step))[1].pixels.astype(np.float32) - seen for step in delta]
            slopes = np.stack([_blurred(b, blur) / step.sum() for b, step in zip(beside, delta, strict=True)])
            shown = self._again(seen) if blur <= _CODEC_BLUR else seen
            rest = _blurred(frame, blur) - _blurred(shown, blur)
            # Large differences are things the dream shows wrongly, not motion: they count little (Huber).
            weight = 1 / np.maximum(1.0, np.abs(rest) / (2 * _NOISE)) / (_NOISE**2 * _PIXELS_PER_FACT)
            known = (slopes * weight) @ slopes.T + np.diag(1 / np.square(doubt))
            move = np.zeros(len(_DELTA))
            move[free] = np.clip(np.linalg.solve(known, (slopes * weight) @ rest), -doubt, doubt)
            pose = _moved(pose, move)
        return pose

    def best_reading(
        self, frame: np.ndarray, starts: Sequence[Pose], standing: bool = False, fine: bool = False
    ) -> Reading:
        """`read` from each of the starts; the reading that fits best. So a start at the true pose cannot make a dream
        look right that shows another place, nor one at the claimed pose."""
        poses = [self.read(frame, start, standing, fine) for start in starts]
        return max(
            (Reading(pose, psnr(frame, self._again(self._world.at(pose)[1].pixels))) for pose in poses),
            key=lambda reading: reading.psnr_db,
        )


def _blurred(frame: np.ndarray, width: int) -> np.ndarray:
    """A picture as flat float32 numbers, smoothed twice over a square of that width."""
    x = torch.from_numpy(frame.copy()).permute(2, 0, 1).float()
    for _ in range(2 if width > 1 else 0):
        padded = F.pad(x[None], (width // 2, (width - 1) // 2) * 2, mode="replicate")
        x = F.avg_pool2d(padded, width, stride=1)[0]
    return x.flatten().numpy()


def _moved(pose: Pose, step: np.ndarray) -> Pose:
    """A pose moved to the right and forward in its own frame, in metres, and turned, in degrees."""
    right, forward, yaw, pitch = step.tolist()
    sin, cos = math.sin(math.radians(pose.look.yaw_deg)), math.cos(math.radians(pose.look.yaw_deg))
    return Pose(
        pose.x + right * cos + forward * sin, pose.y - right * sin + forward * cos,
        Look(pose.look.yaw_deg + yaw, pose.look.pitch_deg + pitch),
    )  # fmt: skip
