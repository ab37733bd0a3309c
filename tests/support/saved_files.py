"""A good v6 stream, and the forms in which people save it."""

from __future__ import annotations

import json
import random
from typing import Any

from soundstage.contract import load
from soundstage.generation import walk


def chunks(api: str = "v6", seed: int = 1) -> list[dict[str, Any]]:
    """The chunks of a stream that conforms."""
    contract, rng = load(api), random.Random(seed)
    return list(walk.payloads(contract, walk.plan(contract, rng), walk.random_story(rng), rng))


def events(payloads: list[dict[str, Any]]) -> bytes:
    """Chunks as an event stream."""
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in payloads)


GOOD = events(chunks())
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
URL = "https://api.soundverse.ai/v6/generate/song"


def broken() -> bytes:
    """A stream in which one chunk lacks a field."""
    payloads = chunks()
    del payloads[1]["isComplete"]
    return events(payloads)


def chunked(body: bytes, size: int = 300) -> bytes:
    """A body in the framing of chunks (RFC 9112, section 7.1)."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in pieces) + b"0\r\n\r\n"


def entry(**response: Any) -> dict[str, Any]:
    """An entry of an archive; members of its response are replaced, those that are ... left out."""
    text = GOOD.decode()
    whole: dict[str, Any] = {
        "status": 200,
        "statusText": "OK",
        "headers": [{"name": "content-type", "value": "text/event-stream"}],
        "content": {"size": len(GOOD), "mimeType": "text/event-stream", "text": text},
        **response,
    }
    return {
        "startedDateTime": "2026-11-26T10:00:00.000Z",
        "time": 100,
        "request": {"method": "POST", "url": URL, "headers": []},
        "response": {name: each for name, each in whole.items() if each is not ...},
        "timings": {"send": 0, "wait": 100, "receive": 1000},
    }


def har(*entries: Any, **members: Any) -> bytes:
    """An archive of these entries, with `members` before its log."""
    return json.dumps({**members, "log": {"version": "1.2", "entries": entries}}).encode()
