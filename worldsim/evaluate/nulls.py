"""Null rows: what a dream would score without one of the things it is made from.

Each stands beside every figure of the dream. The difference is what the generator is worth. A network without
something is a wrapper around the true one, so a rollout or a world runs it like any other.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from worldsim.action import Action
from worldsim.entities import X, Y
from worldsim.inference.network import Network, PreparedFrames
from worldsim.model.condition import Condition
from worldsim.model.context import Context, FrameKeys
from worldsim.model.generator import Generator
from worldsim.scene import Scene
from worldsim.stepwise import Stepwise
from worldsim.world import Frame, Spawn, World

DREAM = "dream"
MEMORY_ALONE = "memory_alone"
HISTORY_SHUFFLED = "history_shuffled"
ACTION_ZEROED = "action_zeroed"
LAST_FRAME_REPEATED = "last_frame_repeated"
NO_ENTITIES = "no_entities"
FROZEN_ENTITIES = "frozen_entities"
CEILING = "ceiling"
"""The row of the true frames after the codec."""
DREAM_THERE = "dream_on_those_walks"
"""The row of the dream on the fewer walks that null rows are measured over, where they cost most."""

MEANING = {
    MEMORY_ALONE: "the place memory's prior with its painted entities, decoded: no transformer",
    HISTORY_SHUFFLED: "another clip's true frames as context",
    ACTION_ZEROED: "the transformer is told the idle action; look and pose follow the true one",
    LAST_FRAME_REPEATED: "the last true frame, standing still",
    NO_ENTITIES: "every entity is out of sight, and events do not come",
    FROZEN_ENTITIES: "entities and events stay as they were at the start",
}
"""Every null row and what it lacks, in the order of a report."""

LIVING = (NO_ENTITIES, FROZEN_ENTITIES)
"""Null rows of the parts about a world that lives; no other part has them."""

_OUT_OF_SIGHT_M = 500.0


class PriorAlone:
    """A network that shows what the place memory expects, and nothing else."""

    def __init__(self, generator: Generator) -> None:
        self.config, self._generator = generator.config, generator

    def prepare(self, condition: Condition, level: Tensor) -> PreparedFrames:
        return self._generator.prepare(condition, level)

    def sampling(self, noise: Tensor, levels: tuple[float, ...], prepared: Any, context: Context) -> Stepwise[Tensor]:
        yield
        return prepared.prior

    def encode_kv(self, latent: Tensor, noise: Tensor, prepared: Any, context: Context | None) -> FrameKeys:
        return latent.new_zeros((2, 1, len(latent), 1, 1, 1))  # nobody attends to it


class ActionZeroed:
    """A network whose transformer is told that the player rests. The pose goes on as the true action carries it."""

    def __init__(self, generator: Generator) -> None:
        self.config, self._generator = generator.config, generator
        self.sampling, self.encode_kv = generator.sampling, generator.encode_kv

    def prepare(self, condition: Condition, level: Tensor) -> PreparedFrames:
        position, whole = self._generator.carry_on(condition)
        told = replace(condition, action=torch.zeros_like(condition.action), position=position, apply_action=None)
        if condition.entities is not None:
            told = replace(told, entities=whole * self._generator.quanta)
        return self._generator.prepare(told, level)


class EntitiesHeld:
    """A network whose entities do not move and whose events do not come; the player moves as ever. away: the entities
    are out of sight besides."""

    def __init__(self, generator: Generator, away: bool = False) -> None:
        self.config, self._generator, self._away = generator.config, generator, away
        self.sampling, self.encode_kv = generator.sampling, generator.encode_kv

    def prepare(self, condition: Condition, level: Tensor) -> PreparedFrames:
        entities = out_of_sight(condition.things) if self._away else condition.things
        levels = None if condition.levels is None else torch.zeros_like(condition.levels)
        condition = replace(condition, entities=entities, levels=levels)
        if condition.apply_action is not None:  # walls and doors stand as the held entities say
            position, _ = self._generator.carry_on(condition)
            condition = replace(condition, position=position, apply_action=None)
        return self._generator.prepare(condition, level)


def out_of_sight(entities: Tensor) -> Tensor:
    """Entities (F, S, FIELDS) as they are, but far from everything."""
    gone = entities.clone()
    gone[..., [X, Y]] = _OUT_OF_SIGHT_M
    return gone


class Still(World):
    """A world that shows its start picture for ever, and believes to be where it began."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    @property
    def scene(self) -> Scene:
        return self._scene

    def start(self, seed: int, spawn: Spawn) -> tuple[Frame, Frame]:
        frame = Frame(spawn.pixels, 0, None if spawn.pose is None else spawn.pose.look, spawn.pose)
        return frame, frame

    def advance(self, state: Frame, action: Action) -> tuple[Frame, Frame]:
        frame = replace(state, tick=state.tick + 1)
        return frame, frame


def network_of(generator: Generator, variant: str) -> Network:
    """The network that dreams a variant. One that differs in its pictures alone takes the generator itself."""
    if variant == MEMORY_ALONE:
        return PriorAlone(generator)
    if variant in LIVING:
        return EntitiesHeld(generator, away=variant == NO_ENTITIES)
    return ActionZeroed(generator) if variant == ACTION_ZEROED else generator
