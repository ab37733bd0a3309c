"""Which transcripts a run keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from emulated import served

from soundstage.contract import load
from soundstage.contracts.explored_requests import MadeUp
from soundstage.emulator.options import Options
from soundstage.gate import conclusion, made_up_calls
from soundstage.gate.contract_check import CheckOptions, open_gate
from soundstage.gate.kept_transcripts import FIRST, MOST_KINDS, OF_A_KIND, TranscriptChoice
from soundstage.results.bundle import Bundle


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


def test_in_a_check_each_rule_that_is_broken_has_its_transcripts() -> None:
    choice = TranscriptChoice()

    def broken(*rules: str) -> bool:
        return taken(choice, "ok", None, codes=("field.type",), violates=True, rules=set(rules))

    kept = [broken("a/field") for _ in range(200)]
    assert kept == [True] * (FIRST + OF_A_KIND) + [False] * (200 - FIRST - OF_A_KIND)
    assert [broken("a/field", "b/field") for _ in range(3)] == [True, True, False]


def test_a_check_that_tries_a_great_deal_keeps_no_more_transcripts_than_can_be_looked_at(
    tmp_path: Path,
) -> None:
    with served(Options(profile="instant", seed=1, faults=("json/cut",))) as url:
        options = CheckOptions(target=url, apis=("v6",), out=str(tmp_path / "run"))
        with open_gate(options) as gate:
            contract = load("v6")
            stream = contract.endpoints["stream"]
            made = [MadeUp(stream, {"prompt": f"song {n}"}, "POST") for n in range(120)]
            gate.made_up.send(made_up_calls.explored(contract, each) for each in made)
            conclusion.finish(gate, conclusion.outcomes(gate, ()), 1)
    bundle = Bundle.open(tmp_path / "run")
    rows = list(bundle.exchanges())
    assert len(rows) == 120
    assert all(row["verdict"] == "violates" for row in rows)
    kept = [row["transcript"] for row in rows if row["transcript"]]
    assert sorted(kept) == bundle.transcripts()
    assert FIRST <= len(kept) <= FIRST + 4 * OF_A_KIND
    assert json.loads((tmp_path / "run/run.json").read_bytes())["kind"] == "check"
