"""What a fault is: a named way to break a valid answer, and what must catch it. Values only."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.generation.story import Payload, Step

Level = Literal["payloads", "bytes", "http", "wire"]
#: One chunk to be sent: what it is meant to be, and its object. A result or an error is a single
#: chunk whose step names its endpoint or its error.
Chunk = tuple[Step, Payload]
Chunks = list[Chunk]

#: What stands before and after the JSON text of a chunk; "json" is that of a single body.
FRAMES: Final = {"sse": (b"data: ", b"\n\n"), "lines": (b"", b"\n"), "json": (b"", b"")}
#: What a proxy says instead of the API.
HTML: Final = b"<!DOCTYPE html>\n<html><body><h1>502 Bad Gateway</h1></body></html>\n"


class Body(NamedTuple):
    """An encoded body: one frame for each chunk, all of them joined are its bytes."""

    framing: str
    frames: list[bytes]


class WholeAnswer(NamedTuple):
    """A whole answer. `content_type` is None where the header is not sent."""

    status: int
    content_type: str | None
    body: Body


@dataclass(frozen=True, slots=True)
class Fault:
    """A named way to break a valid answer of `of`: "stream", "error", or an endpoint with a
    single result by its name.

    `codes`: each of them must catch it; one, at `severity` ("error" or "warning"), is enough.
    `rule` says what forbids it where no single payload shows it: of a request that is refused, the
    rule that the request broke. `of_failure`: only a stream that reports a failure has a place for
    it. What `apply` takes and gives follows from the level: chunks, a `Body`, an `WholeAnswer`, or
    (`wire`) what `fault_wire.py` says.

    What no code names is judged by `verdict`: "inconclusive" for one of `reasons`, or "conforms"
    where HTTP allows what is done (with `reasons`: a single body may be inconclusive). `setting` is
    the number that may be given with the name, in seconds. `early`: it stands in place of the API,
    which never sees the request. `placed`: it strikes at one chunk, which may be chosen by its
    stage and track.
    """

    name: str
    level: Level
    of: str
    codes: frozenset[str]
    severity: str
    description: str
    apply: Callable[[Any, Any], Any] = field(repr=False, compare=False)
    of_failure: bool = False
    broken_rule: str | None = None
    verdict: str = "violates"
    reasons: frozenset[str] = frozenset()
    setting: float | None = None
    early: bool = False
    placed: bool = False

    @property
    def family(self) -> str:
        """The first part of its name."""
        return self.name.partition("/")[0]


def texts_of(body: Body) -> list[bytes]:
    """The JSON texts in the frames of a body that `encoded` made."""
    before, after = FRAMES[body.framing]
    return [frame.removeprefix(before).removesuffix(after) for frame in body.frames]


def framed(texts: Iterable[bytes], framing: str) -> Body:
    """Texts as the frames of a body."""
    before, after = FRAMES[framing]
    return Body(framing, [before + text + after for text in texts])


def dumps(value: Any) -> bytes:
    """JSON, short, in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def encoded(chunks: Iterable[Chunk], framing: str) -> Body:
    """The body that carries chunks ("sse", "lines"), or the one chunk of a single body ("json")."""
    return framed((dumps(payload) for _, payload in chunks), framing)


def described_results(contract: Contract) -> Iterator[Endpoint]:
    """The endpoints whose single result is described."""
    for endpoint in contract.endpoints.values():
        if endpoint.kind == "sync" and "properties" in (endpoint.response or {}):
            yield endpoint


def only_framed(
    framings: tuple[str, ...], apply: Callable[[Body, random.Random], Body | None]
) -> Callable[[Body, random.Random], Body | None]:
    """The change, made only to bodies in one of these framings."""
    return lambda body, rng: apply(body, rng) if body.framing in framings else None
