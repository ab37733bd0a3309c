"""The words that all reports share."""

from __future__ import annotations

import math
from typing import Any

import pytest

from soundstage.reports.words import headline, percent, plain, plural, seconds


def test_hostile_text_becomes_one_plain_line() -> None:
    text = "a\x1b[31m\u202eb\x00c\u2028d\ufeff\ud800\U000e0041\ne\xa0f\x85"
    shown = plain(text)
    assert shown.isprintable()
    assert shown == "a\\x1b[31m\\u202eb\\x00c\\u2028d\\ufeff\\ud800\\U000e0041⏎e f\\x85"


def test_long_text_is_cut_and_says_so() -> None:
    assert plain("x" * 10_000_000, 10) == "xxxxxxxxxx… (9,999,990 more characters)"
    assert plain(12.5) == "12.5"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0.0 ms"),
        (0.0123, "12.3 ms"),
        (0.09996, "100 ms"),
        (0.9996, "1.00 s"),
        (1.236, "1.24 s"),
        (9.996, "10.0 s"),
        (99.96, "100 s"),
        (184.4, "184 s"),
        (math.inf, "∞"),
        (math.nan, "–"),
    ],
)
def test_times_have_three_figures(value: float, shown: str) -> None:
    assert seconds(value) == shown


def test_shares_are_never_rounded_to_all_or_none() -> None:
    assert [percent(1, 1), percent(0, 9), percent(1, 10**6), percent(999_999, 10**6)] == [
        "100%",
        "0%",
        "<0.1%",
        ">99.9%",
    ]
    assert percent(0, 0) == "–"
    assert [plural(1, "rule"), plural(0, "rule"), plural(1200, "rule")] == [
        "1 rule",
        "0 rules",
        "1,200 rules",
    ]


def run(**changes: Any) -> dict[str, Any]:
    facts = {
        "kind": "check",
        "status": "complete",
        "verdict": "pass",
        "exit_code": 0,
        "reason": None,
        "target": {"kind": "emulator"},
    }
    return {**facts, **changes}


@pytest.mark.parametrize(
    ("facts", "tone", "sentence"),
    [
        ({}, "pass", "Contract kept, against the emulator — proves nothing about the live API"),
        ({"target": {"kind": "live"}}, "pass", "Contract kept, against the live API"),
        (
            {"target": {"kind": "emulator", "rehearsal": True}},
            "pass",
            "Contract kept, against the emulator — a rehearsal of a live run",
        ),
        (
            {"verdict": "fail", "exit_code": 1, "target": {"kind": "local"}},
            "fail",
            "Contract broken, against a local server — not the live API",
        ),
        ({"kind": "load", "verdict": "fail", "exit_code": 3}, "fail", "Too slow, against"),
        ({"kind": "load", "verdict": "fail", "exit_code": 1}, "fail", "Contract broken under load"),
        ({"verdict": "inconclusive", "exit_code": 4}, "inconclusive", "Inconclusive: "),
        ({"verdict": "invalid", "exit_code": 6}, "invalid", "Invalid: "),
        ({"status": "running", "verdict": None}, "incomplete", "Incomplete: "),
        ({"status": "interrupted", "verdict": "pass"}, "incomplete", "Incomplete: "),
        ({"status": "interrupted", "verdict": "fail", "exit_code": 1}, "fail", "Contract broken"),
    ],
)
def test_the_headline_answers_and_names_the_target(
    facts: dict[str, Any], tone: str, sentence: str
) -> None:
    found = headline(run(**facts))
    assert found.tone == tone
    assert found.sentence.startswith(sentence)


def test_a_pass_without_data_is_no_pass() -> None:
    assert headline(run(), empty=True).tone == "inconclusive"
