"""A client that only takes bytes: opens many streams at once and keeps what comes, unread.

What it took is looked at when all is over: the send times in it say how late the server was against
its own schedule. It also looks at the CPU time of the server when the last stream has its head and
when the first one ends: what lies between is sending, without opening or closing. Run as a process
of its own; prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import select
import socket
import sys
import time
from pathlib import Path
from typing import NamedTuple

_SENT = re.compile(rb": sent=([0-9]+)\n")
_READ = 1 << 16
_TICKS = os.sysconf("SC_CLK_TCK")


class Sample(NamedTuple):
    """The CPU time that a process has used, in seconds, and when: ns of the monotonic clock."""

    cpu_s: float
    at_ns: int


def sampled(pid: int) -> Sample:
    """Of user and system together (proc(5), /proc/pid/stat, fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return Sample((int(fields[11]) + int(fields[12])) / _TICKS, time.monotonic_ns())


class Reading(NamedTuple):
    """What was read, in pieces, a list a stream; the server when the last of the streams had its
    head, and when the first of them ended.
    """

    answers: list[list[bytes]]
    all_open: Sample
    first_ended: Sample


def read_all(port: int, request: bytes, streams: int, per_second: float, pid: int) -> Reading:
    """Read `streams` answers of the server with that process id, their connections opened at an
    even rate. Raises RuntimeError if they are never all open at once.
    """
    poll = select.epoll()
    open_: dict[int, tuple[socket.socket, list[bytes]]] = {}
    answers: list[list[bytes]] = []
    headless = streams
    all_open: Sample | None = None
    first_ended: Sample | None = None
    began = time.monotonic()
    while len(answers) < streams or open_:
        due = min(streams, int((time.monotonic() - began) * per_second) + 1)
        while len(answers) < due:
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(request)
            connection.setblocking(False)
            pieces: list[bytes] = []
            answers.append(pieces)
            open_[connection.fileno()] = (connection, pieces)
            poll.register(connection, select.EPOLLIN)
        for number, _ in poll.poll(0.0005 if len(answers) < streams else 1.0):
            connection, pieces = open_[number]
            data = connection.recv(_READ)
            if data:
                headless -= not pieces
                pieces.append(data)
                if headless == 0 and all_open is None:
                    all_open = sampled(pid)
            if not data or data.endswith(b"0\r\n\r\n"):
                first_ended = first_ended or sampled(pid)
                poll.unregister(connection)
                connection.close()
                del open_[number]
    if all_open is None or first_ended is None or all_open.at_ns >= first_ended.at_ns:
        raise RuntimeError(f"the {streams} streams were never all open: a stream ended too early")
    return Reading(answers, all_open, first_ended)


def lateness(answer: bytes, gap_s: float) -> list[float]:
    """How late each event was sent, in seconds, against the stream's own even schedule: the one
    that its earliest event was on.
    """
    sent = [int(found) / 1e9 for found in _SENT.findall(answer)]
    starts = [moment - number * gap_s for number, moment in enumerate(sent)]
    return [start - min(starts) for start in starts] if starts else []


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("body")
    parser.add_argument("--server", type=int, required=True, help="its process id")
    parser.add_argument("--streams", type=int, required=True)
    parser.add_argument("--per-second", type=float, default=1000.0)
    parser.add_argument("--gap", type=float, default=0.4)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (options.streams + 100,) * 2)
    body = options.body.encode()
    request = (
        f"POST {options.path} HTTP/1.1\r\nhost: 127.0.0.1:{options.port}\r\n"
        "authorization: Bearer any-key\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    ).encode() + body
    reading = read_all(options.port, request, options.streams, options.per_second, options.server)
    joined = [b"".join(pieces) for pieces in reading.answers]
    late = sorted(late for answer in joined for late in lateness(answer, options.gap))
    start, end = reading.all_open, reading.first_ended
    sent = (int(found) for answer in joined for found in _SENT.findall(answer))
    figures = {
        "streams": sum(answer.startswith(b"HTTP/1.1 200") for answer in joined),
        "events": len(late),
        "bytes": sum(map(len, joined)),
        "late_p50_ms": late[len(late) // 2] * 1e3,
        "late_p99_ms": late[int(len(late) * 0.99)] * 1e3,
        "late_max_ms": late[-1] * 1e3,
        "cpu_us": time.process_time() / len(late) * 1e6,
        "open_s": (end.at_ns - start.at_ns) / 1e9,
        "open_events": sum(start.at_ns <= moment < end.at_ns for moment in sent),
        "open_cpu_s": end.cpu_s - start.cpu_s,
    }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
