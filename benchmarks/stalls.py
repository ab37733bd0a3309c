"""A server that stands still now and then, measured in two ways: from when a request should have
started, and from when it did.

Beside Soundstage's open loop the same schedule is worked off by a pool of connections, as most load
tools have one: while the server stands still all of them wait, and the requests that are due
meanwhile start late. From their actual start those were fast; nobody would have been told.

**Theory.** One slot, a fixed service time 1/mu, arrivals at rate l < mu, and every C seconds a
stall of T. Who arrives x seconds after its beginning waits for the rest of the stall and for those
before him: T - x + x l/mu, which falls from T to 0 at x = T / (1 - l/mu). So a share of
(T / (1 - l/mu)) / C waits, evenly between 0 and T (a fluid limit: it leaves out the small queue
that chance makes). And exactly, request by request: the recursion of Lindley (1952) over the
moments of the schedule.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.result import Grid
from benchmarks.stalling_server import Slot
from soundstage.results.bundle import Bundle
from soundstage.results.quantiles import rank

_ORDERS = (0.5, 0.9, 0.95, 0.99)
_MILESTONE = "streaming_ready"
_API = "v6"
_SECOND_NS = 1_000_000_000
_ROOT = Path(__file__).parents[1]
_KEY = "SOUNDVERSE_API_KEY"


def measure(
    rate: float = 50.0,
    seconds: float = 60.0,
    stall: float = 2.0,
    every: float = 20.0,
    service: float = 0.01,
    connections: int = 5,
) -> Grid:
    """Time to `streaming_ready` in four ways, and what theory says."""
    found = samples(rate, seconds, stall, every, service, connections)
    utilisation = rate * service
    share = stall / (1 - utilisation) / every
    rows = []
    for order in _ORDERS:
        over = 1 - order
        fluid = stall * (1 - over / share) if over < share else 0.0
        cells = [f"p{order * 100:g}", _shown(fluid + service)]
        cells += [_shown(_quantile(times, order)) for times in found.values()]
        rows.append(cells)
    rows.append(
        ["mean", _shown(share * stall / 2 + service)]
        + [_shown(sum(times) / len(times)) for times in found.values()]
    )
    return Grid(
        f"TTSR at {rate:g}/s; the server stands still for {stall:g} s in every {every:g} s",
        ("", "theory (fluid)", *found),
        rows,
        f"{len(next(iter(found.values()))):,} requests, service time {service * 1000:g} ms; the "
        "last column is what a tool claims that counts from the actual start",
    )


def samples(
    rate: float, seconds: float, stall: float, every: float, service: float, connections: int
) -> dict[str, list[float]]:
    """Times to `streaming_ready` in seconds, by how they were had; of the same schedule each."""
    options = {"service": service, "stall": stall, "every": every}

    def open_loop() -> list[dict[str, Any]]:
        with tempfile.TemporaryDirectory() as folder, _server(options) as url:
            bundle = Path(folder) / "run"
            words = ["load", "--target", url, "--api", _API, "--rate", f"{rate}", "--seed", "1"]
            words += ["--duration", f"{seconds}", "--out", str(bundle)]
            _python("-m", "soundstage", *words)
            return list(Bundle.open(bundle).exchanges())

    def a_pool() -> list[tuple[int, int, float]]:
        with _server(options) as url:
            said = _python("-m", __name__, url, f"{rate}", f"{seconds}", f"{connections}")
        return [(intended, started, ready) for intended, started, ready in json.loads(said)]

    # Neither takes much of a core, and each has a server of its own.
    with ThreadPoolExecutor() as both:
        of_pool, of_open_loop = both.submit(a_pool), both.submit(open_loop)
        pool, rows = of_pool.result(), of_open_loop.result()
    rows.sort(key=lambda row: int(row["intended_ns"]))
    slot = Slot(service, stall, every)
    first = rows[0]["intended_ns"]
    exact = []
    for row in rows:
        arrival = (row["intended_ns"] - first) / _SECOND_NS
        exact.append(slot.finish(arrival) - arrival)
    late = [(row["started_ns"] - row["intended_ns"]) / _SECOND_NS for row in rows]
    ready = [float(row["milestones"][_MILESTONE]) for row in rows]
    names = f"{connections} connections"
    return {
        "theory (Lindley)": exact,
        "Soundstage": [after + before for after, before in zip(ready, late, strict=True)],
        f"{names}, from intended": [
            ready_s + (started - intended) / _SECOND_NS for intended, started, ready_s in pool
        ],
        f"{names}, from actual": [ready_s for _, _, ready_s in pool],
    }


@contextmanager
def _server(options: dict[str, float]) -> Iterator[str]:
    words = [word for name, value in options.items() for word in (f"--{name}", f"{value}")]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.stalling_server", "--api", _API, *words],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.kill()


def _python(*words: str) -> str:
    environment = {**os.environ, _KEY: "any"}
    ran = subprocess.run(
        [sys.executable, *words],
        cwd=_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    # 6: the generator was not alone on this machine, and said so.
    if ran.returncode not in (0, 6):
        raise RuntimeError(ran.stderr.strip().splitlines()[-1] if ran.stderr else "it failed")
    return ran.stdout


def _pool(url: str, rate: float, seconds: float, connections: int) -> list[tuple[int, int, float]]:
    """(intended, started) ns and seconds to the milestone, of requests that wait for a free one of
    so many connections.
    """
    import time

    import gevent
    import gevent.queue

    from soundstage.exchange.session import open_session
    from soundstage.loadtests.schedule import arrivals
    from soundstage.loadtests.schedule.scenario import Part
    from soundstage.loadtests.schedule.traffic import Traffic

    session = open_session(url)
    traffic = Traffic([Part(_API, "stream")], 1)
    waiting: gevent.queue.Queue[int | None] = gevent.queue.Queue()
    found = []

    def work() -> None:
        for number, due in enumerate(iter(waiting.get, None)):
            exchange = session.client.exchange(traffic.call(number, due))
            ready = exchange.milestones[_MILESTONE]
            found.append((exchange.intended_ns, exchange.started_ns, ready))

    workers = [gevent.spawn(work) for _ in range(connections)]
    begun = time.monotonic_ns()
    for moment in arrivals.schedule(arrivals.steady(rate, seconds), "poisson", 1):
        due = begun + int(moment * _SECOND_NS)
        gevent.sleep(max(0.0, (due - time.monotonic_ns()) / _SECOND_NS))
        waiting.put(due)
    for _ in workers:
        waiting.put(None)
    gevent.joinall(workers, raise_error=True)
    session.close()
    return found


def _quantile(times: Sequence[float], order: float) -> float:
    return sorted(times)[rank(order, len(times)) - 1]


def _shown(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"


if __name__ == "__main__":
    import locust  # noqa: F401 - patches sockets, and must before anything uses one

    given = sys.argv[1:]
    print(json.dumps(_pool(given[0], float(given[1]), float(given[2]), int(given[3]))))  # noqa: T201
