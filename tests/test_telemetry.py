"""Pacing and latency, with a clock made of numbers: no window, no engine."""

from __future__ import annotations

import subprocess
import sys

import pytest

from worldsim.app.telemetry import Latency, Pacer, Status

PERIOD = 0.05


def test_ticks_taken_in_time_stay_on_the_beat():
    pacer = Pacer()
    pacer.restart(10.0)
    for tick in range(50):
        now = 10.0 + tick * PERIOD + 0.002
        assert pacer.is_due(now) and pacer.take(now, PERIOD) == pytest.approx(0.002)
    assert pacer.late == 0 and pacer.due == pytest.approx(10.0 + 50 * PERIOD)


def test_a_late_tick_moves_all_later_ones_and_none_is_skipped():
    pacer = Pacer()
    pacer.restart(0.0)
    pacer.take(0.0, PERIOD)
    pacer.take(0.5, PERIOD)
    assert pacer.late == 1 and pacer.due == pytest.approx(0.55)
    assert not pacer.is_due(0.54)


def test_a_machine_is_slow_once_a_fifth_of_its_ticks_are_late():
    pacer, now = Pacer(), 0.0
    for tick in range(100):
        now = pacer.due + (0.03 if tick % 4 == 0 else 0.0)
        pacer.take(now, PERIOD)
        assert not pacer.is_slow or tick > 60
    assert pacer.is_slow
    for _ in range(100):
        pacer.take(pacer.due, PERIOD)
    assert not pacer.is_slow


def test_the_first_input_of_a_tick_counts_until_its_frame_is_drawn():
    latency = Latency()
    latency.touch(1.000)
    latency.touch(1.020)
    latency.send(1)
    latency.touch(1.030)  # the next action's
    latency.answer(1)
    assert latency.waits_for_picture
    assert latency.draw(1.045) == pytest.approx([45.0])
    latency.send(2)
    latency.answer(2)
    assert latency.draw(1.090) == pytest.approx([60.0])
    assert list(latency.frame_ms) == list(latency.all_ms) and not latency.turn_ms


def test_a_turn_is_answered_by_the_next_picture():
    latency = Latency()
    latency.turn(2.0)
    assert not latency.waits_for_picture and latency.draw(2.008) == pytest.approx([8.0])
    assert latency.draw(2.016) == [] and list(latency.turn_ms) == pytest.approx([8.0])


def test_ticks_without_input_and_actions_not_used_have_no_latency():
    latency = Latency()
    latency.send(1)
    latency.answer(1)
    latency.touch(1.0)
    latency.send(2)
    latency.drop(2)
    latency.answer(2)
    latency.touch(2.0)
    latency.forget()
    latency.send(3)
    latency.answer(3)
    assert not latency.draw(9.0) and not latency.all_ms


def test_rewards_are_summed_over_one_episode():
    status = Status()
    status.add_reward(None, False)
    assert status.reward is None
    for reward, ended in ((1.0, False), (2.0, True)):
        status.add_reward(reward, ended)
    assert status.reward == 3.0
    status.add_reward(0.5, False)
    assert status.reward == 0.5


def test_telemetry_and_bindings_need_no_pygame():
    code = "import sys, worldsim.app.telemetry, worldsim.app.bindings; assert 'pygame' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
