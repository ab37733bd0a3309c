"""What the workers of a run did together, and what is lacking because of one that is lost."""

from __future__ import annotations

from typing import Any

import pytest

from soundstage.loadtests.cluster.totals import WorkerTotals
from soundstage.loadtests.cluster.worker_record import FINISHED, LOST, RUNNING, WorkerRecord
from soundstage.loadtests.generator.lateness import Lateness


def _row(late_ms: int = 1, outcome: str = "ok") -> dict[str, Any]:
    row = {"outcome": outcome, "intended_ns": 0, "started_ns": late_ms * 1_000_000}
    return row if outcome == "dropped" else {**row, "timing": "kernel"}


def _member(index: int, rows: int, **figures: Any) -> WorkerRecord:
    member = WorkerRecord(f"client{index}", index, "here", 4120 + index, state=FINISHED)
    member.figures = {"asked": rows, **figures}
    for _ in range(rows):
        member.count(_row())
    return member


def _reckoning(*members: WorkerRecord, limit: int | None = None) -> WorkerTotals:
    """Of workers that share a schedule of an arrival each tenth of a second."""
    found = WorkerTotals(lambda: (number / 10 for number in range(10**9)), limit)
    found.members.update((each.client, each) for each in members)
    states = [each.state for each in members]
    for each in members:
        each.state = RUNNING
    found.deal()
    for each, state in zip(members, states, strict=True):
        each.state = state
    return found


def test_of_a_lost_worker_every_arrival_that_was_its_is_accounted_for() -> None:
    lost, other = _member(0, 12), _member(1, 70)
    lost.state, lost.reason, lost.lost_s = LOST, "killed by signal 9", 4.0
    found = _reckoning(lost, other)
    found.close(until_s=4.95)  # 25 of the first 50 were the lost one's
    assert found.asked(lost) == 25
    assert found.asked(other) == 70, "what one told us itself counts"
    assert found.unaccounted() == 13
    [said] = found.missing()
    assert said.startswith(
        "worker w0 (here, process 4120) was lost after 4.0 s: killed by signal 9"
    )
    assert said.endswith("13 of its 25 requests are unaccounted for")
    entries = found.entries()
    assert [each["state"] for each in entries] == ["lost", "finished"]
    assert [each["unaccounted"] for each in entries] == [13, 0]


def test_a_worker_that_shipped_everything_lacks_nothing() -> None:
    found = _reckoning(_member(0, 5), _member(1, 5))
    found.close(until_s=100.0)
    assert found.missing() == []
    assert found.unaccounted() == 0


def test_the_share_of_a_lost_worker_counts_as_spent_and_of_others_what_they_say() -> None:
    lost, other = _member(0, 3, spent=3), _member(1, 4, spent=4)
    lost.state, lost.reason = LOST, "it no longer answers"
    found = _reckoning(lost, other, limit=101)
    assert [lost.budget, other.budget] == [51, 50]
    assert found.all_spent() == 51 + 4


@pytest.mark.parametrize(
    ("figures", "why"),
    [
        ({"lags": Lateness([0.5] * 10).to_json()}, "its event loop was more than 100 ms late"),
        ({"seconds": 10, "full_seconds": 9}, "it used a whole core in 9 of 10 seconds"),
        ({"steal": 0.4}, "denied 40.0% of its CPU time"),
    ],
)
def test_one_worker_that_did_badly_makes_the_run_invalid_and_is_named(
    figures: dict[str, Any], why: str
) -> None:
    well = [_member(index, 1000, lags=Lateness([0.001] * 2000).to_json()) for index in (0, 1)]
    badly = _member(2, 1000, **figures)
    found = _reckoning(*well, badly)
    whole = found.load({"ok": 3000}, Lateness([0.001] * 3000))
    said = found.why_invalid(whole)
    assert said is not None
    assert said.startswith("worker w2 (here, process 4122): ")
    assert why in said
    assert _reckoning(*well).why_invalid(_reckoning(*well).load({"ok": 2000}, Lateness())) is None


def test_one_that_started_late_is_named_though_the_others_were_on_time() -> None:
    late = _member(1, 980)
    for _ in range(20):
        late.count(_row(late_ms=300))
    found = _reckoning(_member(0, 100_000), late)
    whole = found.load({}, Lateness([0.001] * 101_000))
    assert "worker w1 (here, process 4121): the load generator was saturated: 2.0%" in str(
        found.why_invalid(whole)
    )


def test_what_the_cap_drops_is_nobodys_fault_and_makes_the_run_invalid() -> None:
    member = _member(0, 90)
    for _ in range(10):
        member.count(_row(outcome="dropped"))
    found = _reckoning(member)
    whole = found.load({"ok": 90, "dropped": 10}, member.late)
    assert (whole.asked, whole.started, whole.dropped) == (100, 90, 10)
    assert str(found.why_invalid(whole)).startswith("10 of 100 arrivals were dropped")


def test_a_clock_that_was_set_on_one_machine_is_a_step_of_the_run() -> None:
    assert not _reckoning(_member(0, 1, stepped=False)).stepped()
    assert _reckoning(_member(0, 1, stepped=False), _member(1, 1, stepped=True)).stepped()
