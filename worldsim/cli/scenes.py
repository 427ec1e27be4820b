"""`worldsim scenes`: list the scenes that ship, check a scene file, or draw a preview of one."""

from __future__ import annotations

import argparse
from pathlib import Path

from worldsim.cli.arguments import report
from worldsim.errors import SceneError, shown

HELP = "list scenes, check a scene file, or draw a preview of one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", metavar="FILE", help="validate a scene file")
    what.add_argument(
        "--preview", nargs=2, metavar=("SCENE", "IMAGE"), help="draw a scene's plan and its views into a picture"
    )


def run(args: argparse.Namespace) -> int:
    from worldsim.scene import load_scene, scene_hash, scene_names

    if args.preview:
        return _preview(args, *args.preview)
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


def _preview(args: argparse.Namespace, name: str, image: str) -> int:
    from PIL import Image

    from worldsim.scene import load_scene
    from worldsim.source.rooms.preview import preview

    path = Path(image)
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise SceneError(f"the preview's file must end in .png or .jpg, got {shown(image)}")
    pixels = preview(load_scene(name))
    try:
        Image.fromarray(pixels).save(path)
    except OSError as error:
        raise SceneError(f"{shown(image)} cannot be written: {error.strerror or 'no such folder'}") from None
    size = [pixels.shape[1], pixels.shape[0]]
    report(args, {"preview": image, "size": size}, f"drew {name} into {image}, {size[0]}x{size[1]}")
    return 0
