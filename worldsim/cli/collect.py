"""`worldsim collect`: episodes of a scene's true engine, to train on."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from worldsim.cli.arguments import int_in, report
from worldsim.errors import ConfigError
from worldsim.runtime import cores

HELP = "collect episodes from a scene's true engine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scene", help="a scene's name or file")
    parser.add_argument("--ticks", type=int_in(1), default=64_000, help="frames to train on (default 64000)")
    parser.add_argument("--held-out", type=int_in(0), default=8_000, help="frames held out for evaluation")
    parser.add_argument(
        "--stills", type=int_in(0), default=0,
        help="unrelated frames besides, near entities: for stage painter, in a scene that has some",
    )  # fmt: skip
    parser.add_argument("--workers", type=int_in(1, 256), default=cores(), help="processes")
    parser.add_argument("--out", type=Path, help="folder (default data/SCENE)")


def run(args: argparse.Namespace) -> int:
    from worldsim.data.collect import collect
    from worldsim.scene import load_scene

    scene = load_scene(args.scene)
    folder = args.out or Path("data") / scene.name
    if args.stills and not scene.slots:
        raise ConfigError(f"--stills are for scenes with entities, and {scene.name} has none")
    begun = time.monotonic()
    made = collect(scene, folder, args.ticks, args.held_out, args.workers, stills=args.stills)
    seconds = time.monotonic() - begun
    rate = made / max(seconds, 1e-9)
    text = f"{made} frames in {folder} ({rate:.0f} a second)" if made else f"{folder} already has all its episodes"
    report(args, {"folder": str(folder), "frames": made, "frames_per_second": round(rate, 1)}, text)
    return 0
