"""The figures that both readers print: quantiles of the timing error, CPU per event, memory."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path


class Meter:
    """Counts this process's CPU time from when it is made."""

    def __init__(self) -> None:
        self._begun = self._cpu()

    def report(self, late_ns: list[int], *, coarse: float, violations: int) -> None:
        """Print one line of JSON. `late_ns` are the timing errors in ns, one an event."""
        cpu = self._cpu() - self._begun
        late = sorted(late_ns)
        figures = {
            "events": len(late),
            "p50_ms": late[len(late) // 2] / 1e6,
            "p99_ms": late[int(len(late) * 0.99)] / 1e6,
            "max_ms": late[-1] / 1e6,
            "cpu_us": cpu / len(late) * 1e6,
            "rss_mb": _peak_mb(),
            "coarse": coarse,
            "violations": violations,
        }
        sys.stdout.write(json.dumps(figures) + "\n")

    @staticmethod
    def _cpu() -> float:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime


def _peak_mb() -> float:
    """Peak resident memory of this program. (ru_maxrss would count the parent's before exec.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(kilobytes) / 1024
