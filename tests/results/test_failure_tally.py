"""Failures, counted by why."""

from __future__ import annotations

from typing import Any

import pytest

from soundstage.results.failure_tally import (
    LONGEST_REASON,
    MOST_KINDS,
    OTHER_REASONS,
    FailureKind,
    FailureTally,
    why_failed,
)


def failed(number: int = 1, **changes: Any) -> dict[str, Any]:
    row = {
        "id": f"e{number}",
        "outcome": "refused",
        "http_status": 502,
        "reason": "http.502",
        "started_ns": number * 1_000_000_000,
        "codes": {},
        "transcript": None,
    }
    return {**row, **changes}


def test_a_kind_is_counted_with_when_it_was_seen_and_an_example() -> None:
    tally = FailureTally()
    for number in (3, 1, 2):
        tally.add(failed(number), 0.5)
    ((kind, found),) = tally
    assert kind == FailureKind("refused", 502, "http.502", warmup=False)
    assert (found.count, found.example, found.transcript) == (3, "e3", None)
    assert list(found.when()) == [3.5, 1.5, 2.5], "seen when it was over, not when it began"


def test_an_example_that_can_be_looked_at_is_better_than_the_first() -> None:
    tally = FailureTally()
    tally.add(failed(1), 0.0)
    tally.add(failed(2, transcript="transcripts/e2.ndjson"), 0.0)
    tally.add(failed(3, transcript="transcripts/e3.ndjson"), 0.0)
    ((_, found),) = tally
    assert (found.example, found.transcript) == ("e2", "transcripts/e2.ndjson")


@pytest.mark.parametrize(
    ("reason", "codes", "why"),
    [
        ("http.502", {"stream.truncated": 1}, "http.502"),
        (None, {"stream.truncated": 1, "http.reset": 1}, "http.reset"),
        (None, {"field.type": 9, "stream.truncated": 1}, "stream.truncated"),
        (None, {}, ""),
        ("x" * 500, {}, "x" * (LONGEST_REASON - 1) + "…"),
    ],
)
def test_a_failure_counts_once_under_what_explains_it_best(
    reason: str | None, codes: dict[str, int], why: str
) -> None:
    assert why_failed(reason, codes) == why


def test_violations_that_count_as_errors_explain_before_notes_do() -> None:
    tally = FailureTally()
    codes = {"json.syntax": 1, "stream.truncated": 1}
    tally.add(failed(reason=None, codes=codes, errors={"stream.truncated": 1}), 0.0)
    ((kind, _),) = tally
    assert kind.reason == "stream.truncated"


def test_two_halves_of_a_run_come_to_the_same_as_the_whole() -> None:
    rows = [failed(n, reason=f"http.{n % 3}", transcript="t" if n > 4 else None) for n in range(9)]
    whole, first, second = FailureTally(), FailureTally(), FailureTally()
    for place, row in enumerate(rows):
        whole.add(row, 0.25)
        (first if place < 4 else second).add(row, 0.25)
    first.merge(second)
    assert [(kind, list(found.when()), found.example) for kind, found in first] == [
        (kind, list(found.when()), found.example) for kind, found in whole
    ]


def test_reasons_without_number_are_one_kind_in_the_end() -> None:
    tally, other = FailureTally(), FailureTally()
    for number in range(MOST_KINDS + 50):
        tally.add(failed(number, reason=f"made up {number}"), 0.0)
        other.add(failed(number, reason=f"another {number}"), 0.0)
    tally.merge(other)
    kinds = dict(tally)
    assert len(kinds) == MOST_KINDS + 1
    rest = kinds[FailureKind("refused", None, OTHER_REASONS, warmup=False)]
    assert sum(found.count for found in kinds.values()) == 2 * (MOST_KINDS + 50)
    assert rest.count == 50 + MOST_KINDS + 50
