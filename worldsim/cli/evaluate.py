"""`worldsim evaluate`: measure a checkpoint against the true engine and write the scores into it."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from worldsim.cli.arguments import int_in, report
from worldsim.errors import ConfigError

PARTS = ("quality", "control", "memory", "counterfactual", "drift")


HELP = "measure a checkpoint against the true engine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", nargs="?", default="gallery", help="name or folder of a checkpoint")
    parser.add_argument("--rollouts", type=int_in(1, 4096), default=16)
    parser.add_argument("--ticks", type=int_in(1, 512), default=256, help="length of a rollout of the quality part")
    parser.add_argument("--drift-ticks", type=int_in(40), default=12_000, help="length of the drift part")
    parser.add_argument("--only", choices=PARTS, help="one part of the evaluation")
    parser.add_argument("--steps", type=int, help="denoising passes (default: the checkpoint's)")
    parser.add_argument("--data", type=Path, help="held-out episodes (default data/SCENE, else drawn now)")
    parser.add_argument("--threads", type=int_in(1), help="torch threads")
    parser.add_argument("--report", type=Path, metavar="HTML", help="write a report with curves and film strips")
    parser.add_argument("--strip", type=Path, metavar="PNG", help="write film strips, truth above dream")
    parser.add_argument("--save", action="store_true", help="write the scores into the checkpoint's world.yaml")


def run(args: argparse.Namespace) -> int:
    import torch

    from worldsim.checkpoint import open_checkpoint, save_scores
    from worldsim.diffusion.sampler import step_levels
    from worldsim.evaluate.report import page
    from worldsim.evaluate.rollouts import Dreamer
    from worldsim.evaluate.suite import Sizes, evaluate, film_strip, flat, summary
    from worldsim.model.weights import load_networks
    from worldsim.source.rooms.world import RoomsWorld

    if args.threads:
        torch.set_num_threads(args.threads)
    checkpoint = open_checkpoint(args.checkpoint)
    info = checkpoint.info
    steps = args.steps or info.sampler.steps
    step_levels(steps)
    for path in (args.report, args.strip):
        _must_be_writable(path)
    dreamer = Dreamer(info.scene, *load_networks(checkpoint), steps, info.sampler.context_level)
    world = RoomsWorld(info.scene)
    parts = (args.only,) if args.only else PARTS
    data = args.data or Path("data") / info.scene.name
    done = evaluate(world, dreamer, parts, Sizes(args.rollouts, args.ticks, args.drift_ticks), data, quiet=args.json)
    world.close()
    figures = {**done.figures, "seconds": done.seconds}
    if args.save:
        save_scores(checkpoint, {**info.scores, **_kept(figures)})
    if args.report:
        subtitle = f"{summary(figures)}. {time.strftime('%Y-%m-%d')}, {steps} steps a frame."
        document = page(f"{checkpoint.name}: how well it dreams", subtitle, done.sections)
        args.report.write_text(document, encoding="utf-8")
    if args.strip and done.strips:
        from PIL import Image

        Image.fromarray(film_strip(done.strips, (1, 4, 8, 16, 32, 48, 64))).save(args.strip)
    lines = [f"{name:40} {value}" for name, value in flat(figures)]
    report(args, figures, "\n".join([*lines, "", f"| {checkpoint.name} | {summary(figures)} |"]))
    return 0


def _kept(figures: dict[str, Any]) -> dict[str, Any]:
    """What goes into a checkpoint: figures without curves, those of quality under a name of their own."""
    quality = ("rollouts", "ticks", "steps", "psnr_db", "ssim", "flip", "sharpness", "sharpness_by_tick",
               "codec_psnr_db", "copy_last_psnr_db", "mean_frame_psnr_db", "frechet")  # fmt: skip
    kept: dict[str, Any] = {"quality": {k: figures[k] for k in quality if k in figures}} if "psnr_db" in figures else {}
    for name, value in figures.items():
        if name not in quality and name != "seconds" and "curve" not in name:
            kept[name] = {k: v for k, v in value.items() if "curve" not in k} if isinstance(value, dict) else value
    return kept


def _must_be_writable(path: Path | None) -> None:
    """Before minutes of work, not after them."""
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None
