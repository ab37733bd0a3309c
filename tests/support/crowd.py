"""Many clients at once, on plain sockets: what each was answered, and the connections kept open."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Answered:
    """`status` is 0 where the connection ended before a status line."""

    status: int
    body: bytes
    writer: asyncio.StreamWriter | None = field(repr=False, default=None)


def request(path: str, body: object, key: str, **headers: str) -> bytes:
    """A POST with a JSON body."""
    raw = json.dumps(body).encode()
    named = {
        "Host": "emulator.example",
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/json",
        "Content-Length": str(len(raw)),
        **headers,
    }
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode() + raw


async def ask(url: str, raw: bytes, *, keep: bool = False) -> Answered:
    """Send a request and read the status; of a refusal also the body. With `keep` the connection
    of a 200 stays open.
    """
    parts = urlsplit(url)
    writer, status = None, 0
    try:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(raw)
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        if status == 200:
            if keep:
                return Answered(status, b"", writer)
            return Answered(status, await reader.read(65536))
        length = next(
            int(line.partition(b":")[2])
            for line in head.splitlines()
            if line.lower().startswith(b"content-length:")
        )
        return Answered(status, await reader.readexactly(length))
    except (OSError, asyncio.IncompleteReadError):
        return Answered(0, b"")
    finally:
        if writer is not None and not (keep and status == 200):
            writer.transport.abort()


async def crowd(url: str, requests: Sequence[bytes], *, keep: bool = False) -> list[Answered]:
    """All requests at once."""
    answers = await asyncio.gather(*(ask(url, raw, keep=keep) for raw in requests))
    await asyncio.sleep(0)  # what was aborted is closed in the next turn
    return answers


async def leave(answers: Sequence[Answered]) -> None:
    """Close the connections that were kept."""
    for answer in answers:
        if answer.writer is not None:
            answer.writer.transport.abort()
    await asyncio.sleep(0)
