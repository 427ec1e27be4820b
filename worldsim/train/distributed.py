"""One process or many: what the trainer must know of the others, by accelerate under torchrun.

Every process draws the same batch and works on its own rows of it, so the data of a step does not depend on how many
there are, and a run may go on with more or fewer. Gradients are averaged by DistributedDataParallel; or a generator's
blocks are shared out (FSDP, Zhao et al. 2023): each process keeps a part of every parameter, its gradient, moments and
average, and the whole of one block at a time.
"""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim._muon import _adjust_lr, _zeropower_via_newtonschulz

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

    def spread(self, model: nn.Module, loss: Loss) -> Loss:
        """The loss, such that its backward pass and `after_backward` leave the same gradients in every process."""
        return loss

    def muon(self, matrices: list[nn.Parameter], lr: float, weight_decay: float) -> torch.optim.Optimizer:
        """The optimiser of hidden matrices."""
        return torch.optim.Muon(matrices, lr=lr, weight_decay=weight_decay)  # type: ignore[attr-defined]

    def after_backward(self, params: list[nn.Parameter]) -> None:
        """Average what the backward pass left to each process."""

    def clip(self, params: list[nn.Parameter], max_norm: float) -> Tensor:
        """Scale gradients down to a norm over all of them; returns the norm before."""
        return torch.nn.utils.clip_grad_norm_(params, max_norm)

    def local(self, tensors: Iterable[Tensor]) -> list[Tensor]:
        """What this process holds of each, as plain tensors on the same storage."""
        return list(tensors)

    def part(self, value: Tensor, like: Tensor) -> Tensor:
        """A whole tensor as `like` is held, if it is of its shape."""
        return value

    def gather(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Whole tensors, for the first process to write; the others, which must call this too, may get none."""
        return tensors

    def whole(self, model: nn.Module) -> AbstractContextManager[None]:
        """Within it the first process's model has whole weights and needs no other process. All must enter it."""
        return nullcontext()

    def agreed(self, value: float) -> float:
        """The first process's value, in all."""
        return value

    def mean(self, value: float) -> float:
        """Mean over processes."""
        return value

    def main_first(self) -> AbstractContextManager[None]:
        """Within it the first process goes ahead, the others follow once it is through."""
        return nullcontext()

    def wait(self) -> None:
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

    def main_first(self) -> AbstractContextManager[None]:
        return self._accelerator.main_process_first()

    def wait(self) -> None:
        self._accelerator.wait_for_everyone()

    def close(self) -> None:
        self.wait()
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

    def spread(self, model: nn.Module, loss: Loss) -> Loss:
        return loss

    def muon(self, matrices: list[nn.Parameter], lr: float, weight_decay: float) -> torch.optim.Optimizer:
        return _Muon(matrices, lr=lr, weight_decay=weight_decay)

    def after_backward(self, params: list[nn.Parameter]) -> None:
        grads = [p.grad for p in params if p.grad is not None and not _in_parts(p)]
        for work in [torch.distributed.all_reduce(g, async_op=True) for g in grads]:
            work.wait()
        torch._foreach_div_(grads, self.world)

    def clip(self, params: list[nn.Parameter], max_norm: float) -> Tensor:
        grads = [p.grad for p in params if p.grad is not None]
        parts, whole = self.local(g for g in grads if _in_parts(g)), [g for g in grads if not _in_parts(g)]
        square = torch.nn.utils.get_total_norm(parts).square()
        torch.distributed.all_reduce(square)
        norm = (square + torch.nn.utils.get_total_norm(whole).square()).sqrt()
        torch._foreach_mul_([*parts, *whole], (max_norm / (norm + 1e-6)).clamp(max=1.0))
        return norm

    def local(self, tensors: Iterable[Tensor]) -> list[Tensor]:
        return [_local(t) for t in tensors]

    def part(self, value: Tensor, like: Tensor) -> Tensor:
        return _part(value, like) if _in_parts(like) and value.shape == like.shape else value

    def gather(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        found = {}
        for name, tensor in tensors.items():
            whole = _whole(tensor)
            if self.rank == 0:
                found[name] = whole.cpu()
        return found

    @contextmanager
    def whole(self, model: nn.Module) -> Iterator[None]:
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


def _in_parts(tensor: Tensor) -> bool:
    """Whether this process holds only a part of a tensor, which then is a DTensor."""
    return hasattr(tensor, "to_local")


def _local(tensor: Any) -> Tensor:
    """The part of a tensor that this process holds."""
    return tensor.to_local() if _in_parts(tensor) else tensor


def _whole(tensor: Any) -> Tensor:
    """All parts of a tensor in one; all processes must ask."""
    return tensor.full_tensor() if _in_parts(tensor) else tensor


def _part(value: Tensor, like: Any) -> Tensor:
    """A whole tensor, the same in all processes, shared out as `like` is; none of it need be sent."""
    from torch.distributed.tensor import distribute_tensor

    if not _in_parts(like):
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


class _Muon(torch.optim.Muon):  # type: ignore[name-defined, misc]
    """Muon for matrices (A, B) held in parts, momentum included.

    Torch's own takes them, but every product of its iteration then waits for the other processes. Here an update is
    gathered once and each process works it out whole, so it is the very update that one process alone takes.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is not None:
                    self._update(matrix, group)

    def _update(self, matrix: Any, group: dict[str, Any]) -> None:
        state, momentum = self.state[matrix], group["momentum"]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(matrix.grad)
        smooth = state["momentum_buffer"].lerp_(matrix.grad, 1 - momentum)
        update = _whole(matrix.grad.lerp(smooth, momentum) if group["nesterov"] else smooth)
        update = _zeropower_via_newtonschulz(update, group["ns_coefficients"], group["ns_steps"], group["eps"])
        rate = _adjust_lr(group["lr"], group["adjust_lr_fn"], matrix.shape)
        matrix.mul_(1 - group["lr"] * group["weight_decay"]).add_(_part(update, matrix), alpha=-rate)


def processes(device: str) -> SingleProcess:
    """This process dist those that torchrun started; alone if it started none."""
    return Ddp(device) if int(os.environ.get("WORLD_SIZE", "1")) > 1 else SingleProcess()
