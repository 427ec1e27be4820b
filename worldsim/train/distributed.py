"""One process or many: what the trainer must know of the others, by accelerate under torchrun.

Every process draws the same batch and works on its own rows of it, so the data of a step does not depend on how many
there are, and a run may go on with more or fewer. Gradients are averaged by DistributedDataParallel; or a generator's
blocks are shared out (FSDP, Zhao et al. 2023): each process keeps a part of every parameter, its gradient, moments and
average, and the whole of one block at a time.
"""

from __future__ import annotations

import copy
import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from worldsim.errors import ConfigError
from worldsim.model.attention import Block

Loss = Callable[[int, int], tuple[Tensor, dict[str, float]]]


class SingleProcess:
    """The only process."""

    rank, world = 0, 1

    def sharding(self) -> SingleProcess:
        """The same processes, each of which holds a part of every block where there are several."""
        return self

    def shard(self, model: nn.Module) -> None:
        """Let go of the other processes' parts. Before parameters are handed to an optimiser."""

    def wrap_loss(self, model: nn.Module, loss: Loss) -> Loss:
        """The loss, such that its backward pass and `after_backward` leave the same gradients in every process."""
        return loss

    def muon(self, matrices: list[nn.Parameter], lr: float, weight_decay: float) -> torch.optim.Optimizer:
        """The optimiser of hidden matrices."""
        return Muon(matrices, lr, weight_decay)

    def after_backward(self, params: list[nn.Parameter]) -> None:
        """Average what the backward pass left to each process."""

    def clip(self, params: list[nn.Parameter], max_norm: float) -> Tensor:
        """Scale gradients down to a norm over all of them; returns the norm before."""
        return torch.nn.utils.clip_grad_norm_(params, max_norm)

    def local(self, tensors: Iterable[Tensor]) -> list[Tensor]:
        """What this process holds of each, as plain tensors on the same storage."""
        return list(tensors)

    def shard_like(self, value: Tensor, like: Tensor) -> Tensor:
        """A whole tensor as `like` is held, if it is of its shape."""
        return value

    def gather(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Whole tensors, for the first process to write; the others, which must call this too, may get none."""
        return tensors

    def gathered_weights(self, model: nn.Module) -> AbstractContextManager[None]:
        """Within it the first process's model has whole weights and needs no other process. All must enter it."""
        return nullcontext()

    def broadcast(self, value: float) -> float:
        """The first process's value, in all."""
        return value

    def mean(self, value: float) -> float:
        """Mean over processes."""
        return value

    def main_first(self) -> AbstractContextManager[None]:
        """Within it the first process goes ahead, the others follow once it is through."""
        return nullcontext()

    def barrier(self) -> None:
        """Until all are here."""

    def close(self) -> None:
        """Part with the others, once all are here: one that just ends may be aborted by its own threads."""


class _Wrapped(nn.Module):
    """Gives DistributedDataParallel a forward pass to hook on: a stage's loss."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self._loss = model, loss

    def forward(self, step_seed: int, step: int) -> tuple[Tensor, dict[str, float]]:
        return self._loss(step_seed, step)


class Ddp(SingleProcess):
    """One of several processes started by torchrun."""

    def __init__(self, device: str) -> None:
        """Raises ConfigError without accelerate."""
        try:
            from accelerate import Accelerator
        except ImportError:
            raise ConfigError("more than one process needs accelerate; pip install 'worldsim[train]'") from None
        self._accelerator = Accelerator(cpu=device == "cpu")
        self.rank, self.world = self._accelerator.process_index, self._accelerator.num_processes

    def sharding(self) -> SingleProcess:
        return Fsdp(self)

    def wrap_loss(self, model: nn.Module, loss: Loss) -> Loss:
        if not any(p.requires_grad for p in model.parameters()):
            return loss
        wrapped: Any = self._accelerator.prepare(_Wrapped(model, loss))
        return wrapped

    def broadcast(self, value: float) -> float:
        found = torch.tensor([value], dtype=torch.float64, device=self._accelerator.device)
        torch.distributed.broadcast(found, 0)
        return float(found)

    def mean(self, value: float) -> float:
        found = torch.tensor([value], dtype=torch.float64, device=self._accelerator.device)
        torch.distributed.all_reduce(found)
        return float(found) / self.world

    def main_first(self) -> AbstractContextManager[None]:
        return self._accelerator.main_process_first()

    def barrier(self) -> None:
        self._accelerator.wait_for_everyone()

    def close(self) -> None:
        self.barrier()
        torch.distributed.destroy_process_group()


class Fsdp(Ddp):
    """One of several processes that share out a generator's blocks; all other parameters are whole in each.

    What is shared out is a DTensor. Elementwise work runs on the local parts: torch._foreach functions take no lists
    in which plain tensors and DTensors mix.
    """

    def __init__(self, dist: Ddp) -> None:
        self._accelerator, self.rank, self.world = dist._accelerator, dist.rank, dist.world
        self._mesh = torch.distributed.init_device_mesh(self._accelerator.device.type, (self.world,))
        self._blocks: list[tuple[nn.ModuleList, int, Block]] = []  # where each block stands, and an empty one like it

    def shard(self, model: nn.Module) -> None:
        from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

        # Queries, keys and values are views, but nothing writes into them.
        warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")
        for param in model.parameters():
            torch.distributed.broadcast(param.detach(), 0)
        for parent in [m for m in model.modules() if isinstance(m, nn.ModuleList)]:
            for i, block in enumerate(parent):
                if isinstance(block, Block):
                    self._blocks.append((parent, i, copy.deepcopy(block).to("meta")))
                    # Resharded after every pass: what is left whole would not follow when weights are swapped.
                    fully_shard(block, mesh=self._mesh, reshard_after_forward=True)
                    for method in ("queries_keys_values", "attend"):  # called in the place of forward
                        register_fsdp_forward_method(block, method)

    def wrap_loss(self, model: nn.Module, loss: Loss) -> Loss:
        return loss

    def after_backward(self, params: list[nn.Parameter]) -> None:
        grads = [p.grad for p in params if p.grad is not None and not _is_sharded(p)]
        for work in [torch.distributed.all_reduce(g, async_op=True) for g in grads]:
            work.wait()
        torch._foreach_div_(grads, self.world)

    def clip(self, params: list[nn.Parameter], max_norm: float) -> Tensor:
        grads = [p.grad for p in params if p.grad is not None]
        parts, whole = self.local(g for g in grads if _is_sharded(g)), [g for g in grads if not _is_sharded(g)]
        square = torch.nn.utils.get_total_norm(parts).square()
        torch.distributed.all_reduce(square)
        norm = (square + torch.nn.utils.get_total_norm(whole).square()).sqrt()
        torch._foreach_mul_([*parts, *whole], (max_norm / (norm + 1e-6)).clamp(max=1.0))
        return norm

    def local(self, tensors: Iterable[Tensor]) -> list[Tensor]:
        return [_local(t) for t in tensors]

    def shard_like(self, value: Tensor, like: Tensor) -> Tensor:
        return _shard_like(value, like) if _is_sharded(like) and value.shape == like.shape else value

    def gather(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        found = {}
        for name, tensor in tensors.items():
            whole = _full_tensor(tensor)
            if self.rank == 0:
                found[name] = whole.cpu()
        return found

    @contextmanager
    def gathered_weights(self, model: nn.Module) -> Iterator[None]:
        # Plain blocks stand in for the sharded ones, whose methods and state dict are the affair of all processes.
        sharded = [parent[i] for parent, i, _ in self._blocks]
        for (parent, i, empty), block in zip(self._blocks, sharded, strict=True):
            weights = self.gather({n: p.detach() for n, p in block.named_parameters()})
            if self.rank == 0:
                plain = copy.deepcopy(empty)
                plain.load_state_dict(weights, assign=True)
                parent[i] = plain.to(self._accelerator.device)
        try:
            yield
        finally:
            for (parent, i, _), block in zip(self._blocks, sharded, strict=True):
                parent[i] = block


def _is_sharded(tensor: Tensor) -> bool:
    """Whether this process holds only a part of a tensor, which then is a DTensor."""
    return hasattr(tensor, "to_local")


def _local(tensor: Any) -> Tensor:
    """The part of a tensor that this process holds."""
    return tensor.to_local() if _is_sharded(tensor) else tensor


def _full_tensor(tensor: Any) -> Tensor:
    """All parts of a tensor in one; all processes must ask."""
    return tensor.full_tensor() if _is_sharded(tensor) else tensor


def _shard_like(value: Tensor, like: Any) -> Tensor:
    """A whole tensor, the same in all processes, shared out as `like` is; none of it need be sent."""
    from torch.distributed.tensor import distribute_tensor

    if not _is_sharded(like):
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) for matrices (A, B), whole or held in parts, momentum included.

    Its step is that of torch.optim.Muon, which however waits for the other processes in every product of its iteration
    where matrices are held in parts. Here an update is gathered once and each process works it out whole, so it is the
    very update that one process alone takes.
    """

    def __init__(self, matrices: list[nn.Parameter], lr: float, weight_decay: float, momentum: float = 0.95) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is not None:
                    self._update(matrix, group["lr"], group["weight_decay"], group["momentum"])

    def _update(self, matrix: Any, lr: float, weight_decay: float, momentum: float) -> None:
        state = self.state[matrix]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(matrix.grad)
        smooth = state["momentum_buffer"].lerp_(matrix.grad, 1 - momentum)
        update = orthogonalised(_full_tensor(matrix.grad.lerp(smooth, momentum)))  # Nesterov's
        rate = lr * math.sqrt(max(1.0, matrix.shape[0] / matrix.shape[1]))
        matrix.mul_(1 - lr * weight_decay).add_(_shard_like(update, matrix), alpha=-rate)


def orthogonalised(matrix: Tensor, steps: int = 5) -> Tensor:
    """The matrix (A, B) with all singular values near 1, bfloat16, by Newton-Schulz iteration (Jordan et al. 2024).

    The quintic's numbers make small values grow fastest; they end between about 0.7 and 1.2.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.bfloat16().T if tall else matrix.bfloat16()
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(steps):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


def processes(device: str) -> SingleProcess:
    """This process among those that torchrun started; alone if it started none."""
    return Ddp(device) if int(os.environ.get("WORLD_SIZE", "1")) > 1 else SingleProcess()
