"""What a fault is: a named way to break a valid answer, and what must catch it. Values only."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint, Protocol
from soundstage.generation.story import Payload, Step

Level = Literal["payloads", "bytes", "http", "wire", "service"]
#: One chunk to be sent: what it is meant to be, and its object. A result or an error is a single
#: chunk whose step names its endpoint or its error.
Chunk = tuple[Step, Payload]
Chunks = list[Chunk]

#: What stands before and after the JSON text of a chunk; "json" is that of a single body.
FRAMES: Final = {"sse": (b"data: ", b"\n\n"), "lines": (b"", b"\n"), "json": (b"", b"")}
#: What a proxy says instead of the API.
HTML: Final = b"<!DOCTYPE html>\n<html><body><h1>502 Bad Gateway</h1></body></html>\n"


class Body(NamedTuple):
    """An encoded body: one frame for each chunk, all of them joined are its bytes. `heads`: what
    each begins with before its data, the name of its event; `tail`: what the last ends with, the
    text that ends the stream. Of looks at a state (framing "json") each frame is a body by itself.
    """

    framing: str
    frames: list[bytes]
    heads: tuple[bytes, ...] = ()
    tail: bytes = b""


class WholeAnswer(NamedTuple):
    """A whole answer. `content_type` is None where the header is not sent."""

    status: int
    content_type: str | None
    body: Body


@dataclass(frozen=True, slots=True)
class Fault:
    """A named way to break a valid answer of `of`: an endpoint by its name, "error", or "any" that
    makes something. `kind` says what is broken: "stream", "states" (looks at a state, one after the
    other), "result", "error", "any", "tie" (what two endpoints say of one generation), or "bill"
    (what is charged).

    `codes`: each of them must catch it; one, at `severity` ("error" or "warning"), is enough.
    `rule` says what forbids it where no single payload shows it: of a request that is refused, the
    rule that the request broke. `of_failure`: only a stream that reports a failure has a place for
    it. What `apply` takes and gives follows from the level: chunks, a `Body`, an `WholeAnswer`, or
    (`wire`) what `fault_wire.py` says.

    What no code names is judged by `verdict`: "inconclusive" for one of `reasons`, or "conforms"
    where HTTP allows what is done (with `reasons`: a single body may be inconclusive). `setting` is
    the number that may be given with the name, in seconds. `early`: it stands in place of the API,
    which never sees the request. `placed`: it strikes at one chunk, which may be chosen by its
    stage and track. `timed`: it shows in when chunks come, and in nothing else.
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
    kind: str = "result"
    timed: bool = False

    @property
    def family(self) -> str:
        """The first part of its name."""
        return self.name.partition("/")[0]


def texts_of(body: Body) -> list[bytes]:
    """The JSON texts in the frames of a body that `encoded` made."""
    before, after = FRAMES[body.framing]
    frames = list(body.frames)
    if frames and body.tail:
        frames[-1] = frames[-1].removesuffix(body.tail)
    for number, head in enumerate(body.heads[: len(frames)]):
        frames[number] = frames[number].removeprefix(head)
    return [frame.removeprefix(before).removesuffix(after) for frame in frames]


def framed(
    texts: Iterable[bytes], framing: str, heads: Sequence[bytes] = (), tail: bytes = b""
) -> Body:
    """Texts as the frames of a body."""
    before, after = FRAMES[framing]
    frames = [before + text + after for text in texts]
    for number, head in enumerate(heads[: len(frames)]):
        frames[number] = head + frames[number]
    if frames:
        frames[-1] += tail
    return Body(framing, frames, tuple(heads), tail)


def reframed(body: Body, texts: Iterable[bytes]) -> Body:
    """Other texts in the frames of a body, one for each."""
    return framed(texts, body.framing, body.heads, body.tail)


def dumps(value: Any) -> bytes:
    """JSON, short, in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def encoded(chunks: Sequence[Chunk], framing: str, protocol: Protocol | None = None) -> Body:
    """The body that carries chunks ("sse", "lines"), or the one chunk of a single body ("json").
    `protocol` says how its events are called, and with which text it ends.
    """
    steps = [step for step, _ in chunks]
    texts = [dumps(payload) for _, payload in chunks]
    if protocol is None or framing == "json":
        return framed(texts, framing)
    return framed(
        texts, framing, heads_of(protocol, steps, framing), tail_of(protocol, steps, framing)
    )


def heads_of(protocol: Protocol, steps: Sequence[Step], framing: str) -> list[bytes]:
    """What stands before the data of each chunk: the name of its event. [] where none has one."""
    if framing != "sse" or not _names_events(protocol):
        return []
    events = (
        known.event.name if (known := protocol.by_name.get(step.stage)) and known.event else None
        for step in steps
    )
    return [f"event: {event}\n".encode() if event else b"" for event in events]


@lru_cache(100)
def _names_events(protocol: Protocol) -> bool:
    return any(stage.event is not None for stage in protocol.stages)


def tail_of(protocol: Protocol, steps: Sequence[Step], framing: str) -> bytes:
    """What comes after the last chunk: the text that ends the stream, where it has come so far."""
    if protocol.sentinel is None or not steps:
        return b""
    last = protocol.by_name.get(steps[-1].stage)
    if last is None or last.failure:
        return b""
    if protocol.closing and not any(
        known.ends == "stream" for step in steps if (known := protocol.by_name.get(step.stage))
    ):
        return b""
    before, after = FRAMES[framing]
    return before + protocol.sentinel.data + after


def described_results(contract: Contract) -> Iterator[Endpoint]:
    """The endpoints whose single result is described."""
    for endpoint in contract.endpoints.values():
        described = endpoint.protocol is None and "type" in (endpoint.response or {})
        if described and endpoint.kind in ("sync", "job"):
            yield endpoint


def only_framed(
    framings: tuple[str, ...], apply: Callable[[Body, random.Random], Body | None]
) -> Callable[[Body, random.Random], Body | None]:
    """The change, made only to bodies in one of these framings."""
    return lambda body, rng: apply(body, rng) if body.framing in framings else None
