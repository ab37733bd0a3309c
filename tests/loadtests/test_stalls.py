"""A server that stands still: times from the intended start say so, those from the actual do not.

Scaled in time; `python -m benchmarks stalls` has it in life's size.
"""

from __future__ import annotations

import importlib
import statistics
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def stalls() -> Any:
    sys.path.insert(0, str(ROOT))
    try:
        return importlib.import_module("benchmarks.stalls")
    finally:
        sys.path.remove(str(ROOT))


def test_one_slot_serves_in_turn_and_not_while_it_stands_still(stalls: Any) -> None:
    slot = stalls.Slot(service=1.0, stall=10.0, every=40.0)  # stalls from 10 to 20, 50 to 60, …
    assert slot.finish(0.0) == 1.0
    assert slot.finish(0.5) == 2.0, "after the one before"
    assert slot.finish(9.5) == 20.5, "half of it before the stall, half after"
    assert slot.finish(15.0) == 21.5
    assert slot.finish(30.0) == 31.0
    assert slot.finish(55.0) == 61.0


@pytest.mark.timing
@pytest.mark.proof
def test_the_stall_is_seen_from_the_intended_start_as_theory_says_and_hidden_from_the_actual(
    stalls: Any,
) -> None:
    rate, seconds, stall, every, service = 40.0, 4.0, 0.8, 4.0, 0.01
    found = stalls.samples(rate, seconds, stall, every, service, connections=2)
    exact, ours, intended, actual = found.values()

    def slow(times: list[float]) -> float:
        """The share that took longer than a quarter of the stall."""
        return sum(time > stall / 4 for time in times) / len(times)

    # T / (1 - rho) / C = a third wait, evenly between 0 and T; three quarters of them so long.
    expected = stall / (1 - rate * service) / every * 0.75
    assert slow(exact) == pytest.approx(expected, abs=0.08)
    assert slow(ours) == pytest.approx(slow(exact), abs=0.12)
    assert statistics.mean(ours) == pytest.approx(statistics.mean(exact), abs=0.1)
    assert slow(intended) == pytest.approx(slow(exact), abs=0.12), "the pool's, counted right"
    assert slow(actual) < slow(exact) / 3, "only those that were on their way had to wait"
