"""A server with one slot that stands still now and then: one queue, a fixed time for each song, and
in every so many seconds a while in which nothing moves.

From the first request on, seconds `every / 4` to `every / 4 + stall` of each period are lost. Every
answer is one valid stream, sent at once when its turn has come. Run as a process of its own:
`python -m benchmarks.stalling_server`; prints its port.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from dataclasses import dataclass
from typing import cast

from soundstage.contract import load
from soundstage.generation.walk import payloads, plan, random_story

_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n"
)
_UNKNOWN = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(slots=True)
class Slot:
    """One slot, first come, first served; times in seconds since the first request. `service` is
    what each takes while nothing stands still.
    """

    service: float
    stall: float
    every: float
    free: float = 0.0

    def finish(self, arrival: float) -> float:
        """When a request that comes then is done (Lindley 1952, with stalls)."""
        moment, left = self._moving(max(arrival, self.free)), self.service
        while True:
            stops = self._next_stall(moment)
            if moment + left <= stops:
                self.free = moment + left
                return self.free
            left -= stops - moment
            moment = stops + self.stall

    def _next_stall(self, moment: float) -> float:
        begin = self.every / 4
        while begin < moment:
            begin += self.every
        return begin

    def _moving(self, moment: float) -> float:
        within = (moment - self.every / 4) % self.every
        return moment + self.stall - within if within < self.stall else moment


class Connection(asyncio.Protocol):
    """One request: its answer is due when the slot has done it."""

    slot: Slot
    answer: bytes
    begun: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._request = b""

    def data_received(self, data: bytes) -> None:
        whole, self._request = b"\r\n\r\n" in self._request, self._request + data
        if whole or b"\r\n\r\n" not in self._request:
            return
        if not self._request.startswith(b"POST"):
            self._transport.write(_UNKNOWN)
            self._transport.close()
            return
        loop, kind = asyncio.get_running_loop(), type(self)
        if kind.begun is None:
            kind.begun = loop.time()
        due = kind.begun + self.slot.finish(loop.time() - kind.begun)
        loop.call_at(due, self._send)

    def _send(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_HEAD % len(self.answer) + self.answer)
            self._transport.close()


def a_stream(api: str) -> bytes:
    """The body of a valid stream."""
    contract, rng = load(api), random.Random(3)
    chunks = payloads(contract, plan(contract, rng), random_story(rng), rng)
    return b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks)


async def _serve(args: argparse.Namespace) -> None:
    Connection.slot = Slot(args.service, args.stall, args.every)
    Connection.answer = a_stream(args.api)
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - the port
    # Whoever started it closes its input to end it.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--api", default="v6")
    for name in ("service", "stall", "every"):
        parser.add_argument(f"--{name}", type=float, required=True)
    asyncio.run(_serve(parser.parse_args()))
