"""The contract matrix says of each rule what all exchanges of a run say together."""

from __future__ import annotations

from typing import Any

import pytest

from soundstage.conformance.violations import Severity, Violation
from soundstage.contract.rules import Rule
from soundstage.results.matrix import Matrix


def _rule(name: str, endpoint: str = "stream") -> Rule:
    return Rule(f"v9/{endpoint}/{name}", "v9", endpoint, "documented", "error", "page", "text")


def _broken(name: str, severity: Severity = Severity.ERROR) -> Violation:
    return Violation("field.missing", severity, 3, "/x", "x is missing", f"v9/stream/{name}")


def _outcomes(matrix: Matrix) -> dict[str, str]:
    return {row["rule"]: row["outcome"] for row in matrix.rows()}


@pytest.fixture
def matrix() -> Matrix:
    return Matrix([_rule("a"), _rule("b"), _rule("c"), _rule("d", "sync")])


def test_rules_of_endpoints_that_were_not_spoken_to_are_left_out(matrix: Matrix) -> None:
    matrix.add("e1", "v9", "stream", [], judged=True, exercised=lambda rule: True)
    assert _outcomes(matrix) == dict.fromkeys(
        ("v9/stream/a", "v9/stream/b", "v9/stream/c"), "passed"
    )


def test_an_error_fails_its_rule_a_warning_warns_and_one_that_nothing_tested_says_so(
    matrix: Matrix,
) -> None:
    found = [_broken("a"), _broken("b", Severity.WARNING)]
    matrix.add("e1", "v9", "stream", found, judged=True, exercised=lambda rule: False)
    assert list(_outcomes(matrix).values()) == ["failed", "warned", "not_exercised"]
    assert matrix.broken


def test_strict_fails_warnings_too() -> None:
    matrix = Matrix([_rule("b")], strict=True)
    matrix.add("e1", "v9", "stream", [_broken("b", Severity.WARNING)], judged=True)
    assert _outcomes(matrix) == {"v9/stream/b": "failed"}


def test_a_later_pass_does_not_mend_a_broken_rule(matrix: Matrix) -> None:
    matrix.add("e1", "v9", "stream", [_broken("a")], judged=True)
    matrix.add("e2", "v9", "stream", [], judged=True, exercised=lambda rule: True)
    row = matrix.rows()[0]
    assert (row["outcome"], row["violations"], row["exchanges"]) == ("failed", 1, 2)


def test_where_no_exchange_was_judged_rules_are_inconclusive_with_the_usual_reason(
    matrix: Matrix,
) -> None:
    for number, reason in enumerate(["stream.failed", "http.503", "http.503"]):
        matrix.add(f"e{number}", "v9", "stream", [], judged=False, reason=reason)
    rows = matrix.rows()
    assert {row["outcome"] for row in rows} == {"inconclusive"}
    assert {row["reason"] for row in rows} == {"http.503"}
    assert matrix.judged() == 0
    assert matrix.reasons() == [("http.503", 2), ("stream.failed", 1)]


def test_a_rule_once_put_to_the_test_is_not_asked_about_again(matrix: Matrix) -> None:
    asked: list[str] = []

    def exercised(rule: Any) -> bool:
        asked.append(rule.id)
        return bool(rule.id.endswith("a"))

    for number in range(2):
        matrix.add(f"e{number}", "v9", "stream", [], judged=True, exercised=exercised)
    assert asked.count("v9/stream/a") == 1
    assert asked.count("v9/stream/b") == 2


def test_evidence_is_kept_of_the_first_three_only(matrix: Matrix) -> None:
    for number in range(10):
        matrix.add(f"e{number}", "v9", "stream", [_broken("a")], judged=True)
    row = matrix.rows()[0]
    assert [each["exchange"] for each in row["evidence"]] == ["e0", "e1", "e2"]
    assert row["violations"] == 10
