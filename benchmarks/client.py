"""The measuring client beside a plain aiohttp reader, against a server that stamps its send times.

Timing error is the client's time of an event less the server's send time. Each client runs in a
process of its own, so that its CPU can be counted; server and client share the machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.result import Row
from soundstage.contract import available

_RATE = 2.5


def measure(streams: int, seconds: float) -> list[Row]:
    """Timing error and CPU per event at `streams` concurrent streams of 2.5 events a second."""
    ours = _run("benchmarks.soundstage_reader", streams, seconds)
    plain = _run("benchmarks.aiohttp_reader", streams, seconds)
    rows = []
    for what, name, unit, digits, target in (
        ("timing error p50", "p50_ms", "ms", 3, ""),
        ("timing error p99", "p99_ms", "ms", 3, "<= 0.5 ms" if streams >= 2000 else ""),
        ("CPU per event", "cpu_us", "us", 0, ""),
        ("peak memory", "rss_mb", "MB", 0, ""),
    ):
        rows.append(
            Row(
                f"client, {streams} streams, {what}",
                f"{ours[name]:.{digits}f} {unit}",
                f"aiohttp {plain[name]:.{digits}f}",
                f"{ours[name] / plain[name]:.3g}x" if plain[name] else "",
                target,
            )
        )
    rows.append(
        Row(
            f"client, {streams} streams, every chunk checked",
            f"{ours['events']:,} events, {ours['violations']} violations",
            f"aiohttp {plain['events']:,}, none checked",
            "",
            f"coarse {ours['coarse']:.1%}",
        )
    )
    return rows


def _run(module: str, streams: int, seconds: float) -> dict[str, Any]:
    with _server(int(seconds * _RATE)) as port:
        command = [sys.executable, "-m", module, str(port), str(streams)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@contextmanager
def _server(events: int) -> Iterator[int]:
    command = [sys.executable, "-m", "benchmarks.stamping_server"]
    command += ["--rate", str(_RATE), "--events", str(events), "--api", available()[-1]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.kill()
