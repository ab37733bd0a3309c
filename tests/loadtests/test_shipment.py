"""Rows, budgets and clocks between a worker and its master."""

from __future__ import annotations

import time
from random import Random
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from soundstage.errors import BudgetError
from soundstage.loadtests.cluster import clocks, shipment
from soundstage.loadtests.cluster.shares import ShareBudget, share
from soundstage.loadtests.cluster.shipment import Shipment


class Taken:
    """Takes batches as a master does."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.violations: list[dict[str, Any]] = []
        self.rules: list[str] = []
        self.health: list[dict[str, Any]] = []
        self.transcripts: dict[str, bytes] = {}
        self.figures: list[dict[str, Any]] = []
        self.observed: list[Any] = []
        self.largest = 0

    def send(self, batch: dict[str, Any]) -> None:
        document = orjson.loads(batch["document"])
        self.largest = max(self.largest, len(document["entries"]))
        for entry in document["entries"]:
            self.ids.append(entry["row"]["id"])
            self.violations += entry["violations"]
            self.rules += entry["exercised"]
        self.health += document["health"]
        self.figures.append(document["figures"])
        self.observed.append(document["observed"])
        self.transcripts.update(batch["transcripts"])


def test_both_ends_of_what_is_known_by_polling_arrive() -> None:
    sent: list[dict[str, Any]] = []
    shipped = Shipment(sent.append, dict)
    row = {
        "id": "e1",
        "milestones": {"complete": 5.0},
        "milestones_low": {"complete": 4.0},
        "polls": {"count": 5, "first": 0.5, "last": 4.9, "longest_gap": 1.0},
    }
    shipped.exchange(row)
    shipped.ship({"apis": {}})
    (entry,) = orjson.loads(sent[0]["document"])["entries"]
    assert entry["row"] == row


def test_every_row_arrives_once_with_what_belongs_to_it() -> None:
    taken = Taken()
    shipped = Shipment(taken.send, lambda: {"asked": len(taken.ids)})
    for number in range(2_500):
        shipped.exchange({"id": f"e{number}"})
        if number % 100 == 0:
            shipped.violations([{"exchange": f"e{number}"}])
            shipped.exercised([f"rule/{number}"])
        if number in (30, 900):
            shipped.ship()
    shipped.health({"t": 1.0})
    shipped.transcript("e7.ndjson", b"\xff\x00")
    shipped.ship({"apis": {}})
    assert taken.ids == [f"e{number}" for number in range(2_500)]
    assert len(taken.violations) == len(taken.rules) == 25
    assert taken.health == [{"t": 1.0}]
    assert taken.transcripts == {"e7.ndjson": b"\xff\x00"}
    assert taken.largest == shipment.BATCH_ROWS
    batches = [each["batches"] for each in taken.figures]
    assert batches == list(range(1, len(batches) + 1)), "so that a master sees that one is missing"
    assert [each["done"] for each in taken.figures] == [False] * (len(batches) - 1) + [True]
    assert taken.observed == [None] * (len(batches) - 1) + [{"apis": {}}]


def test_what_an_api_sent_that_json_cannot_carry_is_shipped_as_text() -> None:
    taken = Taken()
    shipped = Shipment(taken.send, dict)
    shipped.exchange({"id": "lone \ud800", "events": 2**70})
    shipped.ship()
    assert taken.ids == ["lone \\ud800"]


def _spend(budget: ShareBudget) -> BudgetError:
    while True:
        try:
            budget.take()
        except BudgetError as error:
            return error


@pytest.mark.parametrize("limit", [0, 1, 6, 1000])
def test_workers_together_spend_what_the_budget_allows_and_no_more(limit: int) -> None:
    workers = [ShareBudget(share(limit, place, 3), limit) for place in range(3)]
    said = [str(_spend(each)) for each in workers]
    assert said == [f"the budget of {limit} billable requests is spent"] * 3
    assert sum(each.spent for each in workers) == limit


def test_a_worker_spends_no_more_than_it_was_given_itself_whatever_its_share() -> None:
    left = iter(range(2))

    def own() -> None:
        if next(left, None) is None:
            raise BudgetError("this worker's own budget of 2 requests is spent")

    budget = ShareBudget(5, 15, own)
    assert "own budget of 2" in str(_spend(budget))
    assert budget.spent == 2


def test_the_offset_of_a_clock_is_within_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    random, ahead, now = Random(5), 7_000_000_000, 0

    def passes() -> int:
        nonlocal now
        now += random.randrange(2_000_000)
        return now

    def ask(timeout_s: float) -> int | None:
        return None if random.random() < 0.3 else passes() + ahead  # or it is lost

    monkeypatch.setattr(clocks, "time", SimpleNamespace(monotonic_ns=passes))
    offset = clocks.measure(ask)
    assert offset is not None
    assert abs(offset.ns - ahead) <= offset.error_ns < 2_000_000
    assert offset.of_start == offset.ns


def test_clocks_that_cannot_be_told_apart_are_taken_as_one() -> None:
    offset = clocks.measure(lambda timeout_s: time.monotonic_ns())
    assert offset is not None
    assert offset.of_start == 0
    assert clocks.measure(lambda timeout_s: None, rounds=2) is None
