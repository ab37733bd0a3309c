"""When a generator's load counts as what was asked for, and when it does not."""

from __future__ import annotations

import time

import gevent
import pytest

from soundstage.loadtests.lag import LATE_S, LagMeter, Load, quantile, why_invalid

_FINE = [0.001] * 1000


def _load(**changes: object) -> Load:
    facts = {"asked": 1000, "started": 1000, "dropped": 0, "late": _FINE, "lags": _FINE}
    return Load(**{**facts, **changes})  # type: ignore[arg-type]


def test_a_generator_that_keeps_up_is_valid() -> None:
    assert why_invalid(_load()) is None
    assert why_invalid(Load(0, 0, 0, [], [])) is None


@pytest.mark.parametrize("column", ["late", "lags"])
def test_more_than_one_percent_late_is_invalid_and_says_how_late(column: str) -> None:
    why = why_invalid(_load(**{column: [0.001] * 980 + [0.25] * 20}))
    assert why is not None
    assert "saturated" in why
    assert "p99 250 ms" in why


def test_a_hiccup_or_two_do_not_spoil_a_short_run() -> None:
    assert why_invalid(_load(late=[0.001] * 18 + [0.5] * 2)) is None
    assert why_invalid(_load(late=[0.001] * 17 + [0.5] * 3)) is not None


def test_late_by_exactly_the_limit_is_not_late() -> None:
    assert why_invalid(_load(late=[LATE_S] * 1000)) is None


def test_a_cap_that_drops_a_part_of_the_load_makes_it_invalid() -> None:
    assert why_invalid(_load(started=990, dropped=10)) is None
    why = why_invalid(_load(started=989, dropped=11))
    assert why is not None
    assert "11 of 1000 arrivals were dropped" in why


def test_quantiles_are_values_that_occurred() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([1.0] * 99 + [9.0], 0.99) == 1.0
    assert quantile([], 0.99) == 0.0


def test_a_blocked_loop_is_seen_with_every_tick_that_it_swallowed() -> None:
    meter = LagMeter()
    meter.start()
    gevent.sleep(0.02)
    time.sleep(0.5)  # blocks the hub, as a generator must never do
    gevent.sleep(0.02)
    meter.stop()
    late = [lag for lag in meter.lags if lag > 0.1]
    assert len(late) >= 5
    assert max(meter.lags) >= 0.4
