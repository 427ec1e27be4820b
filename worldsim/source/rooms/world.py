"""A scene of rooms behind the World protocol: ground truth, training data, and `play --source`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import moderngl

from worldsim.action import Action
from worldsim.camera import Pose
from worldsim.scene import Scene
from worldsim.source.base import PosedSource
from worldsim.source.rooms.dynamics import Dynamics
from worldsim.source.rooms.random_player import RandomPlayer
from worldsim.source.rooms.renderer import RoomsRenderer
from worldsim.world import Frame, ObservedFrame, Spawn


@dataclass(frozen=True)
class RoomsState:
    """Where the player truly is."""

    pose: Pose
    tick: int


class RoomsWorld(PosedSource):
    """Moves by the scene's dynamics and draws with its renderer. Pure, like every world."""

    def __init__(self, scene: Scene, context: moderngl.Context | None = None) -> None:
        """context: an OpenGL context to draw in; one of its own is made with the first picture otherwise."""
        self._scene, self._context = scene, context
        self._dynamics = Dynamics(scene)
        self._opened: RoomsRenderer | None = None

    @property
    def scene(self) -> Scene:
        return self._scene

    @property
    def dynamics(self) -> Dynamics:
        return self._dynamics

    @property
    def renderer(self) -> str:
        return self._renderer.renderer

    @property
    def _renderer(self) -> RoomsRenderer:
        """Made when the first picture is wanted: who only moves needs no graphics. Raises DisplayError."""
        if self._opened is None:
            self._opened = RoomsRenderer(self._scene, self._context)
        return self._opened

    def start(self, seed: int, spawn: Spawn) -> tuple[RoomsState, Frame]:
        """Begin at the spawn's pose, or at the scene's first place if it has none."""
        return self.at(spawn.pose or self._first_pose())

    def at(self, pose: Pose) -> tuple[RoomsState, Frame]:
        """Tick 0 at any pose."""
        state = RoomsState(pose, 0)
        return state, self.render(state)

    def move(self, pose: Pose, action: Action) -> Pose:
        return self._dynamics.advance(pose, action)

    def advance(self, state: RoomsState, action: Action) -> tuple[RoomsState, Frame]:
        """Move, then draw."""
        after = RoomsState(self._dynamics.advance(state.pose, action), state.tick + 1)
        return after, self.render(after)

    def episode(self, seed: int) -> tuple[RandomPlayer, RoomsState, Frame]:
        """The varied player, at a free place."""
        player = RandomPlayer(self._scene, self._dynamics, seed)
        return player, *self.at(player.start_pose())

    def prefill(self, seed: int, observed: Sequence[ObservedFrame]) -> RoomsState:
        """Go on at the pose of the last frame, out of any wall a dream may have walked into."""
        frame = observed[-1].frame
        pose = frame.pose or self._first_pose()
        return RoomsState(Pose(*self._dynamics.push_out(pose.x, pose.y), pose.look), frame.tick)

    def snapshot(self, state: RoomsState, frame: Frame) -> RoomsState:
        return state

    def render(self, snapshot: RoomsState) -> Frame:
        pixels = self._renderer.render(snapshot.pose)
        return Frame(pixels, snapshot.tick, snapshot.pose.look, snapshot.pose)

    def restore(self, before: RoomsState, snapshot: RoomsState) -> RoomsState:
        return snapshot

    def renderer_of(self, scene: Scene) -> RoomsRenderer:
        """A renderer of another scene in the same OpenGL context."""
        return RoomsRenderer(scene, self._renderer.context)

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _first_pose(self) -> Pose:
        pose = self._scene.spawns[0].pose
        assert pose is not None  # a scene with a place has spawns that say where they are
        return pose
