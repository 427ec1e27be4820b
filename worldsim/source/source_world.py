"""The true engine of a scene behind the World protocol: ground truth, training data, and `play --source`."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import moderngl

from worldsim.action import Action
from worldsim.camera import Pose
from worldsim.scene import Scene
from worldsim.source.dynamics import Dynamics
from worldsim.source.scene_engine import SceneEngine
from worldsim.world import Frame, Moment, Spawn


@dataclass(frozen=True)
class SourceState:
    """Where the player truly is."""

    pose: Pose
    tick: int


class SourceWorld:
    """Moves by the scene's dynamics and draws with its engine. Pure, like every world."""

    def __init__(self, scene: Scene, context: moderngl.Context | None = None) -> None:
        self._scene = scene
        self._dynamics = Dynamics(scene)
        self._engine = SceneEngine(scene, context)

    @property
    def scene(self) -> Scene:
        return self._scene

    @property
    def dynamics(self) -> Dynamics:
        return self._dynamics

    @property
    def renderer(self) -> str:
        """What draws: pictures are bit for bit the same only on the same renderer."""
        return self._engine.renderer

    def spawns(self) -> list[Spawn]:
        """The scene's own places to start from, with their pictures."""
        return [Spawn(p.name, self._engine.render(p.pose), p.pose) for p in self._scene.spawns]

    def start(self, seed: int, spawn: Spawn) -> tuple[SourceState, Frame]:
        """Begin at the spawn's pose, or at the scene's first place if it has none."""
        return self.at(spawn.pose or self._scene.spawns[0].pose)

    def at(self, pose: Pose) -> tuple[SourceState, Frame]:
        """Tick 0 at any pose."""
        state = SourceState(pose, 0)
        return state, self.show(state)

    @property
    def branches(self) -> int:
        return 1

    def passes(
        self, state: SourceState, actions: Sequence[Action]
    ) -> Generator[None, None, list[tuple[SourceState, Frame]]]:
        """One pass: move, then draw."""
        yield
        after = [SourceState(self._dynamics.advance(state.pose, action), state.tick + 1) for action in actions]
        return [(state, self.show(state)) for state in after]

    def settle(self, state: SourceState) -> None:
        """Nothing is ever put off."""

    def strayed(self, state: SourceState) -> bool:
        """The truth never does."""
        return False

    def enter(self, seed: int, moments: list[Moment]) -> SourceState:
        """Go on at the pose of the last moment, out of any wall a dream may have walked into."""
        frame = moments[-1].frame
        pose = frame.pose or self._scene.spawns[0].pose
        return SourceState(Pose(*self._dynamics.push_out(pose.x, pose.y), pose.look), frame.tick)

    def thin(self, state: SourceState) -> SourceState:
        return state

    def show(self, thin: SourceState) -> Frame:
        return Frame(self._engine.render(thin.pose), thin.tick, thin.pose.look, thin.pose)

    def rebuild(self, before: SourceState, thin: SourceState) -> SourceState:
        return thin

    def engine_of(self, scene: Scene) -> SceneEngine:
        """An engine of another scene in the same OpenGL context."""
        return SceneEngine(scene, self._engine.context)

    def close(self) -> None:
        self._engine.close()
