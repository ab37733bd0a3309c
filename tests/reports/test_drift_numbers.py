"""Drift is never surer than the number of exchanges allows."""

from __future__ import annotations

import random
import time

import pytest
from drift_changes import (
    V6,
    on,
    told,
)
from late_import import LateModule

from observations import Change, observed_run
from soundstage.reports.drift.drift import DriftFinding, broken, drift
from soundstage.reports.drift.presence import (
    LEVEL,
    Presence,
    fisher,
    level_of_each,
    needed,
    smallest,
)

stats = LateModule("scipy.stats")


def moody(share: float) -> Change:
    return on(
        "status", "validated", lambda c, rng: rng.random() < share and c.update(mood="calm")
    )  # fmt: skip


def sides(base: int, candidate: int, was: float, now: float) -> list[DriftFinding]:
    return drift(
        observed_run(V6, base, 1, moody(was)),
        observed_run(V6, candidate, 2, moody(now)),
        {"v6": V6},
    )


def test_an_undocumented_field_is_gone_only_after_enough_exchanges():
    (few,) = sides(8, 2, 1, 0)
    assert (few.verdict, few.kind, few.effect) == ("inconclusive", "field.gone", "breaking")
    assert few.needs is not None
    assert not broken([few])
    (still,) = sides(8, 2 + few.needs - 1, 1, 0)
    # One more than asked for: by then another feature can be tested, too.
    (enough,) = sides(8, 2 + few.needs + 1, 1, 0)
    assert still.verdict == "inconclusive"
    assert (enough.verdict, enough.needs) == ("drift", None)
    assert enough.evidence.p is not None
    assert enough.evidence.p <= LEVEL


def test_with_a_base_of_one_it_takes_hundreds_or_no_number_would_do():
    (finding,) = sides(1, 5, 1, 0)
    assert (finding.verdict, finding.needs) == ("inconclusive", 194)  # 2 / (199 + 1)
    assert needed(Presence(1, 1, 5, 10)) is None
    assert needed(Presence(0, 1, 0, 5)) is None


def test_a_field_that_came_and_went_is_not_gone_after_a_few_exchanges():
    assert sides(40, 6, 0.5, 0) == []


def test_fisher_is_that_of_scipy():
    rng = random.Random(4)
    for _ in range(400):
        a, b = rng.randint(1, 60), rng.randint(1, 60)
        seen = Presence(rng.randint(0, a), a, rng.randint(0, b), b)
        if seen.base + seen.candidate in (0, a + b):
            assert fisher(seen) == 1
            continue
        table = [[seen.candidate, b - seen.candidate], [seen.base, a - seen.base]]
        side = "less" if seen.candidate * a <= seen.base * b else "greater"
        assert fisher(seen) == pytest.approx(min(1, 2 * stats.fisher_exact(table, side).pvalue))


def test_fisher_of_a_million_exchanges_takes_no_time_and_does_not_overflow():
    assert fisher(Presence(500_000, 1_000_000, 500_500, 1_000_000)) == pytest.approx(
        0.4804, abs=1e-3
    )
    assert fisher(Presence(1_000_000, 1_000_000, 0, 1_000_000)) == 0
    begin = time.process_time()
    assert fisher(Presence(500_000, 1_000_000, 400_000, 1_000_000)) == 0
    assert time.process_time() - begin < 0.2  # a walk through the whole tail takes seconds
    tables = [Presence(n, 10_000, 0, 10_000) for n in range(20, 4_020)]
    assert level_of_each(tables) == pytest.approx(LEVEL / len(tables))
    assert time.process_time() - begin < 5


def test_needed_is_the_least_number_that_decides():
    seen = Presence(19, 20, 0, 2)
    more = needed(seen)
    assert more is not None
    assert fisher(seen._replace(candidate_n=2 + more)) <= LEVEL
    assert fisher(seen._replace(candidate_n=2 + more - 1)) > LEVEL


def test_that_all_of_one_side_lies_beyond_the_other_is_as_rare_as_such_orderings():
    assert fisher(Presence(0, 3, 4, 4)) == pytest.approx(2 / 35)
    assert fisher(Presence(0, 1, 1, 1)) == 1
    assert fisher(Presence(0, 0, 9, 9)) == 1


def test_tests_that_cannot_err_do_not_make_the_others_stricter():
    constant = [Presence(30, 30, 12, 12), Presence(0, 30, 0, 12)] * 50
    varying = [Presence(15, 30, 2, 12)] * 4
    assert {smallest(table) for table in constant} == {1}
    assert level_of_each(constant + varying, 0.04) == 0.01
    assert level_of_each(constant) == LEVEL


def test_fields_that_come_at_random_give_false_findings_no_more_often_than_stated():
    rng = random.Random(8)
    level, wrong, comparisons = 0.05, 0, 400
    for _ in range(comparisons):
        tables = []
        for _ in range(10):
            share = rng.random()
            counts = [sum(rng.random() < share for _ in range(n)) for n in (25, 15)]
            tables.append(Presence(counts[0], 25, counts[1], 15))
        each = level_of_each(tables, level)
        wrong += any(fisher(table) <= each for table in tables)
    # 400 x 0.05 = 20 at the very most; 33 would be three standard deviations above it.
    assert wrong <= 33


def moved(low: float, high: float) -> Change:
    return on(
        "status",
        "validated",
        lambda c, rng: c.update(load=round(rng.uniform(low, high), 3)),
    )


def test_a_range_that_moved_is_told_once_no_overlap_is_left():
    base = observed_run(V6, 12, 1, moved(0, 10))
    near = drift(base, observed_run(V6, 12, 2, moved(5, 15)), {"v6": V6})
    far = drift(base, observed_run(V6, 12, 2, moved(40, 50)), {"v6": V6})
    assert near == []
    assert told(far) == {("drift", "info", "range.moved", "validated", "/load")}
    assert drift(base, observed_run(V6, 1, 2, moved(40, 50)), {"v6": V6}) == []


def test_ranges_that_only_miss_each_other_have_not_moved():
    base, beside = (observed_run(V6, 12, 1, moved(low, low + 10)) for low in (0, 12))
    assert drift(base, beside, {"v6": V6}) == []
