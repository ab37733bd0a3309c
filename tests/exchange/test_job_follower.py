"""How a job is asked for: when, how often, until when, and what ends it early."""

from __future__ import annotations

import threading
from email.utils import formatdate

import pytest
from tests.support.scripted_job import answer, state
from tests.support.small_api import small_job

from soundstage.exchange import job_follower
from soundstage.exchange.budget import Budget
from soundstage.exchange.job_follower import Interrupt

ACCEPTED = answer(202, {"id": "a"})
GONE = answer(404, {"detail": "no such job"})
BUSY = answer(503, b"<html>busy</html>", Content_Type="text/html")


# --- when -----------------------------------------------------------------------------------------


def test_each_wait_is_longer_than_the_one_before_up_to_the_longest(tmp_path, follow):
    contract = small_job(tmp_path, every_s=1, growth=2, at_most_every_s=5)
    done = follow(contract, ACCEPTED, *[state("queued")] * 5, state("done"))
    assert done.waits == [1, 2, 4, 5, 5, 5]
    assert (done.exchange.outcome, done.codes, done.reason) == ("ok", [], None)
    assert done.exchange.row(0)["polls"]["count"] == 6


def test_a_job_is_asked_for_every_so_often_where_nothing_grows(tmp_path, follow):
    done = follow(small_job(tmp_path, every_s=3), ACCEPTED, *[state("working")] * 3, state("done"))
    assert done.waits == [3, 3, 3, 3]


@pytest.mark.parametrize(
    ("said", "waited"),
    [
        ("7", 7),
        (" 0 ", 0.01),
        ("99999999", 3_600),
        ("-3", 1),
        ("1.5", 1),
        ("soon", 1),
        ("\N{SUPERSCRIPT TWO}", 1),
        ("Wed, 21 Oct 1000 07:28:00 GMT", 0.01),
        ("Wed, 99 Oct 2015 07:28:00 GMT", 1),
        ("Wed, 21 Oct 9999 07:28:00 GMT", 3_600),
    ],
)
def test_a_retry_after_counts_in_place_of_the_next_wait_if_it_is_one(
    tmp_path, follow, said, waited
):
    contract = small_job(tmp_path, every_s=1, until_s=10_000)
    looks = (state("queued", Retry_After=said), state("working"), state("done"))
    assert follow(contract, ACCEPTED, *looks).waits == [1, waited, 1]


def test_a_retry_after_that_is_a_date_is_waited_for(tmp_path, follow):
    contract = small_job(tmp_path, every_s=1)
    date = formatdate(job_follower.time.time() + 1 + 30, usegmt=True)
    done = follow(contract, ACCEPTED, state("queued", Retry_After=date), state("done"))
    assert done.waits[1] == pytest.approx(30, abs=2)


def test_an_answer_of_too_many_requests_is_borne_and_its_wait_kept(tmp_path, follow):
    contract = small_job(tmp_path, every_s=1)
    busy = answer(429, {"detail": "slowly"}, Retry_After="9")
    done = follow(contract, ACCEPTED, busy, state("done"))
    assert done.waits == [1, 9]
    assert done.exchange.outcome == "ok"


def test_what_is_faster_than_its_api_is_asked_more_often_but_keeps_its_own_waits(tmp_path, follow):
    contract = small_job(tmp_path, every_s=2)
    looks = (state("queued", Retry_After="4"), state("working"), state("done"))
    assert follow(contract, ACCEPTED, *looks, about={"speed": 10.0}).waits == [0.2, 4, 0.2]


def test_what_takes_no_time_is_asked_without_rest_but_not_without_pause(tmp_path, follow):
    contract = small_job(tmp_path, every_s=2)
    done = follow(contract, ACCEPTED, state("queued"), state("done"), about={"takes_no_time": True})
    assert done.waits == [0.01, 0.01]


def test_each_state_that_is_seen_is_told_at_once(tmp_path, follow):
    told = []
    looks = (state("queued"), BUSY, state("working"), state("done"))
    contract = small_job(tmp_path, every_s=1)
    follow(contract, ACCEPTED, *looks, on_stage=lambda *what: told.append(what))
    assert told == [("queued", None), ("working", None), ("done", None)]


# --- until when -----------------------------------------------------------------------------------


def test_what_is_not_done_in_its_time_is_inconclusive(tmp_path, follow):
    contract = small_job(tmp_path, every_s=4, until_s=10)
    done = follow(contract, ACCEPTED, state("working"))
    assert done.waits == [4, 4, pytest.approx(2, abs=0.5)]
    assert (done.exchange.outcome, done.reason, done.codes) == ("timeout", "job.not_done", [])


def test_no_job_is_asked_for_without_end(tmp_path, follow, monkeypatch):
    monkeypatch.setattr(job_follower, "MOST_LOOKS", 7)
    done = follow(small_job(tmp_path, until_s=80_000), ACCEPTED, state("working"))
    assert len(done.asked) == 7
    assert (done.exchange.outcome, done.reason) == ("cut", "cap.polls")


def test_an_id_may_be_unknown_for_as_long_as_the_contract_grants(tmp_path, follow):
    contract = small_job(tmp_path, every_s=2, grace_s=5)
    done = follow(contract, ACCEPTED, GONE, GONE, state("done"))
    assert (done.exchange.outcome, done.codes, done.reason) == ("ok", [], None)


@pytest.mark.parametrize("status", [404, 410])
def test_an_id_that_stays_unknown_after_that_is_a_violation(tmp_path, follow, status):
    contract = small_job(tmp_path, every_s=2, grace_s=5)
    done = follow(contract, ACCEPTED, answer(status, {"detail": "no such job"}))
    assert len(done.asked) == 3
    assert done.codes == ["job.unknown_id"]


def test_an_id_that_is_forgotten_is_a_violation_at_once(tmp_path, follow):
    done = follow(small_job(tmp_path), ACCEPTED, state("working"), GONE)
    assert (len(done.asked), done.codes) == (2, ["job.unknown_id"])


@pytest.mark.parametrize(
    ("look", "outcome", "reason", "codes"),
    [
        (BUSY, "failed", "http.503", set()),
        (answer(200, []), "timeout", "job.not_done", {"json.not_object"}),
    ],
    ids=["a page of a gateway", "no object"],
)
def test_five_answers_in_a_row_that_tell_nothing_end_it(
    tmp_path, follow, look, outcome, reason, codes
):
    done = follow(small_job(tmp_path), ACCEPTED, look)
    assert len(done.asked) == 5
    assert not done.exchange.judge.ended
    assert (done.exchange.outcome, done.reason, set(done.codes)) == (outcome, reason, codes)


def test_answers_that_tell_nothing_are_borne_between_those_that_do(tmp_path, follow):
    looks = (*[BUSY] * 4, state("queued"), *[BUSY] * 4, state("done"))
    done = follow(small_job(tmp_path), ACCEPTED, *looks)
    assert (done.exchange.outcome, done.codes, done.reason) == ("ok", [], None)


@pytest.mark.parametrize(
    ("status", "codes"),
    [(400, ["http.status"]), (401, []), (403, []), (405, ["http.status"]), (422, ["http.status"])],
)
def test_an_answer_that_refuses_the_question_ends_it_at_once(tmp_path, follow, status, codes):
    done = follow(small_job(tmp_path), ACCEPTED, answer(status, {"detail": "no"}))
    assert len(done.asked) == 1
    assert not done.exchange.judge.ended
    assert (done.exchange.outcome, done.reason) == ("failed", f"http.{status}")
    assert done.codes == codes


def test_the_last_state_is_looked_at_again_as_often_as_asked(tmp_path, follow):
    done = follow(small_job(tmp_path, every_s=1), ACCEPTED, state("done"), confirm=2)
    assert (len(done.asked), done.waits) == (3, [1, 0, 0])
    changed = follow(
        small_job(tmp_path, every_s=1), ACCEPTED, state("done"), state("lost"), confirm=1
    )
    assert changed.codes == ["job.changed"]


def test_polls_that_cost_stop_with_the_budget(tmp_path, follow):
    budget = Budget(3, free=False)
    done = follow(small_job(tmp_path, billed=True), ACCEPTED, state("working"), budget=budget)
    assert (len(done.asked), budget.spent) == (2, 3)
    assert (done.exchange.outcome, done.reason) == ("cut", "budget.spent")


def test_polls_that_cost_nothing_take_nothing_of_the_budget(tmp_path, follow):
    budget = Budget(1, free=False)
    done = follow(small_job(tmp_path), ACCEPTED, state("working"), state("done"), budget=budget)
    assert (done.exchange.outcome, budget.spent) == ("ok", 1)


def test_an_interruption_ends_the_wait_and_sends_nothing_more(tmp_path, follow):
    follow.waits.at_wait = lambda number: number == 2
    done = follow(small_job(tmp_path), ACCEPTED, state("working"))
    assert len(done.asked) == 1
    assert (done.exchange.outcome, done.reason) == ("cut", "harness.cancelled")


def test_every_wait_ends_at_once_when_it_is_interrupted():
    interrupt, ended = Interrupt(), []
    waiting = [
        threading.Thread(target=lambda: ended.append(interrupt.wait(60.0))) for _ in range(3)
    ]
    for each in waiting:
        each.start()
    while any(each.is_alive() for each in waiting):
        interrupt.now()
    assert ended == [True, True, True]
