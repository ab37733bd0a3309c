"""When a generator's load counts as what was asked for, and when it does not."""

from __future__ import annotations

import math
import random
import time

import gevent
import pytest

from soundstage.loadtests.generator.lag import LagMeter, Load, why_invalid
from soundstage.loadtests.generator.lateness import LATE_S, Lateness

_FINE = [0.001] * 1000


def _load(**changes: object) -> Load:
    facts = {"asked": 1000, "started": 1000, "dropped": 0, "late": _FINE, "lags": _FINE}
    facts.update(changes)  # type: ignore[arg-type]
    lists = {name: Lateness(facts[name]) for name in ("late", "lags")}  # type: ignore[arg-type]
    return Load(**{**facts, **lists})  # type: ignore[arg-type]


def test_a_generator_that_keeps_up_is_valid() -> None:
    assert why_invalid(_load()) is None
    assert why_invalid(Load(0, 0, 0, Lateness(), Lateness())) is None


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


def test_quantiles_are_those_of_the_values_within_half_a_percent() -> None:
    rng = random.Random(3)
    values = [rng.lognormvariate(-5, 2) for _ in range(2000)]
    late = Lateness(values)
    for order in (0.5, 0.9, 0.99, 1.0):
        exact = sorted(values)[math.ceil(round(order * 2000, 9)) - 1]
        assert late.quantile(order) == pytest.approx(exact, rel=0.0051)
    assert late.late == sum(value > LATE_S for value in values)
    assert Lateness().quantile(0.99) == 0.0


def test_lateness_takes_no_more_room_for_more_values() -> None:
    late = Lateness(number / 1000 for number in range(100_000))
    assert len(late.to_json()["counts"]) < 1500  # type: ignore[arg-type]
    assert Lateness.of(late.to_json()).quantile(0.5) == late.quantile(0.5)


def test_what_came_since_a_mark_is_told_apart() -> None:
    late = Lateness([0.5] * 10)
    mark = late.copy()
    for _ in range(5):
        late.add(0.001)
    since = late - mark
    assert (since.n, since.late) == (5, 0)
    assert since.quantile(1.0) == pytest.approx(0.001, rel=0.0051)
    assert mark.n == 10


def test_a_whole_core_for_a_fifth_of_the_run_is_invalid() -> None:
    assert why_invalid(_load(seconds=20, full_seconds=4)) is None
    why = why_invalid(_load(seconds=20, full_seconds=5))
    assert why is not None
    assert "a whole core in 5 of 20 seconds" in why
    assert why_invalid(_load(seconds=2, full_seconds=2)) is None


def test_stolen_cpu_time_is_invalid_and_blames_the_host() -> None:
    assert why_invalid(_load(steal=0.1)) is None
    why = why_invalid(_load(steal=0.2))
    assert why is not None
    assert "20.0% of its CPU time by its host (steal)" in why


def test_a_blocked_loop_is_seen_with_every_tick_that_it_swallowed() -> None:
    meter = LagMeter()
    meter.start()
    gevent.sleep(0.02)
    time.sleep(0.5)  # blocks the hub, as a generator must never do
    gevent.sleep(0.02)
    meter.stop()
    assert meter.lags.late >= 5
    assert meter.lags.quantile(1.0) >= 0.4
