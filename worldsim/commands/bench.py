"""`worldsim bench`: how fast a checkpoint plays here, part by part."""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

from worldsim.cli import report
from worldsim.machine import BACKENDS, use_threads


def add_arguments(parser: argparse.ArgumentParser, whole: Callable[..., Any]) -> None:
    parser.add_argument("--checkpoint", default="gallery")
    parser.add_argument(
        "--model", choices=("default", "tiny", "large"),
        help="instead of a checkpoint: random weights of a size; `large` at 384x224 and 4 steps",
    )  # fmt: skip
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
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
    from worldsim.model.sizes import WIDE
    from worldsim.session import Session, SessionSettings

    if args.steps:
        step_levels(args.steps)
    if args.model:
        args.checkpoint = f"{args.model} (random weights)"
        played, spawn = _unlearned(args)
    else:
        played = open_played(args.checkpoint, args.steps, args.threads, args.backend, device=args.device)
        start = spawn_for(args.checkpoint, None, "human", played.world.scene, args.seed)
        spawn = find_spawn(args.checkpoint, start)
    world = played.world
    slow = args.model == "large" and args.device == "cpu"  # many seconds a tick
    gflop, params = _work(world, spawn)
    parts = _parts(world, spawn, args.device, 1 if slow else 30)
    session = Session(played, spawn, SessionSettings("off", seed=args.seed))
    actions = action_source("human", world.scene, args.seed)
    play_headless(session, actions, 1 if slow else 5, realtime=False)  # first calls allocate
    torch_threads = played.numerics["threads"]  # the ceiling of as many threads as the networks have
    wide = args.device == "cuda" and world.generator.config.width >= WIDE
    ceiling = Ceiling(args.device, torch.bfloat16 if wide else torch.float32, played.numerics, args.ticks)
    plain = play_headless(session, actions, args.ticks, realtime=False, each=ceiling.each)
    drafts = _drafts(played, spawn, args.seed, 0 if slow else min(args.ticks, 400))
    frame = world.scene.frame
    torch.set_num_threads(torch_threads)
    peak, copied = ceiling.rate, copy_rate(args.device)
    use_threads(played.numerics)
    rate, share = gflop * plain["fps"], ceiling.share(gflop)
    figures = {
        "checkpoint": args.checkpoint,
        "ticks": args.ticks,
        "fps": plain["fps"],
        "tick_ms": plain["tick_ms"],
        **parts,
        "gflop_per_tick": round(gflop, 3),
        "gflop_per_second": round(rate, 1),
        "matrix_gflop_per_second": round(peak, 1),
        "share_of_matrix_peak": round(share, 3),
        "floor_ms": _floor(world, gflop, peak, copied, 2 if wide else 4),
        "late_over_early": plain["late_over_early"],
        "machine_late_over_early": ceiling.late_over_early,
        "last_over_first_third": plain["last_over_first_third"],
        **{k: plain.get(k) for k in ("rss_mb_1000", "rss_mb_2000", "rss_mb_end")},
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
            f"{share:.0%} of what a large matrix product reaches here",
            f"at the machine's rates: operations {figures['floor_ms']['operations']} ms, "
            f"memory {figures['floor_ms']['memory']} ms",
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


class Ceiling:
    """The rate of a large matrix product, taken again and again while a world is played: other work on the machine
    comes and goes, and slows both."""

    _ROUNDS = 5

    def __init__(self, device: str, dtype: Any, numerics: dict[str, Any], ticks: int) -> None:
        """numerics: of the world that is played, with as many threads as which the product is taken."""
        self._device, self._dtype, self._numerics, self._ticks = device, dtype, numerics, ticks
        marks = {ticks * i // self._ROUNDS for i in range(1, self._ROUNDS + 1)}
        if ticks >= 300:
            marks |= {100, 200, ticks - 100}  # at both ends of what late_over_early compares
        self._marks = marks
        self._product = matrix_product(device, dtype)
        self._rates: dict[int, float] = {0: self._measure()}
        self._seconds: dict[int, float] = {}
        self._tick, self._since = 0, time.perf_counter()

    def each(self, ticked: Any) -> None:
        """After every tick."""
        self._tick += 1
        if self._tick in self._marks:
            self._seconds[self._tick] = time.perf_counter() - self._since
            self._rates[self._tick] = self._measure()
            self._since = time.perf_counter()

    @property
    def rate(self) -> float:
        """GFLOP a second: the median."""
        return statistics.median(self._rates.values())

    def share(self, gflop: float) -> float:
        """Of the ceiling, reached by ticks of so many GFLOP: the median over stretches of play, each held against the
        rates just before and after it."""
        marks = sorted(self._rates)
        shares = []
        for begin, end in itertools.pairwise(marks):
            around = (self._rates[begin] + self._rates[end]) / 2
            shares.append(gflop * (end - begin) / self._seconds[end] / around)
        return statistics.median(shares)

    @property
    def late_over_early(self) -> float | None:
        """How much longer the product itself took around the last hundred ticks than around ticks 100 to 200; None for
        runs under 300."""
        if self._ticks < 300:
            return None
        early, late = self._rates[100] + self._rates[200], self._rates[self._ticks - 100] + self._rates[self._ticks]
        return round(early / late, 3)

    def _measure(self) -> float:
        import torch

        torch.set_num_threads(self._numerics["threads"])
        rate = self._product()
        use_threads(self._numerics)
        return rate


def matrix_product(device: str = "cpu", dtype: Any = None, repeats: int = 8) -> Callable[[], float]:
    """Measures GFLOP a second of a large matrix product with the threads at hand, float32 unless told otherwise: the
    median. Its matrices stay the same from call to call."""
    import torch

    side = 8192 if device == "cuda" else 1024
    a, b, c = torch.randn(3, side, side, device=device, dtype=dtype or torch.float32).unbind()
    return lambda: 2 * side**3 / _median_s(lambda: torch.mm(a, b, out=c), device, repeats) / 1e9


def copy_rate(device: str = "cpu", megabytes: int = 256) -> float:
    """GB a second that memory gives and takes, reading counted and writing too: the median of copies."""
    import torch

    a = torch.ones(megabytes * 250_000, device=device)
    b = torch.empty_like(a)
    return 2 * a.numel() * 4 / _median_s(lambda: b.copy_(a), device, 8) / 1e9


def _floor(world: Any, gflop: float, peak: float, copied: float, width: int) -> dict[str, float]:
    """What no implementation could beat, in ms a tick: its operations at the rate of a large matrix product, and its
    weights and context read once a pass at the rate of a copy."""
    generator = world.generator
    config, shape = generator.config, generator.shape
    keys = 2 * config.depth * config.width * (config.window + config.sink) * shape.rows * shape.columns
    weights = sum(p.numel() for p in generator.blocks.parameters())
    moved = world.passes_a_tick * (weights + keys) * width
    return {"operations": round(gflop / peak * 1e3, 3), "memory": round(moved / copied / 1e6, 3)}


def _median_s(work: Callable[[], Any], device: str, repeats: int) -> float:
    times = []
    for _ in range(2 + repeats):
        begun = time.perf_counter()
        work()
        _synchronise(device)
        times.append(time.perf_counter() - begun)
    return statistics.median(times[2:])


def _synchronise(device: str) -> None:
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def _unlearned(args: argparse.Namespace) -> tuple[Any, Any]:
    """A world of random weights in the gallery, and somewhere to start: speed does not ask what was learned."""
    from dataclasses import replace

    import numpy as np
    import torch

    from worldsim.backends import choose
    from worldsim.checkpoint import shape_of
    from worldsim.history import Played
    from worldsim.machine import numerics
    from worldsim.model.codec import Codec, CodecConfig
    from worldsim.model.generator import Generator
    from worldsim.model.sizes import LARGE_FRAME, LARGE_STEPS, MODELS
    from worldsim.neural_world import NeuralWorld
    from worldsim.scene import load_scene, scene_hash
    from worldsim.world import Spawn

    scene, steps = load_scene("gallery"), args.steps or 2
    if args.model == "large":
        width, height = LARGE_FRAME
        scene, steps = replace(scene, frame=replace(scene.frame, width=width, height=height)), args.steps or LARGE_STEPS
    torch.manual_seed(0)
    codec = Codec(CodecConfig()).eval().requires_grad_(False)
    generator = Generator(MODELS[args.model], shape_of(scene, codec.config.channels)).eval().requires_grad_(False)
    backend = "eager" if args.model == "large" and args.backend == "auto" and args.device == "cpu" else args.backend
    choice, networks = choose(backend, args.threads, codec, generator, steps, args.checkpoint, device=args.device)
    world = NeuralWorld(scene, networks, steps, 0.1)
    bits = numerics(networks.backend, choice.threads, args.device)
    spawn = Spawn("grey", np.full((scene.frame.height, scene.frame.width, 3), 128, np.uint8), scene.spawns[0].pose)
    return Played(world, args.checkpoint, "0" * 64, scene_hash(scene), steps, bits), spawn


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
        beside = own_ms if name == "no_cache" else 0.0  # on top of all that a tick with a cache takes
        found[f"{name}_ms"] = round(statistics.median(times) * 1e3 + beside, 1)
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


def _parts(world: Any, spawn: Any, device: str, repeats: int) -> dict[str, float]:
    """Median milliseconds of all denoising passes, of the commit and of decoding."""
    from worldsim.world import advance

    state, _ = world.start(0, spawn)
    idle = world.scene.action_space.idle
    if repeats > 1:
        state, _ = advance(world, state, idle)
    world.settle(state)
    times: dict[str, list[float]] = {"denoise_ms": [], "commit_ms": [], "decode_ms": []}
    for _ in range(repeats):
        begun = time.perf_counter()
        work, after = world.passes(state, [idle]), None
        while after is None:
            try:
                next(work)
                _synchronise(device)
                denoised = time.perf_counter()  # the last pause comes before decoding
            except StopIteration as stop:
                after = stop.value[0][0]
        decoded = time.perf_counter()
        world.settle(after)
        _synchronise(device)
        times["denoise_ms"].append(denoised - begun)
        times["decode_ms"].append(decoded - denoised)
        times["commit_ms"].append(time.perf_counter() - decoded)
    return {name: round(statistics.median(values) * 1e3, 3) for name, values in times.items()}


def _work(world: Any, spawn: Any) -> tuple[float, int]:
    """GFLOP of a tick, and parameters."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    from worldsim.world import advance

    plain = world.in_plain_torch()
    state, _ = plain.start(0, spawn)
    # As plain products: the counter does not know the CPU's fused attention.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        after, _ = advance(plain, state, world.scene.action_space.idle)
        plain.settle(after)
    return counter.get_total_flops() / 1e9, sum(p.numel() for p in world.generator.parameters())
