"""`worldsim bench`: how fast a checkpoint plays here, part by part."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

from worldsim.cli import report
from worldsim.machine import BACKENDS, use_threads


def add_arguments(parser: argparse.ArgumentParser, whole: Callable[..., Any]) -> None:
    parser.add_argument("--checkpoint", default="gallery")
    parser.add_argument("--ticks", type=whole(1), default=300)
    parser.add_argument("--steps", type=int, help="denoising passes (default: the checkpoint's)")
    parser.add_argument("--threads", type=whole(1, 256))
    parser.add_argument("--backend", choices=BACKENDS, default="auto", help="what runs the networks")
    parser.add_argument("--seed", type=whole(0), default=0)
    parser.add_argument("--baselines", action="store_true", help="time other ways to make a frame in the same run")


def run(args: argparse.Namespace) -> int:
    import torch

    from worldsim.actions import action_source
    from worldsim.diffusion.sampler import step_levels
    from worldsim.headless import play_headless
    from worldsim.loader import find_spawn, open_played, spawn_for
    from worldsim.session import Session, SessionSettings

    if args.steps:
        step_levels(args.steps)
    played = open_played(args.checkpoint, args.steps, args.threads, args.backend)
    world = played.world
    spawn = find_spawn(args.checkpoint, spawn_for(args.checkpoint, None, "human", world.scene, args.seed))
    parts, gflop, params = _parts(world, spawn)
    session = Session(played, spawn, SessionSettings("off", seed=args.seed))
    actions = action_source("human", world.scene, args.seed)
    play_headless(session, actions, 5, realtime=False)  # first calls allocate
    plain = play_headless(session, actions, args.ticks, realtime=False)
    drafts = _drafts(played, spawn, args.seed, min(args.ticks, 400))
    frame = world.scene.frame
    torch.set_num_threads(played.numerics["threads"])  # the ceiling of as many threads as the networks have
    peak = matrix_rate()
    use_threads(played.numerics)
    rate = gflop * plain["fps"]
    figures = {
        "checkpoint": args.checkpoint,
        "ticks": args.ticks,
        "fps": plain["fps"],
        "tick_ms": plain["tick_ms"],
        **parts,
        "gflop_per_tick": round(gflop, 3),
        "gflop_per_second": round(rate, 1),
        "matrix_gflop_per_second": round(peak, 1),
        "share_of_matrix_peak": round(rate / peak, 3),
        **{k: plain[k] for k in ("late_over_early", "rss_mb_1000", "rss_mb_end")},
        "params": params,
        "frame": [frame.width, frame.height],
        "steps": played.steps,
        "threads": played.numerics["threads"],
        "backend": played.numerics["backend"],
        "draft": drafts,
        "seconds": plain["seconds"],
    }
    if args.baselines:
        torch.set_num_threads(played.numerics["threads"])
        figures |= _baselines(world, spawn, plain["tick_ms"]["p50"])
    text = "\n".join(
        [
            f"{args.checkpoint}: {figures['fps']} frames a second, {frame.width}x{frame.height}, {played.steps} steps, "
            f"{figures['threads']} threads, {figures['backend']}",
            f"tick p50 {plain['tick_ms']['p50']} ms, p99 {plain['tick_ms']['p99']} ms",
            f"denoise {parts['denoise_ms']} ms, commit {parts['commit_ms']} ms, decode {parts['decode_ms']} ms",
            f"{gflop:.2f} GFLOP a tick, {params / 1e6:.2f} M parameters; {rate:.0f} GFLOP a second, "
            f"{rate / peak:.0%} of what a large matrix product reaches here",
            f"drafts of human-like play: found by {_share(drafts['acceptance_still'])} of ticks with a still mouse, "
            f"{_share(drafts['acceptance_moving'])} of those where it moved; then {drafts['hit_ms']:.2f} ms to a frame",
        ]
    )
    for name in ("diamond_shape", "no_cache"):
        if args.baselines:
            text += f"\n{name}: {figures[name + '_ms']} ms a frame, {figures['ratio_vs_' + name]} times ours"
    report(args, figures, text)
    return 0


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.0%}"


def matrix_rate(side: int = 1024, repeats: int = 12) -> float:
    """GFLOP a second of a large float32 matrix product with the threads at hand: the median."""
    import torch

    a, b = torch.randn(side, side), torch.randn(side, side)
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        torch.mm(a, b)
        times.append(time.perf_counter() - begun)
    return 2 * side**3 / statistics.median(times) / 1e9


def _baselines(world: Any, spawn: Any, own_ms: float, repeats: int = 5) -> dict[str, float]:
    """Milliseconds a frame of a denoiser of DIAMOND's shape and of the generator without its cache, and the ratios."""
    from worldsim.baselines import diamond_frame, uncached_frame

    frame = world.scene.frame
    makers = {
        "diamond_shape": diamond_frame(frame.height, frame.width),
        "no_cache": uncached_frame(*world.ready(spawn)),
    }
    found: dict[str, float] = {}
    for name, make in makers.items():
        make()
        times = []
        for _ in range(repeats):
            begun = time.perf_counter()
            make()
            times.append(time.perf_counter() - begun)
        found[f"{name}_ms"] = round(statistics.median(times) * 1e3, 1)
        found[f"ratio_vs_{name}"] = round(found[f"{name}_ms"] / own_ms, 1)
    return found


def _drafts(played: Any, spawn: Any, seed: int, ticks: int) -> dict[str, Any]:
    """Drafts of human-like play as they would be made in real time, without waiting for it: each tick has the slack
    that this machine leaves. Acceptance is the share of all ticks that found their draft, told apart by whether the
    mouse moved in them."""
    from worldsim.actions import action_source
    from worldsim.session import Session, SessionSettings

    scene = played.world.scene
    mouse = [i for i, c in enumerate(scene.controls) if c.is_mouse]
    session = Session(played, spawn, SessionSettings("auto", seed=seed))
    actions = action_source("human", scene, seed)
    found: dict[bool, list[bool]] = {True: [], False: []}
    spent = 0.0
    for _ in range(ticks):
        until = time.perf_counter() + 1 / scene.tick_hz - spent
        session.slack(lambda until=until: until - time.perf_counter())  # type: ignore[misc]
        action = next(actions)
        ticked = session.advance(action)
        spent = ticked.seconds
        found[any(action.values[i] for i in mouse)].append(ticked.drafted)
    moving, still = (round(statistics.mean(found[m]), 3) if found[m] else None for m in (True, False))
    return {"ticks": ticks, "acceptance_still": still, "acceptance_moving": moving, **session.drafts.figures()}


def _parts(world: Any, spawn: Any, repeats: int = 30) -> tuple[dict[str, float], float, int]:
    """Median milliseconds of all denoising passes, of the commit and of decoding; GFLOP of a tick; parameters."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from worldsim.world import advance

    state, _ = world.start(0, spawn)
    idle = world.scene.action_space.idle
    state, _ = advance(world, state, idle)
    world.settle(state)
    times: dict[str, list[float]] = {"denoise_ms": [], "commit_ms": [], "decode_ms": []}
    for _ in range(repeats):
        begun = time.perf_counter()
        work = world.passes(state, idle)
        for _ in range(1 + world.steps):
            next(work)
        denoised = time.perf_counter()
        try:
            next(work)
        except StopIteration as stop:
            after = stop.value[0]
        decoded = time.perf_counter()
        world.settle(after)
        times["denoise_ms"].append(denoised - begun)
        times["decode_ms"].append(decoded - denoised)
        times["commit_ms"].append(time.perf_counter() - decoded)
    plain = world.in_plain_torch()
    state, _ = plain.start(0, spawn)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        after, _ = advance(plain, state, idle)
        plain.settle(after)
    parts = {name: round(statistics.median(values) * 1e3, 3) for name, values in times.items()}
    params = sum(p.numel() for p in world.generator.parameters())
    return parts, counter.get_total_flops() / 1e9, params
