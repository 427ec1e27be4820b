"""Which back end and how many threads: measured once on each machine, for each checkpoint, and remembered."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from worldsim.diffusion.sampler import step_levels
from worldsim.diffusion.schedule import CONTEXT_LEVEL
from worldsim.errors import ConfigError, shown
from worldsim.inference import compiled, cuda, openvino
from worldsim.inference.network import Networks, eager
from worldsim.model.codec import Codec
from worldsim.model.context import Context
from worldsim.model.generator import Generator
from worldsim.runtime import BACKENDS, Numerics, cache_folder, cores, play_threads
from worldsim.stepwise import finish

_ROUNDS, _REPEATS = 4, 5
_FASTER = 0.95  # what a choice must come down to, to be preferred over a simpler one


@dataclass(frozen=True)
class Choice:
    """A back end, and threads for it."""

    backend: str
    threads: int


def build(choice: Choice, codec: Codec, generator: Generator, steps: int) -> Networks:
    """The networks as `choice` runs them. Raises ConfigError where it cannot run here."""
    Numerics.of_torch(choice.backend, choice.threads).use_threads()
    if choice.backend == "openvino":
        return openvino.build(codec, generator, steps, choice.threads)
    if choice.backend == "compile":
        return compiled.build(codec, generator, steps)
    return eager(codec, generator)


def choose(
    backend: str,
    threads: int | None,
    codec: Codec,
    generator: Generator,
    steps: int,
    name: str,
    beside_window: bool = False,
    device: str = "cpu",
) -> tuple[Choice, Networks]:
    """The back end asked for; with `auto`, or without a number of threads, the fastest of what there is.

    name: of the weights, under which the choice is remembered. beside_window: a window draws on the same machine; it is
    measured beside a process that is as busy, since threads that wait for each other suffer most from a third.
    torch.compile is never chosen by itself: its first start takes most of a minute. Raises ConfigError.
    """
    if backend not in BACKENDS:
        raise ConfigError(f"--backend must be one of {', '.join(BACKENDS)}, got {shown(backend)}")
    if device == "cuda":
        if backend not in ("auto", "eager"):
            raise ConfigError(f"--backend {backend} runs on the CPU only; with --device cuda give auto or eager")
        return Choice("cuda", threads or 1), cuda.build(codec, generator, steps, graphs=backend == "auto")
    if backend != "auto" and threads:
        choice = Choice(backend, threads)
        return choice, build(choice, codec, generator, steps)
    backends = (backend,) if backend != "auto" else ("eager", "openvino") if openvino.installed() else ("eager",)
    counts = (threads,) if threads else tuple(range(1, play_threads() + 1))
    tries = [Choice(b, t) for b in backends for t in counts]
    if len(tries) == 1:
        return tries[0], build(tries[0], codec, generator, steps)
    here = Numerics.of_torch("", 0)
    key = f"{name} {steps} {backend} {threads} {beside_window} {cores()} {here} {openvino.installed()}"
    known = _recall(key)
    if known in tries:
        with suppress(ConfigError):  # what has worked may do so no more
            return known, build(known, codec, generator, steps)
    known = _fastest(tries, codec, generator, steps, _drawing if beside_window else nullcontext)
    networks = build(known, codec, generator, steps)
    _remember(key, known)
    return known, networks


def _fastest(tries: list[Choice], codec: Codec, generator: Generator, steps: int, load: Callable) -> Choice:
    """In turn, round after round, each by its best: other work on the machine comes and goes."""
    built: dict[Choice, Networks] = {}
    for choice in tries:
        with suppress(ConfigError):  # if it is the only one, whoever plays it hears why
            built[choice] = build(choice, codec, generator, steps)
    least = dict.fromkeys(built, float("inf"))
    with load():
        for _ in range(_ROUNDS):
            for choice, networks in built.items():
                Numerics.of_torch(choice.backend, choice.threads).use_threads()
                least[choice] = min(least[choice], tick_seconds(networks, steps))
    best = tries[0]
    for choice, seconds in least.items():
        if seconds < _FASTER * least.get(best, float("inf")):
            best = choice
    return best


@torch.no_grad()
def tick_seconds(networks: Networks, steps: int, repeats: int = _REPEATS) -> float:
    """Median time of what a tick consists of: preparing, `steps` passes, decoding, a commit."""
    generator, network = networks.generator, networks.network
    shape, config = generator.shape, generator.config
    head, condition = config.width // config.heads, shape.still(torch.ones(1, 4))
    chance = torch.Generator().manual_seed(0)
    x = torch.randn(1, shape.tokens, shape.channels, generator=chance)
    keys = torch.randn(2, config.depth, 1, config.heads, shape.attended, head, generator=chance)
    context = Context.filled(keys, config.window)
    levels, times = step_levels(steps), []
    every = torch.tensor((*levels, CONTEXT_LEVEL))
    for _ in range(2 + repeats):
        begun = time.perf_counter()
        prepared = network.prepare(condition, every)
        made = finish(network.sampling(x, levels, prepared, context))
        networks.decode(made)
        network.encode_kv(made, x, prepared, context)
        times.append(time.perf_counter() - begun)
    return statistics.median(times[2:])


_BUSY = """
import os, sys, time
while os.getppid() == int(sys.argv[1]):  # killed in the middle, nobody else would end it
    until = time.perf_counter() + 0.006
    while time.perf_counter() < until:
        pass
    time.sleep(0.006)
"""


@contextmanager
def _drawing() -> Iterator[None]:
    """Beside it, a process that is busy half of the time, as one that draws is without a graphics card."""
    process = subprocess.Popen([sys.executable, "-S", "-c", _BUSY, str(os.getpid())], stdin=subprocess.DEVNULL)
    try:
        time.sleep(0.1)
        yield
    finally:
        process.kill()
        process.wait()


def _file() -> Path:
    return cache_folder() / "choices.json"


def _known() -> dict[str, list]:
    try:
        found = json.loads(_file().read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _recall(key: str) -> Choice | None:
    match _known().get(key):
        case [str(backend), int(threads)]:
            return Choice(backend, threads)
    return None


def _remember(key: str, choice: Choice) -> None:
    path = _file()
    with suppress(OSError):  # measured again at the next start
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            part = Path(folder) / path.name
            part.write_text(json.dumps(_known() | {key: [choice.backend, choice.threads]}, indent=1))
            part.replace(path)
