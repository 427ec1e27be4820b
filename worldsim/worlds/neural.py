"""NeuralWorld: a world that a checkpoint dreams. condition -> rollout -> decode, pure in state and action.

Knows nothing of sessions, windows or files. Noise is a function of (seed, tick), never of call order, so the
same state and action give the same frame, whether drafted, replayed or played.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np
import torch
from torch import Tensor

from worldsim.action import Action
from worldsim.camera import Look, Pose
from worldsim.entities import Entities, at_rest, dice, quantised, values_of
from worldsim.event import Happening
from worldsim.inference.network import Networks, PreparedFrames, eager
from worldsim.inference.rollout import Rollout
from worldsim.model.codec import Codec, to_tensor, to_tokens
from worldsim.model.condition import Condition
from worldsim.model.context import Context
from worldsim.model.drift_guard import LatentRange, distance
from worldsim.model.generator import Generator
from worldsim.scene import Scene
from worldsim.stepwise import Stepwise, finish
from worldsim.world import Frame, ObservedFrame, Spawn, World
from worldsim.worlds.read_entities import read_entities
from worldsim.worlds.relocalise import relocalise

_START = 1  # which noise: of the first picture, apart from that of ticks


@dataclass
class _LazyContext:
    """A context that is computed once, when first needed: either the work still to do, or its result."""

    before: Context | None
    prepared: PreparedFrames | None
    noise: Tensor | None
    context: Context | None = None


@dataclass(frozen=True)
class NeuralSnapshot:
    """A dream without its context: its newest latent (1, N, C), where it believes to be, what it believes of the
    entities, in whole quanta, and how far events are."""

    seed: int
    tick: int
    look: Look | None
    position: tuple[float, float] | None
    action: Action
    latent: Tensor
    entities: Entities = ()
    happening: Happening = Happening()


@dataclass(frozen=True)
class NeuralState(NeuralSnapshot):
    """The whole state of a dream: its context too, which may still have to be written."""

    lazy: _LazyContext = field(repr=False, compare=False, kw_only=True)
    surprise: float | None = None  # how far the latent lies from what the place memory expected, where it did


class NeuralWorld(World):
    """Plays one checkpoint's networks, batch 1, fixed shapes; noise is drawn on the CPU whatever they run on."""

    def __init__(
        self, scene: Scene, networks: Networks, steps: int, context_level: float,
        latent_range: LatentRange | None = None,
    ) -> None:  # fmt: skip
        """latent_range: of the training frames; without it the dream is never said to have drifted."""
        self._scene = scene
        self._latent_range = latent_range
        self._watched = latent_range is not None and latent_range.surprise is not None
        self._space = scene.action_space
        self._networks = networks
        self._rollout = Rollout(networks.network, steps, context_level)
        self._found: dict[bytes, Pose | None] = {}
        self._read: dict[bytes, np.ndarray] = {}
        self._reads = bool(scene.slots) and networks.generator.condition.painter is not None
        self._device = next(networks.generator.parameters()).device

    @property
    def scene(self) -> Scene:
        return self._scene

    @property
    def steps(self) -> int:
        return len(self._rollout.levels)

    @property
    def passes_a_tick(self) -> int:
        """Of the generator: one for each step, and one to commit."""
        return self.steps + 1

    @property
    def generator(self) -> Generator:
        return self._networks.generator

    @property
    def codec(self) -> Codec:
        return self._networks.codec

    def in_plain_torch(self) -> NeuralWorld:
        """The same world, run by torch itself: whose operations can be counted."""
        networks = eager(self.codec, self.generator)
        return NeuralWorld(self._scene, networks, self.steps, self._rollout.context_level)

    def start(self, seed: int, spawn: Spawn) -> tuple[NeuralState, Frame]:
        """One picture, written to the whole context with zero action, at its pose or where it seems to be from.
        Entities that the spawn does not tell of are read from the picture; no event is on unless it says so."""
        pose = spawn.pose or self._seems_from(spawn.pixels)
        look = pose.look if pose else None if self._scene.camera is None else Look()
        entities = spawn.entities
        if entities is None and pose is not None and self._reads:
            entities = self._shows(spawn.pixels, pose)
        begun = Frame(
            spawn.pixels, 0, look, pose, entities=entities, happening=spawn.happening or Happening()
        )  # fmt: skip
        state = self._first(seed, begun, self._space.idle)
        return state, _framed(spawn.pixels, state)

    def _seems_from(self, pixels: np.ndarray) -> Pose | None:
        """The pose at which the place memory shows what is most like a picture; sought once."""
        place, key = self._scene.place, pixels.tobytes()
        if place is None:
            return None
        if key not in self._found:
            self._found = {key: relocalise(self.generator, self._encode(pixels), place.bounds)}
        return self._found[key]

    def _shows(self, pixels: np.ndarray, pose: Pose) -> np.ndarray:
        """The entities as a picture from a pose shows them; read once."""
        key = pixels.tobytes()
        if key not in self._read:
            self._read = {key: read_entities(self.generator, self._encode(pixels), pose)}
        return self._read[key]

    @property
    def max_branches(self) -> int:  # type: ignore[override]
        return self._networks.branches

    def advance(self, state: NeuralState, action: Action) -> tuple[NeuralState, Frame]:
        return finish(self.advance_stepwise(state, [action]))[0]

    def advance_stepwise(
        self, state: NeuralState, actions: Sequence[Action]
    ) -> Stepwise[list[tuple[NeuralState, Frame]]]:
        """Commit what is put off, denoise, decode; pauses after each and where the network can."""
        context = self._context(state)
        yield
        looks = [self._turned(state.look, action) for action in actions]
        happening = [self._after(state.happening, action) for action in actions]
        prepared = self._rollout.prepare(self._condition(state, actions, looks, happening))
        positions = [None if state.position is None else (x, y) for x, y in prepared.position.tolist()]
        entities = _whole(prepared)
        tick = state.tick + 1
        noise, written = self._noise(state.seed, tick)
        x = yield from self._rollout.denoising(context, prepared, noise.expand(len(actions), -1, -1))
        expected = self._watched and state.position is not None
        surprise = distance(_array(x), _array(prepared.prior)) if expected else None
        pixels = self._networks.decode(x).cpu().numpy()
        made = []
        for i, (action, look, position) in enumerate(zip(actions, looks, positions, strict=True)):
            lazy = _LazyContext(context, prepared.row(i), written)
            far = None if surprise is None else float(surprise[i])
            latent = x[i : i + 1].clone() if len(x) > 1 else x  # else each would keep all of them
            of_entities = entities[i] if state.position is not None else state.entities
            after = NeuralState(
                state.seed, tick, look, position, action, latent, of_entities, happening[i], lazy=lazy, surprise=far
            )
            made.append((after, _framed(pixels[i], after)))
        return made

    def commit(self, state: NeuralState) -> None:
        """Write the newest frame's keys and values now rather than at the start of the next tick."""
        self._context(state)

    def has_drifted(self, state: NeuralState) -> bool:
        """Whether the newest latent's statistics have left the range of the training frames."""
        within = self._latent_range
        rows = self.generator.shape.rows
        return within is not None and not within.holds(_array(state.latent), rows, state.surprise)

    def prefill(self, seed: int, observed: Sequence[ObservedFrame]) -> NeuralState:
        """Re-encode the last frames and cache them afresh (LongLive's KV re-cache): the first fills the context."""
        window = self.generator.config.window
        first, *rest = observed[-window:]
        state = self._first(seed, first.frame, first.action)
        for seen in rest:
            kept = self._snapshot_of(seed, seen.frame, seen.action)
            state = self.restore(state, kept)
        return state

    def ready(self, spawn: Spawn) -> tuple[Rollout, PreparedFrames, Context, Tensor]:
        """The parts of a tick just before it is made, for measuring them."""
        state, _ = self.start(0, spawn)
        return self._rollout, self._prepare(state), self._context(state), state.latent

    def snapshot(self, state: NeuralState, frame: Frame) -> NeuralSnapshot:
        return NeuralSnapshot(*(getattr(state, f.name) for f in fields(NeuralSnapshot)))

    def render(self, snapshot: NeuralSnapshot) -> Frame:
        return _framed(self._networks.decode(snapshot.latent)[0].cpu().numpy(), snapshot)

    def restore(self, before: NeuralState, snapshot: NeuralSnapshot) -> NeuralState:
        """Commit the kept latent again, with the same code and noise."""
        lazy = _LazyContext(
            self._context(before), self._prepare(snapshot), self._noise(snapshot.seed, snapshot.tick)[1]
        )  # fmt: skip
        return _stated(snapshot, lazy)

    def _first(self, seed: int, frame: Frame, action: Action) -> NeuralState:
        """A dream that begins at a frame: it fills the context."""
        kept = self._snapshot_of(seed, frame, action)
        context = self._rollout.begin(kept.latent, self._prepare(kept), self._noise(seed, frame.tick, _START)[0])
        return _stated(kept, _LazyContext(None, None, None, context))

    def _snapshot_of(self, seed: int, frame: Frame, action: Action) -> NeuralSnapshot:
        """A picture as if it had been dreamed. If it tells nothing of entities or events, none has moved or begun."""
        scene = self._scene
        known = frame.entities is not None and len(frame.entities) == len(scene.slots)
        entities = frame.entities if known and frame.entities is not None else at_rest(scene.slots)
        begun = frame.happening if len(frame.happening.steps) == len(scene.events) else Happening.none(scene.events)
        position = None if frame.pose is None else (frame.pose.x, frame.pose.y)
        latent = self._encode(frame.pixels)
        return NeuralSnapshot(seed, frame.tick, frame.look, position, action, latent, quantised(entities), begun)

    def _context(self, state: NeuralState) -> Context:
        lazy = state.lazy
        if lazy.context is None:
            assert lazy.before is not None and lazy.prepared is not None and lazy.noise is not None
            lazy.context = self._rollout.commit(lazy.before, state.latent, lazy.prepared, lazy.noise)
            lazy.before = lazy.prepared = lazy.noise = None
        return lazy.context

    def _turned(self, look: Look | None, action: Action) -> Look | None:
        space, camera = self._space, self._scene.camera
        if camera is None or look is None:
            return None
        return camera.turn(look, space.degrees(action, "yaw"), space.degrees(action, "pitch"))

    def _after(self, happening: Happening, action: Action) -> Happening:
        return happening.after(self._scene.events, self._space.called(action), self._scene.tick_hz)

    def _prepare(self, kept: NeuralSnapshot) -> PreparedFrames:
        """What the passes over a frame need of which all is known."""
        return self._rollout.prepare(self._condition(kept, [kept.action]))

    def _condition(
        self,
        kept: NeuralSnapshot,
        actions: Sequence[Action],
        looks: Sequence[Look | None] | None = None,
        happening: Sequence[Happening] = (),
    ) -> Condition:
        """Of the frame that `kept` is; or, given looks and events after the actions, of those that follow it: the
        network carries on the rest."""
        follows = looks is not None
        place = *(kept.position or (0.0, 0.0)), float(kept.position is not None), float(follows)
        slots, events = len(self._scene.slots), len(self._scene.events)
        entities = values_of(kept.entities).flatten().tolist()
        chances = dice(kept.seed, kept.tick + follows, slots).flatten().tolist() if slots else []
        rows = []
        for action, look, begun in zip(actions, looks or [kept.look], happening or [kept.happening], strict=True):
            yaw, pitch = (0.0, 0.0) if look is None else look.radians
            rows.append([yaw, pitch, *place, *begun.levels, *entities, *chances, *self._space.scaled(action)])
        return Condition.unpacked(torch.tensor(rows, dtype=torch.float32, device=self._device), slots, events)

    def _noise(self, seed: int, tick: int, use: int = 0) -> Tensor:
        """Standard normal (2, 1, N, C), what a frame is dreamed from and what its commit adds: a function of the
        arguments alone."""
        shape = self.generator.shape
        philox = np.random.Philox(key=seed & (2**64 - 1), counter=[0, 0, use, tick])
        size = 2, 1, shape.tokens, shape.channels
        return torch.from_numpy(np.random.Generator(philox).standard_normal(size, dtype=np.float32)).to(self._device)

    @torch.no_grad()
    def _encode(self, pixels: np.ndarray) -> Tensor:
        frames = to_tensor(pixels[None].copy()).to(self._device).contiguous(memory_format=torch.channels_last)
        return to_tokens(self._networks.codec.encode(frames))


def _framed(pixels: np.ndarray, state: NeuralSnapshot) -> Frame:
    """A state's frame."""
    pose = None
    if state.position is not None and state.look is not None:
        pose = Pose(*state.position, state.look)
    entities = values_of(state.entities) if state.entities else None
    return Frame(pixels, state.tick, state.look, pose, entities=entities, happening=state.happening)


def _stated(kept: NeuralSnapshot, lazy: _LazyContext) -> NeuralState:
    """A snapshot with its context."""
    return NeuralState(*(getattr(kept, f.name) for f in fields(NeuralSnapshot)), lazy=lazy)


def _whole(prepared: PreparedFrames) -> list[Entities]:
    """The entities of each frame, in whole quanta."""
    rows = prepared.entities.round().int().tolist()
    return [tuple(tuple(row) for row in of_frame) for of_frame in rows]


def _array(latent: Tensor) -> np.ndarray:
    return latent.cpu().numpy()
