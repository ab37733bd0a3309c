"""Whose each arrival is: every one has exactly one owner, whoever comes and goes."""

from __future__ import annotations

from collections import Counter

import pytest

from soundstage.loadtests.cluster.shares import SharePlan, share


def _plan(*workers: str) -> SharePlan:
    plan = SharePlan([])
    plan.changed(-1.0, list(workers))
    return plan


@pytest.mark.parametrize("many", [1, 2, 3, 7])
def test_of_as_many_arrivals_in_a_row_as_there_are_workers_each_takes_one(many: int) -> None:
    names = [f"w{number}" for number in range(many)]
    plan = _plan(*names)
    for block in range(200):
        owners = [plan.owner(block * many + place, 0.0) for place in range(many)]
        assert sorted(str(each) for each in owners) == names


@pytest.mark.parametrize("turn", [2, 3, 4, 8])
@pytest.mark.parametrize("many", [2, 3, 4])
def test_no_worker_gets_all_of_one_kind_of_request(many: int, turn: int) -> None:
    plan = _plan(*(f"w{number}" for number in range(many)))
    first_of_a_mixture = range(0, 1200 * turn, turn)
    taken = Counter(plan.owner(number, 0.0) for number in first_of_a_mixture)
    assert len(taken) == many
    assert min(taken.values()) > 0.7 * 1200 / many


def test_a_change_holds_from_its_moment_on_and_not_before() -> None:
    plan = _plan("a", "b", "c")
    plan.changed(10.0, ["a", "c"])
    assert {plan.owner(number, 9.999) for number in range(30)} == {"a", "b", "c"}
    assert {plan.owner(number, 10.0) for number in range(30)} == {"a", "c"}


def test_a_later_decision_about_the_same_moment_wins() -> None:
    plan = _plan("a", "b")
    plan.changed(10.0, ["a"])
    plan.changed(9.5, ["b"])
    assert {plan.owner(number, 12.0) for number in range(30)} == {"b"}
    assert {plan.owner(number, 9.0) for number in range(30)} == {"a", "b"}


def test_without_workers_nobody_takes_an_arrival() -> None:
    plan = _plan("a")
    plan.changed(5.0, [])
    assert plan.owner(3, 6.0) is None
    assert SharePlan([]).owner(0, 0.0) is None


def test_a_plan_is_the_same_at_its_other_end() -> None:
    plan = _plan("a", "b")
    plan.changed(3.5, ["b"])
    assert SharePlan.of(plan.to_json()) == plan
    assert plan.workers == ["b"]


def test_a_cap_is_dealt_out_to_the_last_one() -> None:
    assert [share(7, place, 3) for place in range(3)] == [3, 2, 2]
    assert [share(2, place, 3) for place in range(3)] == [1, 1, 1], "none is left without"
