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
CEILING = "ceiling"
"""The row of the true frames after the codec."""

MEANING = {
    MEMORY_ALONE: "the place memory's prior, decoded: no transformer",
    HISTORY_SHUFFLED: "another clip's true frames as context",
    ACTION_ZEROED: "the transformer is told the idle action; look and pose follow the true one",
    LAST_FRAME_REPEATED: "the last true frame, standing still",
}
"""Every null row and what it lacks, in the order of a report."""


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
    return ActionZeroed(generator) if variant == ACTION_ZEROED else generator
