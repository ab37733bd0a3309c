"""A bare server that says when it sent each event, so that a client's clock can be held to it.

Every connection gets one valid stream of the contract, `--rate` events a second, each with its send
time (CLOCK_MONOTONIC, ns) in a comment line. Run as a process of its own: `python -m
benchmarks.stamping_server`; prints its port.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import resource
import ssl
import sys
import time
from typing import cast

import uvloop

from soundstage.contract import load
from soundstage.generation.walk import Step, payloads, plan, random_story

_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
)


class Stream(asyncio.Protocol):
    """One connection: waits for the end of a request's head, then sends on a schedule."""

    chunks: list[bytes]
    gap: float

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._request = bytearray()
        self._next = 0

    def data_received(self, data: bytes) -> None:
        if self._next or b"\r\n\r\n" in self._request:
            return
        self._request += data
        if b"\r\n\r\n" in self._request:
            loop = asyncio.get_running_loop()
            self._transport.write(_HEAD)
            self._due = loop.time() + self.gap * random.random()
            loop.call_at(self._due, self._send)

    def _send(self) -> None:
        if self._transport.is_closing():
            return
        chunk = self.chunks[self._next]
        self._next += 1
        event = b": %d\ndata: %s\n\n" % (time.monotonic_ns(), chunk)
        last = self._next == len(self.chunks)
        self._transport.write(
            b"%x\r\n%s\r\n%s" % (len(event), event, b"0\r\n\r\n" if last else b"")
        )
        if last:
            self._transport.close()
            return
        self._due += self.gap
        asyncio.get_running_loop().call_at(self._due, self._send)


def stream_of(api: str, events: int) -> list[bytes]:
    """A valid stream of about `events` chunks: one that the walk makes, its optional stage that
    may come any number of times repeated.
    """
    contract = load(api)
    rng = random.Random(1)
    steps = plan(contract, rng)
    unlimited = {s.name for s in contract.protocol.stages if s.times[1] is None}
    at = next(n for n, step in enumerate(steps) if step.stage in unlimited)
    steps[at:at] = [Step(*steps[at])] * max(0, events - len(steps))
    return [json.dumps(c).encode() for c in payloads(contract, steps, random_story(rng), rng)]


async def _serve(rate: float, events: int, api: str, tls: list[str]) -> None:
    Stream.chunks = stream_of(api, events)
    Stream.gap = 1 / rate
    loop = asyncio.get_running_loop()
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
    server = await loop.create_server(Stream, "127.0.0.1", 0, backlog=8192, ssl=context)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=2.5)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--api", required=True)
    parser.add_argument("--tls", action="append", default=[], help="certificate, then key")
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_serve(options.rate, options.events, options.api, options.tls))
