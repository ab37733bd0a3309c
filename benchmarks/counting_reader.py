"""A client that only takes bytes: opens many streams at once and keeps what comes, unread.

What it took is looked at when all is over: the send times in it say how late the server was against
its own schedule. Run as a process of its own; prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import select
import socket
import sys
import time

_SENT = re.compile(rb": sent=([0-9]+)\n")
_READ = 1 << 16


def read_all(port: int, request: bytes, streams: int, per_second: float) -> list[list[bytes]]:
    """The pieces of `streams` answers, their connections opened at an even rate."""
    poll = select.epoll()
    open_: dict[int, tuple[socket.socket, list[bytes]]] = {}
    answers: list[list[bytes]] = []
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
                pieces.append(data)
            if not data or data.endswith(b"0\r\n\r\n"):
                poll.unregister(connection)
                connection.close()
                del open_[number]
    return answers


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
    answers = read_all(options.port, request, options.streams, options.per_second)
    joined = [b"".join(pieces) for pieces in answers]
    late = sorted(late for answer in joined for late in lateness(answer, options.gap))
    figures = {
        "streams": sum(answer.startswith(b"HTTP/1.1 200") for answer in joined),
        "events": len(late),
        "bytes": sum(map(len, joined)),
        "late_p50_ms": late[len(late) // 2] * 1e3,
        "late_p99_ms": late[int(len(late) * 0.99)] * 1e3,
        "late_max_ms": late[-1] * 1e3,
        "cpu_us": time.process_time() / len(late) * 1e6,
    }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
