"""What several worker processes of the emulator cost, and what they bring.

Songs in one piece from a profile without delays, 64 requests at a time, so that nothing but CPU
holds them up. The reader takes its CPU from the same cores, so on a small machine songs a second
say little; CPU a song tells what N cores of their own would bring: N, divided by the ratio.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from typing import NamedTuple

from benchmarks.result import Row
from soundstage.contract import available, load

_AT_ONCE = 64
_WARM = 100


class Served(NamedTuple):
    """`seconds` for all requests, and CPU seconds of all processes of the server."""

    seconds: float
    cpu_s: float


def measure(requests: int = 3000) -> list[Row]:
    """CPU a song and songs a second by one worker, and by as many as there are cores."""
    cores = max(2, os.cpu_count() or 1)
    alone, shared = _cost(1, requests), _cost(cores, requests)
    name = f"emulator, {cores} workers"
    return [
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
    start, whole = _serve(workers, 0), _serve(workers, requests)
    return Served(whole.seconds / requests, (whole.cpu_s - start.cpu_s) / requests)


def _serve(workers: int, requests: int) -> Served:
    contract = load(available()[-1])
    endpoint = contract.endpoint_of_kind("sync")
    assert endpoint is not None
    body = json.dumps(next(each.payload for each in contract.examples if each.of == "request"))
    command = [sys.executable, "-m", "soundstage", "emulate", "--port=0", "--profile=instant"]
    command += ["--seed=1", f"--workers={workers}"]
    before = _cpu_of_children()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
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
            answered = asyncio.run(_answered(port, request, requests))
            seconds = time.perf_counter() - begun
        finally:
            server.terminate()
    if answered != requests:
        raise RuntimeError(f"{requests - answered} of {requests} requests were not answered by 200")
    return Served(seconds, _cpu_of_children() - before)


def _cpu_of_children() -> float:
    """CPU seconds of all processes that have ended, with those that they had started."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def _answered(port: int, request: bytes, many: int) -> int:
    """How many of so many requests were answered by 200."""
    left, good = iter(range(many)), 0

    async def ask() -> None:
        nonlocal good
        for _ in left:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            answer = await reader.read()
            good += answer.startswith(b"HTTP/1.1 200")
            writer.close()

    await asyncio.gather(*(ask() for _ in range(_AT_ONCE)))
    return good
