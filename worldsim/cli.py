"""The `worldsim` command. Parses, calls, prints: results to stdout, all else to stderr.

Exit codes: 0 done, 1 a check failed, 2 bad input. Heavy imports happen inside the commands, so that `--help` and bad
input answer at once and a window process never loads torch.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from worldsim.errors import ConfigError, WorldsimError
from worldsim.machine import cores

Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code."""
    started = time.perf_counter()
    parser = build_parser()
    try:
        args = parser.parse_args(argv)
        args.started = started
        command: Command = args.run
        return command(args)
    except WorldsimError as error:
        print(f"worldsim: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("worldsim: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without the usage block."""

    def error(self, message: str) -> Any:
        raise ConfigError(f"{message} (see `{self.prog} --help`)")


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = _Parser(prog="worldsim", description="Walk through worlds that a small neural network dreams.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    _add_play(commands.add_parser("play", help="play a checkpoint, in a window or headless"))
    _add_replay(commands.add_parser("replay", help="replay a recorded trace and verify it"))
    _add_collect(commands.add_parser("collect", help="collect episodes from a scene's true engine"))
    _add_train(commands.add_parser("train", help="train a codec or a generator"))
    _add_evaluate(commands.add_parser("evaluate", help="measure a checkpoint against the true engine"))
    _add_bench(commands.add_parser("bench", help="measure speed"))
    _add_scenes(commands.add_parser("scenes", help="list scenes, or check a scene file"))
    _add_checkpoints(commands.add_parser("checkpoints", help="list and verify checkpoints"))
    return parser


def whole(low: int, high: int = 2**62) -> Callable[[str], int]:
    """Parses a whole number in [low, high]."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be a whole number, got {text!r}") from None
        if not low <= value <= high:
            bounds = f"at least {low}" if high == 2**62 else f"in [{low}, {high}]"
            raise argparse.ArgumentTypeError(f"must be {bounds}, got {value}")
        return value

    return parse


def number(low: float, high: float) -> Callable[[str], float]:
    """Parses a number in [low, high]."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be a number, got {text!r}") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must lie in [{low:g}, {high:g}], got {value:g}")
        return value

    return parse


def report(args: argparse.Namespace, result: dict[str, Any], text: str) -> None:
    """Print a result: one JSON object with --json, else the text."""
    print(json.dumps(result) if args.json else text, flush=True)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def _add_play(parser: argparse.ArgumentParser) -> None:
    from worldsim.commands import play

    parser.set_defaults(run=play.run)
    play.add_arguments(parser, whole, number)
    _add_json(parser)


def _add_replay(parser: argparse.ArgumentParser) -> None:
    from worldsim.commands import replay

    parser.set_defaults(run=replay.run)
    replay.add_arguments(parser)
    _add_json(parser)


def _add_collect(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_collect)
    parser.add_argument("scene", help="a scene's name or file")
    parser.add_argument("--ticks", type=whole(1), default=64_000, help="frames to train on (default 64000)")
    parser.add_argument("--held-out", type=whole(0), default=8_000, help="frames held out for evaluation")
    parser.add_argument("--workers", type=whole(1, 256), default=cores(), help="processes")
    parser.add_argument("--out", type=Path, help="folder (default data/SCENE)")
    _add_json(parser)


def _collect(args: argparse.Namespace) -> int:
    from worldsim.data.collect import collect
    from worldsim.scene import load_scene

    scene = load_scene(args.scene)
    folder = args.out or Path("data") / scene.name
    begun = time.monotonic()
    made = collect(scene, folder, args.ticks, args.held_out, args.workers)
    seconds = time.monotonic() - begun
    rate = made / max(seconds, 1e-9)
    text = f"{made} frames in {folder} ({rate:.0f} a second)" if made else f"{folder} already has all its episodes"
    report(args, {"folder": str(folder), "frames": made, "frames_per_second": round(rate, 1)}, text)
    return 0


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_train)
    parser.add_argument("stage", choices=("codec", "place", "odometry", "forcing", "resampling", "consistency", "dmd"))
    parser.add_argument("scene", help="a scene's name or file")
    parser.add_argument("--preset", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--model", choices=("default", "tiny", "large"), help="size of a new generator")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="another field of a new generator: window=8"
    )
    parser.add_argument("--minutes", type=number(0.01, 1e5), default=60.0)
    parser.add_argument("--steps", type=whole(1), help="train for so many steps in all instead of minutes")
    parser.add_argument("--resume", action="store_true", help="go on with the stage's saved state")
    parser.add_argument("--fresh", action="store_true", help="start from random weights, not from the last checkpoint")
    parser.add_argument("--name", help="name of the run and its checkpoint (default: the scene's)")
    parser.add_argument(
        "--parts-from", metavar="CHECKPOINT", help="take the codec, place memory and odometry of another checkpoint"
    )
    parser.add_argument("--data", type=Path, help="folder of episodes (default data/SCENE)")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="folder of runs (default runs)")
    parser.add_argument("--clips", type=whole(1, 4096), help="clips a batch")
    parser.add_argument("--clip-frames", type=whole(2, 512), help="frames a clip")
    parser.add_argument("--compile", action="store_true", help="torch.compile the network: minutes, then faster")
    parser.add_argument("--muon-lr", type=number(0, 1), default=0.02, help="0: AdamW for every parameter")
    parser.add_argument("--adam-lr", type=number(0, 1), default=2e-3)
    parser.add_argument("--threads", type=whole(1, 256), help="torch threads (default: measured)")
    parser.add_argument(
        "--shard", action="store_true",
        help="under torchrun, let each process hold a part of every block of the generator, not all "
        "(always so for wide ones, as of --model large)",
    )  # fmt: skip
    parser.add_argument("--seed", type=whole(0), default=0)
    _add_json(parser)


def _train(args: argparse.Namespace) -> int:
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


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    from worldsim.commands import evaluate

    parser.set_defaults(run=evaluate.run)
    evaluate.add_arguments(parser, whole)
    _add_json(parser)


def _add_bench(parser: argparse.ArgumentParser) -> None:
    from worldsim.commands import bench

    parser.set_defaults(run=bench.run)
    bench.add_arguments(parser, whole)
    _add_json(parser)


def _add_scenes(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_scenes)
    parser.add_argument("--check", metavar="FILE", help="validate a scene file")
    _add_json(parser)


def _scenes(args: argparse.Namespace) -> int:
    from worldsim.scene import load_scene, scene_hash, scene_names

    names = [args.check] if args.check else scene_names()
    scenes = [load_scene(name) for name in names]
    rows = [
        {"name": s.name, "title": s.title, "frame": [s.frame.width, s.frame.height], "tick_hz": s.tick_hz,
         "sha256": scene_hash(s)}
        for s in scenes
    ]  # fmt: skip
    lines = [f"{s.name:12} {s.frame.width}x{s.frame.height} at {s.tick_hz:g} Hz  {s.title}" for s in scenes]
    report(args, {"scenes": rows}, (f"{args.check} is a good scene\n" if args.check else "") + "\n".join(lines))
    return 0


def _add_checkpoints(parser: argparse.ArgumentParser) -> None:
    from worldsim.commands import checkpoints

    parser.set_defaults(run=checkpoints.run)
    checkpoints.add_arguments(parser)
    _add_json(parser)
