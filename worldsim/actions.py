"""Where the actions of a headless run come from: random, idle, the bundled human-like play, or a trace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from worldsim.action import Action
from worldsim.errors import TraceError
from worldsim.player import random_action
from worldsim.scene import Scene
from worldsim.trace import read_trace

BUNDLED = Path(__file__).parent / "traces"


def action_source(kind: str, scene: Scene, seed: int) -> Iterator[Action]:
    """Endless actions. kind: `random`, `idle`, `human`, or the path of a trace, which repeats. Raises TraceError."""
    if kind == "idle":
        return _repeat([scene.action_space.idle])
    if kind == "random":
        return _random(scene, seed)
    if kind == "human":
        files = sorted(BUNDLED.glob(f"human-{scene.name}-*.jsonl"))
        if not files:
            return _random(scene, seed)
        return _repeat(trace_actions(files[seed % len(files)], scene))
    return _repeat(trace_actions(Path(kind), scene))


def human_spawn(scene: Scene, seed: int) -> str | None:
    """The spawn where the bundled play for this seed began; None if there is none for the scene."""
    files = sorted(BUNDLED.glob(f"human-{scene.name}-*.jsonl"))
    return str(read_trace(files[seed % len(files)]).header.spawn["name"]) if files else None


def trace_actions(path: Path, scene: Scene) -> list[Action]:
    """The actions of a trace of the same controls. Raises TraceError."""
    trace = read_trace(path)
    controls = [c.name for c in scene.controls]
    if trace.header.controls != controls:
        raise TraceError(f"{path} has controls {trace.header.controls}, scene {scene.name} has {controls}")
    space = scene.action_space
    actions = [
        space.check(r.data.get("action"), f"{path}, line {r.seq + 2}") for r in trace.records if r.kind == "tick"
    ]
    if not actions:
        raise TraceError(f"{path} has no ticks")
    return actions


def _repeat(actions: list[Action]) -> Iterator[Action]:
    while True:
        yield from actions


def _random(scene: Scene, seed: int) -> Iterator[Action]:
    rng = np.random.Generator(np.random.Philox(key=seed))
    action = scene.action_space.idle
    while True:
        action = random_action(scene.action_space, rng, action)
        yield action
