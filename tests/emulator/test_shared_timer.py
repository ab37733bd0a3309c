"""One timer for the moments of many."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from soundstage.emulator.service.shared_timer import SharedTimer


class MadeUpLoop:
    """A loop whose clock goes from timer to timer."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[list[Any]] = []
        self.set = 0

    def time(self) -> float:
        return self.now

    def call_at(self, due: float, callback: Callable[..., None], *args: Any) -> Any:
        timer = [due, callback, args]
        self.timers.append(timer)
        self.set += 1

        class Handle:
            def cancel(_) -> None:
                if timer in self.timers:
                    self.timers.remove(timer)

        return Handle()

    def run(self) -> None:
        while self.timers:
            timer = min(self.timers, key=lambda each: each[0])
            self.timers.remove(timer)
            self.now = max(self.now, timer[0])
            timer[1](*timer[2])


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> MadeUpLoop:
    made = MadeUpLoop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: made)
    return made


@pytest.mark.parametrize("seed", range(20))
def test_each_is_called_when_it_is_due_and_in_order(loop: MadeUpLoop, seed: int) -> None:
    rng, timer, called, asked = random.Random(seed), SharedTimer(), [], []

    def ask(due: float, again: int) -> None:
        def callback(told: float) -> None:
            assert told == due
            assert loop.now >= due
            called.append((due, loop.now))
            if again:
                ask(due + rng.choice([0.0, 0.001, 0.4, -0.1]), again - 1)

        asked.append(due)
        timer.call_at(due, callback)

    for _ in range(50):
        ask(rng.choice([0.0, 1.0, rng.random()]), rng.randrange(4))
    loop.run()
    assert sorted(due for due, _ in called) == sorted(asked)
    assert all(now == pytest.approx(due) for due, now in called if due >= now)
    assert [now for _, now in called] == sorted(now for _, now in called)


def test_nobody_is_called_for_a_moment_that_was_dropped(loop: MadeUpLoop) -> None:
    timer, called = SharedTimer(), []
    moments = [timer.call_at(float(number), called.append) for number in range(4)]
    moments[0].drop()
    moments[2].drop()
    loop.run()
    assert called == [1.0, 3.0]


def test_one_that_fails_keeps_nobody_from_being_called(loop: MadeUpLoop) -> None:
    timer, called = SharedTimer(), []

    def fail(_: float) -> None:
        raise RuntimeError("made up")

    timer.call_at(1.0, fail)
    timer.call_at(1.0, called.append)
    timer.call_at(2.0, called.append)
    with pytest.raises(RuntimeError):
        loop.run()
    loop.run()
    assert called == [1.0, 2.0]


def test_those_of_one_moment_take_one_timer(loop: MadeUpLoop) -> None:
    timer, called = SharedTimer(), []
    for _ in range(100):
        timer.call_at(1.0, called.append)
    loop.run()
    assert len(called) == 100
    assert loop.set == 1
