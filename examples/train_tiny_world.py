"""Train a world of one's own in five minutes: the bouncing square of bounce.py, from nothing to a dream of it.

python examples/train_tiny_world.py [MINUTES] [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import bounce  # noqa: F401  (registers its source)
import torch

from worldsim import Session, open_world
from worldsim.data.collect import play_episode
from worldsim.data.episodes import write_episode
from worldsim.play.action_sources import action_source
from worldsim.scene import load_scene
from worldsim.train.request import Request
from worldsim.train.run import train
from worldsim.train.trainer import TrainConfig
from worldsim.worlds.catalogue import LoadOptions

HERE = Path(__file__).parent
STAGES = {"codec": 0.3, "forcing": 0.5, "resampling": 0.2}  # shares of the time
EPISODES = {"train": 60, "held_out": 8}


def main(minutes: float = 5.0, folder: str = "runs/bounce") -> None:
    torch.set_num_threads(1)
    scene, data = load_scene(str(HERE / "bounce.yaml")), Path(folder) / "data"
    with scene.source.open(scene) as game:
        for number, (split, count) in enumerate(EPISODES.items()):
            (data / split).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                write_episode(data / split / f"{i:06d}.episode", play_episode(game, 1000 * number + i, ticks=120))
    for stage, share in STAGES.items():
        request = Request(stage, scene, Path(folder), data, model="tiny" if stage == "forcing" else None, quiet=True)
        numbers = train(request, TrainConfig(minutes=minutes * share))
        print(stage, {name: round(value, 3) for name, value in numbers.items()})
    with open_world(folder, LoadOptions(threads=1, backend="eager")) as loaded:
        session, actions = Session(loaded), action_source("random", scene, seed=0)
        for _ in range(40):
            session.advance(next(actions))
    print(f"dreamed 40 ticks; play it with: PYTHONPATH={HERE} WORLDSIM_PLUGINS=bounce worldsim play {folder}")


if __name__ == "__main__":
    main(*(float(a) for a in sys.argv[1:2]), *sys.argv[2:3])
