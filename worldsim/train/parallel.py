"""One process or many: what the trainer must know of the others, by accelerate under torchrun.

Every process draws the same batch and works on its own rows of it, so the data of a step does not depend on how many
there are, and a run may go on with more or fewer. Gradients are averaged by DistributedDataParallel.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from worldsim.errors import ConfigError

Loss = Callable[[int, int], tuple[Tensor, dict[str, float]]]


class Alone:
    """The only process."""

    rank, world = 0, 1

    def spread(self, model: nn.Module, loss: Loss) -> Loss:
        """The loss, such that its backward pass leaves the same gradients in every process."""
        return loss

    def agreed(self, value: float) -> float:
        """The first process's value, in all."""
        return value

    def mean(self, value: float) -> float:
        """Mean over processes."""
        return value

    def first_alone(self) -> AbstractContextManager[None]:
        """Within it the first process goes ahead, the others follow once it is through."""
        return nullcontext()

    def wait(self) -> None:
        """Until all are here."""


class _Wrapped(nn.Module):
    """Gives DistributedDataParallel a forward pass to hook on: a stage's loss."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self._loss = model, loss

    def forward(self, step_seed: int, step: int) -> tuple[Tensor, dict[str, float]]:
        return self._loss(step_seed, step)


class Together(Alone):
    """One of several processes started by torchrun."""

    def __init__(self, device: str) -> None:
        """Raises ConfigError without accelerate."""
        try:
            from accelerate import Accelerator
        except ImportError:
            raise ConfigError("more than one process needs accelerate; pip install 'worldsim[train]'") from None
        self._accelerator = Accelerator(cpu=device == "cpu")
        self.rank, self.world = self._accelerator.process_index, self._accelerator.num_processes

    def spread(self, model: nn.Module, loss: Loss) -> Loss:
        if not any(p.requires_grad for p in model.parameters()):
            return loss
        wrapped: Any = self._accelerator.prepare(_Wrapped(model, loss))
        return wrapped

    def agreed(self, value: float) -> float:
        found = torch.tensor([value], dtype=torch.float64, device=self._accelerator.device)
        torch.distributed.broadcast(found, 0)
        return float(found)

    def mean(self, value: float) -> float:
        found = torch.tensor([value], dtype=torch.float64, device=self._accelerator.device)
        torch.distributed.all_reduce(found)
        return float(found) / self.world

    def first_alone(self) -> AbstractContextManager[None]:
        return self._accelerator.main_process_first()

    def wait(self) -> None:
        self._accelerator.wait_for_everyone()


def processes(device: str) -> Alone:
    """This process among those that torchrun started; alone if it started none."""
    return Together(device) if int(os.environ.get("WORLD_SIZE", "1")) > 1 else Alone()
