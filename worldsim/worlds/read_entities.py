"""What of the entities does a picture show? Read by painting.

Rows that entities were seen to have are painted into what the place memory expects of the pose, one entity after
another, and the row that explains the picture best is kept. There is no network for it: the painter, run over many
guesses, is the reader (analysis by synthesis). Where a picture says too little of an entity, the entity rests.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from worldsim.camera import Pose
from worldsim.entities import HEADING, X, Y
from worldsim.model.generator import Generator
from worldsim.model.place_memory import Recalled

_BATCH = 32
_ROUNDS, _TRIES = 2, 24  # of guesses around the best one
_REACH = (0.3, 25.0)  # of the first round: metres and degrees
_MOVES_M = 0.05  # an entity whose seen places vary by more than this moves about
_SURE = 8.0  # by how much the logarithm of a picture's likelihood must rise for an entity to be where it seems


@torch.no_grad()
def read_entities(generator: Generator, latent: Tensor, pose: Pose) -> np.ndarray:
    """Rows of the entities (slots, FIELDS) as the picture with this latent (1, N, C), taken at `pose`, shows them."""
    reader = _Reader(generator, latent, pose)
    chance = torch.Generator().manual_seed(0)
    rows = torch.tensor([slot.rest for slot in generator.shape.slots])
    for slot in range(len(rows)):
        seen = generator.seen_rows[slot].float()
        best, gain = reader.best(rows, slot, torch.cat([rows[slot : slot + 1], seen]))
        spread = seen.std(dim=0)
        for number in range(_ROUNDS if gain > 0 else 0):
            reach = torch.zeros_like(best)
            reach[X : Y + 1] = _REACH[0] * (spread[X : Y + 1] > _MOVES_M)
            reach[HEADING] = _REACH[1] * bool(reach[X] > 0)
            around = best + reach / 2**number * torch.randn(_TRIES, len(best), generator=chance)
            best, more = reader.best(rows, slot, torch.cat([best[None], around]))
            gain += more
        if gain > _SURE:
            rows[slot] = best
    return rows.double().numpy()


class _Reader:
    """How well rows of entities explain one picture."""

    def __init__(self, generator: Generator, latent: Tensor, pose: Pose) -> None:
        painter, encoder = generator.condition.painter, generator.condition
        assert painter is not None and encoder.memory is not None
        self._painter, self._latent = painter, latent
        self._still = generator.shape.still(torch.tensor([[pose.x, pose.y, *pose.look.radians]]))
        self._recalled: Recalled = encoder.recalled(self._still)

    def best(self, rows: Tensor, slot: int, tries: Tensor) -> tuple[Tensor, float]:
        """Of the tries (n, FIELDS) for one slot, the likeliest, and how much likelier it is than the first."""
        every = rows.expand(len(tries), -1, -1).clone()
        every[:, slot] = tries
        likely = torch.cat([self._likelihood(part) for part in every.split(_BATCH)])
        index = int(likely.argmax())
        return tries[index], float(likely[index] - likely[0])

    def _likelihood(self, rows: Tensor) -> Tensor:
        """Logarithm of the picture's likelihood for entities (n, S, FIELDS), less a constant: (n,)."""
        count = len(rows)
        recalled = Recalled(*(part.expand(count, *part.shape[1:]) for part in self._recalled))
        still = self._still
        position, look, levels = (part.expand(count, -1) for part in (still.position, still.look, still.happening))
        expected, deviation, _ = self._painter(recalled, position, look, rows, levels)
        off = (expected - self._latent).square().mean(-1) / (2 * deviation[..., 0].square())
        return -(off + deviation[..., 0].log()).sum(-1)
