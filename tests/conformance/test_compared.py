"""What was expected and what came, beside each other."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from soundstage.conformance.answers import check_result
from soundstage.conformance.bounded_violations import rest
from soundstage.conformance.engine import StreamCheck
from soundstage.conformance.fields import received
from soundstage.conformance.violations import LONGEST_SIDE, Compared, Severity, Violation
from soundstage.contract import load
from soundstage.generation.faults.catalogue import by_name, valid_stream

V5, V6 = load("v5"), load("v6")


def found_of(fault: str, code: str) -> Compared | None:
    """Of the first violation of this code in a stream that is broken so."""
    contract = V6 if fault in by_name(V6) else V5
    check = StreamCheck(contract)
    chunks: Any = valid_stream(contract, random.Random(1))
    for _, chunk in by_name(contract)[fault].apply(chunks, random.Random(1)):
        check.event(json.dumps(chunk).encode())
    check.close()
    return next(each.compared for each in check.violations if each.code == code)


@pytest.mark.parametrize(
    ("fault", "code", "expected", "came"),
    [
        (
            "field/final/message_id/missing",
            "field.missing",
            "a non-empty identifier",
            "nothing: it is missing",
        ),
        (
            "field/final/message_id/null",
            "field.type",
            "string: a non-empty identifier",
            "null",
        ),
        ("field/final/isComplete/string", "field.type", "a boolean", '"true"'),
        ("field/completed/progress/other", "field.value", "100", "99"),
        (
            "unlisted/final/progress/above",
            "field.value",
            "an integer percentage from 0 to 100",
            "101",
        ),
        ("index/gap", "index.gap", "3", "4"),
        ("index/start", "index.start", "0", "1"),
        ("rising/progress/fell", "progress.decreased", "at least 45, as before", "44"),
        ("track/third", "track.unknown", "1 or 2", "3"),
        ("completion/final/early", "field.value", "false, as more comes", "true"),
        ("completion/never", "stream.not_closed", "true on the last chunk", "false"),
    ],
)
def test_a_violation_about_one_value_has_both_sides(
    fault: str, code: str, expected: str, came: str
) -> None:
    assert found_of(fault, code) == Compared(expected, came)


def test_an_identity_that_changed_stands_beside_what_it_was() -> None:
    compared = found_of("constant/message_id/changed", "identity.changed")
    assert compared is not None
    assert compared.expected == f'{compared.received[:-2]}", as before'


def test_what_is_about_no_value_has_no_sides() -> None:
    assert found_of("order/validated/skipped", "stage.missing") is None


def test_a_result_has_them_as_a_stream_does() -> None:
    (found,) = check_result(V6, "sync", b"[1]").violations
    assert found.compared == Compared("an object", "an array of 1 item")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "true"),
        (17, "17"),
        ('it\'s "so"\n', '"it\'s \\"so\\"\\n"'),
        ("x" * 93, f'"{"x" * 60}…" (93 characters)'),
        ([], "an empty array"),
        ([1, 2], "an array of 2 items"),
        ({}, "an empty object"),
        ({"a": 1, "b": 2}, "an object with a, b"),
        (dict.fromkeys("abcdefghij"), "an object with a, b, c, d, e, f, g, h, …"),
        pytest.param(10**5000, "an integer of about 5001 digits", id="long"),
    ],
)
def test_what_came_is_told_in_a_few_words(value: object, words: str) -> None:
    assert received(value) == words


def test_both_sides_are_bounded_whatever_comes() -> None:
    assert len(received({"k" * 10_000: 1})) < 400
    long = Violation(
        "c", Severity.ERROR, 1, "", "m", "r", compared=Compared("e" * 9_999, "r" * 9_999)
    )
    assert long.compared is not None
    assert max(map(len, long.compared)) <= LONGEST_SIDE + 50


def test_a_row_has_them_only_where_there_are_any_and_a_count_of_others_has_none() -> None:
    plain = Violation("c", Severity.ERROR, 1, "/x", "m", "r")
    assert "expected" not in plain.to_json()
    both = Violation("c", Severity.ERROR, 1, "/x", "m", "r", compared=Compared("1", "2"))
    assert (both.to_json()["expected"], both.to_json()["received"]) == ("1", "2")
    assert rest(both, 5).compared is None
