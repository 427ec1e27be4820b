"""`worldsim bench`: how fast a checkpoint plays here, part by part."""

from __future__ import annotations

import argparse
from pathlib import Path

from worldsim.cli.arguments import int_in, report
from worldsim.runtime import BACKENDS

HELP = "measure speed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", default="gallery")
    parser.add_argument(
        "--model", choices=("default", "tiny", "large"),
        help="instead of a checkpoint: random weights of a size; `large` at 384x224 and 4 steps",
    )  # fmt: skip
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--ticks", type=int_in(1), default=300)
    parser.add_argument("--steps", type=int, help="denoising passes (default: the checkpoint's)")
    parser.add_argument("--threads", type=int_in(1, 256))
    parser.add_argument("--backend", choices=BACKENDS, default="auto", help="what runs the networks")
    parser.add_argument("--seed", type=int_in(0), default=0)
    parser.add_argument(
        "--hand", type=Path, action="append", default=[], metavar="FILE.csv",
        help="recorded counts of a mouse for the drafts (may be repeated; default: synthetic play)",
    )  # fmt: skip
    parser.add_argument("--baselines", action="store_true", help="time other ways to make a frame in the same run")


def run(args: argparse.Namespace) -> int:
    from worldsim.bench.measure import measure
    from worldsim.diffusion.sampler import step_levels
    from worldsim.worlds.catalogue import LoadOptions, WorldEntry, find_world

    if args.steps:
        step_levels(args.steps)
    if args.model:
        from worldsim.bench.random_weights import RandomWeights

        entry: WorldEntry = RandomWeights(args.model)
    else:
        entry = find_world(args.checkpoint)
    options = LoadOptions(args.steps, args.threads, args.backend, args.device)
    slow = args.model == "large" and args.device == "cpu"  # many seconds a tick
    figures = measure(entry, options, args.ticks, args.seed, slow, args.baselines, args.hand)
    width, height = figures["frame"]
    tick_ms, floor, drafts = figures["tick_ms"], figures["floor_ms"], figures["draft"]
    text = "\n".join(
        [
            f"{entry.name}: {figures['fps']} frames a second, {width}x{height}, {figures['steps']} steps, "
            f"{figures['threads']} threads, {figures['backend']}",
            f"tick p50 {tick_ms['p50']} ms, p99 {tick_ms['p99']} ms",
            f"denoise {figures['denoise_ms']} ms, commit {figures['commit_ms']} ms, decode {figures['decode_ms']} ms",
            f"{figures['gflop_per_tick']:.2f} GFLOP a tick, {figures['params'] / 1e6:.2f} M parameters; "
            f"{figures['gflop_per_second']:.0f} GFLOP a second, "
            f"{figures['share_of_matrix_peak']:.0%} of what a large matrix product reaches here",
            f"at the machine's rates: operations {floor['operations']} ms, memory {floor['memory']} ms",
            f"drafts of {', '.join(drafts['hands'])}: found by {_share(drafts['found_still'])} of ticks with a still "
            f"mouse, {_share(drafts['found_moving'])} of those where it moved, at most "
            f"{drafts['remainder_max_deg'] or 0:.2f} degrees from it; then {drafts['hit_ms']:.2f} ms to a frame",
        ]
    )
    for name in ("diamond_shape", "no_cache"):
        if args.baselines:
            text += f"\n{name}: {figures[name + '_ms']} ms a frame, {figures['ratio_vs_' + name]} times ours"
    report(args, figures, text)
    return 0


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.0%}"
