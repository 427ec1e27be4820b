"""Ways through a building for scripted walks: steered by the true state, so that every row gets the same actions."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from worldsim.action import Action
from worldsim.camera import Camera, Look, Pose
from worldsim.entities import HEADING, PHASE, X, Y
from worldsim.evaluate.living import Truth
from worldsim.world import State

_CELL_M = 0.2
_AHEAD = 3  # cells of the way that the player steers towards
_RUN_CELLS = 8  # of the way still to go, for which the player runs
_AGAIN = 8  # ticks after which the way is sought anew
_STUCK_TICKS, _STUCK_M = 3, 0.02
_ROOM_TICKS, _OPENING_TICKS = 14, 4  # for which the player steps back from a door that opens, and waits
_KEEP_OFF_M = 0.75  # from what would be picked up
_LEAF_M = 0.4  # from an open door's leaf


class Walker:
    """Moves the true player by scripts and notes the actions."""

    def __init__(self, truth: Truth, dynamics: object, state: State, grid: np.ndarray | None = None) -> None:
        """dynamics: the building's walls. grid: of another walker in the same building, to be used again."""
        self.truth, self.state = truth, state
        self.actions: list[Action] = []
        self._space, self._slots = truth.scene.action_space, truth.scene.slots
        place = truth.scene.place
        assert place is not None  # parts with a pose run only where there is a place
        self._bounds = place.bounds
        self.grid = _free_cells(dynamics, place.bounds) if grid is None else grid

    @property
    def tick(self) -> int:
        return len(self.actions)

    def do(self, **keys: int) -> None:
        """One tick with these controls."""
        self._act(self._space.make(**keys))

    def wait(self, ticks: int) -> None:
        for _ in range(ticks):
            self._act(self._space.idle)

    def turn_to(self, x: float, y: float, z: float, most: int = 14, off_deg: float = 2.0) -> None:
        """Look at a point, in at most so many ticks."""
        for _ in range(most):
            action = towards(self.truth, self.state.pose, x, y, z)
            if action == self._space.idle or _off(self.state.pose, x, y) < off_deg:
                return
            self._act(action)

    def go_to(self, x: float, y: float, near_m: float = 0.25, most: int = 160, keep_off: Sequence[int] = ()) -> bool:
        """Walk to a place, through doors that have to be opened. keep_off: slots to walk round. False if it takes
        longer."""
        way, stuck, last, begun, again = [(x, y)], 0, self.state.pose, self.tick, 0
        while self.tick < begun + most:
            pose = self.state.pose
            if math.hypot(x - pose.x, y - pose.y) < near_m:
                return True
            if self.tick >= again:
                way, again = self._way(pose, (x, y), keep_off), self.tick + _AGAIN
            while len(way) > 1 and math.hypot(way[0][0] - pose.x, way[0][1] - pose.y) < _AHEAD * _CELL_M:
                way = way[1:]
            walks = _off(pose, *way[0]) < 35
            runs = walks and len(way) > _RUN_CELLS and _off(pose, *way[0]) < 15
            self._act(towards(self.truth, pose, *way[0], z=None, walk=int(walks), run=int(runs)))
            still = walks and math.hypot(self.state.pose.x - last.x, self.state.pose.y - last.y) < _STUCK_M
            stuck, last = stuck + 1 if still else 0, self.state.pose
            if stuck >= _STUCK_TICKS:
                self._open_what_is_near()
                stuck = 0
        return False

    def _open_what_is_near(self) -> None:
        """Use the closed door that stands in the way, and wait for it."""
        values, pose = self.truth.values(self.state), self.state.pose
        for i, slot in enumerate(self._slots):
            near = math.hypot(values[i, X] - pose.x, values[i, Y] - pose.y) < 1.6
            if slot.kind.startswith("door") and near and abs(values[i, PHASE]) < 0.5:
                self.turn_to(values[i, X], values[i, Y], slot.rest[2], off_deg=12)
                self.do(use=1)
                for _ in range(_ROOM_TICKS):
                    self.do(walk=-1)  # the leaf may swing this way
                self.wait(_OPENING_TICKS)
                return
        self.do(strafe=1)

    def _act(self, action: Action) -> None:
        self.actions.append(action)
        self.state = self.truth.after(self.state, action)

    def _way(self, pose: Pose, goal: tuple[float, float], keep_off: Sequence[int]) -> list[tuple[float, float]]:
        """Places from cell to cell on the shortest way to the goal, or to as near as one can get, the goal last."""
        free = self._free_now(keep_off)
        begin = _nearest(np.argwhere(free), self._cell(pose.x, pose.y))
        came: dict[tuple[int, int], tuple[int, int]] = {begin: begin}
        queue = deque([begin])
        while queue:
            row, column = queue.popleft()
            for near in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
                inside = 0 <= near[0] < free.shape[0] and 0 <= near[1] < free.shape[1]
                if inside and free[near] and near not in came:
                    came[near] = (row, column)
                    queue.append(near)
        cell, cells = _nearest(np.array(list(came)), self._cell(*goal)), []
        while cell != begin:
            cells.append(self._middle(*cell))
            cell = came[cell]
        return [*cells[::-1], goal]

    def _free_now(self, keep_off: Sequence[int]) -> np.ndarray:
        """The free cells less those near what is to be kept off, and near the leaves of open doors."""
        values = self.truth.values(self.state)
        x, y = self._middle(*np.indices(self.grid.shape))
        free = self.grid.copy()
        for slot in keep_off:
            free &= np.hypot(x - values[slot, X], y - values[slot, Y]) > _KEEP_OFF_M
        for row, known in zip(values, self._slots, strict=True):
            if known.kind.startswith("door") and abs(row[PHASE]) > 0.5:
                turned = np.deg2rad(row[HEADING])
                along = (x - row[X]) * np.cos(turned) - (y - row[Y]) * np.sin(turned)
                aside = (x - row[X]) * np.sin(turned) + (y - row[Y]) * np.cos(turned)
                free &= np.hypot(np.maximum(np.abs(along) - known.size[0] / 2, 0), aside) > _LEAF_M
        return free

    def _middle(self, row: Any, column: Any) -> tuple[Any, Any]:
        """The middles of cells: x, y in metres."""
        return self._bounds[0] + (column + 0.5) * _CELL_M, self._bounds[1] + (row + 0.5) * _CELL_M

    def _cell(self, x: float, y: float) -> tuple[int, int]:
        rows, columns = self.grid.shape
        row, column = int((y - self._bounds[1]) / _CELL_M), int((x - self._bounds[0]) / _CELL_M)
        return min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)


def towards(truth: Truth, pose: Pose, x: float, y: float, z: float | None, **keys: int) -> Action:
    """The action that turns a view towards a point, as far as one tick can. z None: towards a level view."""
    space = truth.scene.action_space
    camera = truth.scene.camera or Camera()
    far = max(math.hypot(x - pose.x, y - pose.y), 1e-3)
    pitch = -4.0 if z is None else math.degrees(math.atan2(z - camera.eye_height_m, far))
    pitch = min(max(pitch, camera.pitch_min_deg), camera.pitch_max_deg)
    yaw, pitch = space.clamp_deg((_turn(pose, x, y), pitch - pose.look.pitch_deg))
    motion = dict(zip(("yaw", "pitch"), space.quanta((yaw, pitch)), strict=True))
    return space.make(**keys, **motion)


def in_front_of(pose_x: float, pose_y: float, heading_deg: float, metres: float) -> Pose:
    """The pose so far before a point that looks at it along a heading."""
    sin, cos = math.sin(math.radians(heading_deg)), math.cos(math.radians(heading_deg))
    return Pose(pose_x - metres * sin, pose_y - metres * cos, Look(heading_deg))


def _turn(pose: Pose, x: float, y: float) -> float:
    """Degrees to turn to the right to face a place, in [-180, 180)."""
    bearing = math.degrees(math.atan2(x - pose.x, y - pose.y))
    return (bearing - pose.look.yaw_deg + 180) % 360 - 180


def _off(pose: Pose, x: float, y: float) -> float:
    return abs(_turn(pose, x, y))


def _free_cells(dynamics: object, bounds: tuple[float, float, float, float]) -> np.ndarray:
    """Where the player's body touches no wall, bool (rows, columns): cells of the floor, from the least y and x."""
    x0, y0, x1, y1 = bounds
    rows, columns = max(1, round((y1 - y0) / _CELL_M)), max(1, round((x1 - x0) / _CELL_M))
    free = np.zeros((rows, columns), bool)
    for row in range(rows):
        for column in range(columns):
            x, y = x0 + (column + 0.5) * _CELL_M, y0 + (row + 0.5) * _CELL_M
            px, py = dynamics.push_out(x, y)  # type: ignore[attr-defined]
            free[row, column] = math.hypot(px - x, py - y) < 1e-6
    return free


def _nearest(cells: np.ndarray, cell: tuple[int, int]) -> tuple[int, int]:
    """The one of some cells (n, 2) that is nearest to another cell."""
    row, column = cells[int(np.argmin(np.square(cells - cell).sum(axis=1)))].tolist()
    return row, column
