"""Whether the memory of the emulator stays flat over many songs, which it keeps for 900 s and
forgets sooner where there are more than it has room for.

Keep-alive connections ask for one stream after the other and read each to its end. Resident memory
is that of the emulator's process, after each of the numbers of songs asked for.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator

from benchmarks.emulator import resident_kb, served
from benchmarks.result import Row
from soundstage.contract import available, load

_CONNECTIONS = 16
_LAST_CHUNK = b"\r\n0\r\n\r\n"


def measure(songs: tuple[int, ...] = (10_000, 50_000, 100_000)) -> list[Row]:
    """Resident memory of the emulator before the first song, and after so many."""
    with served(["soundstage", "emulate", "--port=0", "--profile=instant", "--seed=1"]) as (
        emulator,
        port,
    ):
        done, before, rate = 0, resident_kb(emulator.pid), 0.0
        rows = [Row("emulator, before the first song", f"{before / 1024:.1f} MB")]
        for many in sorted(songs):
            begun = time.monotonic()
            asyncio.run(_listen(port, many - done))
            rate = (many - done) / (time.monotonic() - begun)
            now = resident_kb(emulator.pid)
            rows.append(Row(f"emulator, after {many:,} songs", f"{now / 1024:.1f} MB"))
            grown = (now - before) * 1024 / (many - done)
            done, before = many, now
    rows.append(Row("memory for each further song", f"{grown:.1f} B", target="about 0"))
    return [*rows, Row("songs a second, of the last of them", f"{rate:.0f}")]


async def _listen(port: int, many: int) -> None:
    left = iter(range(many))
    async with asyncio.TaskGroup() as listeners:
        for _ in range(_CONNECTIONS):
            listeners.create_task(_one_after_the_other(port, left))


async def _one_after_the_other(port: int, left: Iterator[int]) -> None:
    asked = _request(port)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in left:
        writer.write(asked)
        answer = await reader.readuntil(_LAST_CHUNK)
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"no song: {answer[:200]!r}")
    writer.close()


def _request(port: int) -> bytes:
    contract = load(available()[-1])
    endpoint = contract.endpoint_of_kind("stream")
    assert endpoint is not None
    body = json.dumps(next(each.payload for each in contract.examples if each.of == "request"))
    return (
        f"POST {endpoint.path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"
        "authorization: Bearer any-key\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    ).encode()
