"""Realtime stamps become monotonic ones, and a step of the clock is noticed."""

from __future__ import annotations

import time

from soundstage.wire import clock


def test_a_realtime_stamp_becomes_monotonic():
    measured = clock.Clock()
    before = time.monotonic_ns()
    converted = time.time_ns() + measured.offset_ns
    after = time.monotonic_ns()
    slack = 1_000_000
    assert before - slack <= converted <= after + slack
    assert 0 <= measured.uncertainty_ns < slack


def test_a_step_is_noticed_and_a_steady_clock_is_not_accused(monkeypatch):
    measured = clock.Clock()
    assert not measured.step_detected()
    real = time.time_ns
    for step in (5_000_000, -5_000_000):
        monkeypatch.setattr(clock.time, "time_ns", lambda step=step: real() + step)
        assert measured.step_detected()
        assert abs(measured.moved_ns() - step) < 1_000_000
