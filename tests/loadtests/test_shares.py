"""Whose each arrival is: every one has exactly one owner, for the whole run."""

from __future__ import annotations

from collections import Counter

import pytest

from soundstage.loadtests.cluster.shares import owner, share


@pytest.mark.parametrize("many", [1, 2, 3, 7])
def test_of_as_many_arrivals_in_a_row_as_there_are_workers_each_takes_one(many: int) -> None:
    for block in range(200):
        owners = [owner(block * many + place, many) for place in range(many)]
        assert sorted(owners) == list(range(many))


@pytest.mark.parametrize("turn", [2, 3, 4, 8])
@pytest.mark.parametrize("many", [2, 3, 4])
def test_no_worker_gets_all_of_one_kind_of_request(many: int, turn: int) -> None:
    first_of_a_mixture = range(0, 1200 * turn, turn)
    taken = Counter(owner(number, many) for number in first_of_a_mixture)
    assert len(taken) == many
    assert min(taken.values()) > 0.7 * 1200 / many


@pytest.mark.parametrize("whole", [0, 1, 2, 7, 1000])
@pytest.mark.parametrize("many", [1, 2, 3, 7])
def test_what_is_dealt_out_is_the_whole_in_parts_that_differ_by_one_at_most(
    whole: int, many: int
) -> None:
    parts = [share(whole, place, many) for place in range(many)]
    assert sum(parts) == whole
    assert max(parts) - min(parts) <= 1
