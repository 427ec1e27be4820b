"""`worldsim checkpoints`: list and verify; promote a trained run to the shipped folder if it is better."""

from __future__ import annotations

import argparse

from worldsim.checkpoint import (
    CHECKPOINTS,
    YAML,
    checkpoint_names,
    copy_checkpoint,
    find_checkpoint,
    open_checkpoint,
)  # fmt: skip
from worldsim.cli.arguments import report

HELP = "list and verify checkpoints"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--promote", metavar="RUN", help="ship a run's checkpoint, if its promotion scores beat the shipped one's"
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


def _promote(args: argparse.Namespace) -> int:
    """Ship a run if every part of its promotion scores allows it."""
    from worldsim.evaluate.promotion import judge

    run = open_checkpoint(args.promote)
    name = args.name or run.path.name
    target = CHECKPOINTS / name
    shipped = open_checkpoint(str(target)) if (target / YAML).is_file() else None
    verdict = judge(run, shipped)
    lines = [f"{part:12} {new:8.2f}" + ("" if old is None else f"   shipped {old:8.2f}")
             for part, (new, old) in verdict.points.items()]  # fmt: skip
    said = f"{run.path} is now {target}"
    if verdict.reason is not None:
        said = f"{run.path} is not promoted to {name}: {verdict.reason}; nothing was changed"
    else:
        copy_checkpoint(run, target)
    result = {"promoted": verdict.reason is None, "reason": verdict.reason, "points": verdict.points}
    report(args, result, "\n".join([*lines, said]))
    return 0 if verdict.reason is None else 1


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
