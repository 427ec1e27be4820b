"""Stage `place`: learn a place by heart, frame by frame, from true poses.

Trains the place memory, and the painter of what moves and happens there, against the latents of unrelated frames.
Minutes of it are worth hours of teaching the same to a transformer: see docs/ablations.md.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from worldsim.data.latents import Latents
from worldsim.model.generator import SEEN_ROWS, Generator
from worldsim.train.pictures import place_picture
from worldsim.train.restore import with_place_memory
from worldsim.train.setup import Setup
from worldsim.train.stages.base import Stage

BATCH = 96
TOKENS = 48  # picked at random of each frame of a batch: many frames teach more than all tokens of few
NEAR_WEIGHT = 3.0  # of a token that an entity may touch: there are few, and they are what one looks at
SPREAD_WEIGHT = 0.1


class PlaceStage(Stage):
    """Trains a Generator's place memory and painter on the frames of `latents`; the rest stays as it is."""

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
        if generator.condition.painter is not None:
            generator.condition.painter.requires_grad_(True)
        if latents.entities is not None and generator.transitions is not None:
            picks = np.random.Generator(np.random.Philox(key=11)).integers(len(latents.entities), size=SEEN_ROWS)
            generator.seen_rows.copy_(latents.entities[torch.from_numpy(picks)].transpose(0, 1))

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
        condition = frames.condition(torch.ones(len(frames.latents)))
        shape = self._generator.shape
        picked = torch.from_numpy(rng.permutation(shape.tokens)[:TOKENS])
        prior, std, near = self._generator.condition.expect(condition, picked)
        error = (prior.float() - frames.latents[:, 0, picked]).square()
        token = (error * self._latents.channel_weight.to(error.device)).mean(-1)
        loss = (token * (1 + NEAR_WEIGHT * near)).mean()
        numbers = {"spread": float(error.detach().mean().sqrt())}
        if self._generator.condition.painter is not None:
            off = error.detach().mean(-1, keepdim=True)  # the deviation learns from the error, not the other way round
            likelihood = (std.log() + off / (2 * std.square())).mean()
            loss = loss + SPREAD_WEIGHT * likelihood
            touched = near > 0.5
            numbers["near"] = float(off[..., 0][touched].mean().sqrt()) if bool(touched.any()) else 0.0
        return loss, numbers

    def sample(self) -> np.ndarray | None:
        return self._picture()

    def export(self) -> None:
        self._export()
