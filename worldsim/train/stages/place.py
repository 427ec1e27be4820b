"""Stage `place`: learn a place by heart, frame by frame, from true poses.

Trains the place memory, and the painter of what moves and happens there, against the latents of unrelated frames, and
the memory's depth against the engine's where it tells (depth supervision: Deng et al. 2022, with the expected depth).
Minutes of it are worth hours of teaching the same to a transformer: see docs/ablations.md.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from worldsim.data.distances import draw_distances
from worldsim.data.latents import Latents
from worldsim.model.condition import Condition
from worldsim.model.generator import SEEN_ROWS, Generator
from worldsim.train.pictures import place_picture
from worldsim.train.restore import with_place_memory
from worldsim.train.setup import Setup
from worldsim.train.stages.base import Stage

BATCH = 384
TOKENS = 12  # picked of each frame of a batch: many frames teach more than all tokens of few
NEAR_SHARE = 0.4  # of those, picked where an entity may be: there it is painted, and there one looks
SPREAD_WEIGHT = 0.1
DISTANCE_WEIGHT = 0.5
_SOFTENED_M = 0.5  # added to a distance before an error is told as a share of it


class PlaceStage(Stage):
    """Trains a Generator's place memory and painter on the frames of `latents`; the rest stays as it is."""

    name = "place"

    def __init__(
        self, generator: Generator, latents: Latents, export: Callable[[], None],
        picture: Callable[[], np.ndarray | None] = lambda: None, batch: int = BATCH, distances: Tensor | None = None,
    ) -> None:  # fmt: skip
        """distances (frames, N, R): where the view of each ray ends, in metres, if that is known."""
        self._distances = distances
        self._generator, self._latents, self._export, self._picture, self._batch = (
            generator,
            latents,
            export,
            picture,
            batch,
        )
        # How much of an entity each token of a frame may show, once it was asked for: a third of a step to work out.
        frames, tokens = latents.latents.shape[:2]
        self._near, self._near_known = torch.zeros(frames, tokens, dtype=torch.uint8), torch.zeros(frames).bool()
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

        latents, memory = setup.latents_and_stills, generator.condition.memory
        assert memory is not None
        grid = generator.shape.rows, generator.shape.columns, memory.config.rays
        distances = draw_distances(setup.request.scene, latents.position, latents.look, grid, setup.request.quiet)
        return cls(generator, latents, setup.exporter, picture, distances=distances)

    @property
    def model(self) -> nn.Module:
        return self._generator

    def loss(self, step_seed: int, step: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.Generator(np.random.Philox(key=step_seed))
        rows = self._latents.draw_rows(rng, self._batch)
        frames = self._latents.at(rows).to(next(self._generator.parameters()).device)
        condition = frames.condition(torch.ones(len(frames.latents)))
        picked = self._pick(rows[:, 0], condition, step_seed)
        encoder = self._generator.condition
        recalled = encoder.recalled(condition, picked)
        prior, std, near = encoder.painted(recalled, condition, picked)
        truth = frames.latents[:, 0].gather(1, picked[..., None].expand(-1, -1, frames.latents.shape[-1]))
        error = (prior.float() - truth).square()
        token = (error * self._latents.channel_weight.to(error.device)).mean(-1)
        loss = token.mean()
        numbers = {"spread": float(error.detach().mean().sqrt())}
        if self._distances is not None:
            far = self._distances[rows[:, 0]].to(picked.device).float()
            far = far.gather(1, picked[..., None].expand(-1, -1, far.shape[-1]))
            off_m = (recalled.distance.float() - far).abs()
            loss = loss + DISTANCE_WEIGHT * (off_m / (far + _SOFTENED_M)).mean()
            numbers["off_m"] = float(off_m.detach().mean())
        if self._generator.condition.painter is not None:
            off = error.detach().mean(-1, keepdim=True)  # the deviation learns from the error, not the other way round
            likelihood = (std.log() + off / (2 * std.square())).mean()
            loss = loss + SPREAD_WEIGHT * likelihood
            touched = near > 0.5
            numbers["near"] = float(off[..., 0][touched].mean().sqrt()) if bool(touched.any()) else 0.0
        return loss, numbers

    @torch.no_grad()
    def _pick(self, rows: Tensor, condition: Condition, seed: int) -> Tensor:
        """Tokens of each frame (F, TOKENS), different ones: a share of them where an entity may be, if any is."""
        if not bool(self._near_known[rows].all()):
            touched = self._generator.condition.touched(condition).cpu()
            self._near[rows], self._near_known[rows] = (255 * touched).round().to(torch.uint8), True
        near = self._near[rows].float() / 255
        anywhere = near.new_full(near.shape, (1 - NEAR_SHARE) / near.shape[1])
        odds = anywhere + NEAR_SHARE * near / near.sum(1, keepdim=True).clamp(min=1e-6)
        chance = torch.Generator().manual_seed(seed)
        picked = torch.multinomial(odds, min(TOKENS, near.shape[1]), generator=chance)
        return picked.to(condition.look.device)

    def sample(self) -> np.ndarray | None:
        return self._picture()

    def export(self) -> None:
        self._export()
