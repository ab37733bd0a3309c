"""Judges answers that were saved: finds out which endpoint's they are, and holds them against it.

A guess by names that does not fit is never a violation: then nothing is known about the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from soundstage.conformance.engine import SeenEvent
from soundstage.conformance.following import Seen
from soundstage.conformance.judge import Caps, Judge, Told
from soundstage.conformance.timing.moments import Track
from soundstage.conformance.violations import Verdict
from soundstage.contract import Contract
from soundstage.contract.endpoint_words import ERROR
from soundstage.errors import UsageError
from soundstage.linting.answer_origin import SAY_ALL, AnswerOrigin, told
from soundstage.linting.saved_arrivals import saved_arrivals
from soundstage.linting.saved_looks import judge_class, judge_looks
from soundstage.linting.watched_judges import StatesJudge
from soundstage.saved import look_alikes
from soundstage.saved.saved_file import LARGEST
from soundstage.saved.transcript import Transcript
from soundstage.untrusted import json_text
from soundstage.wire.end import End, EndKind
from soundstage.wire.lines import sniff_framing
from soundstage.wire.media_type import content_type_of
from soundstage.wire.outages import reason_in_words
from soundstage.wire.sse import Event

_CAP: Final = "cap.exchange_bytes"
_OK: Final = 200
#: A body is judged in pieces of so many bytes: its lines as Python's objects take many times more.
_PIECE: Final = 2**20
#: Reasons why a saved answer is not judged to its end, as people read them. `{}` is what the file
#: says of it.
_WORDS: Final = {
    "archive.no_body": "the archive holds no body",
    "archive.cut_body": "the archive holds a part of the body",
    "archive.no_answer": "the archive holds no answer",
    "archive.client_error": "the client broke off: {}",
    "archive.not_modified": "the archive holds no body: the client had it in its cache",
    "file.truncated": "the file breaks off inside its compressed or chunked data",
    "file.no_body": "the file holds the head and no body",
    "file.shorter_than_announced": "the file holds less than the Content-Length says",
}


#: What the answers of some kinds of endpoint are called.
_CALLED: Final = {"sync": "result", "job": "accepted job", "status": "state"}


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer, and what was found in it. `why`: the reason of an inconclusive one, in words;
    `states`: those that looks showed at what it made.
    """

    told: AnswerOrigin
    judge: Judge
    body: bytes
    why: str | None = None
    states: tuple[Seen, ...] = ()


def judge_told(
    told: AnswerOrigin,
    exchange: Transcript,
    caps: Caps,
    *,
    limit: int = LARGEST,
    on_event: Callable[[Event, SeenEvent], None] | None = None,
) -> Judged:
    """Hold an answer against the endpoint that it is of, and what was looked at later against what
    it promised. Not more than `limit` bytes of each body are judged.
    """
    endpoint, chunks = told.endpoint, list[Seen]()

    def hear(event: Event, seen: SeenEvent) -> None:
        if exchange.looks and seen.chunk is not None:
            chunks.append((seen.stage, seen.chunk))
        if on_event is not None:
            on_event(event, seen)

    def feed(judge: Judge, answer: Transcript) -> None:
        _feed(judge, answer, limit)

    kind = Judge if told.kind == ERROR else judge_class(endpoint, exchange)
    judge = kind(
        told.contract,
        endpoint,
        caps=caps,
        expect_error=told.kind == "error",
        on_event=hear if exchange.looks or on_event is not None else None,
        request=_asked_for(exchange) if endpoint.kind == "stream" else None,
    )
    if not isinstance(judge, StatesJudge):
        feed(judge, exchange)
    states = judge_looks(judge, exchange, chunks, feed)
    body = exchange.body[:limit]
    return Judged(told, judge, body, _why(judge.reason, exchange), tuple(states))


def _asked_for(exchange: Transcript) -> Any:
    """The JSON that was sent, as far as it was saved."""
    request = exchange.header.get("request")
    return request.get("body") if isinstance(request, dict) else None


def _feed(judge: Judge, exchange: Transcript, limit: int) -> None:
    """Read one saved answer into its judge."""
    body = exchange.body
    end, cut = _end(exchange)
    if len(body) > limit:
        body, cut = body[:limit], _CAP
    response = exchange.header.get("response") or {}
    status = response.get("status")
    if status is not None:
        media = content_type_of(response.get("headers", ()))
        # An archive without any header does not say what the type was.
        if status != _OK or media is not None or response.get("headers") or _says_all(exchange):
            judge.head(int(status), media)
    told = []
    for at in range(0, len(body), _PIECE):
        told += _chunks(judge.feed(body[at : at + _PIECE]))
    if exchange.doubt is not None and cut is None and not _is_whole(judge, body):
        cut = exchange.doubt
    told += _chunks(judge.close(end, cut=cut))
    if judge.times_tell:
        judge.take_arrivals(saved_arrivals(exchange, told))


def _chunks(told: Iterable[Told]) -> list[tuple[str | None, Track]]:
    return [(seen.stage, seen.track) for _, seen in told]


def _why(reason: str | None, exchange: Transcript) -> str | None:
    """What a reason means, for those whose code does not tell."""
    if reason is None:
        return None
    if reason in _WORDS:
        said = (exchange.end or {}).get("message") or "no reason is given"
        return _WORDS[reason].format(said)
    return reason_in_words(reason).removeprefix(reason).removeprefix(": ") or None


def _says_all(exchange: Transcript) -> bool:
    return exchange.header.get("timing") != "har"


def _is_whole(judge: Judge, body: bytes) -> bool:
    """Whether a body that may have been cut shows that it was not."""
    if judge.streaming:
        return judge.ended or judge.failed is not None
    if not body.lstrip().startswith((b"{", b"[", b'"')):
        return bool(body)  # no JSON at all, however it would have gone on
    return json_text.parse(body).value is not None


def _end(exchange: Transcript) -> tuple[End | None, str | None]:
    row = exchange.end
    if row is None:
        return None, exchange.doubt or "transcript.incomplete"
    cut = row.get("cut")
    try:
        kind = EndKind(str(row.get("kind")))
    except ValueError:
        return None, cut
    return End(kind, str(row.get("message", "")), 0, row.get("fault_of")), cut


# --- files without anything that tells their endpoint ---------------------------------------------


def judge_saved(
    exchange: Transcript,
    contracts: list[Contract],
    kind: str | None,
    caps: Caps,
    *,
    name: str,
    limit: int = LARGEST,
) -> Judged:
    """Find out what an answer is of, and hold it against that.

    Raises UsageError, one line, where that is a guess and would be called broken for a reason that
    may be the guess's, or the file's. `name` stands in it.
    """
    try:
        found = told(exchange, contracts, kind)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from error
    if exchange.followed and not (found.endpoint.sampled or found.endpoint.looked_up_by):
        what = f"{found.contract.api} {found.endpoint.name}"
        raise UsageError(f"{name}: holds looks at a job, and {what} makes none that is looked at")
    status = (exchange.header.get("response") or {}).get("status")
    head = status is not None
    if found.guessed and found.kind == "error" and status == _OK and kind is None:
        # Under the status of a success a stream or a result was due, and this refused it.
        found = _as_due(found)
    if found.guessed and not head and _is_of_file(exchange):
        _check_guess(found, contracts, exchange.body, kind, name)
    if found.guessed and not found.fits and kind is None:
        # The status may still say all that there is to know, of an outage say.
        found = _as_due(found)
    judged = judge_told(found, exchange, caps, limit=limit)
    if found.guessed and not found.fits and judged.judge.verdict() is Verdict.VIOLATES:
        raise UsageError(_unknown(name, contracts, exchange.body, kind))
    return judged


def _as_due(found: AnswerOrigin) -> AnswerOrigin:
    """The same, taken for what is asked for first: the stream, if there is one."""
    endpoint = found.contract.endpoint_of_errors()
    return replace(found, endpoint=endpoint, kind=endpoint.kind)


def _is_of_file(exchange: Transcript) -> bool:
    return exchange.header.get("timing") == "file"


def _check_guess(
    found: AnswerOrigin, contracts: list[Contract], body: bytes, kind: str | None, name: str
) -> None:
    """Raise UsageError where a bare body does not look like what it would have to be."""

    api = found.contract.api
    if not found.fits and kind != "error":
        raise UsageError(_unknown(name, contracts, body, kind))
    if found.kind != "stream" or found.contract.errors.matching(json_text.parse(body).value):
        return
    framing = sniff_framing(body)
    if framing == "unknown":
        raise UsageError(
            f"{name}: chunks of {api} are in it, but it looks like {look_alikes.looks_like(body)}"
        )
    if framing not in found.endpoint.framings:
        expected = " or ".join(found.endpoint.framings)
        raise UsageError(
            f"{name}: has the chunks of {api}, but not as they are sent ({expected}): "
            f"{look_alikes.SAVE}; if it is what came, say --api {api} --endpoint stream"
        )
    if framing == "sse" and _has_lost_blank_lines(body):
        raise UsageError(
            f"{name}: has the events of {api} without the blank lines between them, as grep or a "
            f"program leaves them: {look_alikes.SAVE}; if it is what came, say --api {api} "
            "--endpoint stream"
        )


def _has_lost_blank_lines(body: bytes) -> bool:
    """Whether each line is an event's whole data, and no blank line is left between two."""
    lines = body.replace(b"\r\n", b"\n").strip(b"\n").split(b"\n")
    data = [line for line in lines[:50] if line.startswith(b"data:")]
    if b"" in lines or len(data) < 2:
        return False
    return all(isinstance(json_text.parse(line[5:]).value, dict) for line in data)


def _unknown(name: str, contracts: list[Contract], body: bytes, kind: str | None) -> str:

    apis = " or ".join(each.api for each in contracts)
    what = "answer" if kind is None else _CALLED.get(kind, kind)
    say = SAY_ALL if kind is None else "--api"
    return (
        f"{name}: looks like no {what} of {apis}, but like {look_alikes.looks_like(body)}; "
        f"if it is one, say {say}"
    )
