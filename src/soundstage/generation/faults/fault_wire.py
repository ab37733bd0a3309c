"""Faults below the body: connections, segments, codings and the framing of HTTP itself, and what
stands in place of the API. Each is a `Script` or a `GatewayAnswer` answer (`script.py`).

What HTTP allows is in here too (gzip, a character split over two segments): a client must take it.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, Final

from soundstage.contract import Contract
from soundstage.contract.protocol import MEDIA_TYPES
from soundstage.contract.roles import identifiers
from soundstage.generation.faults.fault import Fault, WholeAnswer, dumps, encoded
from soundstage.generation.faults.fault_holding import of_holding
from soundstage.generation.faults.legality import is_legal, schema_of, stage_of
from soundstage.generation.faults.script import (
    Apply,
    Close,
    EndBody,
    FaultSubject,
    GatewayAnswer,
    KeepSending,
    Move,
    Moves,
    Pause,
    Raw,
    Reset,
    Say,
    Script,
    untouched,
)

#: The query of a request that has been redirected once; it is not redirected again.
REDIRECTED: Final = "soundstage-redirected=1"
#: A host that cannot exist (RFC 2606).
ELSEWHERE: Final = "http://elsewhere.invalid"

#: Long enough to be two segments, short enough to wait for.
_MOMENT_S: Final = 0.05
_LONG_S: Final = 3600.0
_NOTE: Final = "\N{EIGHTH NOTE}"
_GZIP: Final = 16 + zlib.MAX_WBITS
#: What keeps a body alive without saying anything, by framing.
_HEARTBEATS: Final = {"sse": b": still here\n\n", "lines": b"\n", "json": b" "}


# --- the catalogue --------------------------------------------------------------------------------


def of_wire(contract: Contract) -> Iterator[Fault]:
    """Every fault of the wire, for streams, results and accepted jobs alike."""
    if not contract.of_kind("stream", "sync", "job"):
        return
    yield from _of_connections(contract)
    yield from _of_http_framing()
    yield from _of_codings()
    yield from _of_segments(contract)
    yield from of_holding(contract)
    yield from _of_proxies(contract)


def _fault(
    name: str,
    says: str,
    apply: Apply,
    *,
    codes: set[str] | None = None,
    reasons: set[str] | None = None,
    setting: float | None = None,
    early: bool = False,
    placed: bool = False,
    verdict: str | None = None,
) -> Fault:
    verdict = verdict or ("violates" if codes else "inconclusive" if reasons else "conforms")
    return Fault(
        f"wire/{name}",
        "wire",
        "any",
        frozenset(codes or ()),
        "error",
        says,
        apply,
        verdict=verdict,
        reasons=frozenset(reasons or ()),
        setting=setting,
        early=early,
        placed=placed,
        kind="any",
    )


def _struck(
    told: FaultSubject, rng: random.Random, moves: Callable[[bytes], Moves]
) -> Script | None:
    """The answer up to one frame, in whose place `moves` come, the last of all."""
    if not told.places:
        return None
    at = rng.choice(told.places)
    frames = told.answer.body.frames
    chunks = untouched(told.answer)[:at]
    nothing: list[Moves] = [() for _ in frames[at + 1 :]]
    return Script([*chunks, moves(frames[at]), *nothing], closing=())


def _half_of_a_chunk(frame: bytes) -> bytes:
    """The first half of a frame, inside a chunk of HTTP that announces all of it."""
    return b"%x\r\n" % len(frame) + frame[: len(frame) // 2]


def _of_connections(contract: Contract) -> Iterator[Fault]:
    def at_a_chunk(moves: Callable[[bytes], Moves]) -> Apply:
        return lambda told, rng: _struck(told, rng, moves)

    def opening(*moves: Move) -> Apply:
        return lambda told, rng: Script([() for _ in told.answer.body.frames], moves, ())

    says = "the connection is reset in the middle of a chunk"
    reset = at_a_chunk(lambda f: (Raw(_half_of_a_chunk(f)), Pause(_MOMENT_S), Reset()))
    yield _fault("reset", says, reset, codes={"http.reset"}, placed=True)
    says = "the connection is closed in the middle of a chunk"
    cut = at_a_chunk(lambda f: (Raw(_half_of_a_chunk(f)), Close()))
    yield _fault("cut", says, cut, codes={"http.truncated"}, placed=True)

    def stall(told: FaultSubject, rng: random.Random) -> Script | None:
        if not told.places:
            return None
        at = rng.choice(told.places)
        frame = told.answer.body.frames[at]
        chunks = untouched(told.answer)
        half = len(frame) // 2
        chunks[at] = (Say(frame[:half]), Pause(told.seconds), Say(frame[half:]))
        return Script(chunks)

    says = "nothing comes any more in the middle of a chunk, for so many seconds"
    reasons = {"harness.idle_timeout", "harness.total_timeout"}
    yield _fault("stall", says, stall, reasons=reasons, setting=_LONG_S, placed=True)

    def never_ends(told: FaultSubject, rng: random.Random) -> Script:
        heartbeat = _HEARTBEATS[told.answer.body.framing]
        return Script(untouched(told.answer), closing=(KeepSending(told.seconds, heartbeat),))

    says = "after the last chunk the body goes on with comments or blanks, one in so many seconds"
    # A stream has said all by then; of a single body nothing can be known.
    # Where only the end of the body says that it is over, nothing can be known of a stream either.
    streams = [each.protocol for each in contract.of_kind("stream") if each.protocol is not None]
    closing = {any(stage.ends == "close" for stage in each.ending) for each in streams}
    ends: dict[str, Any] = {"reasons": reasons}
    if True not in closing:
        ends["verdict"] = "conforms"
    told = len(closing) < 2  # else it depends on which of its streams is asked
    if told:
        yield _fault("never_ends", says, never_ends, setting=1.0, **ends)

    def kept_open(told: FaultSubject, rng: random.Random) -> Script:
        return Script(untouched(told.answer), closing=(Pause(told.seconds), EndBody()))

    says = "after the last chunk the body is not ended, for so many seconds"
    if told:
        yield _fault("kept_open", says, kept_open, setting=_LONG_S, **ends)
    says = "the connection is closed without an answer"
    yield _fault("no_answer", says, opening(Close()), codes={"http.truncated"})
    says = "the connection is reset before there is an answer"
    yield _fault("reset_early", says, opening(Reset()), reasons={"environment.reset"})

    def late(told: FaultSubject, rng: random.Random) -> Script:
        return Script(untouched(told.answer), opening=(Pause(told.seconds),))

    says = "the headers come so many seconds late"
    yield _fault("late_headers", says, late, setting=1.0)


def _of_http_framing() -> Iterator[Fault]:
    framing, truncated = {"http.framing"}, {"http.truncated"}

    def at_a_chunk(moves: Callable[[bytes], Moves]) -> Apply:
        return lambda told, rng: _struck(told, rng, moves)

    says = "the size of an HTTP chunk is no number"
    size = at_a_chunk(lambda f: (Raw(b"xyz\r\n" + f + b"\r\n"), Close()))
    yield _fault("chunk_size", says, size, codes=framing, placed=True)
    says = "the size of an HTTP chunk is missing"
    bare = at_a_chunk(lambda f: (Raw(b"\r\n" + f + b"\r\n"), Close()))
    yield _fault("chunk_without_size", says, bare, codes=framing, placed=True)
    says = "an HTTP chunk is longer than it says"
    long = at_a_chunk(lambda f: (Raw(b"%x\r\n" % (len(f) // 2) + f + b"\r\n"), Close()))
    yield _fault("chunk_too_long", says, long, codes=framing, placed=True)

    def without_last(told: FaultSubject, rng: random.Random) -> Script:
        return Script(untouched(told.answer), closing=(Close(),))

    says = "the last, empty HTTP chunk is missing"
    yield _fault("no_last_chunk", says, without_last, codes=truncated)

    def announced(more: int) -> Apply:
        def apply(told: FaultSubject, rng: random.Random) -> Script | None:
            frames = told.answer.body.frames
            length = sum(map(len, frames)) + more
            if length <= 0:
                return None
            chunks: list[Moves] = [(Raw(frame),) for frame in frames]
            return Script(chunks, closing=(Close(),), content_length=length)

        return apply

    says = "Content-Length announces more than comes"
    yield _fault("content_length_above", says, announced(+16), codes=truncated)
    says = "Content-Length announces less than comes"
    # A client that stops at the announced length sees an event, or a text, that is cut.
    codes = framing | {"framing.unterminated", "json.syntax", "json.invalid_utf8"}
    yield _fault("content_length_below", says, announced(-16), codes=codes)


def _of_codings() -> Iterator[Fault]:
    labelled = (("content-encoding", "gzip"),)

    def compressed(answer: WholeAnswer, *, whole: bool = True) -> list[bytes]:
        """The frames in gzip, each flushed so that it can be read when it comes."""
        coder = zlib.compressobj(wbits=_GZIP)
        frames = [coder.compress(f) + coder.flush(zlib.Z_SYNC_FLUSH) for f in answer.body.frames]
        if whole:
            frames[-1] += coder.flush(zlib.Z_FINISH)
        return frames

    def said(frames: list[bytes]) -> list[Moves]:
        return [(Say(frame),) for frame in frames]

    def gzip(told: FaultSubject, rng: random.Random) -> Script | None:
        if not told.answer.body.frames:
            return None
        return Script(said(compressed(told.answer)), headers=labelled)

    def unlabelled(told: FaultSubject, rng: random.Random) -> Script | None:
        script = gzip(told, rng)
        return None if script is None else script._replace(headers=())

    def truncated(told: FaultSubject, rng: random.Random) -> Script | None:
        if not told.answer.body.frames:
            return None
        return Script(said(compressed(told.answer, whole=False)), headers=labelled)

    def corrupt(told: FaultSubject, rng: random.Random) -> Script | None:
        if not told.places:
            return None
        at = rng.choice(told.places)
        frames = compressed(told.answer)
        # After a flush a block begins on a whole octet; a block of type 3 is forbidden (RFC 1951,
        # section 3.2.3). The first frame begins with the ten octets of the header.
        kept = frames[at][:10] if at == 0 else b""
        frames[at] = kept + b"\xff" * (len(frames[at]) - len(kept))
        return Script(said(frames), headers=labelled)

    coding = {"http.content_encoding"}
    yield _fault("gzip", "the body is compressed, though nobody asked for it", gzip)
    says = "the compressed body has no end"
    yield _fault("gzip_truncated", says, truncated, codes=coding)
    yield _fault(
        "gzip_corrupt", "the compressed body is corrupt", corrupt, codes=coding, placed=True
    )
    says = "the body is compressed, and no header says so"
    codes = {"framing.unexpected", "json.syntax", "json.invalid_utf8"}
    yield _fault("gzip_unlabelled", says, unlabelled, codes=codes)


def _of_segments(contract: Contract) -> Iterator[Fault]:
    def drip(told: FaultSubject, rng: random.Random) -> Script | None:
        if not told.places:
            return None
        chunks = untouched(told.answer)
        for at in told.places:
            frame = told.answer.body.frames[at]
            octets = (frame[n : n + 1] for n in range(len(frame)))
            chunks[at] = tuple(m for octet in octets for m in (Say(octet), Pause(told.seconds)))
        return Script(chunks)

    says = "chunks come one octet at a time, so many seconds apart"
    yield _fault("drip", says, drip, setting=0.0, placed=True)

    def split(told: FaultSubject, rng: random.Random) -> Script | None:
        answer, places = told.answer, told.places
        inside = [n for n in places if not answer.body.frames[n].isascii()]
        if not inside:
            changed = _with_a_note(contract, told)
            if changed is None:
                return None
            answer = changed
            inside = [n for n in places if not answer.body.frames[n].isascii()]
        if not inside:
            return None
        at = rng.choice(inside)
        frame = answer.body.frames[at]
        cut = 1 + next(n for n, octet in enumerate(frame) if octet >= 0xC0)
        chunks = untouched(answer)
        chunks[at] = (Say(frame[:cut]), Pause(told.seconds), Say(frame[cut:]))
        return Script(chunks)

    says = "two segments part a character of UTF-8, so many seconds from each other"
    yield _fault("split_character", says, split, setting=_MOMENT_S, placed=True)


def _with_a_note(contract: Contract, told: FaultSubject) -> WholeAnswer | None:
    """The same answer with a character beyond ASCII in a text where the contract takes any; None
    if there is none, or the answer is not what its chunks say.
    """
    answer, chunks = told.answer, told.chunks
    protocol = contract.protocol if answer.body.framing != "json" else None
    if answer.body != encoded(chunks, answer.body.framing, protocol):
        return None
    fields = (g.field for each in contract.endpoints.values() for g in each.gives)
    given = {field.parts[0] for field in fields if field is not None}
    known = given.union(identifiers(contract))
    texts = {
        name: None
        for _, payload in chunks
        for name, value in payload.items()
        if isinstance(value, str) and value and name not in known
    }
    for name in texts:
        changed = [
            (step, {**payload, name: payload[name] + _NOTE})
            if isinstance(payload.get(name), str)
            else (step, payload)
            for step, payload in chunks
        ]
        if all(_allowed(contract, step.stage, payload) for step, payload in changed):
            return answer._replace(body=encoded(changed, answer.body.framing, protocol))
    return None


def _allowed(contract: Contract, name: str, payload: dict[str, Any]) -> bool:
    """Whether a chunk of that stage, or a result of that endpoint, may be so."""
    if name in contract.protocol.by_name:
        found = stage_of(contract, payload, name)
        schema = schema_of(contract, name)
        return found is not None and found.name == name and is_legal(schema, payload)
    endpoint = contract.endpoints.get(name)
    return endpoint is not None and is_legal(endpoint.response or {}, payload)


def _of_proxies(contract: Contract) -> Iterator[Fault]:
    def page(status: int) -> Apply:
        title = f"{status} {HTTPStatus(status).phrase}"
        text = f"<!DOCTYPE html>\n<html><body><h1>{title}</h1></body></html>\n"
        return lambda told, rng: GatewayAnswer(status, "text/html", text.encode())

    says = "a proxy answers with an HTML page and 502"
    yield _fault("html_502", says, page(502), reasons={"http.502"}, early=True)
    says = "a proxy answers with an HTML page and 504"
    yield _fault("html_504", says, page(504), reasons={"http.504"}, early=True)
    for status in (429, 503):
        known = [error for error in contract.errors.known if error.status == status]
        error = next(iter(sorted(known, key=lambda error: not error.printed)), None)
        body = {"detail": "Come back later"} if error is None else error.body
        matched = contract.errors.matching(body)
        reason = f"http.{status}" if matched is None else f"api.{matched.name}"

        def later(
            told: FaultSubject, rng: Any, status: int = status, body: Any = body
        ) -> GatewayAnswer:
            headers = (("retry-after", str(max(0, round(told.seconds)))),)
            return GatewayAnswer(status, MEDIA_TYPES["json"], dumps(body), headers)

        says = f"{status}, with Retry-After and so many seconds"
        name = f"retry_after_{status}"
        yield _fault(name, says, later, reasons={reason}, setting=5.0, early=True)

    def moved(status: int, location: str) -> Apply:
        return lambda told, rng: GatewayAnswer(status, MEDIA_TYPES["json"], b"{}", (), location)

    here = f"?{REDIRECTED}"
    for status in (307, 308):
        says = f"a redirect, {status}, to the same path"
        yield _fault(f"redirect_{status}", says, moved(status, here), early=True)
    says = "a redirect, 302, which turns a POST into a GET"
    redirect = {"http.redirect"}
    yield _fault("redirect_302", says, moved(302, here), codes=redirect, early=True)
    says = "a redirect, 307, to another host"
    elsewhere = {"harness.redirect"}
    yield _fault("redirect_elsewhere", says, moved(307, ELSEWHERE), reasons=elsewhere, early=True)
