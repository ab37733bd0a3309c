"""Rows, budgets and clocks between a worker and its master, over a channel that loses messages."""

from __future__ import annotations

import time
from random import Random
from typing import Any

import gevent
import orjson
import pytest

from soundstage.errors import BudgetError, TargetError
from soundstage.loadtests.cluster import clocks, leases, shipping
from soundstage.loadtests.cluster.leases import LeasedBudget, Lender
from soundstage.loadtests.cluster.shipping import Shipment
from soundstage.loadtests.cluster.worker_record import Member


class Master:
    """Takes batches as a master does. The channel to it loses messages, and so does the way back,
    with this probability.
    """

    def __init__(self, loss: float) -> None:
        self.member = Member("client", 0, "here", 1)
        self.ids: list[str] = []
        self.violations: list[dict[str, Any]] = []
        self.rules: list[str] = []
        self.health: list[dict[str, Any]] = []
        self.transcripts: dict[str, bytes] = {}
        self.largest = 0
        self.under_way = self.most_under_way = 0
        self.shipment: Shipment
        self._random, self._loss = Random(7), loss

    def send(self, kind: str, data: dict[str, Any]) -> None:
        assert kind == shipping.ROWS
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        if self._random.random() >= self._loss:
            gevent.spawn(self._take, data)

    def _take(self, data: dict[str, Any]) -> None:
        number = data["number"]
        if self.member.is_new(number):
            document = orjson.loads(data["document"])
            self.largest = max(self.largest, len(document["entries"]))
            for entry in document["entries"]:
                self.ids.append(entry["row"]["id"])
                self.violations += entry["violations"]
                self.rules += entry["exercised"]
            self.health += document["health"]
            self.transcripts.update(data["transcripts"])
        if self._random.random() >= self._loss:
            self.under_way -= 1
            self.shipment.acknowledged(number)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not acknowledged is sent again at once, and nobody waits for more rows."""
    monkeypatch.setattr(shipping, "SHIP_S", 0.005)
    monkeypatch.setattr(shipping, "_AGAIN_S", 0.01)


def _shipment(loss: float = 0.0) -> tuple[Shipment, Master]:
    master = Master(loss)
    master.shipment = Shipment(master.send, lambda: {"asked": len(master.ids)})
    return master.shipment, master


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_every_row_arrives_once_whatever_the_channel_loses(loss: float) -> None:
    shipment, master = _shipment(loss)
    shipment.start()
    for number in range(2_500):
        shipment.exchange({"id": f"e{number}"})
        if number % 100 == 0:
            shipment.violations([{"exchange": f"e{number}"}])
            shipment.exercised([f"rule/{number}"])
            gevent.sleep(0)
    shipment.health({"t": 1.0})
    shipment.transcript("e7.ndjson", b"\xff\x00")
    assert shipment.finish(20.0)
    assert sorted(master.ids) == sorted(f"e{number}" for number in range(2_500))
    assert len(master.violations) == len(master.rules) == 25
    assert master.health == [{"t": 1.0}]
    assert master.transcripts == {"e7.ndjson": b"\xff\x00"}
    assert master.largest <= shipping.BATCH_ROWS


@pytest.mark.usefixtures("hasty")
def test_a_master_that_takes_nothing_gets_no_more_than_a_few_batches_at_once() -> None:
    sent: set[int] = set()
    shipment = Shipment(lambda kind, data: sent.add(data["number"]), dict)
    shipment.start()
    for number in range(20 * shipping.BATCH_ROWS):
        shipment.exchange({"id": f"e{number}"})
    gevent.sleep(0.05)
    assert 0 < len(sent) <= 8
    assert not shipment.finish(0.02), "it knows that not all was taken"


def test_rows_do_not_pile_up_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "MOST_WAITING", 10)
    shipment = Shipment(lambda kind, data: None, dict)
    for number in range(10):
        shipment.exchange({"id": f"e{number}"})
    with pytest.raises(TargetError, match="does not take rows"):
        shipment.exchange({"id": "one too many"})


@pytest.mark.usefixtures("hasty")
def test_a_worker_is_told_when_its_master_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "PATIENCE_S", 0.02)
    gone = gevent.event.Event()
    shipment = Shipment(lambda kind, data: None, dict, gone.set)
    shipment.start()
    shipment.exchange({"id": "e1"})
    assert gone.wait(5.0)
    shipment.finish(0.0)


@pytest.mark.usefixtures("hasty")
def test_what_an_api_sent_that_json_cannot_carry_is_shipped_as_text() -> None:
    shipment, master = _shipment()
    shipment.start()
    shipment.exchange({"id": "lone \ud800", "events": 2**70})
    assert shipment.finish(5.0)
    assert master.ids == ["lone \\ud800"]


def test_a_batch_counts_once_in_whatever_order_they_come() -> None:
    member = Member("client", 0, "here", 1)
    assert [member.is_new(number) for number in (1, 3, 3, 2, 1, 4, 3)] == [
        True,
        True,
        False,
        True,
        False,
        True,
        False,
    ]


def _budget(lender: Lender, name: str, many: int) -> LeasedBudget:
    """That of one of so many workers, whose master answers a little later."""

    def ask() -> None:
        gevent.spawn(lambda: budget.grant(lender.lend(name, many)))

    budget = LeasedBudget(lender.limit, ask)
    return budget


def _spend(budget: LeasedBudget, pauses: Random) -> BudgetError:
    while True:
        try:
            budget.take()
        except BudgetError as error:
            return error
        gevent.sleep(pauses.random() / 1e5)


@pytest.mark.parametrize("limit", [1, 6, 1000])
def test_workers_together_spend_what_the_budget_allows_and_no_more(limit: int) -> None:
    lender, pauses = Lender(limit), Random(3)
    workers = [_budget(lender, f"w{number}", 3) for number in range(3)]
    ended = gevent.joinall([gevent.spawn(_spend, each, pauses) for each in workers], timeout=10)
    assert [str(each.value) for each in ended] == [
        f"the budget of {limit} billable requests is spent"
    ] * 3
    assert sum(each.spent for each in workers) == limit == sum(lender.granted.values())


def test_what_a_lost_worker_held_is_counted_as_spent() -> None:
    lender = Lender(100)
    held = lender.lend("lost", 2)
    assert 0 < held <= 100 // 4, "lots are small, so that little is lost with a worker"
    spent = 0
    while (lot := lender.lend("other", 1)) > 0:
        spent += lot
    assert spent == 100 - held


def test_what_a_worker_gives_back_can_be_spent_by_others() -> None:
    lender = Lender(10)
    while lender.lend("first", 1):
        pass
    lender.returned("first", 4)
    assert lender.left == 6


def test_a_worker_whose_master_is_silent_does_not_send(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "_PATIENCE_S", 0.01)
    budget = LeasedBudget(5, lambda: None)
    with pytest.raises(TargetError, match="grants no budget"):
        budget.take()
    assert budget.spent == 0


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
