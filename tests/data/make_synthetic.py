"""Makes the synthetic human-like traces beside it: bursts of keys, mouse pans with easing, pauses, stillness.

Run from the checkout: python tests/data/make_synthetic.py. Deterministic; played in the true engine, so that whoever
walks sees where they go.
"""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path

import numpy as np

from worldsim.action import Action, MouseAccumulator
from worldsim.camera import Pose
from worldsim.play.session import Session, SessionSettings
from worldsim.source.rooms.world import RoomsWorld
from worldsim.worlds.catalogue import open_world

SPAWNS = ("entrance", "blue-door", "window")
TICKS = 1200


class SyntheticPlayer:
    """Looks around, walks somewhere, stops, looks at a picture, walks on. Hands are not exact: pans overshoot a
    little and are corrected, keys go down and up at their own times."""

    def __init__(self, session: Session, seed: int) -> None:
        self._session = session
        self._space = session.scene.action_space
        self._rng = np.random.Generator(np.random.Philox(key=seed))
        self._plan: deque[tuple[float, float, int, int, int]] = deque()  # yaw_deg, pitch_deg, walk, strafe, run
        controls = {c.name: c for c in self._space.controls}
        self._yaw, self._pitch = MouseAccumulator(controls["yaw"]), MouseAccumulator(controls["pitch"])
        self._moods = 0

    def act(self) -> Action:
        while not self._plan:
            pose = self._session.frame.pose
            assert pose is not None  # the true engine always knows
            self._think(pose)
        yaw, pitch, walk, strafe, run = self._plan.popleft()
        self._yaw.add(yaw)
        self._pitch.add(pitch)
        return self._space.make(walk=walk, strafe=strafe, run=run, yaw=self._yaw.take(), pitch=self._pitch.take())

    def _think(self, pose: Pose) -> None:
        rng, mood = self._rng, self._moods % 6
        self._moods += 1
        if mood in (0, 2, 4):
            self._go(pose)
        elif mood == 1:
            self._still(int(rng.integers(8, 40)))
            self._pan(float(rng.normal(0, 55)), float(rng.normal(0, 6)) - pose.look.pitch_deg * 0.6)
            self._still(int(rng.integers(6, 30)))
        elif mood == 3:  # strafe past something, eyes on it
            side = int(rng.choice([-1, 1]))
            ticks = int(rng.integers(10, 26))
            for yaw in _eased(-side * float(rng.uniform(10, 35)), ticks):
                self._plan.append((yaw, 0.0, 0, side, 0))
            self._still(int(rng.integers(4, 20)))
        else:
            for _ in range(int(rng.integers(1, 3))):
                self._pan(float(rng.choice([-1, 1]) * rng.uniform(40, 130)), float(rng.normal(0, 5)))
                self._still(int(rng.integers(3, 12)))
            self._pan(0.0, -pose.look.pitch_deg)

    def _go(self, pose: Pose) -> None:
        """Turn towards a free place that can be seen, then walk there with small corrections."""
        world = self._session.loaded.world
        assert isinstance(world, RoomsWorld)
        for _ in range(50):
            angle, distance = float(self._rng.uniform(0, 360)), float(self._rng.uniform(1.2, 4.5))
            way = [
                world.dynamics.is_free(
                    pose.x + d * math.sin(math.radians(angle)), pose.y + d * math.cos(math.radians(angle))
                )
                for d in np.arange(0.3, distance, 0.2)
            ]
            if all(way):
                break
        turn = (angle - pose.look.yaw_deg + 180) % 360 - 180
        self._pan(turn, 0.0)
        run = int(self._rng.random() < 0.3)
        ticks = max(4, int(distance / (3.6 if run else 1.8) * 20))
        sway = self._rng.normal(0, 0.5, ticks) * (self._rng.random(ticks) < 0.25)
        for i in range(ticks):
            self._plan.append((float(sway[i]), 0.0, 1, 0, run if i > 3 else 0))

    def _pan(self, yaw_deg: float, pitch_deg: float) -> None:
        ticks = max(4, int(4 + abs(yaw_deg) / 9 + self._rng.integers(0, 5)))
        over = 1 + float(self._rng.normal(0.02, 0.04))
        for yaw, pitch in zip(_eased(yaw_deg * over, ticks), _eased(pitch_deg, ticks), strict=True):
            self._plan.append((yaw, pitch, 0, 0, 0))
        for yaw in _eased(yaw_deg * (1 - over), 4):
            self._plan.append((yaw, 0.0, 0, 0, 0))

    def _still(self, ticks: int) -> None:
        self._plan.extend([(0.0, 0.0, 0, 0, 0)] * ticks)


def _eased(total: float, ticks: int) -> list[float]:
    """Shares of a motion along a minimum-jerk curve (Flash & Hogan 1985)."""
    t = np.linspace(0, 1, ticks + 1)
    return [float(x) for x in np.diff(total * (10 * t**3 - 15 * t**4 + 6 * t**5))]


def main() -> None:
    for number, name in enumerate(SPAWNS):
        loaded = open_world("source:gallery")
        session = Session(loaded, loaded.entry.spawn(name), SessionSettings("off"))
        player = SyntheticPlayer(session, seed=number)
        actions = []
        for _ in range(TICKS):
            actions.append(player.act())
            session.advance(actions[-1])
        session.record(Path(__file__).parent / f"synthetic-gallery-{number}.jsonl")
        session.close()
        loaded.close()
        moved = sum(any(a.values[3:]) for a in actions)
        print(f"{name}: {TICKS} ticks, {moved} with mouse motion, {len({a.values for a in actions})} different actions")


if __name__ == "__main__":
    main()
