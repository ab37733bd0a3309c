"""Which transcripts a load run keeps."""

from __future__ import annotations

from typing import Any

from soundstage.loadtests.run.kept_transcripts import FIRST, MOST_KINDS, OF_A_KIND, TranscriptChoice


def taken(choice: TranscriptChoice, outcome: str, reason: str | None, **how: Any) -> bool:
    facts: dict[str, Any] = {"place": ("v6-stream", False), "status": 200, "codes": (), "violates": False}
    return choice.takes(outcome=outcome, reason=reason, **{**facts, **how})


def test_what_ended_well_and_kept_the_contract_is_not_kept() -> None:
    choice = TranscriptChoice()
    assert not taken(choice, "ok", None)
    assert not taken(choice, "censored", "harness.cancelled")


def test_a_late_kind_of_failure_has_its_transcripts_however_many_came_before() -> None:
    choice = TranscriptChoice()
    broken = [taken(choice, "ok", None, codes=("field.type",), violates=True) for _ in range(200)]
    assert broken == [True] * (FIRST + OF_A_KIND) + [False] * (200 - FIRST - OF_A_KIND)
    for place in (("v6-stream", False), ("v5-stream", False), ("v6-stream", True)):
        late = [taken(choice, "refused", "http.502", status=502, place=place) for _ in range(9)]
        assert late == [True] * OF_A_KIND + [False] * (9 - OF_A_KIND)
    assert taken(choice, "refused", "api.rate_limit", status=429)
    assert taken(choice, "timeout", "harness.idle_timeout")


def test_violations_tell_apart_what_has_no_reason_of_its_own() -> None:
    choice = TranscriptChoice()
    for _ in range(FIRST + OF_A_KIND):
        assert taken(choice, "transport", None, codes=("http.reset",), violates=True)
    assert not taken(choice, "transport", None, codes=("http.reset",), violates=True)
    assert taken(choice, "transport", None, codes=("http.truncated",), violates=True)


def test_kinds_without_number_fill_no_folder() -> None:
    choice = TranscriptChoice()
    kept = sum(taken(choice, "refused", f"made up {number}") for number in range(1_000))
    assert kept == MOST_KINDS
