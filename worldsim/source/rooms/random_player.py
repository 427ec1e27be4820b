"""Players that are no persons: the varied one that collects training data, and the human-like one of the test traces.

Knows the scene's plan (to find its way between rooms), not its pictures. Deterministic by seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from worldsim.action import Action
from worldsim.camera import Look, Pose
from worldsim.errors import SceneError
from worldsim.scene import Scene
from worldsim.source.rooms.dynamics import Dynamics
from worldsim.source.rooms.geometry import room_at
from worldsim.source.rooms.layout import camera_of, rooms_of
from worldsim.world import Frame

_TRIES = 10_000  # to find a free place, before there seems to be none


@dataclass
class _Segment:
    """Some ticks of one intention."""

    ticks: int
    walk: int = 0
    strafe: int = 0
    run: int = 0
    turn_deg: float = 0.0  # whole turn of the segment, eased in and out
    pitch_to_deg: float | None = None
    goal: tuple[float, float] | None = None


class RandomPlayer:
    """Pans of every speed, walking, stopping, standing, wall-hugging, full turns, running, and going places."""

    _MOODS = ("go", "stroll", "pan", "stand", "full_turn", "hug", "strafe", "flick")
    _ODDS = (0.33, 0.19, 0.17, 0.06, 0.05, 0.06, 0.08, 0.06)

    def __init__(self, scene: Scene, dynamics: Dynamics, seed: int) -> None:
        self._scene = scene
        self._space = scene.action_space
        self._dynamics = dynamics
        self._rng = np.random.Generator(np.random.Philox(key=seed))
        self._segment = _Segment(0)
        self._age = 0
        self._turned_deg = 0.0
        self._quantum_deg = {c.name: c.quantum_deg for c in self._space.controls if c.is_mouse}
        self._carry_deg = {"yaw": 0.0, "pitch": 0.0}

    def start_pose(self) -> Pose:
        """A free place and a random look."""
        pitch = float(
            np.clip(self._rng.normal(0, 8), camera_of(self._scene).pitch_min_deg, camera_of(self._scene).pitch_max_deg)
        )
        return Pose(*self._free_place(), Look(float(self._rng.uniform(0, 360)), pitch))

    def act(self, frame: Frame) -> Action:
        """What this player does in the tick after `frame`, which tells where it is."""
        pose = frame.pose
        assert pose is not None
        return self._move(pose)

    def _move(self, pose: Pose) -> Action:
        """Go on with the present segment, or begin another."""
        if self._age >= self._segment.ticks:
            self._segment, self._age, self._turned_deg = self._next_segment(pose), 0, 0.0
        segment, self._age = self._segment, self._age + 1
        yaw_deg, walk = self._turn(segment, pose), segment.walk
        if segment.goal is not None:
            yaw_deg, walk = self._steer(segment, pose)
        pitch_deg = 0.0
        if segment.pitch_to_deg is not None:
            pitch_deg = float(np.clip((segment.pitch_to_deg - pose.look.pitch_deg) * 0.2, -6, 6))
        return self._space.make(
            walk=walk,
            strafe=segment.strafe,
            run=segment.run,
            yaw=self._quanta("yaw", yaw_deg),
            pitch=self._quanta("pitch", pitch_deg),
        )

    def _turn(self, segment: _Segment, pose: Pose) -> float:
        """This tick's share of the segment's turn, along a smooth step."""
        t = self._age / segment.ticks
        target = segment.turn_deg * t * t * (3 - 2 * t)
        step = target - self._turned_deg
        self._turned_deg = target
        return step

    def _steer(self, segment: _Segment, pose: Pose) -> tuple[float, int]:
        """Turn towards the goal, through a doorway if it lies in another room; walk once roughly facing it."""
        goal = self._waypoint(pose, segment.goal or (0.0, 0.0))
        dx, dy = goal[0] - pose.x, goal[1] - pose.y
        if math.hypot(dx, dy) < 0.4:
            self._age = segment.ticks
            return 0.0, 0
        off = (math.degrees(math.atan2(dx, dy)) - pose.look.yaw_deg + 180) % 360 - 180
        wobble = float(self._rng.normal(0, 0.6))
        return float(np.clip(off * 0.25, -11, 11)) + wobble, int(abs(off) < 40)

    def _waypoint(self, pose: Pose, goal: tuple[float, float]) -> tuple[float, float]:
        source = rooms_of(self._scene)
        here, there = room_at(source, (pose.x, pose.y)), room_at(source, goal)
        if here == there:
            return goal
        for door in source.doorways:
            x0, y0, x1, y1 = door.rect
            reach = 0.5 if y1 - y0 < x1 - x0 else 0.0
            ends = [((x0 + x1) / 2, y0 - reach), ((x0 + x1) / 2, y1 + reach)] if reach else [
                (x0 - 0.5, (y0 + y1) / 2), (x1 + 0.5, (y0 + y1) / 2)]  # fmt: skip
            rooms = [room_at(source, e) for e in ends]
            if {here, there} == set(rooms):
                near, far = (ends[0], ends[1]) if rooms[0] == here else (ends[1], ends[0])
                return far if math.hypot(pose.x - near[0], pose.y - near[1]) < 0.7 else near
        return goal

    def _next_segment(self, pose: Pose) -> _Segment:
        rng = self._rng
        mood = self._MOODS[int(rng.choice(len(self._MOODS), p=self._ODDS))]
        pitch = float(rng.normal(-2, 9)) if rng.random() < 0.4 else None
        side = int(rng.choice([-1, 1]))
        if mood == "go":
            return _Segment(
                int(rng.integers(40, 140)), goal=self._free_place(), run=int(rng.random() < 0.3), pitch_to_deg=pitch
            )
        if mood == "stroll":
            turn = float(rng.normal(0, 60))
            ticks = int(rng.integers(15, 60))
            return _Segment(
                ticks,
                walk=1 if rng.random() < 0.8 else -1,
                run=int(rng.random() < 0.25),
                turn_deg=turn,
                pitch_to_deg=pitch,
            )
        if mood == "pan":
            speed = float(np.exp(rng.uniform(np.log(0.5), np.log(9))))
            ticks = int(rng.integers(8, 40))
            return _Segment(ticks, walk=int(rng.random() < 0.3), turn_deg=side * speed * ticks, pitch_to_deg=pitch)
        if mood == "stand":
            return _Segment(int(rng.integers(5, 30)))
        if mood == "full_turn":
            return _Segment(int(rng.integers(45, 120)), turn_deg=side * 360.0, pitch_to_deg=0.0)
        if mood == "hug":
            return _Segment(
                int(rng.integers(30, 70)), walk=1, strafe=side, turn_deg=float(rng.normal(0, 30)), pitch_to_deg=pitch
            )
        if mood == "strafe":
            return _Segment(int(rng.integers(10, 40)), walk=int(rng.integers(-1, 2)), strafe=side,
                            run=int(rng.random() < 0.2), turn_deg=float(rng.normal(0, 40)))  # fmt: skip
        return _Segment(int(rng.integers(6, 12)), turn_deg=side * float(rng.uniform(40, 120)), pitch_to_deg=pitch)

    def _quanta(self, control: str, degrees: float) -> int:
        """Degrees in whole quanta of a mouse control, the remainder carried; 0 if the scene has no such control."""
        quantum = self._quantum_deg.get(control)
        if quantum is None:
            return 0
        self._carry_deg[control] += degrees
        whole = int(self._carry_deg[control] / quantum)
        self._carry_deg[control] -= whole * quantum
        return whole

    def _free_place(self) -> tuple[float, float]:
        rooms = rooms_of(self._scene).rooms
        areas = np.array([(r.rect[2] - r.rect[0]) * (r.rect[3] - r.rect[1]) for r in rooms])
        for _ in range(_TRIES):
            rect = rooms[int(self._rng.choice(len(rooms), p=areas / areas.sum()))].rect
            x, y = float(self._rng.uniform(rect[0], rect[2])), float(self._rng.uniform(rect[1], rect[3]))
            if self._dynamics.is_free(x, y):
                return x, y
        raise SceneError(
            f"scene {self._scene.name[:40]} has no room for the player; make a room larger or motion.radius_m less"
        )
