"""The queue before the slots, held against queueing theory, in virtual time and with seeds."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev
from typing import NamedTuple

import numpy as np
import pytest
from late_import import LateModule

from soundstage.emulator.pace.capacity import Capacity, SlowDown
from soundstage.emulator.pace.profiles import profiles

stats = LateModule("scipy.stats")

LOADS = (0.5, 0.8, 0.9)
BATCHES = 20
LEVEL = 0.999


# --- what theory says -----------------------------------------------------------------------------


def erlang_c(servers: int, load: float) -> float:
    """The share that waits in M/M/c (Kleinrock 1975, 3.5), `load` being arrivals x service / c."""
    offered = servers * load
    blocked = 1.0
    for number in range(1, servers + 1):
        blocked = offered * blocked / (number + offered * blocked)
    return blocked / (1 - load * (1 - blocked))


def mean_wait_mmc(servers: int, load: float, service: float) -> float:
    return erlang_c(servers, load) * service / (servers * (1 - load))


def mean_wait_mdc(servers: int, load: float, service: float) -> float:
    """Exact: whoever is served now has gone one service time later, whoever then is there came
    meanwhile or waited (Crommelin 1932). The chain of the number in the system, a service time
    apart, is solved numerically; Little's law gives the wait.
    """
    offered, size = servers * load, 400
    came = stats.poisson.pmf(np.arange(size), offered)
    step = np.zeros((size, size))
    for before in range(size):
        left = max(before - servers, 0)
        step[before, left:] = came[: size - left]
        step[before, -1] += 1 - step[before].sum()
    balance = np.vstack([step.T - np.eye(size), np.ones(size)])
    share = np.linalg.lstsq(balance, np.append(np.zeros(size), 1.0), rcond=None)[0]
    inside = float(share @ np.arange(size))
    return (inside / offered - 1) * service


def test_the_formulas_agree_with_printed_and_simpler_ones() -> None:
    # M/M/1: the share that waits is the load. M/M/2: 2 load^2 / (1 + load).
    assert erlang_c(1, 0.7) == pytest.approx(0.7)
    assert erlang_c(2, 0.8) == pytest.approx(2 * 0.64 / 1.8)
    # M/D/1: Pollaczek and Khinchine, load / (2 (1 - load)) service times.
    for load in LOADS:
        assert mean_wait_mdc(1, load, 3.0) == pytest.approx(3.0 * load / (2 * (1 - load)), rel=1e-6)
    # M/D/c: Cosmetatos' approximation (1975) is known to be good to some percent.
    for load in LOADS:
        more = (1 - load) * 3 * (math.sqrt(4 + 5 * 4) - 2) / (16 * load * 4)
        near = 0.5 * (1 + more) * mean_wait_mmc(4, load, 2.0)
        assert mean_wait_mdc(4, load, 2.0) == pytest.approx(near, rel=0.03)


# --- what the queue does --------------------------------------------------------------------------


class Seen(NamedTuple):
    """What one arrival met: how long it waited and stayed, and how many were there before it."""

    wait: float
    stay: float
    inside: int


def arrivals(
    name: str, load: float, many: int, seed: int, *, slots: int | None = None, look: bool = False
) -> tuple[list[Seen], float]:
    """Poisson arrivals at a profile's own capacity; those of the warm-up are left out."""
    chosen = profiles()[name]
    assert chosen.course.service is not None
    slots = slots or chosen.slots
    assert slots is not None
    rng = random.Random(seed)
    capacity = Capacity(slots, chosen.queue)
    rate = load * slots / chosen.course.service.mean
    now, seen = 0.0, []
    for _ in range(many):
        now += rng.expovariate(rate)
        inside = capacity.waiting(now) + capacity.running(now) if look else 0
        service = chosen.course.service.draw(rng)
        admitted = capacity.admit(now, service)
        wait = admitted.start - now
        assert wait >= 0
        seen.append(Seen(wait, wait + service, inside))
    return seen[many // 20 :], rate


def batch_interval(values: list[float]) -> tuple[float, float]:
    """The interval of a mean of values that depend on their neighbours (Law 2015, 9.5.3)."""
    size = len(values) // BATCHES
    means = [fmean(values[size * n : size * (n + 1)]) for n in range(BATCHES)]
    half = stats.t.ppf((1 + LEVEL) / 2, BATCHES - 1) * stdev(means) / math.sqrt(BATCHES)
    return fmean(means) - half, fmean(means) + half


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize(
    ("name", "mean_wait"), [("mmc", mean_wait_mmc), ("mdc", mean_wait_mdc)], ids=["M/M/4", "M/D/4"]
)
@pytest.mark.proof
def test_waiting_times_agree_with_queueing_theory(
    name: str, mean_wait: Callable[[int, float, float], float], load: float
) -> None:
    # The longer the queue, the longer it remembers, and the more arrivals it takes. With as many
    # as here all of 40 seeds kept theory inside, at each load.
    many = {0.5: 40_000, 0.8: 80_000, 0.9: 160_000}[load]
    seen, _ = arrivals(name, load, many, seed=1)
    low, high = batch_interval([each.wait for each in seen])
    expected = mean_wait(4, load, 2.0)
    assert low <= expected <= high
    # The interval must say something: a queue that is half or twice as long would lie outside.
    assert high - low < 0.75 * expected
    if name == "mmc":
        low, high = batch_interval([float(each.wait > 0) for each in seen])
        assert low <= erlang_c(4, load) <= high
        assert high - low < 0.1


def test_a_single_slot_agrees_with_pollaczek_and_khinchine() -> None:
    seen, _ = arrivals("mdc", 0.8, 40_000, seed=5, slots=1)
    low, high = batch_interval([each.wait for each in seen])
    assert low <= 2.0 * 0.8 / (2 * 0.2) <= high
    assert high - low < 2.0


def test_as_many_are_inside_as_littles_law_says() -> None:
    seen, rate = arrivals("mmc", 0.8, 20_000, seed=6, look=True)
    # Poisson arrivals see what is there on average (PASTA, Wolff 1982).
    low, high = batch_interval([each.inside - rate * each.stay for each in seen])
    assert low <= 0 <= high
    assert high - low < 1.0
    assert fmean(each.inside for each in seen) == pytest.approx(
        rate * fmean(each.stay for each in seen), rel=0.1
    )


def test_who_comes_first_is_served_first_and_never_more_at_once_than_there_are_slots() -> None:
    rng = random.Random(7)
    capacity = Capacity(3)
    now, spans = 0.0, []
    for _ in range(500):
        now += rng.expovariate(2.0)
        service = rng.expovariate(0.6)
        admitted = capacity.admit(now, service)
        spans.append((admitted.start, admitted.start + service))
    starts = [start for start, _ in spans]
    assert starts == sorted(starts)
    for moment in starts:
        assert sum(start <= moment < end for start, end in spans) <= 3


def test_a_full_queue_takes_nobody_in() -> None:
    capacity = Capacity(slots=2, queue=1)
    assert capacity.admit(10.0, 5.0) == (10.0, 1.0)
    assert capacity.admit(11.0, 5.0) == (11.0, 1.0)
    assert capacity.admit(12.0, 5.0) == (15.0, 1.0)
    assert (capacity.running(12.0), capacity.waiting(12.0)) == (2, 1)
    assert capacity.is_full(13.0)
    assert not capacity.is_full(15.0)
    assert capacity.admit(15.0, 5.0) == (16.0, 1.0)  # the third has just got its slot
    assert (capacity.running(15.5), capacity.waiting(15.5)) == (2, 1)


def test_without_a_queue_nobody_waits() -> None:
    capacity = Capacity(slots=1, queue=0)
    assert capacity.admit(0.0, 5.0) == (0.0, 1.0)
    assert capacity.is_full(4.9)
    assert not capacity.is_full(5.0)
    assert capacity.admit(5.0, 5.0) == (5.0, 1.0)


def test_without_slots_nobody_waits_however_many_there_are() -> None:
    capacity = Capacity(slots=None)
    assert all(capacity.admit(0.0, 100.0) == (0.0, 1.0) for _ in range(50))
    assert capacity.running(1.0) == 50
    assert not capacity.is_full(1.0)


def test_the_more_run_the_longer_each_takes() -> None:
    capacity = Capacity(None, slowdown=SlowDown(running=10, factor=2.0, most=2.5))
    stretched = [capacity.admit(0.0, 1.0) for _ in range(20)]
    assert [each.stretch for each in stretched][:3] == pytest.approx([1.0, 1.1, 1.2])
    assert stretched[10].stretch == pytest.approx(2.0)
    assert stretched[-1].stretch == 2.5
    # Who takes longer also holds the slot for longer.
    assert capacity.running(1.05) == 19
    late = capacity.admit(2.6, 1.0)
    assert late == (2.6, 1.0)


def test_another_profile_leaves_those_who_are_in_where_they_are() -> None:
    capacity = Capacity(1)
    assert [capacity.admit(0.0, 2.0) for _ in range(3)] == [(0.0, 1.0), (2.0, 1.0), (4.0, 1.0)]
    capacity.slots = 2
    assert capacity.admit(0.5, 1.0) == (4.0, 1.0)
    capacity.clear()
    assert capacity.admit(0.6, 1.0) == (0.6, 1.0)


# --- what the docs print --------------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs/explanation/the-emulators-pace.md"


def share_longer(seconds: float, rate: float, servers: int = 4, service: float = 2.0) -> float:
    """The share that stays longer in M/M/c, waiting and being served (Kleinrock 1975, 5.6)."""
    rest = servers - 1 - rate * service
    wait = erlang_c(servers, rate * service / servers)
    done = math.exp(-seconds / service)
    return done * (1 + wait * (1 - math.exp(-seconds / service * rest)) / rest)


def table(heading: str) -> list[list[float]]:
    """The figures of the table in the docs whose first row begins so."""
    lines = iter(PAGE.read_text().splitlines())
    next(line for line in lines if line.startswith(f"| {heading} |"))
    next(lines)
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        found.append([float(cell.removesuffix(" s ")) for cell in line.split("|")[1:-1]])
    return found


def test_the_answers_that_the_docs_print_are_right() -> None:
    queues = table("load")
    assert [row[0] for row in queues] == list(LOADS)
    for load, rate, share, wait_mmc, wait_mdc in queues:
        assert rate == load * 4 / 2.0
        assert share == pytest.approx(erlang_c(4, load), abs=0.0005)
        assert wait_mmc == pytest.approx(mean_wait_mmc(4, load, 2.0), abs=0.0005)
        assert wait_mdc == pytest.approx(mean_wait_mdc(4, load, 2.0), abs=0.0005)
    limits = table("limit")
    assert len(limits) > 3
    for limit, rate in limits:
        assert share_longer(limit, rate) == pytest.approx(0.05, abs=0.0005)


def test_times_to_the_end_have_the_tail_that_the_docs_count_on() -> None:
    seen, rate = arrivals("mmc", 0.8, 40_000, seed=3)
    for seconds in (7.0, 10.0):
        low, high = batch_interval([float(each.stay > seconds) for each in seen])
        assert low <= share_longer(seconds, rate) <= high
        assert high - low < 0.1
