"""The least that a server can do: sends given bytes at the emulator's pace, and knows nothing.

Every connection gets the same body, one frame every `--gap` seconds after the first, each with its
send time in a comment line as the emulator's `--stamp` has it. On uvloop, like the emulator. Run as
a process of its own: `python -m benchmarks.bare_server BODY`; prints its port.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from pathlib import Path
from typing import cast

import uvloop

_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


class Stream(asyncio.Protocol):
    """One connection: waits for the end of a request's body, then sends on a schedule."""

    frames: list[bytes]
    gap: float

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._next = -1

    def data_received(self, data: bytes) -> None:
        if self._next < 0:
            self._next = 0
            self._loop = asyncio.get_running_loop()
            self._due = self._loop.time() + self.gap
            self._transport.write(_HEAD)
            self._loop.call_at(self._due, self._send)

    def _send(self) -> None:
        if self._transport.is_closing():
            return
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        frame = b": sent=%d\n" % now + self.frames[self._next]
        self._transport.write(b"%x\r\n%s\r\n" % (len(frame), frame))
        self._next += 1
        if self._next == len(self.frames):
            self._transport.write(b"0\r\n\r\n")
            self._transport.close()
            return
        self._due += self.gap
        self._loop.call_at(self._due, self._send)


async def _serve(body: bytes, gap: float) -> None:
    Stream.frames = [part + b"\n\n" for part in body.split(b"\n\n") if part]
    Stream.gap = gap
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Stream, "127.0.0.1", 0, backlog=8192)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("body", type=Path)
    parser.add_argument("--gap", type=float, default=0.4)
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_serve(options.body.read_bytes(), options.gap))
