"""What turns a run red, by severities and waivers: one answer for every place that asks."""

from __future__ import annotations

from datetime import date

import pytest

from soundstage.config import Config, Waiver
from soundstage.conformance.violations import Severity, Verdict, Violation
from soundstage.results.matrix import Matrix
from soundstage.results.user_weights import Weights
from soundstage.results.weight import Weight, outcome_of

TODAY = date(2026, 11, 27)
RULE = "v6/stream/order/final/after/uploading"


def violation(severity: str = "error", rule: str = RULE) -> Violation:
    return Violation("stage.order", Severity(severity), 3, "", "final came early", rule)


def waiver(until: date) -> Waiver:
    return Waiver("ticket 7", until, rule=RULE, code="stage.order")


HOLDING = Config(waivers=(waiver(date(2026, 11, 27)),))
EXPIRED = Config(waivers=(waiver(date(2026, 11, 26)),))
LOWERED = Config(severities={"v6/stream/order/": Severity.WARNING})
RAISED = Config(severities={RULE: Severity.ERROR})
NOTED = Config(severities={RULE: Severity.INFO})


@pytest.mark.parametrize(
    ("config", "strict", "given", "weight"),
    [
        (Config(), False, "error", Weight.FAILED),
        (Config(), False, "warning", Weight.WARNED),
        (Config(), True, "warning", Weight.FAILED),
        (Config(), True, "info", Weight.NOTED),
        (HOLDING, False, "error", Weight.KNOWN),
        (HOLDING, True, "warning", Weight.KNOWN),
        (EXPIRED, False, "error", Weight.FAILED),
        (LOWERED, False, "error", Weight.WARNED),
        (LOWERED, True, "error", Weight.FAILED),
        (RAISED, False, "warning", Weight.FAILED),
        (NOTED, True, "error", Weight.NOTED),
    ],
)
def test_severities_waivers_and_strictness_decide(
    config: Config, strict: bool, given: str, weight: Weight
) -> None:
    weights = Weights(config, strict=strict, today=TODAY)
    found = violation(given)
    assert weights.of(found).weight is weight
    red = weight is Weight.FAILED
    assert bool(weights.failing([found])) is red
    assert weights.verdict([found], None) is (Verdict.VIOLATES if red else Verdict.CONFORMS)
    row = {"verdict": "violates" if given == "error" else "conforms", "reason": None}
    assert weights.row(row, [found]) == {
        "reason": None,
        **(
            {"verdict": "violates", "errors": {"stage.order": 1}}
            if red
            else {"verdict": "conforms"}
        ),
    }


def test_an_exchange_that_was_cut_and_whose_finding_is_waived_is_inconclusive() -> None:
    row = {"verdict": "violates", "reason": "cap.events", "errors": {"stage.order": 1}}
    weighed = Weights(HOLDING, today=TODAY).row(row, [violation()])
    assert weighed == {"verdict": "inconclusive", "reason": "cap.events"}


def test_waivers_say_why_and_are_named_where_they_speak_of_nothing() -> None:
    weights = Weights(HOLDING, today=TODAY)
    assert weights.unused() == [*HOLDING.waivers]
    assert "ticket 7" in str(weights.of(violation()).reason)
    assert weights.unused() == []
    assert "has expired" in str(Weights(EXPIRED, today=TODAY).of(violation()).reason)


def test_the_worst_violation_decides_a_rule() -> None:
    assert outcome_of([]) == ("passed", None)
    assert outcome_of([(Weight.NOTED, None), (Weight.WARNED, None)]) == ("warned", None)
    assert outcome_of([(Weight.WARNED, None), (Weight.KNOWN, "why")]) == ("known", "why")
    assert outcome_of([(Weight.KNOWN, "why"), (Weight.FAILED, None)]) == ("failed", None)


class _Rule:
    id, api, endpoint = RULE, "v6", "stream"
    basis, severity, source, text = "documented", "error", "page", "asked"


def test_a_matrix_of_many_exchanges_weighs_in_the_same_way() -> None:
    for config, outcome, broken in (
        (Config(), "failed", True),
        (HOLDING, "known", False),
        (LOWERED, "warned", False),
        (EXPIRED, "failed", True),
    ):
        matrix = Matrix([_Rule()], weights=Weights(config, today=TODAY))
        matrix.add("e1", "v6", "stream", [violation()], judged=True)
        (row,) = matrix.rows()
        assert (row["outcome"], matrix.broken) == (outcome, broken)
        assert (row["reason"] is None) == (not config.waivers)
