"""Several things at once: in order, so many at a time, and no further than it is said."""

from __future__ import annotations

import threading

import pytest

from soundstage.gate.at_once import AtOnce


def nothing() -> None:
    """What there is to cut."""


def test_tasks_are_made_ready_in_order_and_no_more_are_under_way_than_asked_for() -> None:
    ready: list[int] = []
    running: list[int] = []
    most: list[int] = []
    both = threading.Barrier(2)

    def work(task: int, _: int) -> None:
        running.append(task)
        both.wait(timeout=5)
        most.append(len(running))
        both.wait(timeout=5)
        running.remove(task)

    lanes = AtOnce[int, int](2, lambda task: ready.append(task) or task + 1, work, nothing)
    assert lanes.all(range(6)) == []
    assert ready == list(range(6))
    assert set(most) == {2}


def test_what_is_not_ready_is_passed_over() -> None:
    done: list[int] = []
    lanes = AtOnce[int, int](
        3, lambda task: task if task % 2 else None, lambda *w: done.append(w[0]), nothing
    )
    lanes.all(range(6))
    assert sorted(done) == [1, 3, 5]


def test_nothing_is_begun_once_it_is_stopped() -> None:
    done: list[int] = []

    def work(task: int, _: int) -> None:
        done.append(task)
        if task == 2:
            lanes.stop()

    lanes = AtOnce[int, int](1, lambda task: task, work, nothing)
    assert lanes.all(range(6)) == [3, 4, 5]
    assert done == [0, 1, 2]


def test_one_by_one_waits_for_what_is_under_way() -> None:
    running: set[int] = set()
    overlaps: list[tuple[int, int]] = []
    slowed = threading.Event()
    both = threading.Barrier(2)

    def work(task: int, _: int) -> None:
        running.add(task)
        if slowed.is_set():
            overlaps.append((task, len(running)))
        else:
            both.wait(timeout=5)
        if task == 1:
            lanes.one_by_one()
            slowed.set()
        elif task == 0:
            slowed.wait(timeout=5)
        running.remove(task)

    lanes = AtOnce[int, int](2, lambda task: task, work, nothing)
    assert lanes.all(range(5)) == []
    assert overlaps == [(2, 1), (3, 1), (4, 1)]


def test_what_is_raised_ends_all_of_it_and_is_raised_again() -> None:
    done: list[int] = []

    def work(task: int, _: int) -> None:
        done.append(task)
        if task == 1:
            raise ValueError("broken")

    lanes = AtOnce[int, int](1, lambda task: task, work, nothing)
    with pytest.raises(ValueError, match="broken"):
        lanes.all(range(4))
    assert done == [0, 1]
