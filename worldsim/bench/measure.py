"""What `worldsim bench` measures: part by part, beside the machine's own ceiling taken in the same run."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from worldsim.bench.baselines import diamond_frame, uncached_frame
from worldsim.bench.drafts import TOLERANCE_DEG, draft_figures, hands_of
from worldsim.errors import ConfigError
from worldsim.model.sizes import WIDE
from worldsim.play.action_sources import action_source, bundled_traces, spawn_for
from worldsim.play.headless import play_headless
from worldsim.play.session import Session, SessionSettings, TickResult
from worldsim.runtime import Numerics
from worldsim.world import Spawn
from worldsim.worlds.catalogue import LoadOptions, WorldEntry
from worldsim.worlds.neural import NeuralWorld


def measure(
    entry: WorldEntry,
    options: LoadOptions,
    ticks: int,
    seed: int,
    slow: bool,
    with_baselines: bool,
    recordings: Sequence[Path] = (),
) -> dict[str, Any]:
    """All figures of a world that networks dream. slow: a tick takes seconds, so measure as little as possible.
    recordings: of hands, for the drafts."""
    device = options.device
    with entry.load(options) as loaded:
        world, numerics = loaded.world, loaded.numerics
        if not isinstance(world, NeuralWorld):
            raise ConfigError(f"{entry.name} is no checkpoint; bench measures what networks dream")
        kind = "human" if bundled_traces(world.scene) else "random"
        hands = hands_of(recordings, world.scene, seed)
        spawn = entry.spawn(spawn_for(entry, None, kind, seed))
        gflop, params = work_of(world, spawn)
        parts = part_times(world, spawn, device, 1 if slow else 30)
        session = Session(loaded, spawn, SessionSettings("off", seed=seed))
        actions = action_source(kind, world.scene, seed)
        play_headless(session, actions, 1 if slow else 5, realtime=False)  # first calls allocate
        wide = device == "cuda" and world.generator.config.width >= WIDE
        ceiling = Ceiling(device, torch.bfloat16 if wide else torch.float32, numerics, ticks)
        plain = play_headless(session, actions, ticks, realtime=False, each=ceiling.each)
        drafting = Session(loaded, spawn, SessionSettings("auto", seed=seed, tolerance_deg=TOLERANCE_DEG))
        drafts = draft_figures(drafting, hands, 0 if slow else min(ticks, 400))
        torch.set_num_threads(numerics.threads)  # the copy with as many threads as the networks have
        copied = copy_rate(device)
        numerics.use_threads()
        frame = world.scene.frame
        figures = {
            "checkpoint": entry.name,
            "ticks": ticks,
            "fps": plain["fps"],
            "tick_ms": plain["tick_ms"],
            **parts,
            "gflop_per_tick": round(gflop, 3),
            "gflop_per_second": round(gflop * plain["fps"], 1),
            "matrix_gflop_per_second": round(ceiling.rate, 1),
            "share_of_matrix_peak": round(ceiling.share(gflop), 3),
            "floor_ms": floor_ms(world, gflop, ceiling.rate, copied, 2 if wide else 4),
            "late_over_early": plain["late_over_early"],
            "machine_late_over_early": ceiling.late_over_early,
            "last_over_first_third": plain["last_over_first_third"],
            **{k: plain.get(k) for k in ("rss_mb_1000", "rss_mb_2000", "rss_mb_end")},
            "params": params,
            "frame": [frame.width, frame.height],
            "steps": loaded.steps,
            "threads": numerics.threads,
            "backend": numerics.backend,
            "draft": drafts,
            "seconds": plain["seconds"],
        }
        if with_baselines:
            torch.set_num_threads(numerics.threads)
            figures |= baselines(world, spawn, plain["tick_ms"]["p50"])
    return figures


class Ceiling:
    """The rate of a large matrix product, taken again and again while a world is played: other work on the machine
    comes and goes, and slows both."""

    _ROUNDS = 5

    def __init__(self, device: str, dtype: Any, numerics: Numerics, ticks: int) -> None:
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

    def each(self, result: TickResult) -> None:
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
        torch.set_num_threads(self._numerics.threads)
        rate = self._product()
        self._numerics.use_threads()
        return rate


def matrix_product(device: str = "cpu", dtype: Any = None, repeats: int = 8) -> Callable[[], float]:
    """Measures GFLOP a second of a large matrix product with the threads at hand, float32 unless told otherwise: the
    median. Its matrices stay the same from call to call."""
    side = 8192 if device == "cuda" else 1024
    a, b, c = torch.randn(3, side, side, device=device, dtype=dtype or torch.float32).unbind()
    return lambda: 2 * side**3 / _median_s(lambda: torch.mm(a, b, out=c), device, repeats) / 1e9


def copy_rate(device: str = "cpu", megabytes: int = 256) -> float:
    """GB a second that memory gives and takes, reading counted and writing too: the median of copies."""
    a = torch.ones(megabytes * 250_000, device=device)
    b = torch.empty_like(a)
    return 2 * a.numel() * 4 / _median_s(lambda: b.copy_(a), device, 8) / 1e9


def floor_ms(world: NeuralWorld, gflop: float, peak: float, copied: float, width: int) -> dict[str, float]:
    """What no implementation could beat, in ms a tick: its operations at the rate of a large matrix product, and its
    weights and context read once a pass at the rate of a copy."""
    generator = world.generator
    config, shape = generator.config, generator.shape
    keys = 2 * config.depth * config.width * (config.window + config.sink) * shape.attended
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
        torch.cuda.synchronize()


def baselines(world: NeuralWorld, spawn: Spawn, own_ms: float, repeats: int = 5) -> dict[str, float]:
    """Milliseconds a frame of a denoiser of DIAMOND's shape and of the generator without its cache, and the ratios."""
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


def part_times(world: NeuralWorld, spawn: Spawn, device: str, repeats: int) -> dict[str, float]:
    """Median milliseconds of all denoising passes, of the commit and of decoding."""

    state, _ = world.start(0, spawn)
    idle = world.scene.action_space.idle
    if repeats > 1:
        state, _ = world.advance(state, idle)
    world.commit(state)
    times: dict[str, list[float]] = {"denoise_ms": [], "commit_ms": [], "decode_ms": []}
    for _ in range(repeats):
        begun = time.perf_counter()
        work, after = world.advance_stepwise(state, [idle]), None
        while after is None:
            try:
                next(work)
                _synchronise(device)
                denoised = time.perf_counter()  # the last pause comes before decoding
            except StopIteration as stop:
                after = stop.value[0][0]
        decoded = time.perf_counter()
        world.commit(after)
        _synchronise(device)
        times["denoise_ms"].append(denoised - begun)
        times["decode_ms"].append(decoded - denoised)
        times["commit_ms"].append(time.perf_counter() - decoded)
    return {name: round(statistics.median(values) * 1e3, 3) for name, values in times.items()}


def work_of(world: NeuralWorld, spawn: Spawn) -> tuple[float, int]:
    """GFLOP of a tick, and parameters."""

    plain = world.in_plain_torch()
    state, _ = plain.start(0, spawn)
    # As plain products: the counter does not know the CPU's fused attention.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        after, _ = plain.advance(state, world.scene.action_space.idle)
        plain.commit(after)
    return counter.get_total_flops() / 1e9, sum(p.numel() for p in world.generator.parameters())
