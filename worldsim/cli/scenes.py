"""`worldsim scenes`: list the scenes that ship, or check a scene file."""

from __future__ import annotations

import argparse

from worldsim.cli.arguments import report

HELP = "list scenes, or check a scene file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", metavar="FILE", help="validate a scene file")


def run(args: argparse.Namespace) -> int:
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
