"""The figures that all readers print: quantiles of the timing error, CPU per event, memory.

Each is of the time when all streams are open: from a second or more after the last one was started
until the first one ends. `cpu_all_us` also has connecting, and what comes after.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from array import array
from collections.abc import Callable
from pathlib import Path

_QUANTILES = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999}


def ramp_s(streams: int) -> float:
    """The streams are started evenly over so many seconds: all at once is another test."""
    return max(1.0, streams / 1000)


def settled_s(streams: int) -> float:
    """How long after the last one is started what opening them left behind may take to be over: at
    ten thousand it takes all of a core by itself.
    """
    return max(1.0, (streams - 4000) / 1000)


class Meter:
    """Made when all is imported and nothing is connected."""

    def __init__(self, streams: int) -> None:
        self._streams = streams
        self._begun = _cpu_s()
        self._begun_kb = _status_kb("VmRSS")
        self._sent = array("q")
        self._seen = array("q")
        self._windows: list[tuple[int, float]] = []

    def watch(self, sleep: Callable[[float], None]) -> None:
        """Notes when all streams are open; runs beside them, in a greenlet or thread."""
        sleep(ramp_s(self._streams) + settled_s(self._streams))
        self.opened()

    def opened(self) -> None:
        """All streams are open."""
        self._windows.append((time.monotonic_ns(), _cpu_s()))

    def ended(self) -> None:
        """A stream has ended: the first one counts."""
        if len(self._windows) == 1:
            self._windows.append((time.monotonic_ns(), _cpu_s()))

    def seen(self, sent_ns: int, at_ns: int) -> None:
        """An event that was sent at `sent_ns` came, by the reader's clock, at `at_ns`."""
        self._sent.append(sent_ns)
        self._seen.append(at_ns)

    def report(self, *, coarse: float = 0.0, violations: int = 0) -> None:
        """Print one line of JSON."""
        # Before the figures themselves take any.
        cpu, peak_kb = _cpu_s() - self._begun, _status_kb("VmHWM")
        if len(self._windows) != 2:
            raise SystemExit("the streams were too short, or too few: not all were open at once")
        (start, before), (stop, after) = self._windows
        pairs = list(zip(self._sent, self._seen, strict=True))
        # What was sent while all were open, whenever it was seen: lateness must not hide itself.
        late = sorted(at - sent for sent, at in pairs if start <= sent < stop)
        handled = sum(start <= at < stop for _, at in pairs)
        figures = {
            "events": len(pairs),
            "events_s": len(late) / (stop - start) * 1e9,
            **{name: late[int(len(late) * q)] / 1e6 for name, q in _QUANTILES.items()},
            # A reader that is too late for most of them shows nothing by what it did handle.
            "cpu_us": (after - before) / handled * 1e6 if handled > len(late) / 2 else None,
            "cpu_all_us": cpu / len(pairs) * 1e6,
            "mb": peak_kb / 1024,
            "kb_stream": (peak_kb - self._begun_kb) / self._streams,
            "coarse": coarse,
            "violations": violations,
        }
        sys.stdout.write(json.dumps(figures) + "\n")


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _status_kb(name: str) -> int:
    """Resident memory of this program, VmRSS now or VmHWM at its peak. (ru_maxrss would count the
    parent's before exec.)
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name)))


def asked() -> argparse.Namespace:
    """The arguments that all readers take. Opens the limit of open files on the way."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("streams", type=int)
    parser.add_argument("--ca", help="PEM file of the authority that an https server is trusted by")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return parser.parse_args()
