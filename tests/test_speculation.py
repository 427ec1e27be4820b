from __future__ import annotations

import numpy as np

from worldsim.play.action_predictor import ActionPredictor, DraftCost, DraftDepth, _Habits
from worldsim.play.drafts import DraftCount
from worldsim.play.pans import minimum_jerk


def pan(size: float, length: int) -> list[int]:
    """A hand's motion in whole quanta, what is cut off being carried."""
    gone = np.trunc(size * minimum_jerk(np.arange(length + 1) / length))
    return np.diff(gone).astype(int).tolist()


def play(predictor: ActionPredictor, scene, yaw: list[int], pitch: list[int] | None = None) -> list[bool]:
    """Whether each tick was foreseen; six ticks of rest follow."""
    space, hits = scene.action_space, []
    rest = [0] * 6
    for y, p in zip([*yaw, *rest], [*(pitch or [0] * len(yaw)), *rest], strict=True):
        action = space.make(yaw=y, pitch=p)
        hits.append(predictor.predict() == action)
        predictor.observe(action)
    return hits


def test_keys_are_expected_to_stay_as_they_are(scene):
    predictor, space = ActionPredictor(scene.action_space), scene.action_space
    assert predictor.predict() == space.idle
    for _ in range(3):
        predictor.observe(space.make(walk=1, run=1))
    assert predictor.predict() == space.make(walk=1, run=1)


def test_a_habit_of_the_mouse_is_learned(scene):
    """The same pan again and again is foreseen, step by step."""
    predictor, space = ActionPredictor(scene.action_space), scene.action_space
    pan = [2, 5, 9, 12, 9, 5, 2, 0, 0, 0]
    hits = 0
    for round_ in range(8):
        for yaw in pan:
            hits += round_ >= 5 and predictor.predict() == space.make(yaw=yaw)
            predictor.observe(space.make(yaw=yaw))
    assert hits >= 27  # of 30; rest goes on for longer or not cannot be known


def test_deeper_predictions_follow_the_drafted_ones(scene):
    predictor, space = ActionPredictor(scene.action_space), scene.action_space
    for yaw in [1, 2, 3] * 6:
        predictor.observe(space.make(yaw=yaw))
    first = predictor.predict()
    assert [first.values[3], predictor.predict((first,)).values[3]] == [1, 2]


def test_a_pan_is_gone_on_with(scene):
    """A hand's minimum-jerk motion, given out in whole quanta, is mostly foreseen from its second half on, once this
    player's pans are known."""
    hits = []
    for length in (8, 12, 17):
        predictor = ActionPredictor(scene.action_space)
        for number, size in enumerate((-90.6, 37.3, 140.2, -61.4, 101.7, -33.2, 75.9, -120.1, 55.5, 83.8)):
            foreseen = play(predictor, scene, pan(size, length))
            hits += foreseen[length // 2 : length] if number >= 5 else []
    assert sum(hits) / len(hits) > 0.65


def test_both_axes_of_a_pan_are_gone_on_with_together(scene):
    hits = []
    predictor = ActionPredictor(scene.action_space)
    for number, (yaw, pitch) in enumerate(((-90.6, 20.3), (60.2, -15.4), (101.7, 8.8), (-75.9, -11.2)) * 3):
        foreseen = play(predictor, scene, pan(yaw, 12), pan(pitch, 12))
        hits += foreseen[6:12] if number >= 4 else []
    assert sum(hits) / len(hits) > 0.55


def test_after_a_pan_the_mouse_is_expected_to_rest(scene):
    predictor = ActionPredictor(scene.action_space)
    for size in (-90.6, 37.3, 140.2, -61.4):
        assert all(play(predictor, scene, pan(size, 10))[11:])


def test_a_steady_drag_is_gone_on_with(scene):
    """Longer than any pan is."""
    predictor = ActionPredictor(scene.action_space)
    assert all(play(predictor, scene, [7] * 200)[40:200])


def test_a_mouse_at_rest_stays_there(scene):
    predictor = ActionPredictor(scene.action_space)
    assert all(play(predictor, scene, [0] * 50))


def test_shaking_at_the_limits_is_no_trouble(scene):
    predictor, space = ActionPredictor(scene.action_space), scene.action_space
    yaw, pitch = (space.controls[i].bounds[1] for i in (3, 4))
    for i in range(60):
        predictor.observe(space.make(yaw=yaw * (-1) ** (i // 3), pitch=-pitch if i % 5 else pitch))
        space.check(list(predictor.predict().values), "predicted")


def test_candidates_are_different_and_the_likeliest_is_predicted(scene):
    predictor, space = ActionPredictor(scene.action_space), scene.action_space
    for yaw, pitch in zip(pan(120.3, 11)[1:6], pan(-30.1, 11)[1:6], strict=True):
        predictor.observe(space.make(walk=1, yaw=yaw, pitch=pitch))
        found = predictor.candidates(5)
        assert found[0][0] == predictor.predict()
        assert len({action for action, _ in found}) == len(found) == 5
        chances = [chance for _, chance in found]
        assert chances == sorted(chances, reverse=True) and 0 < sum(chances) <= 1 + 1e-9


def test_a_change_of_keys_is_a_candidate_once_seen(scene):
    predictor, space = ActionPredictor(scene.action_space), scene.action_space
    for _ in range(6):
        for keys in ({}, {}, {}, {"walk": 1}, {"walk": 1}):
            predictor.observe(space.make(**keys))
    assert [action for action, _ in predictor.candidates(2)] == [space.make(walk=1), space.idle]


def test_the_same_play_is_predicted_the_same(scene):
    ways = []
    for _ in range(2):
        predictor, way = ActionPredictor(scene.action_space), []
        for size in (-90.6, 37.3, 140.2):
            for yaw in [*pan(size, 13), 0, 0, 0, 0, 0, 0]:
                predictor.observe(scene.action_space.make(yaw=yaw))
                way.append(predictor.candidates(3))
        ways.append(way)
    assert ways[0] == ways[1]


def test_predicting_changes_nothing(scene):
    """However deep drafts went, the next prediction is as if there had been none."""
    drafting, plain = ActionPredictor(scene.action_space), ActionPredictor(scene.action_space)
    for yaw in [*pan(90.6, 9), 0, 0, 0, 0, 0, *pan(-70.2, 11)]:
        first = drafting.predict()
        drafting.predict((first, drafting.predict((first,))))
        for predictor in (drafting, plain):
            predictor.observe(scene.action_space.make(yaw=yaw))
        assert drafting.candidates(3) == plain.candidates(3)


def test_drafts_go_deeper_while_they_are_accepted():
    depth = DraftDepth()
    assert depth.limit == 1
    for _ in range(40):
        depth.observe(True)
    assert depth.limit == 4
    for _ in range(6):
        depth.observe(False)
    assert depth.limit == 1


def test_memory_is_bounded():
    habits = _Habits()
    motions = [(i * 7919 % 121 - 60, i * 31 % 81 - 40) for i in range(9000)]
    for before, last, motion in zip(motions, motions[1:], motions[2:], strict=False):
        habits.observe(before, last, motion)
    assert len(habits) <= habits._MEMORY
    assert sum(c.total() for c in habits._followers.values()) == len(habits)


def test_a_draft_is_started_only_if_it_fits():
    pace = DraftCost()
    assert pace.fits(0.001)  # nothing known yet
    for _ in range(5):
        pace.observe(0.030)
    assert pace.fits(0.040) and not pace.fits(0.020)


def test_one_hiccup_does_not_end_drafting():
    pace = DraftCost()
    pace.observe(0.020)
    pace.observe(0.500)
    assert any(pace.fits(0.040) for _ in range(40))


def test_the_hit_rate_counts_ticks_with_drafts():
    assert DraftCount().hit_rate == 0
    assert DraftCount(accepted=3, missed=1, discarded=7, given_up=5).hit_rate == 0.75
