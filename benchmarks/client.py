"""The measuring client beside plain readers, against a server that stamps its send times.

Timing error is the reader's time of an event less the server's send time. Each reader is a process
of its own, so that its CPU can be counted; server and reader share the machine. All readers parse
the JSON of each event; only ours checks it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.certificate import self_signed
from benchmarks.figures import SETTLED_S, ramp_s
from benchmarks.result import Row
from soundstage.contract import available

RATE = 2.5
#: Module of each reader, ours first.
READERS = {
    "soundstage": "benchmarks.soundstage_reader",
    "gevent": "benchmarks.gevent_reader",
    "aiohttp": "benchmarks.aiohttp_reader",
    "locust iter_lines": "benchmarks.locust_reader",
}
#: What has to be reached, by (number of streams, TLS).
_TARGETS = {
    (4000, False): {"p99": "<= 0.2 ms", "cpu": "<= 70 us", "memory": "<= 130 MB"},
    (1000, True): {"p99": "<= 0.3 ms"},
}


def measure(
    streams: int, seconds: float, *, tls: bool = False, readers: Sequence[str] = tuple(READERS)
) -> list[Row]:
    """Timing error, CPU per event and memory at `streams` streams of 2.5 events a second each,
    which are all open for `seconds`.
    """
    found = {name: _run(READERS[name], streams, seconds, tls=tls) for name in readers}
    targets = _TARGETS.get((streams, tls), {})
    title = f"{streams:,} streams{', TLS' if tls else ''}"
    rows = []
    first = next(iter(found.values()))
    for name, it in found.items():
        ours = name == "soundstage"
        error = " / ".join(_ms(it[quantile]) for quantile in ("p50_ms", "p99_ms", "p999_ms"))
        cpu = it["cpu_us"]
        rows += [
            Row(
                f"{title}: {name}, error",
                f"{error} ms",
                f"{it['events_s']:,.0f} events/s",
                f"{it['p99_ms'] / first['p99_ms']:,.3g}x",
                targets.get("p99", "p50 / p99 / p99.9") if ours else "",
            ),
            Row(
                f"{title}: {name}, CPU an event",
                f"{cpu:.0f} us" if cpu else "saturated",
                f"with opening {it['cpu_all_us']:.0f} us",
                f"{cpu / first['cpu_us']:.2f}x" if cpu and first["cpu_us"] else "",
                targets.get("cpu", "") if ours else "",
            ),
            Row(
                f"{title}: {name}, memory",
                f"{it['kb_stream']:.0f} KB a stream",
                f"in all {it['mb']:.0f} MB",
                f"{it['kb_stream'] / first['kb_stream']:.2f}x",
                targets.get("memory", "") if ours else "",
            ),
        ]
        if ours:
            what = f"{it['coarse']:.1%} coarse", f"{it['violations']} violations"
            rows.append(Row(f"{title}: {name}, every chunk checked", *what))
    return rows


def _ms(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:,.0f}"


def _run(module: str, streams: int, seconds: float, *, tls: bool) -> dict[str, Any]:
    with server(streams, seconds, tls=tls) as (url, ca):
        command = [sys.executable, "-m", module, url, str(streams)]
        command += ["--ca", ca] if ca else []
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise SystemExit(f"{module} with {streams} streams failed:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@contextmanager
def server(streams: int, seconds: float, *, tls: bool = False) -> Iterator[tuple[str, str | None]]:
    """A stamping server whose streams last long enough for all `streams` of them to be open for
    `seconds`: its URL, and the file of its certificate if it speaks TLS.
    """
    events = int((seconds + ramp_s(streams) + SETTLED_S) * RATE)
    command = [sys.executable, "-m", "benchmarks.stamping_server"]
    command += ["--rate", str(RATE), "--events", str(events), "--api", available()[-1]]
    with tempfile.TemporaryDirectory() as folder:
        files = self_signed(Path(folder)) if tls else ()
        command += [f"--tls={file}" for file in files]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                port = int(process.stdout.readline())
                scheme = "https" if tls else "http"
                yield f"{scheme}://127.0.0.1:{port}", str(files[0]) if files else None
            finally:
                process.kill()
