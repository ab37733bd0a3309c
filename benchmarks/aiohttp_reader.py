"""A plain reader on aiohttp, as one would write it: the clock is read when the bytes are there."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time

import aiohttp

from benchmarks.figures import Meter

_STAMP = re.compile(rb": (\d+)\ndata: (.*)\n\n")


async def main(port: int, streams: int) -> None:
    meter = Meter()
    late: list[int] = []

    async def one(session: aiohttp.ClientSession, wait: float) -> None:
        await asyncio.sleep(wait)
        buffer = b""
        async with session.post(f"http://127.0.0.1:{port}/", json={"prompt": "bench"}) as response:
            async for piece in response.content.iter_any():
                now = time.monotonic_ns()
                buffer += piece
                while (end := buffer.find(b"\n\n")) >= 0:
                    if found := _STAMP.match(buffer[: end + 2]):
                        late.append(now - int(found[1]))
                        json.loads(found[2])
                    buffer = buffer[end + 2 :]

    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        await asyncio.gather(*(one(session, 2 * n / streams) for n in range(streams)))
    meter.report(late, coarse=0.0, violations=0)


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
