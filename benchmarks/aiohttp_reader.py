"""A plain reader on aiohttp, as one would write it: the clock is read when the bytes are there."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time

import aiohttp

from benchmarks.figures import Meter, asked, ramp_s, settled_s

_STAMP = re.compile(rb": (\d+)\ndata: (.*)\n\n")


async def main() -> None:
    options = asked()
    tls = ssl.create_default_context(cafile=options.ca) if options.ca else True
    meter, ramp = Meter(options.streams), ramp_s(options.streams)

    async def one(session: aiohttp.ClientSession, wait: float) -> None:
        await asyncio.sleep(wait)
        buffer = b""
        async with session.post(options.url, json={"prompt": "bench"}, ssl=tls) as response:
            async for piece in response.content.iter_any():
                now = time.monotonic_ns()
                buffer += piece
                while (end := buffer.find(b"\n\n")) >= 0:
                    if found := _STAMP.match(buffer[: end + 2]):
                        json.loads(found[2])
                        meter.seen(int(found[1]), now)
                    buffer = buffer[end + 2 :]
        meter.ended()

    async def watch() -> None:
        await asyncio.sleep(ramp + settled_s(options.streams))
        meter.opened()

    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        streams = (one(session, ramp * n / options.streams) for n in range(options.streams))
        await asyncio.gather(watch(), *streams)
    meter.report()


asyncio.run(main())
