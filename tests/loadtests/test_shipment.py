"""Rows, budgets and clocks between a worker and its master."""

from __future__ import annotations

import time
from random import Random
from typing import Any

import gevent
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
        self.batches = self.largest = 0

    def send(self, kind: str, data: dict[str, Any]) -> None:
        assert kind == shipment.ROWS
        document = orjson.loads(data["document"])
        self.batches += 1
        self.largest = max(self.largest, len(document["entries"]))
        for entry in document["entries"]:
            self.ids.append(entry["row"]["id"])
            self.violations += entry["violations"]
            self.rules += entry["exercised"]
        self.health += document["health"]
        self.transcripts.update(data["transcripts"])


def test_every_row_arrives_once_with_what_belongs_to_it() -> None:
    taken = Taken()
    shipped = Shipment(taken.send, lambda: {"asked": len(taken.ids)})
    shipped.start()
    for number in range(2_500):
        shipped.exchange({"id": f"e{number}"})
        if number % 100 == 0:
            shipped.violations([{"exchange": f"e{number}"}])
            shipped.exercised([f"rule/{number}"])
            gevent.sleep(0)
    shipped.health({"t": 1.0})
    shipped.transcript("e7.ndjson", b"\xff\x00")
    shipped.finish()
    assert taken.ids == [f"e{number}" for number in range(2_500)]
    assert len(taken.violations) == len(taken.rules) == 25
    assert taken.health == [{"t": 1.0}]
    assert taken.transcripts == {"e7.ndjson": b"\xff\x00"}
    assert taken.largest <= shipment.BATCH_ROWS
    assert taken.batches == shipped.number, "so that a master sees that one is missing"


def test_what_an_api_sent_that_json_cannot_carry_is_shipped_as_text() -> None:
    taken = Taken()
    shipped = Shipment(taken.send, dict)
    shipped.exchange({"id": "lone \ud800", "events": 2**70})
    shipped.finish()
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


def test_the_offset_of_a_clock_is_within_its_error() -> None:
    random = Random(5)
    ahead, wall = 7_000_000_000, -250_000_000

    def ask(timeout_s: float) -> tuple[int, int] | None:
        if random.random() < 0.3:
            return None  # lost
        time.sleep(random.random() / 500)
        answer = time.monotonic_ns() + ahead, time.time_ns() + wall
        time.sleep(random.random() / 500)
        return answer

    offset = clocks.measure(ask)
    assert offset is not None
    assert abs(offset.ns - ahead) <= offset.error_ns < 2_000_000 * 10
    assert abs(offset.wall_ns - wall) <= offset.error_ns + 1_000_000
    assert offset.of_start == offset.ns


def test_clocks_that_cannot_be_told_apart_are_taken_as_one() -> None:
    offset = clocks.measure(lambda timeout_s: (time.monotonic_ns(), time.time_ns()))
    assert offset is not None
    assert offset.of_start == 0
    assert clocks.measure(lambda timeout_s: None, rounds=2) is None
