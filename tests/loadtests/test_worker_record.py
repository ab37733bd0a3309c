"""What the workers of a run did together, and what is lacking because of one that is lost."""

from __future__ import annotations

from typing import Any

import pytest

from soundstage.loadtests.cluster.worker_record import (
    WorkerRecord,
    count_shares,
    load_of,
    load_to_json,
    together,
    whose_fault,
)
from soundstage.loadtests.generator.lag import Load
from soundstage.loadtests.generator.lateness import Lateness


def _figures(load: Load, **changes: Any) -> dict[str, Any]:
    """What a worker says of itself that is through its share."""
    said: dict[str, Any] = dict.fromkeys(("in_flight", "most_in_flight", "spent"), 0)
    said |= dict.fromkeys(("cpu_share", "clock_offset_ms", "clock_error_ms"), 0.0)
    said |= {"driven": True, "left": False, "failure": None}
    return {**said, "load": load_to_json(load), "batches": 1, "done": True, **changes}


def _load(asked: int, late: Lateness | None = None, **facts: Any) -> Load:
    late = Lateness([0.001] * asked) if late is None else late
    dropped = facts.pop("dropped", 0)
    return Load(asked, asked - dropped, dropped, late, facts.pop("lags", Lateness()), **facts)


def _member(index: int, rows: int, load: Load | None = None, **figures: Any) -> WorkerRecord:
    member = WorkerRecord(f"client{index}", index, "here", 4120 + index, place=index)
    said = _figures(_load(rows) if load is None else load, **figures)
    member.hear(said, rows, scheduled=True)
    return member


def test_of_a_lost_worker_every_arrival_that_was_its_is_accounted_for() -> None:
    lost, other = _member(0, 12, done=False, driven=False), _member(1, 70)
    lost.lose("killed by signal 9", 4.0)
    lost.lose("killed by signal 9", 4.5)
    # An arrival each tenth of a second; 25 of the first 50 were the lost one's.
    count_shares([lost, other], lambda: (number / 10 for number in range(10**9)), 4.95)
    assert (lost.asked, lost.unaccounted) == (25, 13)
    assert (other.asked, other.unaccounted) == (70, 0), "what one told us itself counts"
    said = lost.lacking()
    assert said is not None
    assert said.startswith(
        "worker w0 (here, process 4120) was lost after 4.0 s: killed by signal 9"
    )
    assert said.endswith("13 of its 25 requests are unaccounted for")
    assert [each.to_json()["state"] for each in (lost, other)] == ["lost", "finished"]
    assert together([lost, other]).asked == 95


def test_a_worker_that_shipped_everything_lacks_nothing() -> None:
    members = [_member(0, 5), _member(1, 5)]
    count_shares(members, lambda: iter([0.0, 0.1]), 100.0)
    assert [each.lacking() for each in members] == [None, None]
    assert [each.unaccounted for each in members] == [0, 0]
    members[0].lose("it quit", 7.0)
    assert members[0].lacking() is None, "it was done before"


def test_a_batch_that_never_came_is_told_when_the_last_one_has() -> None:
    member = WorkerRecord("client0", 0, "here", 4120)
    member.hear(_figures(_load(3), done=False, batches=1), 3, scheduled=True)
    member.hear(_figures(_load(9), batches=3), 4, scheduled=True)
    assert member.done
    assert member.lacking() == (
        "worker w0 (here, process 4120): not all of its rows came; "
        "2 of its 9 requests are unaccounted for"
    )


@pytest.mark.parametrize("scheduled", [True, False])
def test_one_that_leaves_early_lacks_the_rest_of_its_schedule_if_it_has_one(
    scheduled: bool,
) -> None:
    member = WorkerRecord("client0", 0, "here", 4120)
    member.hear(_figures(_load(2), driven=False, left=True), 2, scheduled=scheduled)
    assert member.done
    assert member.reason == ("it was told to leave" if scheduled else None)


def test_one_that_was_only_silent_is_lost_no_more_once_it_is_heard_of() -> None:
    member = _member(0, 3, done=False, driven=False)
    member.lose("it no longer answers", 4.0)
    assert not member.running
    member.lose(None, 6.0)
    assert member.running
    member.lose("it no longer answers", 9.0)
    assert member.to_json()["lost_s"] == 9.0
    member.hear(_figures(_load(5), batches=2), 2, scheduled=True)
    assert (member.done, member.lacking(), member.lost_s) == (True, None, None)


def test_the_share_of_a_lost_worker_counts_as_spent_and_of_others_what_they_say() -> None:
    lost, other = _member(0, 3, done=False, spent=3), _member(1, 4, spent=4)
    lost.budget, other.budget = 51, 50
    lost.lose("it no longer answers", 1.0)
    assert [lost.spent, other.spent] == [51, 4]


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"lags": Lateness([0.5] * 10)}, "its event loop was more than 100 ms late"),
        ({"seconds": 10, "full_seconds": 9}, "it used a whole core in 9 of 10 seconds"),
        ({"steal": 0.4}, "denied 40.0% of its CPU time"),
    ],
)
def test_one_worker_that_did_badly_makes_the_run_invalid_and_is_named(
    facts: dict[str, Any], why: str
) -> None:
    on_time = Lateness([0.001] * 2000)
    well = [_member(index, 1000, _load(1000, lags=on_time)) for index in (0, 1)]
    said = whose_fault([*well, _member(2, 1000, _load(1000, **facts))])
    assert said is not None
    assert said.startswith("worker w2 (here, process 4122): ")
    assert why in said
    assert whose_fault(well) is None


def test_one_that_started_late_is_named_though_the_others_were_on_time() -> None:
    late = _member(1, 1000, _load(1000, Lateness([0.001] * 980 + [0.3] * 20)))
    assert "worker w1 (here, process 4121): the load generator was saturated: 2.0%" in str(
        whose_fault([_member(0, 100_000), late])
    )


def test_what_the_cap_drops_is_nobodys_fault_and_makes_the_run_invalid() -> None:
    member = _member(0, 100, _load(100, Lateness([0.001] * 90), dropped=10))
    whole = together([member])
    assert (whole.asked, whole.started, whole.dropped) == (100, 90, 10)
    assert str(whose_fault([member])).startswith("10 of 100 arrivals were dropped")


def test_a_load_is_shipped_whole() -> None:
    load = _load(7, Lateness([0.2, 0.001]), lags=Lateness([0.003]), seconds=3, steal=0.01)
    assert load_to_json(load_of(load_to_json(load))) == load_to_json(load)


@pytest.mark.parametrize(
    "changes",
    [
        {"spent": "a lot"},
        {"cpu_share": None},
        {"load": {}},
        {"load": {**load_to_json(_load(1)), "steal": "some"}},
        {"load": {**load_to_json(_load(1)), "late": {"n": 1, "late": 0, "counts": [1]}}},
    ],
)
def test_what_no_worker_says_is_not_taken(changes: dict[str, Any]) -> None:
    member = _member(0, 3, done=False)
    before = member.to_json()
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        member.hear(_figures(_load(9), **changes), 6, scheduled=True)
    assert member.to_json() == before
    assert not member.done
