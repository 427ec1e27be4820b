"""How far it is to what never moves, as the engine knows it: what a place memory learns its depth from.

Pictures alone leave depth open where a surface has one colour or was seen from few places: rays then end somewhere
beyond it, and what is drawn on it is smeared.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from worldsim.camera import Look, Pose
from worldsim.scene import Scene
from worldsim.source.base import PosedSource


def draw_distances(
    scene: Scene, position: Tensor, look: Tensor, grid: tuple[int, int, int], quiet: bool = False
) -> Tensor | None:
    """Distances from F poses along each ray: half precision (F, N, R) in metres, rays row by row within a token. None
    where the scene's source does not know them.

    position (F, 2) in metres, look (F, 2) in radians. grid: rows and columns of tokens, and rays along a side of one.
    """
    rows, columns, side = grid
    size = rows * side, columns * side
    found = np.empty((len(position), rows * columns, side**2), np.float16)
    with scene.source.open(scene) as source:
        if not isinstance(source, PosedSource):
            return None
        poses = zip(position.tolist(), np.rad2deg(look.numpy()).tolist(), strict=True)
        for i, ((x, y), (yaw, pitch)) in enumerate(
            tqdm(poses, desc="distances", total=len(found), unit="frame", disable=quiet)
        ):
            seen = source.distances(Pose(x, y, Look(yaw, pitch)), *size)
            if seen is None:
                return None
            found[i] = seen.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(rows * columns, side**2)
    return torch.from_numpy(found)
