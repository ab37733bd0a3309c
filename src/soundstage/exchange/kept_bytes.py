"""What of an answer may be kept in a transcript, of its head, its bytes and its end: no secrets,
nobody's own words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from soundstage.exchange.event_secrets import without_secrets
from soundstage.exchange.held.tape import Tape
from soundstage.exchange.look import Look
from soundstage.output.redact import MARK, PRIVATE_FIELDS, Redactor
from soundstage.saved.transcript import Transcript
from soundstage.wire.response import Response

_SECOND_NS: Final = 1_000_000_000
#: Why a transcript lacks the body of an answer that was judged all the same.
NO_ROOM: Final = "cap.memory"

#: What people wrote may come back in a response, too.
_PRIVATE = (*PRIVATE_FIELDS, "lyrics_sections")


def kept_head(response: Response, redactor: Redactor, seconds: float | None) -> dict[str, Any]:
    """The `response` of a header; `seconds` after the beginning its head was complete, None if
    there was none.
    """
    return {
        "status": response.status,
        "reason": redactor.name(response.reason),
        "headers": redactor.headers(response.headers),
        "t": None if seconds is None else round(seconds, 6),
        "hops": [
            [hop.status, hop.location and redactor.url(hop.location)] for hop in response.hops
        ],
    }


def kept_pieces(
    tape: Tape, redactor: Redactor, started_ns: int, *, streaming: bool
) -> list[tuple[float, bytes, bool]]:
    """The pieces of a body, in seconds since `started_ns`: those of a stream event by event, of
    any other body as one.
    """
    pieces = tape.pieces()
    if pieces and not streaming:
        # A secret or a URL may lie across two reads of a body.
        pieces = [(pieces[-1][0], b"".join(raw for _, raw, _ in pieces), False)]
    return [
        ((at - started_ns) / _SECOND_NS, redacted(raw, redactor), coarse)
        for at, raw, coarse in pieces
    ]


def kept_end(
    response: Response, redactor: Redactor, cut: str | None, seconds: float
) -> dict[str, Any]:
    """The end line of an answer; `cut` is our own reason for having stopped, if it was us."""
    end = response.end
    return {
        "kind": end.kind.value if end else None,
        "fault_of": end.fault_of if end else None,
        "message": redactor.message(end.message) if end else "",
        "cut": cut,
        "t": seconds,
    }


def kept_look(look: Look, redactor: Redactor, started_ns: int) -> Transcript:
    """A look at what an exchange made, which began at `started_ns`."""

    def seconds(at_ns: int) -> float:
        return round((at_ns - started_ns) / _SECOND_NS, 6)

    response = look.response
    head_ns = response.times.head_ns
    headed = None if response.status is None or head_ns is None else seconds(head_ns)
    asked = {
        "method": "GET",
        "url": redactor.url(look.url),
        "headers": redactor.headers(look.request_head),
        "body": None,
    }
    header = {
        "request": asked,
        "response": kept_head(response, redactor, headed),
        "timing": response.timing_source,
        "t": seconds(look.sent_ns),
    }
    cut = NO_ROOM if look.tape.dropped else look.cut
    return Transcript(
        header,
        kept_pieces(look.tape, redactor, started_ns, streaming=False),
        kept_end(response, redactor, cut, seconds(look.ended_ns)),
    )


def redacted(raw: bytes, redactor: Redactor) -> bytes:
    """Raw bytes of an event or a body without secrets, queries of URLs, and people's own words.

    Only what is taken out is changed: broken UTF-8 and broken JSON survive, and what stands inside
    broken JSON is found, too.
    """
    if not redactor.keep_private:
        raw = _without_private(raw, redactor)
    return without_secrets(raw, redactor)


def _without_private(raw: bytes, redactor: Redactor) -> bytes:
    if b"http" in raw.lower():
        text = raw.decode("utf-8", "surrogateescape")
        raw = redactor.links(text).encode("utf-8", "surrogateescape")
    if b"\\" in raw or any(name.encode() in raw for name in _PRIVATE):
        raw = b"".join(_hidden(raw, redactor))
    return raw


#: Strings (the last perhaps without its end), punctuation, and what stands between.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}:,]|[^"\[\]{}:,]++', re.DOTALL)
#: A colon, in the next `data` line of the event perhaps.
_COLON = re.compile(rb"(?:\s|\ndata:)*:")
_NUMBER = re.compile(rb"-?[0-9][0-9.eE+-]*")


def _hidden(raw: bytes, redactor: Redactor) -> Iterator[bytes]:
    """The tokens of `raw` with the values of private fields, and the queries of URLs that are
    written with escapes, taken out. Walks tokens, since a parser would stop at what is broken.
    """
    depth = 0
    hidden_from: int | None = None  # the depth of the private array or object that we are in
    private, key = False, ""
    for match in _TOKEN.finditer(raw):
        token = match[0]
        first = token[:1]
        if first == b'"':
            if (hidden_from is not None or private) and not _COLON.match(raw, match.end()):
                yield _mark(token)
                continue
            text = _text(token)
            key = text or ""
            plain = redactor.links(key)
            if text is None and b"\\" in token:
                yield _mark(token)
            else:
                yield token if plain == key else json.dumps(plain).encode()
            continue
        if first == b":":
            if key:  # else it is that of a `data` line
                private, key = key in _PRIVATE, ""
        elif first == b",":
            private = False
        elif first in b"[{":
            depth += 1
            if private and hidden_from is None:
                hidden_from, private = depth, False
        elif first in b"]}":
            if hidden_from is not None and depth <= hidden_from:
                hidden_from = None
            depth -= 1
        elif hidden_from is not None or private:
            token = _NUMBER.sub(f'"{MARK}"'.encode(), token)
        yield token


def _text(token: bytes) -> str | None:
    """What a string token says; None if it cannot be read."""
    try:
        return str(json.loads(token.decode("utf-8", "surrogateescape"), strict=False))
    except ValueError:
        return None


def _mark(token: bytes) -> bytes:
    text = _text(token)
    many = len(token.strip(b'"')) if text is None else len(text)
    end = b'"' if len(token) > 1 and token.endswith(b'"') else b""
    return b'"[redacted %d chars]' % many + end
