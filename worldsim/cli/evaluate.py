"""`worldsim evaluate`: measure a checkpoint against the true engine and write the scores into it."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worldsim.cli.arguments import int_in, report
from worldsim.errors import ConfigError, nearest
from worldsim.registry import METRICS
from worldsim.runtime import BACKENDS

if TYPE_CHECKING:
    from worldsim.checkpoint import Checkpoint
    from worldsim.evaluate.suite import Evaluation

HELP = "measure a checkpoint against the true engine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", nargs="?", default="gallery", help="name or folder of a checkpoint")
    parser.add_argument("--rollouts", type=int_in(1, 4096), default=16, help="walks; other parts take at most so many")
    parser.add_argument("--ticks", type=int_in(1, 512), default=256, help="length of a rollout of the quality part")
    parser.add_argument("--drift-ticks", type=int_in(40), default=12_000, help="length of the drift part")
    parser.add_argument("--cases", type=int_in(2, 4096), default=40, help="of each question to a world that lives")
    parser.add_argument("--only", type=_parts, default=(), metavar="PART,...", help=f"of {', '.join(METRICS.names())}")
    parser.add_argument(
        "--seeds", choices=("report", "promote"), default="report",
        help="which walks: those a report shows, or those that `checkpoints --promote` judges by",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, help="denoising passes (default: the checkpoint's)")
    parser.add_argument("--data", type=Path, help="held-out episodes (default data/SCENE, else drawn now)")
    parser.add_argument("--threads", type=int_in(1), help="torch threads")
    parser.add_argument(
        "--backend", choices=BACKENDS, default="eager",
        help="what runs worlds that are played tick by tick (default eager, whose bits are alike everywhere; auto is "
        "what play takes, and faster)",
    )  # fmt: skip
    parser.add_argument("--report", type=Path, metavar="HTML", help="write a report with curves and film strips")
    parser.add_argument("--strip", type=Path, metavar="PNG", help="write film strips, truth above dream")
    parser.add_argument("--save", action="store_true", help="write the scores into the checkpoint's world.yaml")


def _parts(text: str) -> tuple[str, ...]:
    """Names of parts, several separated by commas. Raises ArgumentTypeError."""
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in METRICS.names():
            raise argparse.ArgumentTypeError(f"no part is called {name!r:.60}, {nearest(name, METRICS.names())}")
    return names


def run(args: argparse.Namespace) -> int:
    import torch

    from worldsim.checkpoint import open_checkpoint
    from worldsim.diffusion.sampler import step_levels
    from worldsim.evaluate.metric import Measurement, Sizes
    from worldsim.evaluate.rollouts import Dreamer
    from worldsim.evaluate.suite import as_text, evaluate, summary
    from worldsim.inference.backend_choice import choose
    from worldsim.model.weights import load_networks

    if args.threads:
        torch.set_num_threads(args.threads)
    checkpoint = open_checkpoint(args.checkpoint)
    scene, sampler = checkpoint.info.scene, checkpoint.info.sampler
    steps = args.steps or sampler.steps
    step_levels(steps)
    for path in (args.report, args.strip):
        _must_be_writable(path)
    codec, generator = load_networks(checkpoint)
    played = None
    if args.backend != "eager":
        played = choose(args.backend, args.threads, codec, generator, steps, checkpoint.sha256)[1]
    dreamer = Dreamer(scene, codec, generator, steps, sampler.context_level, played=played)
    sizes = Sizes(args.rollouts, args.ticks, args.drift_ticks, cases=args.cases)
    with scene.source.open(scene) as source:
        data = args.data or Path("data") / scene.name
        done = evaluate(Measurement(source, dreamer, sizes, args.seeds, data, quiet=args.json), args.only)
    if args.save:
        _save(checkpoint, done, args.seeds)
    _write_pages(args, checkpoint.name, done, steps)
    found = {**done.figures, "seeds": args.seeds, "seconds": done.seconds, "left_out": done.left_out}
    lines = [as_text(done.figures), *(f"\n{name} left out: {reason}" for name, reason in done.left_out.items())]
    report(args, found, "\n".join([*lines, "", f"| {checkpoint.name} | {summary(done.figures)} |"]))
    return 0


def _save(checkpoint: Checkpoint, done: Evaluation, seeds: str) -> None:
    """Write the figures without curves into world.yaml, those of a promotion's walks apart from a report's."""
    from worldsim.checkpoint import save_scores
    from worldsim.evaluate.promotion import SCORES
    from worldsim.evaluate.suite import without_curves

    known = {*METRICS.names(), SCORES}
    scores: dict[str, Any] = {name: value for name, value in checkpoint.info.scores.items() if name in known}
    kept = {part: without_curves(figures) for part, figures in done.figures.items()}
    if seeds == "promote":
        scores[SCORES] = {**scores.get(SCORES, {}), **kept}
    else:
        scores |= kept
    save_scores(checkpoint, scores)


def _write_pages(args: argparse.Namespace, name: str, done: Evaluation, steps: int) -> None:
    """The report and the film strips, where they are asked for."""
    from PIL import Image

    from worldsim.evaluate.quality import film_strip
    from worldsim.evaluate.report import page
    from worldsim.evaluate.suite import legend, summary

    if args.report:
        subtitle = f"{summary(done.figures)}. {time.strftime('%Y-%m-%d')}, {steps} steps a frame."
        document = page(f"{name}: how well it dreams", subtitle, [legend(), *done.sections])
        args.report.write_text(document, encoding="utf-8")
    if args.strip and done.strips:
        Image.fromarray(film_strip(done.strips, (1, 4, 8, 16, 32, 48, 64))).save(args.strip)


def _must_be_writable(path: Path | None) -> None:
    """Before minutes of work, not after them."""
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None
