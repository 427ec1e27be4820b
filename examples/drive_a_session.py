"""Drive a session from Python: walk, go back, try something else, and replay what was recorded, bit for bit.

python examples/drive_a_session.py [WORLD]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from worldsim import Session, open_world
from worldsim.play.replay import Replay
from worldsim.play.session import SessionSettings
from worldsim.play.trace import read_trace
from worldsim.worlds.catalogue import LoadOptions


def main(world: str = "gallery") -> None:
    with open_world(world, LoadOptions(threads=1, backend="eager")) as loaded:
        session = Session(loaded, settings=SessionSettings("off", seed=7))
        space = session.scene.action_space
        trace = Path(tempfile.mkdtemp()) / "session.jsonl"
        session.record(trace)

        for _ in range(20):  # ahead
            ahead = session.advance(space.make(walk=1)).frame
        session.rewind(10)  # time branches here
        for _ in range(10):  # the same ten ticks, turning to the right
            turned = session.advance(space.make(walk=1, yaw=12)).frame
        session.close()

        apart = np.abs(ahead.pixels.astype(int) - turned.pixels).mean()
        print(f"after tick 20 the two branches differ by {apart:.1f} grey levels")
        if turned.pose is not None:
            print(f"the dream believes to be at x {turned.pose.x:.2f} m, y {turned.pose.y:.2f} m")

    with Replay(read_trace(trace), trace) as replay:
        print("replayed:", "every frame identical" if replay.run().identical else "a frame differs")


if __name__ == "__main__":
    main(*sys.argv[1:2])
