"""`worldsim train`: run one training stage of a scene's world."""

from __future__ import annotations

import argparse
from pathlib import Path

from worldsim.cli.arguments import float_in, int_in, report
from worldsim.registry import STAGES

HELP = "train one stage of a world"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("stage", choices=STAGES.names())
    parser.add_argument("scene", help="a scene's name or file")
    parser.add_argument("--preset", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--model", choices=("default", "tiny", "large"), help="size of a new generator")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="another field of a new generator: window=8"
    )
    parser.add_argument("--minutes", type=float_in(0.01, 1e5), default=60.0)
    parser.add_argument("--steps", type=int_in(1), help="train for so many steps in all instead of minutes")
    parser.add_argument("--resume", action="store_true", help="go on with the stage's saved state")
    parser.add_argument("--fresh", action="store_true", help="start from random weights, not from the last checkpoint")
    parser.add_argument("--name", help="name of the run and its checkpoint (default: the scene's)")
    parser.add_argument(
        "--parts-from", metavar="CHECKPOINT", help="take the codec, place memory and odometry of another checkpoint"
    )
    parser.add_argument("--data", type=Path, help="folder of episodes (default data/SCENE)")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="folder of runs (default runs)")
    parser.add_argument("--clips", type=int_in(1, 4096), help="clips a batch")
    parser.add_argument("--clip-frames", type=int_in(2, 512), help="frames a clip")
    parser.add_argument("--compile", action="store_true", help="torch.compile the network: minutes, then faster")
    parser.add_argument("--muon-lr", type=float_in(0, 1), default=0.02, help="0: AdamW for every parameter")
    parser.add_argument("--adam-lr", type=float_in(0, 1), default=2e-3)
    parser.add_argument("--threads", type=int_in(1, 256), help="torch threads (default: measured)")
    parser.add_argument(
        "--shard", action="store_true",
        help="under torchrun, let each process hold a part of every block of the generator, not all "
        "(always so for wide ones, as of --model large)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int_in(0), default=0)


def run(args: argparse.Namespace) -> int:
    import torch

    from worldsim.scene import load_scene
    from worldsim.train.run import Request, train
    from worldsim.train.trainer import TrainConfig, best_threads

    scene = load_scene(args.scene)
    torch.set_num_threads(args.threads or best_threads())
    request = Request(
        stage=args.stage, scene=scene, folder=args.out / (args.name or scene.name),
        data=args.data or Path("data") / scene.name, preset=args.preset, model=args.model, parts_from=args.parts_from,
        resume=args.resume, fresh=args.fresh, clips=args.clips, clip_frames=args.clip_frames, compile=args.compile,
        changes=tuple(args.set), shard=args.shard,
    )  # fmt: skip
    config = TrainConfig(
        minutes=args.minutes, steps=args.steps, muon_lr=args.muon_lr, adam_lr=args.adam_lr, seed=args.seed
    )
    numbers = train(request, config)
    text = f"wrote {request.folder}; play it with `worldsim play {request.folder}`"
    report(args, {"checkpoint": str(request.folder), **numbers}, text)
    return 0
