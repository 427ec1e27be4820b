"""Stage `painter`: learn how entities look, in a place that is known by heart.

Trains the painter alone. What the place memory recalls of each token is worked out once and kept, so a step costs a
tenth of one of stage `place`; and each entity and each event has an equal share of it, however seldom it is seen.
Stills, if some were collected, show entities in more places than episodes do.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from worldsim.checkpoint import GENERATOR
from worldsim.data.latents import Latents
from worldsim.errors import ConfigError
from worldsim.model.condition import Condition
from worldsim.model.generator import Generator
from worldsim.model.place_memory import Recalled
from worldsim.train.pictures import place_picture
from worldsim.train.setup import Setup
from worldsim.train.stages.base import Stage
from worldsim.train.stages.place import SPREAD_WEIGHT

BATCH = 2048  # tokens
MOST_TOKENS = 3_000_000  # kept: about two gigabytes
ANYWHERE = 32  # tokens of each frame that are kept wherever they are: the place has detail, and events change all
EVENTS_SHARE, ANYWHERE_SHARE = 0.2, 0.3  # of a batch
_FRAMES = 64


class PainterStage(Stage):
    """Trains a Generator's painter on tokens of the frames of `latents`; the rest stays as it is."""

    name = "painter"
    full_precision = True

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
        assert generator.condition.painter is not None
        self._painter = generator.condition.painter.requires_grad_(True)
        self._weight = latents.channel_weight.to(next(generator.parameters()).device)
        self._keep()

    @classmethod
    def create(cls, setup: Setup) -> PainterStage:
        setup.require_place()
        request, base = setup.request, setup.base
        if not request.parts_from and (base is None or GENERATOR not in base.info.files):
            raise ConfigError(
                f"stage painter paints into a place that is known, and {request.folder} knows none; run "
                f"`worldsim train place {request.scene.name}` first"
            )
        generator = setup.generator
        if generator.condition.painter is None or not generator.shape.slots:
            raise ConfigError(f"scene {request.scene.name} has no entities, so there is nothing to paint")

        def picture() -> np.ndarray:
            return place_picture(generator, setup.codec, setup.held_out)

        return cls(generator, setup.latents_and_stills, setup.exporter, picture)

    @property
    def model(self) -> nn.Module:
        return self._generator

    def loss(self, step_seed: int, step: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.Generator(np.random.Philox(key=step_seed))
        rows = self._drawn(rng)
        device = self._weight.device
        frames = self._latents.at(self._frame[rows][:, None]).to(device)
        condition, token = frames.condition(torch.ones(len(rows), device=device)), self._token[rows].to(device)
        memory = self._generator.condition.memory
        assert memory is not None
        content, guess, distance = (
            kept[rows].to(device).float()[:, None] for kept in (self._content, self._guess, self._distance)
        )
        direction = memory.directions(condition.look, token[:, None])[:, None]
        painted, std, _ = self._painter(
            Recalled(content, guess, direction, distance),
            condition.position, condition.look, condition.things, condition.happening, token[:, None],
        )  # fmt: skip
        truth = frames.latents[torch.arange(len(rows), device=device), 0, token]
        error = (painted[:, 0] - truth).square()
        off = error.detach().mean(-1)
        likelihood = (std[:, 0, 0].log() + off / (2 * std[:, 0, 0].square())).mean()
        loss = (error * self._weight).mean()
        numbers = {"painted": float(loss.detach().sqrt())}
        return loss + SPREAD_WEIGHT * likelihood, numbers

    def _drawn(self, rng: np.random.Generator) -> Tensor:
        """Rows of what is kept: equal shares of each entity's and of each event's, and some of all."""
        shares = EVENTS_SHARE * bool(self._of_event), ANYWHERE_SHARE
        counts = [round(self._batch * share) for share in (1 - sum(shares), *shares)]
        picks = []
        for groups, count in zip(
            (self._of_slot, self._of_event, [torch.arange(len(self._frame))]), counts, strict=True
        ):
            each = count // max(1, len(groups))
            picks += [rows[torch.from_numpy(rng.integers(len(rows), size=each))] for rows in groups]
        return torch.cat(picks)

    @torch.no_grad()
    def _keep(self) -> None:
        """What the memory recalls of tokens that may show an entity, and of some others; and which show which."""
        encoder, rng = self._generator.condition, np.random.Generator(np.random.Philox(key=12))
        assert encoder.memory is not None
        device, tokens = self._weight.device, self._generator.shape.tokens
        kept: list[tuple[Tensor, ...]] = []
        total = 0
        for rows in torch.from_numpy(rng.permutation(len(self._latents.latents))).split(_FRAMES):
            condition = self._latents.at(rows[:, None]).to(device).condition(torch.ones(len(rows), device=device))
            hit = self._shows(condition)
            anywhere = torch.from_numpy(rng.random((len(rows), tokens)) < ANYWHERE / tokens)
            of, token = torch.nonzero((encoder.touched(condition) > 0).cpu() | anywhere, as_tuple=True)
            recalled = encoder.recalled(condition)
            parts = (recalled.content.half(), recalled.guess.half(), recalled.distance.float(), hit.transpose(1, 2))
            happening = self._painter.happening(condition.things, condition.happening).abs().cpu()[of] > 0.5
            happening &= anywhere[of, token, None]
            kept.append((rows[of], token, happening, *(part[of.to(device), token.to(device)].cpu() for part in parts)))
            total += len(of)
            if total >= MOST_TOKENS:
                break
        columns = [[*column] for column in zip(*kept, strict=True)]
        kept.clear()
        self._frame, self._token, happening, self._content, self._guess, self._distance, hits = (
            torch.cat(columns.pop(0)) for _ in range(7)
        )
        self._of_slot, self._of_event = _groups(hits), _groups(happening)

    def _shows(self, condition: Condition) -> Tensor:
        """Which tokens each entity covers: bool (F, S, N)."""
        encoder, painter = self._generator.condition, self._painter
        assert encoder.memory is not None
        frames = len(condition.look)
        direction = encoder.memory.directions(condition.look).view(frames, self._generator.shape.tokens, -1, 3)
        return painter.covered(direction, condition.position, condition.look, condition.things)

    def sample(self) -> np.ndarray | None:
        return self._picture()

    def export(self) -> None:
        self._export()


def _groups(belongs: Tensor) -> list[Tensor]:
    """For each column of a bool tensor (rows, groups) that has any, the rows in it."""
    found = (torch.nonzero(column)[:, 0] for column in belongs.T)
    return [rows for rows in found if len(rows)]
