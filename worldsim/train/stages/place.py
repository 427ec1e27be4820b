"""Stage `place`: learn a place by heart, frame by frame, from true poses.

Trains the place memory alone, against the latents of unrelated frames. Minutes of it are worth hours of teaching the
same to a transformer: see docs/ablations.md.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from worldsim.data.latents import Latents
from worldsim.model.generator import Generator
from worldsim.train.pictures import place_picture
from worldsim.train.restore import with_place_memory
from worldsim.train.setup import Setup
from worldsim.train.stages.base import Stage

BATCH = 32


class PlaceStage(Stage):
    """Trains a Generator's place memory on the frames of `latents`; the rest of the network stays as it is."""

    name = "place"

    def __init__(
        self, generator: Generator, latents: Latents, export: Callable[[], None],
        picture: Callable[[], np.ndarray | None] = lambda: None, batch: int = BATCH,
    ) -> None:  # fmt: skip
        self._generator, self._latents, self._export, self._picture, self._batch = (
            generator,
            latents,
            export,
            picture,
            batch,
        )
        generator.requires_grad_(False)
        assert generator.condition.memory is not None
        generator.condition.memory.requires_grad_(True)

    @classmethod
    def create(cls, setup: Setup) -> PlaceStage:
        setup.require_place()
        if setup.generator.config.place is None:
            setup.replace_generator(with_place_memory(setup.generator, setup.codec, setup.exporter))
        generator = setup.generator

        def picture() -> np.ndarray:
            return place_picture(generator, setup.codec, setup.held_out)

        return cls(generator, setup.latents, setup.exporter, picture)

    @property
    def model(self) -> nn.Module:
        return self._generator

    def loss(self, step_seed: int, step: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.Generator(np.random.Philox(key=step_seed))
        frames = self._latents.draw_frames(rng, self._batch).to(next(self._generator.parameters()).device)
        prior = self._generator.condition.recall(frames.condition(torch.ones(len(frames.latents))))
        error = (prior.float() - frames.latents[:, 0]).square()
        weighted = (error * self._latents.channel_weight.to(error.device)).mean()
        return weighted, {"spread": float(error.detach().mean().sqrt())}

    def sample(self) -> np.ndarray | None:
        return self._picture()

    def export(self) -> None:
        self._export()
