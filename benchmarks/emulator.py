"""The emulator under thousands of streams, beside a bare server that sends the same bytes.

Server and reader have a core each where there are two. CPU per event is given twice: while all
streams are open, when a server does nothing but send, and with all that it did for the reader,
opening and closing included. Memory is the growth of its resident set while all streams are open.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.counting_reader import sampled
from benchmarks.result import Row
from soundstage.contract import available, load

_GAP_S = 0.4


class Figures(NamedTuple):
    """What one server did for one reader: what that read, the server's CPU time an event while all
    streams were open and altogether, and its memory a stream.
    """

    read: dict[str, Any]
    open_cpu_us: float
    cpu_us: float
    kilobytes: float


def measure(streams: int, events: int = 40) -> list[Row]:
    """Lateness, CPU per event and memory per stream at `streams` streams of about `events`
    events, 2.5 a second each.
    """
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder, "steady.json")
        profile.write_text(json.dumps(long_streams(events)))
        emulated = _run(_emulator(profile), streams)
        body = Path(folder, "body.sse")
        body.write_bytes(_one_body(profile))
        bare = _run(["benchmarks.bare_server", str(body), f"--gap={_GAP_S}"], streams)
    name = f"emulator, {streams} streams"
    read, plain = emulated.read, bare.read
    return [
        Row(
            f"{name}, lateness p99",
            f"{read['late_p99_ms']:.2f} ms",
            f"bare {plain['late_p99_ms']:.2f}",
            f"{read['late_p99_ms'] / plain['late_p99_ms']:.2g}x",
            "<= 5 ms",
        ),
        Row(
            f"{name}, CPU per event while all are open",
            f"{emulated.open_cpu_us:.1f} us",
            f"bare {bare.open_cpu_us:.1f}",
            f"{emulated.open_cpu_us / bare.open_cpu_us:.2f}x",
            "<= 1.5x",
        ),
        Row(
            f"{name}, CPU per event, opening and closing included",
            f"{emulated.cpu_us:.1f} us",
            f"bare {bare.cpu_us:.1f}",
            f"{emulated.cpu_us / bare.cpu_us:.2f}x",
            "<= 1.7x",
        ),
        Row(
            f"{name}, memory per stream",
            f"{emulated.kilobytes:.0f} KB",
            f"bare {bare.kilobytes:.0f}",
            "",
            "<= 20 KB",
        ),
        Row(
            f"{name}, events",
            f"{read['events']:,} in {read['streams']:,} streams",
            f"bare {plain['events']:,}",
        ),
        Row(
            f"{name}, of those while all are open",
            f"{read['open_events']:,} in {read['open_s']:.1f} s",
            f"bare {plain['open_events']:,}",
        ),
    ]


def _emulator(profile: Path) -> list[str]:
    return ["soundstage", "emulate", "--port=0", f"--profile={profile}", "--seed=1", "--stamp"]


def _run(module: list[str], streams: int) -> Figures:
    """Serve `streams` streams to the counting reader, each on a core of its own."""
    contract = load(available()[-1])
    endpoint = contract.endpoint_of_kind("stream")
    assert endpoint is not None
    body = json.dumps(next(each.payload for each in contract.examples if each.of == "request"))
    cores = sorted(os.sched_getaffinity(0))
    with served(module, cores[0]) as (server, port):
        before, cpu = resident_kb(server.pid), sampled(server.pid).cpu_s
        reader = [sys.executable, "-m", "benchmarks.counting_reader", str(port), endpoint.path]
        reader += [body, f"--server={server.pid}", f"--streams={streams}", f"--gap={_GAP_S}"]
        with subprocess.Popen(reader, stdout=subprocess.PIPE, text=True) as reading:
            os.sched_setaffinity(reading.pid, {cores[-1]})
            most = before
            while reading.poll() is None:
                most = max(most, resident_kb(server.pid))
                time.sleep(0.2)
            used = sampled(server.pid).cpu_s - cpu
            assert reading.stdout is not None
            read = json.loads(reading.stdout.read().splitlines()[-1])
    return Figures(
        read,
        read["open_cpu_s"] / read["open_events"] * 1e6,
        used / read["events"] * 1e6,
        (most - before) / streams,
    )


@contextmanager
def served(module: list[str], core: int = 0) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A module that serves, pinned to a core, and its port."""
    command = [sys.executable, "-m", *module]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        os.sched_setaffinity(server.pid, {core})
        assert server.stdout is not None
        try:
            yield server, int(server.stdout.readline().rpartition(":")[2])
        finally:
            server.terminate()


def _one_body(profile: Path) -> bytes:
    """One stream of the emulator, without its stamps and its transfer coding."""
    contract = load(available()[-1])
    endpoint = contract.endpoint_of_kind("stream")
    assert endpoint is not None
    body = json.dumps(next(each.payload for each in contract.examples if each.of == "request"))
    with served([*_emulator(profile)[:-1], "--speed=1000"], 0) as (_, port):
        request = (
            f"POST {endpoint.path} HTTP/1.0\r\nhost: 127.0.0.1:{port}\r\n"
            "authorization: Bearer any-key\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n{body}"
        )
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(request.encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return answer.partition(b"\r\n\r\n")[2]


def long_streams(events: int) -> dict[str, Any]:
    """A chunk every 0.4 s, and so many of the stages that may come any number of times that a
    stream has about `events`.
    """
    contract = load(available()[-1])
    endless = [stage.name for stage in contract.protocol.stages if stage.times[1] is None]
    return {
        "description": "A chunk every 0.4 s, long streams.",
        "default": {"median": _GAP_S, "sigma": 0.0},
        "stages": {},
        "chunks": {name: {str(events // len(endless)): 1} for name in endless},
    }


def resident_kb(pid: int) -> int:
    """How much of a process is in memory, in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS:")))
