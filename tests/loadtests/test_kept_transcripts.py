"""Which transcripts a load run keeps."""

from __future__ import annotations

from pathlib import Path
from shlex import split
from typing import Any

import pytest

from soundstage.exchange.spawn import spawned_emulator
from soundstage.loadtests.run.kept_transcripts import FIRST, MOST_KINDS, OF_A_KIND, TranscriptChoice
from soundstage.reports import cli

from .conftest import load


def taken(choice: TranscriptChoice, outcome: str, reason: str | None, **how: Any) -> bool:
    facts: dict[str, Any] = {
        "place": ("v6-stream", False),
        "status": 200,
        "codes": (),
        "violates": False,
    }
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


@pytest.mark.proof
def test_a_load_with_mixed_faults_says_of_each_kind_why_and_has_one_to_look_at(
    tmp_path: Path,
) -> None:
    faults = ["wire/html_502:0.15", "wire/reset:0.15", "wire/reset_early:0.1"]
    options = ["--speed", "200", "--seed", "3", "--profile", "instant"]
    options += ["--rate-limit", "8/second"]
    for fault in faults:
        options += ["--fault", fault]
    with spawned_emulator(options) as url:
        ran = load(tmp_path, "--target", url, *split("--api v6 --rate 20 --duration 6s --seed 2"))
    failed = cli.read(ran.bundle).summary.failures
    assert failed is not None
    kinds = {one.reason: one for one in failed.kinds}
    assert set(kinds) >= {"http.502", "api.rate_limit", "http.reset", "environment.reset"}
    kept = set(ran.bundle.transcripts())
    for one in kinds.values():
        assert one.transcript in kept, one
        assert 0 <= one.first <= one.last < 30
    assert f"of {len(ran.rows)} exchanges" in ran.out
    for words in ("502 Bad Gateway", "429 Too Many Requests", "connection reset"):
        assert words in ran.out
