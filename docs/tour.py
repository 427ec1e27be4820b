"""A minute in the living gallery, as a video: `python docs/tour.py CHECKPOINT OUT.mp4`.

The way is planned with the true engine's plan of the building: kick the ball, go to the cabinet, open its door, find
the switch, meet the cat, call night and day, come back. The dream gets the actions, nothing else. Left the dream, right
the true engine after the same actions from the same start.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from worldsim.entities import X, Y, Z
from worldsim.evaluate.living import Truth
from worldsim.evaluate.walking import Walker
from worldsim.play.video import VideoWriter
from worldsim.source.rooms.world import RoomsWorld
from worldsim.worlds.catalogue import LoadOptions, open_world

SEED = 12


def plan(truth: Truth, source: RoomsWorld) -> Walker:
    """The actions of the tour, by a walker that knows where everything truly is."""
    slots = [slot.name for slot in truth.scene.slots]
    start = next(p for p in truth.scene.spawns if p.name == "ball")
    assert start.pose is not None
    state, _ = truth.begin(SEED, start.pose)
    walker = Walker(truth, source.dynamics, state)

    def look_at(name: str) -> None:
        row = truth.values(walker.state)[slots.index(name)]
        walker.turn_to(row[X], row[Y], row[Z], most=24)

    look_at("ball")
    for _ in range(22):
        walker.do(walk=1)
    look_at("ball")
    walker.wait(20)
    look_at("cat")
    walker.wait(20)
    walker.go_to(7.9, 7.7, most=260)
    look_at("cabinet door")
    walker.do(use=1)
    walker.wait(16)
    walker.go_to(10.2, 8.0, most=120)
    look_at("switch")
    walker.go_to(10.6, 9.05, most=60)  # farther from the door than a hand reaches
    look_at("switch")
    walker.do(use=1)
    walker.wait(10)
    look_at("star")
    walker.go_to(11.2, 10.2, most=120)
    walker.do(night=1)
    walker.go_to(7.0, 7.2, most=260)
    walker.do(day=1)
    walker.go_to(5.3, 1.0, most=300)
    look_at("ball")
    walker.wait(15)
    look_at("cat")
    walker.wait(15)
    return walker


def main(checkpoint: str, out: Path) -> None:
    with open_world(checkpoint, LoadOptions(threads=1, backend="eager")) as loaded:
        source = loaded.scene.source.open(loaded.scene)
        truth = Truth(source)
        walker = plan(truth, source)
        start = next(s for s in loaded.spawns if s.name == "ball")
        dream, frame = loaded.world.start(SEED, start)
        state, _ = truth.begin(SEED, frame.pose or source.scene.spawns[0].pose)
        size = loaded.scene.frame
        video = VideoWriter(out, 2 * size.width, size.height, loaded.scene.tick_hz)
        for action in walker.actions:
            dream, frame = loaded.world.advance(dream, action)
            state = truth.after(state, action)
            video.write(np.concatenate([frame.pixels, source.render(state).pixels], axis=1))
        video.close()
        print(f"{len(walker.actions)} ticks, {len(walker.actions) / loaded.scene.tick_hz:.0f} s: {out}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
