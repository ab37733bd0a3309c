"""The generator watches itself: how late its own event loop is, how much CPU it takes, and how much
of the machine's CPU others take from it.

A generator that was too busy makes a run invalid; it must never make the API look slow.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import gevent

from soundstage.loadtests.generator.lateness import LATE_S, Lateness

#: The loop's lateness is measured this often.
PERIOD_S = 0.05
#: A run is invalid if more than this share came late, of which there must be a few: a single
#: hiccup in a short run says nothing about the times of the others.
LATE_SHARE = 0.01
LATE_LEAST = 3
#: A run is invalid, too, if more than this share of its arrivals were dropped.
DROPPED_SHARE = 0.01
#: A process that takes this much of a core for a second had no time left in it. So many seconds,
#: and such a share of all, make a run invalid.
FULL_CORE = 0.97
FULL_SHARE = 0.2
FULL_LEAST = 3
#: A machine that is denied more than this share of its CPU time by its host (steal) tells wrong
#: times, even in the kernel.
STEAL_SHARE = 0.1

_STAT = Path("/proc/stat")
_STATM = Path("/proc/self/statm")


#: What was seen in one second.
Sample = dict[str, float | None]


class LagMeter:
    """Measures the lateness of the event loop, and CPU and steal, while it runs. `each_second` is
    called about once a second with a sample: a dict of plain numbers.
    """

    def __init__(self, each_second: Callable[[Sample], None] | None = None) -> None:
        self.lags = Lateness()
        self.seconds = 0
        self.full_seconds = 0
        self._each_second = each_second
        self._greenlet: gevent.Greenlet[..., None] | None = None
        self._cpu = self._wall = 0.0
        self._share = 0.0
        self._stat: tuple[int, int] | None = None

    def start(self) -> None:
        self._cpu, self._wall = time.process_time(), time.monotonic()
        self._stat = machine_time()
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

    @property
    def steal_share(self) -> float | None:
        """The share of the machine's CPU time that its host gave to others since the start; None
        where the system does not tell.
        """
        return _steal(self._stat, machine_time())

    def _since_start(self) -> float:
        passed = time.monotonic() - self._wall
        return (time.process_time() - self._cpu) / passed if passed > 0 else 0.0

    def _tick(self) -> None:
        due = time.monotonic() + PERIOD_S
        worst, cpu, wall, stat = 0.0, self._cpu, self._wall, self._stat
        while True:
            gevent.sleep(max(0.0, due - time.monotonic()))
            now = time.monotonic()
            # Ticks that a long stall swallowed were late, too: each by what it would have waited.
            while due <= now:
                worst = max(worst, now - due)
                self.lags.add(now - due)
                due += PERIOD_S
            if now - wall >= 1.0:
                used, machine = time.process_time(), machine_time()
                share = (used - cpu) / (now - wall)
                self.seconds += 1
                self.full_seconds += share >= FULL_CORE
                if self._each_second is not None:
                    sample = {"lag_max_s": round(worst, 6), "cpu": round(share, 4)}
                    steal = _steal(stat, machine)
                    self._each_second({**sample, "steal": steal, "rss": resident_bytes()})
                worst, cpu, wall, stat = 0.0, used, now, machine


@dataclass(frozen=True, slots=True)
class Load:
    """What the generator did: arrivals `asked` for, of which some were `started`, the others
    `dropped` by the cap on exchanges in flight; `late`: how long after their intended start;
    `lags` of the loop. Of `seconds` that were looked at, in `full_seconds` a process had no CPU
    time left; `steal` is the share that the machine was denied, None if nobody knows.
    """

    asked: int
    started: int
    dropped: int
    late: Lateness
    lags: Lateness
    seconds: int = 0
    full_seconds: int = 0
    steal: float | None = None


def why_invalid(load: Load) -> str | None:
    """Why the generator's load was not what was asked for; None if it was."""
    saturated = "the load generator was saturated"
    if _too_many(load.late):
        return (
            f"{saturated}: {load.late.late_share:.1%} of the requests started more "
            f"than {LATE_S * 1000:.0f} ms late (p99 {load.late.quantile(0.99) * 1000:.0f} ms)"
        )
    if _too_many(load.lags):
        return (
            f"{saturated}: its event loop was more than {LATE_S * 1000:.0f} ms late for "
            f"{load.lags.late_share:.1%} of the time "
            f"(p99 {load.lags.quantile(0.99) * 1000:.0f} ms)"
        )
    if load.full_seconds >= FULL_LEAST and load.full_seconds > FULL_SHARE * load.seconds:
        return (
            f"{saturated}: it used a whole core in {load.full_seconds} of {load.seconds} seconds; "
            "use --processes, or a lower rate"
        )
    if load.steal is not None and load.steal > STEAL_SHARE:
        return (
            f"the load generator's machine was denied {load.steal:.1%} of its CPU time by its host "
            "(steal): its times are not to be trusted"
        )
    if load.asked and load.dropped / load.asked > DROPPED_SHARE:
        return (
            f"{load.dropped} of {load.asked} arrivals were dropped by the cap on exchanges in "
            "flight: the load was less than asked for"
        )
    return None


def machine_time() -> tuple[int, int] | None:
    """(all, stolen) ticks of the machine's CPUs so far, from /proc/stat (proc(5)); None where there
    is no such file. Guest time is contained in user time, and not counted twice.
    """
    try:
        fields = _STAT.read_text("ascii").split("\n", 1)[0].split()
        ticks = [int(field) for field in fields[1:9]]
    except (OSError, ValueError):
        return None
    return (sum(ticks), ticks[7]) if len(ticks) == 8 else None


def resident_bytes() -> float | None:
    """The memory that this process holds, in bytes; None where the system does not tell."""
    with suppress(OSError, ValueError, IndexError):
        return float(int(_STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    return None


def _steal(before: tuple[int, int] | None, after: tuple[int, int] | None) -> float | None:
    if before is None or after is None or after[0] <= before[0]:
        return None
    return (after[1] - before[1]) / (after[0] - before[0])


def _too_many(values: Lateness) -> bool:
    return values.late >= LATE_LEAST and values.late > LATE_SHARE * values.n
