from __future__ import annotations

import numpy as np

from worldsim.speculation import ActionPredictor, Depth, DraftCount, Pace, next_of_pan


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
    """A hand's minimum-jerk motion, given out in whole quanta, is foreseen from its second half at the latest."""
    hits = ticks = 0
    for length in (8, 12, 17):
        for size in (-90.0, 37.0, 61.0, 140.0):
            t = np.arange(1, length + 1) / length
            quanta = np.diff(np.trunc(size / 0.25 * (10 * t**3 - 15 * t**4 + 6 * t**5)), prepend=0).astype(int).tolist()
            for i in range(length // 2, length - 1):
                hits, ticks = hits + (next_of_pan(quanta[:i]) == quanta[i]), ticks + 1
    assert hits / ticks > 0.6


def test_a_mouse_at_rest_stays_there():
    assert next_of_pan([]) == 0


def test_drafts_go_deeper_while_they_are_accepted():
    depth = Depth()
    assert depth.limit == 1
    for _ in range(40):
        depth.observe(True)
    assert depth.limit == 4
    for _ in range(6):
        depth.observe(False)
    assert depth.limit == 1


def test_memory_is_bounded(scene):
    predictor, space = ActionPredictor(scene.action_space), scene.action_space
    for i in range(9000):
        predictor.observe(space.make(yaw=i * 7919 % 121 - 60, pitch=i * 31 % 81 - 40))
    assert len(predictor._order) <= predictor._MEMORY
    assert sum(sum(c.values()) for c in predictor._followers.values()) == len(predictor._order)


def test_a_draft_is_started_only_if_it_fits():
    pace = Pace()
    assert pace.fits(0.001)  # nothing known yet
    for _ in range(5):
        pace.observe(0.030)
    assert pace.fits(0.040) and not pace.fits(0.020)


def test_one_hiccup_does_not_end_drafting():
    pace = Pace()
    pace.observe(0.020)
    pace.observe(0.500)
    assert any(pace.fits(0.040) for _ in range(40))


def test_the_hit_rate_counts_finished_drafts():
    assert DraftCount().hit_rate == 0
    assert DraftCount(accepted=3, discarded=1, given_up=5).hit_rate == 0.75
