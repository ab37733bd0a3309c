"""The generator watches itself: how late its own event loop is, and how much CPU it takes.

A generator that was too busy makes a run invalid; it must never make the API look slow.
"""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import gevent

#: The loop's lateness is measured this often.
PERIOD_S = 0.05
#: A start, or a tick of the loop, that comes later than this is late.
LATE_S = 0.1
#: A run is invalid if more than this share came late, of which there must be a few: a single
#: hiccup in a short run says nothing about the times of the others.
LATE_SHARE = 0.01
LATE_LEAST = 3
#: A run is invalid, too, if more than this share of its arrivals were dropped.
DROPPED_SHARE = 0.01


class LagMeter:
    """Measures the lateness of the event loop and the CPU time of this process while it runs."""

    def __init__(self) -> None:
        self.lags: array[float] = array("d")
        self._greenlet: gevent.Greenlet[..., None] | None = None
        self._cpu = self._wall = 0.0
        self._share = 0.0

    def start(self) -> None:
        self._cpu, self._wall = time.process_time(), time.monotonic()
        self._greenlet = gevent.spawn(self._tick)

    def stop(self) -> None:
        """Stop measuring; the figures stay."""
        if self._greenlet is not None:
            self._share = self._since_start()
            self._greenlet.kill()
            self._greenlet = None

    @property
    def cpu_share(self) -> float:
        """CPU seconds of this process for each second that passed: 1 is a whole core."""
        return self._since_start() if self._greenlet is not None else self._share

    def _since_start(self) -> float:
        passed = time.monotonic() - self._wall
        return (time.process_time() - self._cpu) / passed if passed > 0 else 0.0

    def _tick(self) -> None:
        due = time.monotonic() + PERIOD_S
        while True:
            gevent.sleep(max(0.0, due - time.monotonic()))
            now = time.monotonic()
            # Ticks that a long stall swallowed were late, too: each by what it would have waited.
            while due <= now:
                self.lags.append(now - due)
                due += PERIOD_S


@dataclass(frozen=True, slots=True)
class Load:
    """What the generator did: arrivals `asked` for, of which some were `started`, the others
    `dropped` by the cap on exchanges in flight; `late` (seconds after their intended start) and
    `lags` of the loop (seconds).
    """

    asked: int
    started: int
    dropped: int
    late: Sequence[float]
    lags: Sequence[float]


def why_invalid(load: Load) -> str | None:
    """Why the generator's load was not what was asked for; None if it was."""
    if _too_many(load.late):
        p99 = quantile(load.late, 0.99)
        return (
            f"the load generator was saturated: {_share(load.late)} of the requests started more "
            f"than {LATE_S * 1000:.0f} ms late (p99 {p99 * 1000:.0f} ms)"
        )
    if _too_many(load.lags):
        p99 = quantile(load.lags, 0.99)
        return (
            f"the load generator was saturated: its event loop was more than "
            f"{LATE_S * 1000:.0f} ms late for {_share(load.lags)} of the time "
            f"(p99 {p99 * 1000:.0f} ms)"
        )
    if load.asked and load.dropped / load.asked > DROPPED_SHARE:
        return (
            f"{load.dropped} of {load.asked} arrivals were dropped by the cap on exchanges in "
            "flight: the load was less than asked for"
        )
    return None


def quantile(values: Sequence[float], order: float) -> float:
    """The value of rank ceil(n p) (Hyndman and Fan 1996, definition 1); 0 of no values."""
    ordered = sorted(values)
    return ordered[max(1, math.ceil(round(order * len(ordered), 9))) - 1] if ordered else 0.0


def _too_many(values: Sequence[float]) -> bool:
    late = sum(value > LATE_S for value in values)
    return late >= LATE_LEAST and late > LATE_SHARE * len(values)


def _share(values: Sequence[float]) -> str:
    return f"{100 * sum(value > LATE_S for value in values) / len(values):.1f}%"
