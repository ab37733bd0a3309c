"""How far one machine goes: the highest rate at which the generator itself still keeps up, with one
process and with several, while the emulator that answers shares the machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.result import Grid
from soundstage.exchange.spawn import spawned_emulator
from soundstage.results.bundle import Bundle

_HEADINGS = (
    "processes",
    "asked for",
    "started",
    "events",
    "CPU",
    "an event",
    "master",
    "late p99",
    "loop p99",
    "valid",
)


def measure(
    processes: tuple[int, ...] = (1, 2),
    rates: tuple[int, ...] = (50, 100, 200, 300, 400, 600),
    seconds: float = 10.0,
) -> Grid:
    """Constant arrivals of v6 streams, a hundred times as fast as life, every chunk checked. For
    each number of processes the rates are tried in turn, up to the first that is not kept.
    """
    rows: list[tuple[str, ...]] = []
    with spawned_emulator(["--speed", "100"]) as url:
        for many in processes:
            if rows:
                rows.append(("",) * len(_HEADINGS))
            for rate in rates:
                run, events, last_s = _run(url, many, rate, seconds)
                rows.append(_row(many, rate, run, events, last_s))
                if run["verdict"] == "invalid":
                    break
    note = "not valid: the run itself says that its generator was the bottleneck"
    return Grid("Load from one machine", _HEADINGS, rows, note)


def _run(url: str, many: int, rate: int, seconds: float) -> tuple[dict[str, Any], int, float]:
    """run.json, how many events came, and when the last request started."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "run"
        words = [sys.executable, "-m", "soundstage", "load", "--target", url, "--api", "v6"]
        words += ["--rate", str(rate), "--duration", f"{seconds}s", "--arrivals", "constant"]
        words += ["--processes", str(many), "--format", "json", "--out", str(place)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if not done.stdout:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr}")
        events, last_ns = 0, 1
        for row in Bundle.open(place).exchanges():
            events += row.get("events") or 0
            last_ns = max(last_ns, row["started_ns"])
        return json.loads(done.stdout), events, last_ns / 1e9


def _row(many: int, rate: int, run: dict[str, Any], events: int, last_s: float) -> tuple[str, ...]:
    totals = run["totals"]
    cpu_s = totals["cpu_share"] * totals["seconds"]
    master = totals.get("master_cpu_share")
    return (
        str(many),
        f"{rate}/s",
        f"{totals['arrivals_started'] / last_s:.0f}/s",
        f"{events / totals['seconds']:,.0f}/s",
        f"{totals['cpu_share']:.0%} of a core",
        f"{cpu_s / max(1, events) * 1e6:.0f} us",
        "" if master is None else f"{master:.1%}",
        f"{totals['late_p99_ms']:.0f} ms",
        f"{totals['loop_lag_p99_ms']:.0f} ms",
        "no" if run["verdict"] == "invalid" else "yes",
    )
