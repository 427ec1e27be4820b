"""What a training stage is. A new one is one file with a subclass, and its line in registry.STAGES."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from torch import Tensor, nn

if TYPE_CHECKING:
    from worldsim.train.setup import Setup


class Stage(ABC):
    """Supplies a model and the loss of one step on a batch of its own; the trainer does the rest."""

    name: ClassVar[str]
    trains_blocks: ClassVar[bool] = False
    """The generator's blocks are trained: they may be compiled, and shared out among processes."""
    full_precision: ClassVar[bool] = False
    """What the loss compares is finer than bfloat16 resolves."""
    ema: ClassVar[float | None] = None
    """How slowly the averaged weights follow; the trainer's own value if None."""

    @classmethod
    @abstractmethod
    def create(cls, setup: Setup) -> Stage:
        """The stage with all it needs. Raises WorldsimError if the scene or the checkpoint does not suit it."""

    @property
    @abstractmethod
    def model(self) -> nn.Module:
        """All that is trained."""

    @abstractmethod
    def loss(self, step_seed: int, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of one step on its own batch, and numbers worth logging."""

    @abstractmethod
    def export(self) -> None:
        """Write the model as it stands (its average is in place) into the checkpoint."""

    def sample(self) -> np.ndarray | None:
        """A picture of progress, uint8 (H, W, 3), truth above dream, with the model as it stands."""
        return None

    def attach(self, averaged: Callable[[], AbstractContextManager[None]]) -> None:
        """Called once before training. averaged: a context in which the model carries its averaged weights."""
