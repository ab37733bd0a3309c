"""What is expected to be charged follows from what was seen; what is not known is a range."""

from __future__ import annotations

from typing import Any

import pytest

from soundstage.contract import load
from soundstage.exchange.account.billing import Billing, BillJudgement

V6 = load("v6")
STREAM = V6.endpoints["stream"]


def row(outcome: str = "ok", status: int | None = 200, **more: Any) -> dict[str, Any]:
    stages = {"validated": [0.1, 0.1, 1]} if outcome == "ok" else {}
    return {
        "id": "e000001",
        "api": "v6",
        "endpoint": "stream",
        "outcome": outcome,
        "http_status": status,
        "stages": stages,
        **more,
    }


def about(asked: int, charged: int) -> dict[str, Any]:
    return {"asked": {"v6": {"stream": asked}}, "charged": {"v6": {"stream": charged}}}


def judged(rows: list[dict[str, Any]], asked: int, charged: int) -> BillJudgement:
    billing = Billing.of([V6], about(100, 70))
    for each in rows:
        billing.add(each)
    return billing.judge(V6, STREAM, about(100 + asked, 70 + charged))


SONGS = [row(), row(), row("refused", 402), row("refused", 503)]


def test_a_song_is_charged_for_once_and_a_refusal_is_not() -> None:
    assert judged(SONGS, 4, 2) == BillJudgement()


@pytest.mark.parametrize(("charged", "code"), [(3, "billing.too_much"), (1, "billing.too_little")])
def test_what_does_not_add_up_is_a_finding(charged: int, code: str) -> None:
    found = judged(SONGS, 4, charged).found
    assert found is not None
    assert (found.code, found.severity) == (code, "warning")
    assert found.message == (
        f"{charged} songs were charged for, and 2 should have been, of 4 requests"
    )


@pytest.mark.parametrize("charged", [2, 3])
def test_of_what_broke_off_nobody_knows(charged: int) -> None:
    rows = [row(), row(), row("timeout", None), row("dropped", None)]
    assert judged(rows, 3, charged) == BillJudgement()


def test_a_stream_that_was_left_after_it_was_paid_for_is_charged_for() -> None:
    left = row("cut", stages={"validated": [0.1, 0.1, 1]})
    assert judged([left], 1, 1) == BillJudgement()
    assert judged([left], 1, 0).found is not None


@pytest.mark.parametrize(("asked", "charged"), [(5, 3), (-100, -70)])
def test_an_emulator_that_others_asked_or_that_began_anew_is_not_judged(
    asked: int, charged: int
) -> None:
    assert judged(SONGS, asked, charged) == BillJudgement(
        reason="others asked this emulator meanwhile, or it began anew"
    )


@pytest.mark.parametrize("odd", [{}, {"charged": 3}, {"charged": {"v6": []}}, {"charged": None}])
def test_what_says_nothing_of_charges_is_not_judged(odd: dict[str, Any]) -> None:
    billing = Billing.of([V6], odd)
    billing.add(row())
    assert billing.judge(V6, STREAM, odd).reason == "only an emulator says what it charged"


def test_a_contract_without_a_price_has_no_cost() -> None:
    billing = Billing.of([V6], {})
    billing.add(row())
    assert billing.cost() == []
