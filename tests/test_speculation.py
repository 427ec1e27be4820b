from __future__ import annotations

import numpy as np
import pytest

from worldsim.action import Action, ActionSpace, Mouse
from worldsim.camera import Look
from worldsim.play.action_predictor import ActionPredictor
from worldsim.play.drafts import DraftCost, DraftCount
from worldsim.play.hand import Hand
from worldsim.play.mouse_predictor import MousePredictor
from worldsim.play.replay import Replay
from worldsim.play.session import Session, SessionSettings
from worldsim.play.trace import read_trace
from worldsim.runtime import Numerics
from worldsim.world import Frame, Spawn, World
from worldsim.worlds.catalogue import LoadedWorld

QUANTUM = 0.25


class Turning(World):
    """A world that costs nothing: its state is the tick and the look."""

    def __init__(self, scene):
        self._scene = scene

    @property
    def scene(self):
        return self._scene

    def start(self, seed, spawn):
        return self._at(0, Look())

    def advance(self, state, action):
        return self._at(state[0] + 1, self._scene.camera.turn(state[1], *self._scene.action_space.motion_deg(action)))

    def _at(self, tick, look):
        return (tick, look), Frame(np.zeros((1, 1, 3), np.uint8), tick, look)


class TurningEntry:
    name, sha256, scene_sha256, former_sha256, spawn_names = "turning", "t" * 64, "t" * 64, (), ("only",)

    def __init__(self, scene):
        self.scene = scene

    def spawn(self, name):
        return Spawn("only", np.zeros((1, 1, 3), np.uint8))

    def load(self, options):
        return LoadedWorld(Turning(self.scene), self, 0, Numerics("none"))


def motions(seed: int, ticks: int = 400) -> np.ndarray:
    """Counts of a hand-like motion, (ticks, 2): rests, slow drags, turns that swell and fade, flicks past the limit."""
    rng = np.random.Generator(np.random.Philox(key=seed))
    parts: list[np.ndarray] = []
    while sum(map(len, parts)) < ticks:
        length, way = int(rng.integers(3, 25)), rng.normal(0, 1, 2) * [1, 0.4]
        size = float(rng.choice([0, 0, 3, 40, 400]))
        swell = np.sin(np.linspace(0, np.pi, length))[:, None]
        parts.append(np.round(swell * way * size + (rng.normal(0, 1, (length, 2)) if size else 0)))
    return np.concatenate(parts)[:ticks]


def turned(space: ActionSpace, motion_deg: tuple[float, float]) -> Action:
    """A tick of this motion, no key held."""
    return space.join(space.keys(space.idle), space.quanta(motion_deg))


def hand_of(scene, counts: np.ndarray, keys: list[Action] | None = None) -> Hand:
    space = scene.action_space
    steps = ((keys[i] if keys else space.idle, *map(float, row)) for i, row in enumerate(counts))
    return Hand(space, Mouse(space, 0.15), steps)


def play(session: Session, hand: Hand, ticks: int):
    """Asked, wanted and result of every tick, drafts made before each."""
    out = []
    for _ in range(ticks):
        session.slack(lambda: float("inf"))
        action = next(hand)
        result = session.advance(action, hand.wanted_deg)
        hand.settle(action, result.action)
        out.append((action, hand.wanted_deg, result))
    return out


# Drafts and hands


@pytest.mark.parametrize("tolerance", [0.0, 0.2, 1.0, 2.0])
@pytest.mark.parametrize("drafts", ["1", "4"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_tick_leaves_over_no_more_than_the_tolerance_and_that_is_carried(scene, tolerance, drafts, seed):
    """Or a quantum, as without drafts. Of a flick, what one tick can take counts, and a tick's motion is carried."""
    space, counts = scene.action_space, motions(seed)
    session = Session(TurningEntry(scene).load(None), None, SessionSettings(drafts, tolerance_deg=tolerance))
    carried = np.zeros(2)
    for (dx, dy), (asked, wanted, result) in zip(
        counts, play(session, hand_of(scene, counts), len(counts)), strict=True
    ):
        assert wanted == pytest.approx(carried + [dx * 0.15, -dy * 0.15], abs=1e-6)
        used, taken = np.array(space.motion_deg(result.action)), np.array(space.motion_deg(asked))
        assert np.abs(space.clamp_deg(wanted) - used).max() <= max(tolerance, QUANTUM) + 1e-6
        carried = np.array(space.clamp_deg(tuple(wanted - taken))) + taken - used


@pytest.mark.parametrize("tolerance", [0.5, 1.0])
def test_the_motions_used_add_up_to_the_hands(scene, tolerance):
    space = scene.action_space
    counts = np.clip(motions(5, 600), -60, 60)  # no flicks
    session = Session(TurningEntry(scene).load(None), None, SessionSettings("4", tolerance_deg=tolerance))
    hand, moved, used = hand_of(scene, counts), np.zeros(2), np.zeros(2)
    results = [result for *_, result in play(session, hand, len(counts))]
    for (dx, dy), result in zip(counts, results, strict=True):
        moved += [dx * 0.15, -dy * 0.15]
        used += space.motion_deg(result.action)
        assert np.abs(moved - used).max() <= tolerance + QUANTUM
    assert sum(r.drafted for r in results) > 0.6 * len(counts)


def test_a_draft_never_turns_the_view_against_the_hand(scene):
    space = scene.action_space
    session = Session(TurningEntry(scene).load(None), None, SessionSettings("6", tolerance_deg=1.0))
    for _, wanted, result in play(session, hand_of(scene, motions(6)), 400):
        assert all(used * part >= 0 for used, part in zip(space.motion_deg(result.action), wanted, strict=True))


def test_only_a_hand_takes_a_draft_that_is_not_its_own(scene):
    """Without a wanted motion exactly the action asked for is used, whatever the tolerance."""
    space = scene.action_space
    session = Session(TurningEntry(scene).load(None), None, SessionSettings("4", tolerance_deg=2.0))
    for yaw in [0, 0, 3, 9, 12, 9, 3, 0, 0, 1, 2, 1] * 5:
        session.slack(lambda: float("inf"))
        assert session.advance(space.make(yaw=yaw)).action == space.make(yaw=yaw)


def test_a_draft_with_other_keys_is_not_taken(scene):
    space = scene.action_space
    rng = np.random.Generator(np.random.Philox(key=1))
    keys = [space.make(walk=int(rng.integers(-1, 2)), run=int(rng.integers(2))) for _ in range(300)]
    session = Session(TurningEntry(scene).load(None), None, SessionSettings("6", tolerance_deg=1.0))
    for asked, _, result in play(session, hand_of(scene, motions(7, 300), keys), 300):
        assert space.keys(result.action) == space.keys(asked)
    assert session.drafts.accepted and session.drafts.missed


def test_what_a_hand_played_with_drafts_replays_bit_for_bit_without(loaded, scene, tmp_path):
    session = Session(loaded, settings=SessionSettings("4", tolerance_deg=1.0, seed=3))
    session.record(tmp_path / "hand.jsonl")
    ticks = play(session, hand_of(scene, motions(8, 90)), 90)
    session.close()
    assert any(r.action != asked and r.drafted for asked, _, r in ticks)
    with Replay(read_trace(tmp_path / "hand.jsonl"), tmp_path / "hand.jsonl") as replay:
        replayed = replay.run()
    assert replayed.identical and replayed.ticks == 90


# Predictions


def test_keys_are_expected_to_stay_as_they_are(scene):
    predictor, space = ActionPredictor(scene.action_space), scene.action_space
    assert predictor.candidates(1)[0][0] == space.idle
    for _ in range(3):
        predictor.observe(space.make(walk=1, run=1))
    assert predictor.candidates(1)[0][0] == space.make(walk=1, run=1)


def test_a_change_of_keys_is_a_candidate_once_seen(scene):
    predictor, space = ActionPredictor(scene.action_space), scene.action_space
    for _ in range(6):
        for keys in ({}, {}, {}, {"walk": 1}, {"walk": 1}):
            predictor.observe(space.make(**keys))
    assert space.idle in [action for action, _ in predictor.candidates(2)]
    assert space.make(walk=1) in [action for action, _ in predictor.candidates(2)]


def test_a_mouse_at_rest_stays_there(scene):
    predictor = ActionPredictor(scene.action_space, 1.0)
    for _ in range(50):
        (action, chance), *_ = predictor.candidates(4)
        assert action == scene.action_space.idle and chance > 0.9
        predictor.observe(action)


@pytest.mark.parametrize("way", [(3.0, 0.0), (-4.0, 1.0), (0.5, -3.5)])
def test_a_steady_turn_is_gone_on_with(scene, way):
    """Soon a draft lies within the tolerance of it, the likeliest of all."""
    predictor = MousePredictor([c for c in scene.controls if c.is_mouse], 1.0)
    for tick in range(60):
        if tick > 20:
            motion, _ = predictor.candidates(1)[0]
            assert max(abs(q * QUANTUM - w) for q, w in zip(motion, way, strict=True)) <= 1.0
        predictor.observe(way, way)


def test_what_is_carried_is_expected_to_come(scene):
    """A hand at rest whose motion was not all used is expected to use the rest."""
    predictor = MousePredictor([c for c in scene.controls if c.is_mouse], 1.0)
    predictor.observe((2.0, 0.0), (2.75, -0.5))
    for _ in range(8):
        predictor.observe((0.0, 0.0), (0.75, -0.5))
    assert predictor.candidates(1)[0][0] == (3, -2)


def test_candidates_are_different_in_bounds_and_the_likeliest_first(scene):
    predictor, space = ActionPredictor(scene.action_space, 1.0), scene.action_space
    rng = np.random.Generator(np.random.Philox(key=2))
    for _ in range(300):
        wanted = tuple(rng.normal(0, 12, 2))
        predictor.observe(turned(space, space.clamp_deg(wanted)), wanted)
        found = predictor.candidates(6)
        chances = [chance for _, chance in found]
        assert len({action for action, _ in found}) == len(found) > 1
        assert chances == sorted(chances, reverse=True) and 0 < sum(chances) <= 1 + 1e-9
        for action, _ in found:
            space.check(list(action.values), "predicted")


def test_the_same_play_is_predicted_the_same_and_predicting_changes_nothing(scene):
    often, once = ActionPredictor(scene.action_space, 1.0), ActionPredictor(scene.action_space, 1.0)
    for dx, dy in motions(9, 200):
        motion = scene.action_space.clamp_deg((dx * 0.15, dy * 0.15))
        for predictor in (often, once):
            predictor.observe(turned(scene.action_space, motion), motion)
        often.candidates(2)
        assert often.candidates(4) == often.candidates(4)
    assert often.candidates(4) == once.candidates(4)


def test_what_is_learned_is_bounded(scene):
    predictor = MousePredictor([c for c in scene.controls if c.is_mouse], 1.0)
    rng = np.random.Generator(np.random.Philox(key=4))
    for _ in range(5000):
        motion = tuple(rng.normal(0, 10, 2) * rng.integers(2))
        predictor.observe(motion, motion)
    assert sum(map(len, predictor._counts.values())) < 4000


def test_a_scene_without_a_mouse_has_only_keys(scene):
    predictor = MousePredictor((None, None), 1.0)
    predictor.observe((0.0, 0.0), (0.0, 0.0))
    assert predictor.candidates(4) == [((0, 0), 1.0)]


# Costs


def test_a_draft_is_started_only_if_it_fits():
    cost = DraftCost()
    assert cost.fits(0.001)  # nothing known yet
    for _ in range(5):
        cost.observe(0.030)
    assert cost.fits(0.040) and not cost.fits(0.020)


def test_one_hiccup_does_not_end_drafting():
    cost = DraftCost()
    cost.observe(0.020)
    cost.observe(0.500)
    assert any(cost.fits(0.040) for _ in range(40))


def test_the_hit_rate_counts_ticks_with_drafts():
    assert DraftCount().hit_rate == 0
    assert DraftCount(accepted=3, missed=1, discarded=7, given_up=5).hit_rate == 0.75


def test_an_event_that_was_called_is_not_expected_again(living):
    space, predictor = living.action_space, ActionPredictor(living.action_space)
    walking = space.make(walk=1)
    for _ in range(30):
        predictor.observe(walking)
    predictor.observe(space.make(walk=1, night=1))
    assert predictor.candidates(1)[0][0] == walking
    for _ in range(5):
        predictor.observe(space.make(night=1))
    assert space.called(predictor.candidates(1)[0][0]) == (0, 0, 0, 0)
