"""`worldsim evaluate`: measure a checkpoint against the true engine and write the scores into it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from worldsim.cli import report
from worldsim.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser, whole: Callable[..., Any]) -> None:
    parser.add_argument("checkpoint", nargs="?", default="gallery", help="name or folder of a checkpoint")
    parser.add_argument("--rollouts", type=whole(1, 4096), default=16)
    parser.add_argument("--ticks", type=whole(1, 512), default=64, help="length of a rollout")
    parser.add_argument("--only", choices=("quality",), default="quality", help="one part of the evaluation")
    parser.add_argument("--steps", type=int, help="denoising passes (default: the checkpoint's)")
    parser.add_argument("--data", type=Path, help="held-out episodes (default data/SCENE, else drawn now)")
    parser.add_argument("--strip", type=Path, metavar="PNG", help="write film strips, truth above dream")
    parser.add_argument("--save", action="store_true", help="write the scores into the checkpoint's world.yaml")


def run(args: argparse.Namespace) -> int:
    from worldsim.checkpoint import load_networks, open_checkpoint, write_info
    from worldsim.diffusion.sampler import step_levels
    from worldsim.evaluate.quality import quality, true_episodes

    checkpoint = open_checkpoint(args.checkpoint)
    info = checkpoint.info
    steps = args.steps or info.sampler.steps
    step_levels(steps)
    codec, generator = load_networks(checkpoint)
    begun = time.monotonic()
    data = args.data or Path("data") / info.scene.name
    window = generator.config.window
    episodes = true_episodes(info.scene, args.rollouts, window + args.ticks, data, quiet=args.json)
    figures, strips = quality(
        info.scene, codec, generator, steps, info.sampler.context_level, episodes, args.ticks, quiet=args.json
    )
    figures["seconds"] = round(time.monotonic() - begun, 1)
    if args.save:
        write_info(checkpoint.path, replace(info, scores={**info.scores, "quality": figures}))
    if args.strip:
        _write_strip(args.strip, strips)
    lines = [f"{'tick':>6} {'PSNR dB':>8} {'copy-last':>10} {'sharpness':>10}"]
    copy, sharp = figures["copy_last_psnr_db"], figures["sharpness_by_tick"]
    lines += [f"{h:>6} {psnr:8.2f} {copy[h]:10.2f} {sharp[h]:10.2f}" for h, psnr in figures["psnr_db"].items()]
    lines.append(
        f"codec {figures['codec_psnr_db']} dB, mean frame {figures['mean_frame_psnr_db']} dB, {figures['seconds']} s"
    )
    report(args, figures, "\n".join(lines))
    return 0


def _write_strip(path: Path, strips: list[Any]) -> None:
    from PIL import Image

    from worldsim.evaluate.quality import film_strip

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(film_strip(strips, (1, 4, 8, 16, 32, 48, 64))).save(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be written as a picture: {error}") from None
