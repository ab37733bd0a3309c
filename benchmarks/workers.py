"""What several worker processes of the emulator cost, and what they bring.

Profiles without delays, 100 requests at a time, so that nothing but CPU holds them up: long streams
for the chunks, songs in one piece for what it costs to accept one. The reader takes its CPU from
the same cores, so on a small machine rates say less than CPU a song: N cores would bring N, divided
by its ratio.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.emulator import long_streams
from benchmarks.result import Row
from soundstage.contract import available, load

_AT_ONCE = 100
_WARM = 100


class Served(NamedTuple):
    """`seconds` for all requests, CPU seconds of all processes of the server, and events."""

    seconds: float
    cpu_s: float
    events: int


def measure(requests: int = 3000) -> list[Row]:
    """Events a second, CPU a song and songs a second by one worker, and by as many as there are
    cores.
    """
    cores = max(2, os.cpu_count() or 1)
    alone, shared = _cost(1, requests), _cost(cores, requests)
    slow, fast = _events(1, requests // 10), _events(cores, requests // 10)
    name = f"emulator, {cores} workers"
    return [
        Row(
            f"{name}, events a second of long streams, beside their reader",
            f"{fast:,.0f}/s",
            f"1 worker {slow:,.0f}",
            f"{fast / slow:.2f}x",
            f"{cores}x, less the reader",
        ),
        Row(
            f"{name}, CPU a song",
            f"{shared.cpu_s * 1e6:,.0f} us",
            f"1 worker {alone.cpu_s * 1e6:,.0f}",
            f"{shared.cpu_s / alone.cpu_s:.2f}x",
        ),
        Row(
            f"{name}, songs a second, beside their reader",
            f"{1 / shared.seconds:,.0f}/s",
            f"1 worker {1 / alone.seconds:,.0f}",
            f"{alone.seconds / shared.seconds:.2f}x",
        ),
    ]


def _cost(workers: int, requests: int) -> Served:
    """What a song costs: the start is measured by itself, and taken off."""
    start, whole = (_serve("sync", "instant", workers, many) for many in (0, requests))
    return Served(whole.seconds / requests, (whole.cpu_s - start.cpu_s) / requests, 0)


def _events(workers: int, streams: int) -> float:
    """Events a second of streams of about 400 events."""
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder, "dense.json")
        dense = long_streams(400)
        dense["default"] = {"median": 0.001, "sigma": 0.0}
        profile.write_text(json.dumps(dense))
        served = _serve("stream", str(profile), workers, streams)
    return served.events / served.seconds


def _serve(kind: str, profile: str, workers: int, requests: int) -> Served:
    contract = load(available()[-1])
    endpoint = contract.endpoint_of_kind(kind)
    assert endpoint is not None
    body = json.dumps(next(each.payload for each in contract.examples if each.of == "request"))
    command = [sys.executable, "-m", "soundstage", "emulate", "--port=0", f"--profile={profile}"]
    command += ["--seed=1", f"--workers={workers}", "--until-eof"]
    before = _cpu_of_children()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as server:
        assert server.stdout is not None
        try:
            port = int(server.stdout.readline().rpartition(":")[2])
            request = (
                f"POST {endpoint.path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"
                "authorization: Bearer any-key\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n{body}"
            ).encode()
            asyncio.run(_answered(port, request, _WARM))
            begun = time.perf_counter()
            answered, events = asyncio.run(_answered(port, request, requests))
            seconds = time.perf_counter() - begun
        finally:
            server.terminate()
    if answered != requests:
        raise RuntimeError(f"{requests - answered} of {requests} requests were not answered by 200")
    return Served(seconds, _cpu_of_children() - before, events)


def _cpu_of_children() -> float:
    """CPU seconds of all processes that have ended, with those that they had started."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def _answered(port: int, request: bytes, many: int) -> tuple[int, int]:
    """How many of so many requests were answered by 200, and the events in the answers."""
    left, good, events = iter(range(many)), 0, 0

    async def ask() -> None:
        nonlocal good, events
        for _ in left:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            answer = await reader.read()
            good += answer.startswith(b"HTTP/1.1 200")
            events += answer.count(b"data: ")
            writer.close()

    await asyncio.gather(*(ask() for _ in range(_AT_ONCE)))
    return good, events
