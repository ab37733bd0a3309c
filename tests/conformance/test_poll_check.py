"""Looks at a state, one after the other: what may be skipped, what may not change, when it is over,
and that no answer whatever upsets them.
"""

from __future__ import annotations

import json

import pytest
from tests.support.small_api import small_job

from soundstage.conformance.following import Following
from soundstage.conformance.job_judge import JobJudge
from soundstage.conformance.looks_judge import LooksJudge
from soundstage.conformance.poll_check import NOT_DONE, PollCheck
from soundstage.conformance.violations import Verdict


@pytest.fixture(scope="module")
def contract(tmp_path_factory):
    return small_job(tmp_path_factory.mktemp("contracts"))


def state(name, **fields):
    return {"t": name, "id": "a", **fields}


def looked(contract, *values):
    """The check of looks that showed these values ("queued" stands for the state), closed."""
    check = PollCheck(contract, "status")
    for value in values:
        check.look(state(value) if isinstance(value, str) else value)
    check.close()
    return check


def codes(contract, *values):
    return [each.code for each in looked(contract, *values).violations]


# --- the order ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "states",
    [
        ["queued", "working", "done"],
        ["done"],
        ["working", "done"],
        ["queued", "done"],
        ["queued"] * 5 + ["working"] * 7 + ["done"] * 3,
    ],
    ids="-".join,
)
def test_a_state_that_nobody_saw_is_not_missing_and_one_may_stay(contract, states):
    check = looked(contract, *states)
    assert (check.violations, check.reason, check.done) == ([], None, True)
    assert check.verdict() is Verdict.CONFORMS


@pytest.mark.parametrize(
    ("states", "found"),
    [
        (["working", "queued", "working", "done"], ["job.backwards"]),
        (["done", "working"], ["job.changed"]),
        (["done", "queued", "done"], ["job.changed"]),
        (["done", "lost"], ["job.changed"]),
        (["lost", "done"], ["job.changed"]),
        (["working", "queued", "working", "queued", "done"], ["job.backwards"] * 2),
    ],
    ids=str,
)
def test_a_state_that_goes_back_or_leaves_what_was_the_last_is_found(contract, states, found):
    values = [state(name, error="gone") for name in states]
    check = looked(contract, *values)
    assert [each.code for each in check.violations] == found
    assert check.verdict() is Verdict.VIOLATES


def test_a_state_that_goes_back_is_said_with_the_one_it_was(contract):
    (found,) = looked(contract, "working", "queued").violations
    assert found.message == "the state is queued; it was working, which comes after it"
    assert (found.rule, found.chunk) == ("small/status/forward", 1)


def test_a_state_that_failed_is_over_and_judged_no_further(contract):
    check = looked(contract, "queued", state("lost", error="no luck"))
    assert (check.over, check.done, check.reason) == (True, False, "stream.failed")
    assert check.failed
    assert check.verdict() is Verdict.INCONCLUSIVE


def test_a_job_that_is_not_over_is_inconclusive_and_no_truncation(contract):
    for states in ([], ["queued"], ["queued", "working"]):
        check = looked(contract, *states)
        assert (check.violations, check.reason, check.over) == ([], NOT_DONE, False)


def test_why_nobody_looked_any_longer_counts_before_all_else(contract):
    check = PollCheck(contract, "status")
    check.look(state("working"))
    check.close(cut="harness.cancelled")
    assert check.reason == "harness.cancelled"


def test_a_state_of_no_name_is_found_and_what_comes_after_it_goes_on(contract):
    check = looked(contract, "queued", state("paused"), {"id": "a"}, "done")
    assert [each.message for each in check.violations] == [
        "no state is like this: t is 'paused'",
        "no state is like this: t is missing",
    ]
    assert (check.done, check.state) == (True, "done")


# --- what is to stay, and what is to rise ---------------------------------------------------------


def items(*ids):
    return {"all": [{} if each is None else {"id": each} for each in ids]}


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([state("queued"), state("done")], []),
        ([state("queued"), {**state("done"), "id": "b"}], ["identity.changed"]),
        ([{"t": "queued"}, state("working"), state("done")], []),
        ([state("working", deep=items("x")), state("done", deep=items("x", "y"))], []),
        ([state("working", deep=items(None, "y")), state("done", deep=items("x", "y"))], []),
        (
            [state("working", deep=items("x", "y")), state("done", deep=items("y", "x"))],
            ["identity.changed"] * 2,
        ),
        ([state("done", deep=items("x")), state("done", deep=items("z"))], ["identity.changed"]),
        ([state("working", share=0.2), state("working", share=0.1)], ["progress.decreased"]),
        ([state("working", share=0.2), state("working"), state("working", share=0.2)], []),
        ([state("working", share=0.2), state("done", share=0.1)], []),
    ],
)
def test_what_identifies_a_job_stays_and_what_rises_does_not_fall(contract, values, found):
    assert codes(contract, *values) == found


def test_a_field_of_the_wrong_type_is_one_fault_and_no_change(contract):
    wrong = {**state("done"), "id": 7}
    assert codes(contract, state("queued"), wrong) == ["field.type"]


# --- milestones -----------------------------------------------------------------------------------


def moments(contract, *values):
    check = PollCheck(contract, "status")
    return [check.look(state(v) if isinstance(v, str) else v).milestones for v in values]


def test_milestones_of_states_that_nobody_saw_are_reached_with_the_one_that_was(contract):
    assert moments(contract, "done") == [("begun", "complete")]
    assert moments(contract, "queued", "done") == [(), ("begun", "complete")]
    assert moments(contract, "working", "working", "done") == [("begun",), (), ("complete",)]


def test_a_failure_reaches_nothing_that_nobody_saw(contract):
    assert moments(contract, "queued", state("lost", error="gone")) == [(), ()]


def test_a_milestone_of_all_items_waits_for_the_last_of_them(contract):
    shown = [state("working", deep=items(*ids)) for ids in (["x", None], [], ["x", "y"])]
    assert moments(contract, *shown) == [("begun",), (), ("ready",)]


# --- answers --------------------------------------------------------------------------------------

HOSTILE = [
    b"",
    b"null",
    b"[]",
    b'"done"',
    b"{",
    b"{}",
    b'{"t": "done"',
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"t":' * 5_000,
    b'{"t": {"t": "done"}, "id": "a"}',
    b'{"t": ["done"], "id": "a"}',
    b'{"t": null, "id": "a"}',
    b'{"t": 1e999, "id": "a"}',
    b'{"t": NaN}',
    b'{"t": "paused", "t": "paused"}',
    b'{"t": "\\ud800"}',
    b"<html>busy</html>",
    b"data: {}\n\n",
    json.dumps({"t": "d" * 1_000_000}).encode(),
    json.dumps({f"k{n}": n for n in range(5_000)}).encode(),
]


@pytest.mark.parametrize("raw", HOSTILE, ids=[repr(raw[:20]) for raw in HOSTILE])
@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_that_shows_no_state_is_said_and_changes_nothing(contract, raw, status):
    looks = LooksJudge(contract, contract.endpoints["status"])
    for body in (json.dumps(state("working")).encode(), raw, json.dumps(state("done")).encode()):
        one = looks.judge()
        one.head(status if body is raw else 200, "application/json")
        one.feed(body)
        one.close()
        looks.take(one)
        assert looks.check.state == ("done" if b'"done", "id": "a"}' in body else "working")
        assert (one.seen is None or one.seen.stage is None) is (body is raw)
        if body is raw:
            assert looks.violations or one.reason
    looks.check.close()
    assert looks.check.done
    assert len(looks.violations) < 30
    assert all(len(each.message) < 1_000 for each in looks.violations)


def accepted(contract, body, status=202, **headers):
    judge = JobJudge(contract, contract.endpoints["job"])
    judge.head(status, "application/json")
    judge.feed(json.dumps(body).encode())
    judge.close()
    return judge, judge.accepted(headers.get)


def test_an_answer_that_gives_the_id_accepts_a_job(contract):
    judge, yes = accepted(contract, {"id": "a"})
    assert yes
    assert judge.was_accepted
    assert judge.following.given == {"id": "a"}


@pytest.mark.parametrize(
    ("body", "status"),
    [({"id": "a"}, 500), ({"id": "a"}, 200), ({"id": ""}, 202), ({}, 202), ([], 202),
     ({"id": None}, 202), ({"id": {"a": 1}}, 202)],
)  # fmt: skip
def test_an_answer_without_an_id_or_success_accepts_nothing(contract, body, status):
    judge, yes = accepted(contract, body, status)
    assert not yes
    assert not judge.was_accepted


@pytest.mark.parametrize(
    ("states", "cut", "verdict", "ended", "timed_out"),
    [
        (["queued", "done"], None, Verdict.CONFORMS, True, False),
        (["queued"], None, Verdict.INCONCLUSIVE, False, True),
        (["queued"], "budget.spent", Verdict.INCONCLUSIVE, False, False),
        (["working", "queued", "done"], None, Verdict.VIOLATES, True, False),
    ],
)
def test_a_job_is_judged_by_its_looks(contract, states, cut, verdict, ended, timed_out):
    judge, _ = accepted(contract, {"id": "a"})
    for name in states:
        judge.following.looks.check.look(state(name))
    judge.following.over(cut)
    assert (judge.verdict(), judge.ended, judge.timed_out) == (verdict, ended, timed_out)


def test_an_id_that_is_given_and_unknown_is_a_violation_of_the_one_that_gave_it(contract):
    judge, _ = accepted(contract, {"id": "a"})
    judge.following.unknown_id(404)
    judge.following.over()
    assert [(each.code, each.rule) for each in judge.violations] == [
        ("job.unknown_id", "small/job/status/known")
    ]
    assert judge.reason is None
    assert judge.verdict() is Verdict.VIOLATES


def test_a_state_is_held_against_what_the_stream_had_told(contract):
    following = Following(contract, contract.endpoints["stream"], {"id": "a"})
    following.compare_first("working", [("over", state("over"))])
    assert [each.code for each in following.ties] == ["job.behind"]
    fine = Following(contract, contract.endpoints["stream"], {"id": "a"})
    for shown, seen in (("done", [("over", {})]), (None, [("over", {})]), ("queued", [])):
        fine.compare_first(shown, seen)
    assert fine.ties == []
