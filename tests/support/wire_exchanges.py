"""Answers as bytes, and an exchange over a real socket that reads one whole."""

from __future__ import annotations

import gzip

from soundstage.wire.transport import Limits, Request, Transport, TransportSettings

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
SHORT = Limits(connect_s=2, idle_s=0.3, total_s=5)


def sized(body: bytes, more: bytes = b"") -> bytes:
    return OK + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


def zipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)  # the same in every worker of xdist


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def exchange(url, *, method="POST", headers=(), body=b"{}", **settings):
    """Open, read all of it, close; returns (response, body, reads)."""
    transport = Transport(TransportSettings(**settings))
    with transport.open(Request(method, url, tuple(headers), body)) as response:
        reads = list(response.reads())
    transport.close()
    return response, b"".join(read.data for read in reads), reads
