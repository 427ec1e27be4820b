"""Laws of the generator: kept context equals full recomputation, and what the rotary positions promise."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from worldsim.camera import Camera
from worldsim.diffusion.schedule import CONTEXT_LEVEL, add_noise
from worldsim.entities import DICE, FIELDS, Slot
from worldsim.inference.rollout import Rollout, Trajectory, rollout_trajectory
from worldsim.model.condition import Condition
from worldsim.model.context import Context
from worldsim.model.generator import Generator, GeneratorConfig, Shape, View
from worldsim.model.place_memory import PlaceConfig

SHAPE = Shape(
    rows=2,
    columns=3,
    channels=4,
    actions=5,
    aspect=1.5,
    view=View(Camera(), extent=(-4.0, -4.0, 0.0, 4.0, 4.0, 3.0), step_m=0.2),
)
PLACE = PlaceConfig(
    cell_m=0.5, fine_m=0.5, fine_features=2, features=4, rays=2, samples=12, width=32, hidden=32, depth=1
)
SLOTS = tuple(Slot(n, "ball", (0.6, 0.6, 0.6), (0.0, 2.0, 1.5, *[0.0] * 5, 1.0, 0.0, 0.0)) for n in ("one", "other"))
LIVING = replace(SHAPE, slots=SLOTS, events=2)
B, T = 2, 9


@pytest.fixture(scope="module", params=["still", "living"])
def generator(request) -> Generator:
    torch.manual_seed(0)
    shape = SHAPE if request.param == "still" else LIVING
    made = Generator(GeneratorConfig(width=64, depth=3, heads=2, hidden=64, window=3, place=PLACE), shape)
    for parameter in made.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return made.eval()


@pytest.fixture(scope="module")
def clip(generator):
    torch.manual_seed(1)
    latents, noise, frames = torch.randn(B, 1 + T, 6, 4), torch.randn(B, 1 + T, 6, 4), B * (1 + T)
    still = generator.shape.still(torch.randn(frames, 4))
    entities = None
    if generator.shape.slots:  # whole quanta, as in a dream
        entities = torch.round((still.things + torch.randn_like(still.things)) / generator.quanta) * generator.quanta
    return latents, noise, replace(still, action=torch.randn(frames, 5), apply_action=None, entities=entities)


def test_kept_context_equals_recomputation_of_the_whole_history(generator, clip):
    """Play, frame by frame over committed keys, against one pass over the clip under the same band: within 1e-5."""
    latents, noise, condition = clip
    fresh = torch.randn(B, T - 1, 6, 4)
    level = torch.full((B, 1 + T), CONTEXT_LEVEL)
    with torch.no_grad():
        clean = add_noise(latents, noise, level[..., None, None])
        given = clean, level, fresh, torch.ones(B, T - 1), condition
        whole, _ = generator.teacher_forcing(*given)
        alone, nothing = generator.teacher_forcing(*given, False)
        assert nothing is None and torch.equal(alone, whole)  # whatever is made of the history besides
    rollout = Rollout(generator, steps=1)
    for row in range(B):
        prepared = [rollout.prepare(condition.repeat(torch.tensor([row * (1 + T) + i]))) for i in range(1 + T)]
        at = lambda i, row=row: (latents[row : row + 1, i], noise[row : row + 1, i])  # noqa: E731
        sink = rollout.begin(at(0)[0], prepared[0], at(0)[1]).sink
        # The clip's first frame stands in for all before it, beside a sink from long ago.
        context = None
        for i in range(1, 1 + T):
            latent, committed = at(i)
            if context is None:
                context = _first_with_sink(rollout, latent, prepared[i], committed, sink)
            else:
                made = rollout.next_frame(context, prepared[i], fresh[row : row + 1, i - 2])
                assert torch.allclose(made[0], whole[row, i - 2], atol=1e-5), f"frame {i}"
                context = rollout.commit(context, latent, prepared[i], committed)


def _first_with_sink(rollout, latent, prepared, noise, sink):
    """The context of a first frame under a given sink: its own keys fill the window. Fixed point by repetition, one
    layer becoming right in each round."""
    context = rollout.begin(latent, prepared, noise)
    for _ in range(len(rollout.generator.blocks) + 1):
        newest = context.window[-1]
        context = Context(sink, (newest,) * rollout.generator.config.window)
        context = rollout.commit(context, latent, prepared, noise)
    context = Context(sink, (context.window[-1],) * rollout.generator.config.window)
    return context


def test_a_full_turn_changes_nothing(generator):
    """Azimuth enters by whole harmonics: 360 degrees later every key and query is the same."""
    torch.manual_seed(2)
    x = torch.randn(1, 6, 4)
    rollout = Rollout(generator, steps=1)

    def run(turns: int) -> torch.Tensor:
        def condition(yaw: float) -> Condition:
            return generator.shape.still(torch.tensor([[0.0, 0.0, yaw, 0.1]]))

        context = rollout.begin(x, rollout.prepare(condition(0.3)), torch.zeros_like(x))
        return rollout.next_frame(context, rollout.prepare(condition(0.5 + 2 * math.pi * turns)), x)

    assert torch.allclose(run(0), run(1), atol=1e-4)


def test_without_a_pose_only_relative_look_counts(generator):
    """Where the origin of yaw is unknown, turning the whole world leaves the dream as it is."""
    torch.manual_seed(3)
    x = torch.randn(1, 6, 4)
    rollout = Rollout(generator, steps=1)

    def run(offset: float, posed: float) -> torch.Tensor:
        def condition(yaw: float) -> Condition:
            still = generator.shape.still(torch.tensor([[0.0, 0.0, yaw + offset, 0.0]]))
            return replace(still, posed=torch.tensor([posed]))

        context = rollout.begin(x, rollout.prepare(condition(0.0)), torch.zeros_like(x))
        return rollout.next_frame(context, rollout.prepare(condition(0.2)), x)

    assert torch.allclose(run(0.0, 0.0), run(1.1, 0.0), atol=1e-4)
    assert not torch.allclose(run(0.0, 1.0), run(1.1, 1.0), atol=1e-3)


def test_context_keeps_its_sink_and_forgets_the_oldest(generator):
    torch.manual_seed(4)
    rollout = Rollout(generator, steps=1)
    prepared = rollout.prepare(generator.shape.still(torch.zeros(1, 4)))
    context = rollout.begin(torch.randn(1, 6, 4), prepared, torch.zeros(1, 6, 4))
    sink = context.sink
    for _ in range(5):
        context = rollout.commit(context, torch.randn(1, 6, 4), prepared, torch.zeros(1, 6, 4))
        assert context.sink is sink
        assert len(context.window) == generator.config.window
    assert all(frame is not sink for frame in context.window)


def test_following_in_a_batch_equals_following_alone(generator):
    """Rollouts of a batch do not see each other."""
    torch.manual_seed(5)
    begun = torch.randn(3, 2, 6, 4), torch.randn(3, 6, 5), torch.randn(3, 6, 2), torch.randn(3, 2, 2)
    slots, events = len(generator.shape.slots), generator.shape.events
    entities = torch.randn(3, 2, slots, len(FIELDS)) if slots else None
    levels = torch.rand(3, 6, events) if events else None
    course = Trajectory(*begun, entities, levels, torch.rand(3, 6, slots, DICE) if slots else None)
    quiet = Rollout(generator, steps=2, context_level=0.0)

    def run(rows: slice) -> torch.Tensor:
        part = Trajectory(*(None if part is None else part[rows] for part in vars(course).values()))
        return rollout_trajectory(_NoNoise(quiet), part, torch.Generator().manual_seed(0))[0]

    assert torch.allclose(run(slice(0, 3))[1], run(slice(1, 2))[0], atol=1e-4)


class _NoNoise(Rollout):
    """A rollout from zeros instead of noise, so that batches of different size can be compared."""

    def __init__(self, rollout: Rollout) -> None:
        super().__init__(rollout.generator, len(rollout.levels), rollout.context_level)

    def next_frame(self, context, prepared, noise):
        return super().next_frame(context, prepared, torch.zeros_like(noise))


def test_half_of_the_heads_begin_by_looking_in_the_same_direction():
    """Untrained, most queries of one frame like that key of a frame from another look best whose ray is nearest."""
    torch.manual_seed(0)
    shape = replace(SHAPE, rows=6, columns=10)
    model = Generator(GeneratorConfig(width=256, depth=1, heads=4, hidden=64, window=1, place=PLACE), shape)
    poses = torch.tensor([[0.0, 0.0, 0.3, 0.0], [0.05, 0.0, 0.45, 0.05]])
    condition = shape.still(poses)
    with torch.no_grad():
        prepared = model.prepare(condition, torch.ones(1))
        h = model._enter(torch.randn(2, 60, 4), torch.ones(2), prepared.embedded)
        block, embedded = model.blocks[0], prepared.embedded
        q, k, _ = block.queries_keys_values(h, prepared.modulated.blocks[0], embedded.cos, embedded.sin)
        picked = (q[1] @ k[0].transpose(-1, -2)).argmax(-1)  # (heads, N)
        around, up = model.condition.grid(condition.look)
    rays = torch.stack([around.sin() * up.cos(), around.cos() * up.cos(), up.sin()], dim=-1)
    best = (rays[1] @ rays[0].T).argmax(-1)
    agrees = (picked == best).float().mean(-1)
    assert (agrees[::2] > 0.6).all() and (agrees[1::2] < 0.3).all()
