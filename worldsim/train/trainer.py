"""The one trainer: optimisers, EMA, schedule, resume, logging. A stage supplies batches and a loss, nothing else.

Everything random in a step is a function of (seed, step), so a run that is saved and resumed takes the same steps as
one that never stopped.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from worldsim.config import require
from worldsim.errors import CheckpointError
from worldsim.train.distributed import SingleProcess
from worldsim.train.stages.base import Stage

STATE = "state.safetensors"


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast. Learning rates: Muon for hidden matrices, AdamW for the rest (Jordan et al., 2024);
    with a Muon rate of 0 AdamW takes them all."""

    minutes: float = 60.0
    steps: int | None = None  # a limit on steps in all, for tests and ablations; the schedule then follows steps
    muon_lr: float = 0.02
    adam_lr: float = 2e-3
    weight_decay: float = 0.01
    ema: float = 0.998
    clip: float = 1.0
    warmup_steps: int = 100
    decay_from: float = 0.7  # share of the run after which the learning rate falls linearly to nothing
    save_minutes: float = 5.0
    bf16: bool = False
    device: str = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.minutes > 0, f"minutes must be above 0, got {self.minutes:g}")
        require(0 <= self.ema < 1, f"ema must lie in [0, 1), got {self.ema:g}")


class Trainer:
    """Runs one stage in `folder`, which holds its log, state and sample pictures."""

    def __init__(
        self, stage: Stage, config: TrainConfig, folder: Path, resume: bool, quiet: bool = False,
        dist: SingleProcess | None = None,
    ) -> None:  # fmt: skip
        self._dist = dist or SingleProcess()
        self.stage, self.config, self.folder, self.quiet = stage, config, folder, quiet or self._dist.rank > 0
        folder.mkdir(parents=True, exist_ok=True)
        stage.model.to(config.device)
        self._dist.shard(stage.model)
        self._params = {n: p for n, p in stage.model.named_parameters() if p.requires_grad}
        inside = {n for n, p in self._params.items() if config.muon_lr and p.ndim == 2 and not _is_outside(n)}
        hidden = [p for n, p in self._params.items() if n in inside]
        rest = [p for n, p in self._params.items() if n not in inside]
        self._optimisers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(rest, lr=config.adam_lr, betas=(0.9, 0.98), weight_decay=0.0)
        ]
        if hidden:
            self._optimisers.append(self._dist.muon(hidden, config.muon_lr, config.weight_decay))
        self._rates = [group["lr"] for o in self._optimisers for group in o.param_groups]
        self._ema = {n: p.detach().clone() for n, p in self._params.items()}
        self.step, self._spent_s, self._stop, self._now = 0, 0.0, False, 0.0
        self._started = time.monotonic()
        if resume and (folder / STATE).exists():
            self._load()
        self._loss = self._dist.wrap_loss(stage.model, stage.loss)

    def run(self, stop_after: int | None = None) -> dict[str, float]:
        """Train until the minutes or steps are used up, or `stop_after` steps, or SIGINT; then save and export."""
        previous = _on_interrupt(self._request_stop)
        start = saved = self._started = time.monotonic()
        numbers: dict[str, float] = {}
        bar = tqdm(total=self.config.steps, unit="step", desc=self.stage.name, disable=self.quiet, initial=self.step)
        try:
            while not self._finished() and not (stop_after is not None and self.step >= stop_after):
                numbers = self._one_step(self._now)
                left = max(0.0, self.config.minutes * 60 - self._elapsed(start))
                bar.update()
                bar.set_postfix(loss=f"{numbers['loss']:.4f}", minutes_left=f"{left / 60:.1f}", refresh=False)
                if self.step % 20 == 0:
                    self._log(numbers, start)
                if self._dist.broadcast(float(time.monotonic() - saved > self.config.save_minutes * 60)):
                    self._checkpoint(start)
                    saved = time.monotonic()
        finally:
            bar.close()
            if previous is not None:
                signal.signal(signal.SIGINT, previous)
        self._checkpoint(start)
        return numbers

    @property
    def seconds(self) -> float:
        """Time trained so far, that before a resume included."""
        return self._elapsed(self._started)

    def _elapsed(self, start: float) -> float:
        return self._spent_s + time.monotonic() - start

    def _progress(self, start: float) -> float:
        if self.config.steps is not None:
            return self.step / self.config.steps
        return min(1.0, self._elapsed(start) / (self.config.minutes * 60))

    def _finished(self) -> bool:
        """Whether to stop, as the first process sees it; keeps how far the run is, for the schedule."""
        self._now = self._dist.broadcast(1.0 if self._stop else self._progress(self._started))
        return self._now >= 1.0

    def _request_stop(self, *_: object) -> None:
        if self._stop:  # a second Ctrl-C means it
            raise KeyboardInterrupt
        self._stop = True

    def _one_step(self, progress: float) -> dict[str, float]:
        config = self.config
        scale = min(1.0, (self.step + 1) / config.warmup_steps)
        if progress > config.decay_from:
            scale *= max(0.0, (1 - progress) / (1 - config.decay_from))
        rates = iter(self._rates)
        for optimiser in self._optimisers:
            for group in optimiser.param_groups:
                group["lr"] = next(rates) * scale
        self.stage.model.train()
        with torch.autocast(config.device, torch.bfloat16, enabled=config.bf16):
            loss, numbers = self._loss(step_seed(config.seed, self.step), self.step)
        for optimiser in self._optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        params = list(self._params.values())
        self._dist.after_backward(params)
        norm = self._dist.clip(params, config.clip)
        for optimiser in self._optimisers:
            optimiser.step()
        decay = min(config.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(self._dist.local(self._ema.values()), self._dist.local(params), 1 - decay)
        self.step += 1
        return {"loss": self._dist.mean(float(loss.detach())), "grad": float(norm), "lr_scale": scale, **numbers}

    def _log(self, numbers: dict[str, float], start: float) -> None:
        if self._dist.rank:
            return
        row = {"step": self.step, "minutes": round(self._elapsed(start) / 60, 3), **numbers}
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps({k: round(v, 6) if isinstance(v, float) else v for k, v in row.items()}) + "\n")

    def _checkpoint(self, start: float) -> None:
        """Save the state for `--resume`, then export and sample with the averaged weights: the first process does, with
        what the others give it."""
        tensors = self._dist.gather(self._state())
        if self._dist.rank == 0:
            self._save(tensors, start)
        with self.averaged(), self._dist.gathered_weights(self.stage.model):
            if self._dist.rank == 0:
                self._export()
        self._dist.barrier()

    def _state(self) -> dict[str, Tensor]:
        tensors = {f"param.{n}": p.detach() for n, p in self._params.items()}
        tensors |= {f"ema.{n}": p for n, p in self._ema.items()}
        for i, optimiser in enumerate(self._optimisers):
            for j, state in optimiser.state_dict()["state"].items():
                tensors |= {f"optimiser.{i}.{j}.{k}": torch.as_tensor(v) for k, v in state.items()}
        return tensors

    def _save(self, tensors: Mapping[str, Tensor], start: float) -> None:
        meta = {"stage": self.stage.name, "step": str(self.step), "seconds": repr(self._elapsed(start))}
        part = self.folder / "state.part"
        save_file({k: v.contiguous() for k, v in tensors.items()}, part, meta)
        part.replace(self.folder / STATE)  # one file, one moment: a killed process leaves the state before or after

    def _export(self) -> None:
        self.stage.model.eval()
        self.stage.export()
        picture = self.stage.sample()
        if picture is not None:
            Image.fromarray(picture).save(self.folder / f"sample-{self.step:06d}.png")

    def _load(self) -> None:
        try:
            tensors, meta = load_file(self.folder / STATE), read_meta(self.folder)
            step, seconds = int(meta["step"]), float(meta["seconds"])
            with torch.no_grad():
                for name, param in self._params.items():
                    param.copy_(self._dist.shard_like(tensors[f"param.{name}"], param))
                    self._ema[name].copy_(self._dist.shard_like(tensors[f"ema.{name}"], param))
            for i, optimiser in enumerate(self._optimisers):
                self._load_optimiser(optimiser, f"optimiser.{i}.", tensors)
        except (OSError, ValueError, LookupError, RuntimeError, SafetensorError) as error:
            raise CheckpointError(
                f"{self.folder} cannot be resumed ({str(error)[:100]}); give the settings it was begun with, or leave "
                "out --resume"
            ) from None
        self.step, self._spent_s = step, seconds

    def _load_optimiser(self, optimiser: torch.optim.Optimizer, prefix: str, tensors: Mapping[str, Tensor]) -> None:
        params = [p for group in optimiser.param_groups for p in group["params"]]
        states: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith(prefix):
                j, name = key.removeprefix(prefix).split(".", 1)
                states.setdefault(int(j), {})[name] = self._dist.shard_like(value, params[int(j)])
        optimiser.load_state_dict({"state": states, "param_groups": optimiser.state_dict()["param_groups"]})

    def averaged(self) -> swapped_weights:
        """Context in which the model carries its averaged weights."""
        return swapped_weights(self._params, self._ema)


def read_meta(folder: Path) -> dict[str, str]:
    """What the saved state of a stage says of itself: `stage`, `step`, `seconds`. Raises OSError, SafetensorError."""
    state = folder / STATE
    with safe_open(state, "pt") as file:
        meta = file.metadata() or {}
    if "step" not in meta and (before := state.with_suffix(".json")).is_file():  # written by an older version
        meta = json.loads(before.read_text())
    return meta


class swapped_weights:
    """Within the context, parameters hold other values; afterwards their own again."""

    def __init__(self, params: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
        self._params, self._values = params, values

    def __enter__(self) -> None:
        self._own = {n: p.detach().clone() for n, p in self._params.items()}
        self._fill(self._values)

    def __exit__(self, *_: object) -> None:
        self._fill(self._own)

    @torch.no_grad()
    def _fill(self, values: Mapping[str, Tensor]) -> None:
        for name, param in self._params.items():
            param.copy_(values[name])


# Matrices that are no hidden layers: first and last layers learn better under AdamW than under Muon.
_OUTSIDE = ("token_in", "token_out", "condition", "odometry", "transitions")


def _is_outside(name: str) -> bool:
    return any(part.startswith(_OUTSIDE) for part in name.split("."))


def step_seed(seed: int, step: int) -> int:
    """One seed for all randomness of a step."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _on_interrupt(handler: Callable[..., None]):
    """Install a SIGINT handler where that is possible (the main thread); returns the former one."""
    try:
        return signal.signal(signal.SIGINT, handler)
    except ValueError:
        return None


def best_threads() -> int:
    """Torch threads for training, by a short measurement: two of them collapse beside other work."""
    x, w = torch.randn(4096, 256), torch.randn(512, 256)
    x, w = x.bfloat16(), w.bfloat16()
    best, best_s = 1, float("inf")
    before = torch.get_num_threads()
    for threads in sorted({1, max(1, before // 2), before}):
        torch.set_num_threads(threads)
        times = []
        for _ in range(12):
            begun = time.perf_counter()
            nn.functional.linear(x, w).float().relu_().sum()
            times.append(time.perf_counter() - begun)
        median = sorted(times)[len(times) // 2]
        if median < best_s * 0.85:
            best, best_s = threads, median
    return best
