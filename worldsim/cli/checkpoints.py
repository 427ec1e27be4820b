"""`worldsim checkpoints`: list and verify; promote a trained run to the shipped folder if it is better."""

from __future__ import annotations

import argparse

from worldsim.checkpoint import (
    CHECKPOINTS,
    Checkpoint,
    checkpoint_names,
    copy_checkpoint,
    find_checkpoint,
    open_checkpoint,
)  # fmt: skip
from worldsim.cli.arguments import report
from worldsim.errors import CheckpointError

HELP = "list and verify checkpoints"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--promote", metavar="RUN", help="ship a run's checkpoint, if its scores beat the shipped one's"
    )
    parser.add_argument(
        "--migrate", nargs="?", const="", metavar="CHECKPOINT",
        help="rewrite the description of a checkpoint of format 1, or of all shipped ones; weights stay as they are",
    )  # fmt: skip
    parser.add_argument("--as", dest="name", help="the shipped name (default: the run's)")


def run(args: argparse.Namespace) -> int:
    if args.promote:
        return _promote(args)
    if args.migrate is not None:
        return _migrate(args)
    rows, lines = [], []
    for name in checkpoint_names():
        checkpoint = open_checkpoint(name)
        info = checkpoint.info
        stages = ", ".join(f"{p['stage']} {p['steps']} steps" for p in info.provenance)
        rows.append({"name": name, "scene": info.scene.name, "steps": info.sampler.steps, "sha256": checkpoint.sha256,
                     "spawns": [s.name for s in info.spawns], "scores": info.scores})  # fmt: skip
        lines.append(
            f"{name:16} scene {info.scene.name}, {info.sampler.steps} steps, {len(info.spawns)} spawns; {stages}"
        )
    report(args, {"checkpoints": rows}, "\n".join(lines) or "no checkpoints")
    return 0


def merit(checkpoint: Checkpoint) -> float:
    """One number to compare checkpoints by: PSNR over horizons, and sharpness, which PSNR alone would trade away."""
    quality = checkpoint.info.scores.get("quality")
    if not quality:
        raise CheckpointError(
            f"{checkpoint.path} has no scores; run `worldsim evaluate {checkpoint.path} --save` first"
        )
    horizons = quality["psnr_db"]
    return sum(horizons.values()) / len(horizons) + 5 * min(float(quality["sharpness"]), 1.0)


def _promote(args: argparse.Namespace) -> int:
    run = open_checkpoint(args.promote)
    name = args.name or run.path.name
    target = CHECKPOINTS / name
    new = merit(run)
    if (target / "world.yaml").is_file():
        shipped = open_checkpoint(str(target))
        old = merit(shipped)
        for what in ("ticks", "rollouts"):
            here, there = (c.info.scores["quality"].get(what) for c in (run, shipped))
            if here != there:
                raise CheckpointError(
                    f"{run.path} was scored over {here} {what}, {target} over {there}; evaluate both alike first"
                )
        if new <= old:
            text = f"{run.path} ({new:.2f}) is no better than the shipped {name} ({old:.2f}); nothing was changed"
            report(args, {"promoted": False, "new": new, "old": old}, text)
            return 1
    copy_checkpoint(run, target)
    report(args, {"promoted": True, "new": new}, f"{run.path} is now {target} ({new:.2f})")
    return 0


def _migrate(args: argparse.Namespace) -> int:
    from worldsim.model.format_1 import migrate

    rows, lines = [], []
    for name in [args.migrate] if args.migrate else checkpoint_names():
        done, checkpoint = migrate(find_checkpoint(name)), open_checkpoint(name)
        rows.append({"name": name, "migrated": done, "sha256": checkpoint.sha256,
                     "former_sha256": list(checkpoint.info.former_sha256)})  # fmt: skip
        former = "".join(f"; traces of {mark[:12]}... still replay" for mark in checkpoint.info.former_sha256)
        lines.append(f"{name} is {'now' if done else 'already'} of format {checkpoint.info.format}{former}")
    report(args, {"checkpoints": rows}, "\n".join(lines) or "no checkpoints")
    return 0
