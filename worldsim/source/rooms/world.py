"""A scene of rooms behind the World protocol: ground truth, training data, and `play --source`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import moderngl
import numpy as np

from worldsim.action import Action
from worldsim.camera import Pose
from worldsim.entities import FIELDS, X, Y, at_rest, dice
from worldsim.event import Happening
from worldsim.scene import Scene
from worldsim.source.base import LivingSource
from worldsim.source.rooms.contacts import Contacts
from worldsim.source.rooms.dynamics import Dynamics
from worldsim.source.rooms.layout import rooms_of
from worldsim.source.rooms.life import Life
from worldsim.source.rooms.living_player import LivingPlayer
from worldsim.source.rooms.random_player import RandomPlayer
from worldsim.source.rooms.renderer import RoomsRenderer
from worldsim.source.rooms.scatter import FreePlaces, random_happening, scattered
from worldsim.source.rooms.view import RoomsView
from worldsim.world import Frame, ObservedFrame, Spawn

_LONGEST_WAY_M = 10.0  # that a creature has walked, somewhere in an episode
_CLOCK_S = 600.0  # clocks of episodes begin within this


@dataclass(frozen=True, eq=False)
class RoomsState:
    """Where the player truly is, and all that lives.

    entities: float64 (slots, FIELDS), read-only. episode: what is hung anew each episode, by number. clock_s: where
    this episode's clock of fire, water and screens began. gaits: of each slot, the metres that it has walked.
    """

    pose: Pose
    tick: int
    seed: int = 0
    entities: np.ndarray = field(default_factory=lambda: np.zeros((0, len(FIELDS))))
    happening: Happening = Happening()
    episode: int = 0
    clock_s: float = 0.0
    gaits: tuple[float, ...] = ()


class RoomsWorld(LivingSource):
    """Moves by the scene's dynamics and draws with its renderer. Pure, like every world."""

    def __init__(self, scene: Scene, context: moderngl.Context | None = None) -> None:
        """context: an OpenGL context to draw in; one of its own is made with the first picture otherwise."""
        self._scene, self._context = scene, context
        self._dynamics = Dynamics(scene)
        self._life = Life(scene, self._dynamics)
        self._space, self._dt = scene.action_space, 1 / scene.tick_hz
        rest = at_rest(scene.slots).tolist()
        self._resting = self._life.leaves(rest), self._life.walkers(rest)
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
        """Begin at the spawn's pose, or at the scene's first place if it has none, with what it knows of the rest."""
        state = self._begin(seed, spawn.pose or self._first_pose(), spawn.entities, spawn.happening)
        return state, self.render(state)

    def at(self, pose: Pose) -> tuple[RoomsState, Frame]:
        """Tick 0 at any pose, everything at rest."""
        state = replace(self._begin(0, pose), clock_s=0.0)
        return state, self.render(state)

    def move(self, pose: Pose, action: Action) -> Pose:
        return self._dynamics.advance(pose, action, *self._resting)

    def distances(self, pose: Pose, rows: int, columns: int) -> np.ndarray:
        return self._renderer.distances(pose, rows, columns)

    def advance(self, state: RoomsState, action: Action) -> tuple[RoomsState, Frame]:
        """Move, then draw."""
        after = self.step(state, action)
        return after, self.render(after)

    def step(self, state: RoomsState, action: Action) -> RoomsState:
        """Move and draw nothing: the player first, then events, then entities, each by its own chances."""
        tick, life = state.tick + 1, self._life
        happening = state.happening
        if self._scene.events:
            happening = happening.after(self._scene.events, self._space.called(action), self._scene.tick_hz)
        if not life.entities:
            return replace(state, pose=self._dynamics.advance(state.pose, action), tick=tick, happening=happening)
        rows = state.entities.tolist()
        pose = self._dynamics.advance(state.pose, action, life.leaves(rows), life.walkers(rows))
        chances = dice(state.seed, tick, len(rows)).tolist()
        use = bool(self._space.get(action, "use"))
        new, pose = life.step(rows, state.pose, pose, use, chances)
        gaits = tuple(
            gait + math.hypot(after[X] - before[X], after[Y] - before[Y]) if entity.turn == 1 else gait
            for gait, entity, before, after in zip(state.gaits, life.entities, rows, new, strict=True)
        )
        return RoomsState(pose, tick, state.seed, _frozen(new), happening, state.episode, state.clock_s, gaits)

    def elsewhere(self, state: RoomsState, pose: Pose) -> RoomsState:
        return replace(state, pose=pose)

    def walls(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._dynamics.walls(at)

    def facts(self, state: RoomsState) -> tuple[Pose, np.ndarray, Happening]:
        return state.pose, state.entities, state.happening

    def somewhere(self, rng: np.random.Generator) -> RoomsState:
        """As in an episode, 60 % of the time with somebody about to touch something."""
        places = FreePlaces(self._scene, self._dynamics, rng)
        rows = scattered(self._scene, rng, places)
        pose = Contacts(self._scene, places, rng).arrange(rows)
        happening = random_happening(self._scene.events, rng, self._scene.tick_hz)
        seed = int(rng.integers(2**31))
        state = replace(self._begin(seed, pose, _frozen(rows), happening), tick=int(rng.integers(1000)))
        return replace(state, gaits=tuple(rng.uniform(0, _LONGEST_WAY_M, len(rows)).tolist()))

    def episode(self, seed: int) -> tuple[RandomPlayer, RoomsState, Frame]:
        """The varied player at a free place; in a world that lives everything is scattered, and something may go on."""
        if not self._scene.slots and not self._scene.events:
            player = RandomPlayer(self._scene, self._dynamics, seed)
            state = self._begin(seed, player.start_pose())
            return player, state, self.render(state)
        living = LivingPlayer(self._scene, self._dynamics, seed)
        rng = _stream(seed, 4)
        places = FreePlaces(self._scene, self._dynamics, rng)
        rows = scattered(self._scene, rng, places)
        pose, radius = living.start_pose(), rooms_of(self._scene).motion.radius_m
        while not places.is_free(pose.x, pose.y, radius):
            pose = living.start_pose()
        happening = random_happening(self._scene.events, rng, self._scene.tick_hz)
        state = self._begin(seed, pose, _frozen(rows), happening)
        return living, state, self.render(state)

    def prefill(self, seed: int, observed: Sequence[ObservedFrame]) -> RoomsState:
        """Go on as the last frame has it, out of any wall a dream may have walked into."""
        frame = observed[-1].frame
        pose = frame.pose or self._first_pose()
        free = Pose(*self._dynamics.push_out(pose.x, pose.y), pose.look)
        return replace(self._begin(seed, free, frame.entities, frame.happening), tick=frame.tick)

    def snapshot(self, state: RoomsState, frame: Frame) -> RoomsState:
        return state

    def render(self, snapshot: RoomsState) -> Frame:
        pixels = self._renderer.render(self._view(snapshot))
        entities = snapshot.entities if self._scene.slots else None
        pose = snapshot.pose
        return Frame(pixels, snapshot.tick, pose.look, pose, entities=entities, happening=snapshot.happening)

    def restore(self, before: RoomsState, snapshot: RoomsState) -> RoomsState:
        return snapshot

    def renderer_of(self, scene: Scene) -> RoomsRenderer:
        """A renderer of another scene in the same OpenGL context."""
        return RoomsRenderer(scene, self._renderer.context)

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _view(self, state: RoomsState) -> RoomsView:
        levels = {e.name: level for e, level in zip(self._scene.events, state.happening.levels, strict=True)}
        seconds = state.clock_s + state.tick * self._dt
        entities = state.entities if self._scene.slots else None
        return RoomsView(state.pose, entities, levels, state.episode, seconds, state.gaits)

    def _begin(
        self, seed: int, pose: Pose, entities: np.ndarray | None = None, happening: Happening | None = None
    ) -> RoomsState:
        """Tick 0 of a session or an episode of this seed. What is not known of the entities is at rest."""
        slots, events = self._scene.slots, self._scene.events
        if entities is None or len(entities) != len(slots):
            entities = at_rest(slots)
        if happening is None or len(happening.steps) != len(events):
            happening = Happening.none(events)
        clock_s = float(_stream(seed, 3).random()) * _CLOCK_S
        return RoomsState(pose, 0, seed, _frozen(entities), happening, seed, clock_s, (0.0,) * len(slots))

    def _first_pose(self) -> Pose:
        pose = self._scene.spawns[0].pose
        assert pose is not None  # a scene with a place has spawns that say where they are
        return pose


def _frozen(rows: Sequence[Sequence[float]] | np.ndarray) -> np.ndarray:
    """Rows as an array of its own that nobody can change."""
    values = np.array(rows, np.float64)
    values.setflags(write=False)
    return values


def _stream(seed: int, which: int) -> np.random.Generator:
    """Chances of an episode as a whole, apart from those of its ticks and of its player."""
    return np.random.Generator(np.random.Philox(key=seed & (2**64 - 1), counter=[0, 0, which, 0]))
