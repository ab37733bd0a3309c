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
from benchmarks.figures import ramp_s, settled_s
from benchmarks.result import Grid
from soundstage.contract import available

RATE = 2.5
#: Module of each reader, ours first.
READERS = {
    "soundstage": "benchmarks.soundstage_reader",
    "gevent": "benchmarks.gevent_reader",
    "aiohttp": "benchmarks.aiohttp_reader",
    "locust": "benchmarks.locust_reader",
}
#: Streams of the table, and of its part over TLS.
STREAMS, TLS_STREAMS = (500, 2000, 4000, 10_000), (1000,)
#: More streams are not for readers that fall behind at so many.
_MOST = {"aiohttp": 4000, "locust": 4000}
_HEADINGS = (
    "streams",
    "reader",
    "events/s",
    "error p50",
    "p99",
    "p99.9 ms",
    "CPU us/event",
    "to ours",
    "KB/stream",
    "MB in all",
    "coarse",
)
_NOTE = (
    "Targets of soundstage: at 4,000 streams p99 <= 0.05 ms, <= 25 us an event, <= 90 MB; at "
    "10,000 p99 <= 0.5 ms; over TLS at 1,000 p99 <= 0.3 ms. Only soundstage checks the chunks. "
    "CPU: while all streams are open, opening and closing left out; of a reader that falls behind "
    "it says nothing."
)


def measure(
    streams: tuple[int, ...] = STREAMS,
    tls_streams: tuple[int, ...] = TLS_STREAMS,
    seconds: float = 4.0,
    readers: tuple[str, ...] = tuple(READERS),
) -> Grid:
    """Timing error, CPU per event and memory, at so many streams of 2.5 events a second each
    (`tls-streams`: over TLS), which are all open for `seconds`, of each of the `readers`.
    """
    if unknown := [name for name in readers if name not in READERS]:
        raise ValueError(f"no reader {', '.join(unknown)}; there are {', '.join(READERS)}")
    rows: list[Sequence[str]] = []
    loads = [(many, False) for many in streams] + [(many, True) for many in tls_streams]
    for many, tls in loads:
        title = f"{many:,}{' TLS' if tls else ''}"
        able = [name for name in readers if many <= _MOST.get(name, many)]
        if not able:
            continue
        found = {name: _run(READERS[name], many, seconds, tls=tls) for name in able}
        ours = next(iter(found.values()))["cpu_us"]
        rows += [("",) * len(_HEADINGS)] * bool(rows)
        rows += [_row(title, name, it, ours) for name, it in found.items()]
        if broken := found.get("soundstage", {}).get("violations"):
            raise ValueError(f"{broken} violations in streams that have none")
    return Grid("", _HEADINGS, rows, _NOTE)


def _row(title: str, name: str, it: dict[str, Any], ours: float | None) -> Sequence[str]:
    cpu = it["cpu_us"]
    return (
        title,
        name,
        f"{it['events_s']:,.0f}",
        *(_ms(it[quantile]) for quantile in ("p50_ms", "p99_ms", "p999_ms")),
        f"{cpu:.0f}" if cpu else "behind",
        f"{cpu / ours:.2f}x" if cpu and ours else "",
        f"{it['kb_stream']:.0f}",
        f"{it['mb']:.0f}",
        f"{it['coarse']:.1%}" if name == "soundstage" else "",
    )


def _ms(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:,.0f}"


def _run(module: str, streams: int, seconds: float, *, tls: bool) -> dict[str, Any]:
    with server(streams, seconds, tls=tls) as (url, ca):
        command = [sys.executable, "-m", module, url, str(streams)]
        command += ["--ca", ca] if ca else []
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise RuntimeError(f"{module} with {streams} streams failed:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@contextmanager
def server(streams: int, seconds: float, *, tls: bool = False) -> Iterator[tuple[str, str | None]]:
    """A stamping server whose streams last long enough for all `streams` of them to be open for
    `seconds`: its URL, and the file of its certificate if it speaks TLS.
    """
    events = int((seconds + ramp_s(streams) + settled_s(streams)) * RATE)
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
