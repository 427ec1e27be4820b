"""Play a world without a window and keep a clip of it: python examples/play_headless.py [WORLD] [CLIP.mp4] [TICKS]"""

from __future__ import annotations

import sys
from pathlib import Path

from worldsim import Session, open_world
from worldsim.play.action_sources import action_source
from worldsim.play.video import VideoWriter
from worldsim.worlds.catalogue import LoadOptions


def main(world: str = "gallery", clip: str = "clip.mp4", ticks: int = 200) -> None:
    with open_world(world, LoadOptions(threads=1, backend="eager")) as loaded:
        session = Session(loaded)
        actions = action_source("random", session.scene, seed=1)
        frame = session.scene.frame
        video = VideoWriter(Path(clip), frame.width, frame.height, session.scene.tick_hz)
        for _ in range(ticks):
            video.write(session.advance(next(actions)).frame.pixels)
        video.close()
    print(f"{ticks} ticks of {world} in {clip}")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(*arguments[:2], *(int(a) for a in arguments[2:3]))
