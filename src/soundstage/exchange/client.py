"""Sends one request and tells its story: the judge's findings with the transport's times.

Nothing that the network or the API does raises here; it becomes an `Exchange` with an outcome.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson

from soundstage.conformance.coverage import Observation
from soundstage.conformance.violations import Verdict, Violation, verdict_of
from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.contract.roles import identifier
from soundstage.errors import UsageError
from soundstage.exchange.budget import Budget
from soundstage.exchange.judge import Caps, Judge
from soundstage.exchange.reading import Reading
from soundstage.exchange.tape import Piece, Tape
from soundstage.exchange.target import Target
from soundstage.exchange.transcript import redacted
from soundstage.wire.ending import End, EndKind
from soundstage.wire.redact import Redactor
from soundstage.wire.transcript import Transcript
from soundstage.wire.transport import Request, Response, Transport

_SECOND_NS = 1_000_000_000
_OK = 200
_TIMEOUTS = (EndKind.IDLE_TIMEOUT, EndKind.TOTAL_TIMEOUT, EndKind.CONNECT_TIMEOUT)


@dataclass(frozen=True, slots=True)
class Call:
    """One request to an endpoint. `body` is JSON to encode, or bytes to send as they are.

    `key`: "own" sends the target's key; anything else is sent instead, None sends none.
    `intended_ns`: when it should have started (monotonic ns; None: when it does). `expect_error`:
    the answer should be a documented error. `broken_rule`: the rule that the request breaks on
    purpose (`request/field/prompt/required`), None if it breaks none. `keep_chunks`: keep the
    chunks of this exchange, even if the client keeps none.
    """

    contract: Contract
    endpoint: Endpoint
    body: Any = None
    scenario: str = "check"
    method: str | None = None
    path: str | None = None
    content_type: str = "application/json"
    key: str | None = "own"
    headers: tuple[tuple[str, str], ...] = ()
    intended_ns: int | None = None
    expect_error: bool = False
    broken_rule: str | None = None
    keep_chunks: bool = False


@dataclass(slots=True)
class Exchange:
    """One request with all that came back. Times are monotonic ns; `milestones` and `stages`
    (first, last, count) are seconds since `started_ns`. `tape` holds the raw bytes; `chunks`:
    (stage, chunk), kept only if the client is asked to.
    """

    id: str
    call: Call
    intended_ns: int
    started_ns: int
    judge: Judge
    response: Response
    request_head: tuple[tuple[str, str], ...]
    url: str
    ended_ns: int = 0
    outcome: str = "ok"
    milestones: dict[str, float] = field(default_factory=dict)
    stages: dict[str, list[float]] = field(default_factory=dict)
    tape: Tape = field(default_factory=Tape)
    chunks: list[tuple[str | None, dict[str, Any]]] = field(default_factory=list)
    coarse_events: int = 0
    transcript_name: str | None = None
    message_id: str | None = None
    #: What is wrong with the files that it points to; found by `assets.py`, if anybody looks.
    in_assets: list[Violation] = field(default_factory=list)

    @property
    def violations(self) -> list[Violation]:
        return self.judge.violations + self.in_assets

    @property
    def verdict(self) -> Verdict:
        return verdict_of(self.violations, self.reason)

    @property
    def pieces(self) -> list[Piece]:
        """The raw bytes as they came: (ns, bytes, coarse); empty if they were not kept."""
        return self.tape.pieces()

    @property
    def reason(self) -> str | None:
        return self.judge.reason

    @property
    def value(self) -> Any:
        """The parsed body of a single answer; None for streams."""
        return self.judge.value

    @property
    def end(self) -> End | None:
        return self.response.end

    @property
    def billed(self) -> bool:
        return (
            self.call.endpoint.billed and (self.call.method or self.call.endpoint.method) == "POST"
        )

    def observation(self, *, live: bool) -> Observation:
        """What it shows of the contract's rules. `live`: the target is no emulator."""
        call = self.call
        return Observation(
            contract=call.contract,
            endpoint=call.endpoint.name,
            status=self.response.status,
            chunks=self.chunks,
            value=self.value,
            complete=self.judge.ended,
            expects_error=call.expect_error,
            error_name=self.judge.error_name,
            broken_rule=call.broken_rule,
            live=live,
        )

    def row(self, run_start_ns: int) -> dict[str, Any]:
        """The row of `exchanges.ndjson.gz` (design 9)."""
        events = self.judge.events
        return {
            "id": self.id,
            "scenario": self.call.scenario,
            "api": self.call.contract.api,
            "endpoint": self.call.endpoint.name,
            "message_id": self.message_id,
            "intended_ns": self.intended_ns - run_start_ns,
            "started_ns": self.started_ns - run_start_ns,
            "outcome": self.outcome,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "http_status": self.response.status,
            "framing": self.judge.framing,
            "milestones": {name: round(value, 6) for name, value in self.milestones.items()},
            "stages": {
                name: [round(first, 6), round(last, 6), int(count)]
                for name, (first, last, count) in self.stages.items()
            },
            "codes": dict(Counter(violation.code for violation in self.violations)),
            "bytes": self.response.wire_bytes,
            "events": events,
            "timing": self.response.timing_source,
            "coarse": round(self.coarse_events / events, 4) if events else 0.0,
            "billed": self.billed,
            "warmup": False,
            "transcript": self.transcript_name,
            "hops": len(self.response.hops),
            "ended": round((self.ended_ns - self.started_ns) / _SECOND_NS, 6),
            "probe": self.call.expect_error,
        }

    def violation_rows(self) -> list[dict[str, Any]]:
        """The rows of `violations.ndjson`."""
        call = self.call
        ids = {"exchange": self.id, "api": call.contract.api, "endpoint": call.endpoint.name}
        return [{**ids, **violation.to_json()} for violation in self.violations]

    def transcript(self, redactor: Redactor) -> Transcript:
        """The transcript, with secrets and private values redacted."""
        call, response, end = self.call, self.response, self.response.end
        body = call.body if isinstance(call.body, dict) else None
        header: dict[str, Any] = {
            "api": call.contract.api,
            "endpoint": call.endpoint.name,
            "request": {
                "method": call.method or call.endpoint.method,
                "url": redactor.url(self.url),
                "headers": redactor.headers(self.request_head),
                "body": redactor.body(body) if body is not None else None,
            },
            "response": {
                "status": response.status,
                "reason": response.reason,
                "headers": redactor.headers(response.headers),
                "t": round(self.milestones["accepted"], 6)
                if "accepted" in self.milestones
                else None,
                "hops": [
                    [hop.status, hop.location and redactor.url(hop.location)]
                    for hop in response.hops
                ],
            },
            "timing": response.timing_source,
        }
        if call.expect_error:
            header["expect"] = "error"
        pieces = self.pieces
        if pieces and not self.judge.streaming:
            # A secret or a URL may lie across two reads of a body.
            pieces = [(pieces[-1][0], b"".join(raw for _, raw, _ in pieces), False)]
        kept = [
            ((at - self.started_ns) / _SECOND_NS, redacted(raw, redactor), coarse)
            for at, raw, coarse in pieces
        ]
        ended = {
            "kind": end.kind.value if end else None,
            "fault_of": end.fault_of if end else None,
            "message": redactor.text(end.message) if end else "",
            "cut": self.judge.reason if self.outcome in ("timeout", "cut") else None,
            "t": round((self.ended_ns - self.started_ns) / _SECOND_NS, 6),
        }
        return Transcript(header, kept, ended)


class Client:
    """Makes exchanges with one target. Safe to use from many greenlets at once.

    `keep_bytes`: keep the raw events for transcripts. `on_comment` gets (arrival ns, comment) of
    SSE comments, for benchmarks whose server stamps its send times.
    """

    def __init__(
        self,
        target: Target,
        transport: Transport,
        budget: Budget,
        *,
        caps: Caps | None = None,
        keep_bytes: bool = True,
        keep_chunks: bool = False,
        ids: Callable[[], str] | None = None,
        on_comment: Callable[[int, bytes], None] | None = None,
    ) -> None:
        self.target = target
        self.transport = transport
        self.budget = budget
        self.caps = caps or Caps()
        self.keep_bytes = keep_bytes
        self.keep_chunks = keep_chunks
        self.on_comment = on_comment
        counter = itertools.count(1)
        self.next_id = ids or (lambda: f"e{next(counter):06d}")

    def exchange(self, call: Call) -> Exchange:
        """Send one request, read its answer to the end, and judge it.

        Raises BudgetError before anything is sent if the request is billable and not covered, and
        UsageError for a request that cannot be sent; nothing else.
        """
        method = call.method or call.endpoint.method
        url = self.target.url + (call.path or call.endpoint.path)
        head, body = self._request(call)
        if call.endpoint.billed and method == "POST" and self._key(call) is not None:
            self.budget.take()
        comments: list[bytes] = []
        judge = Judge(
            call.contract,
            call.endpoint,
            caps=self.caps,
            expect_error=call.expect_error,
            broken_rule=call.broken_rule,
            own_host=urlsplit(url).hostname if self.target.kind == "live" else None,
            on_comment=comments.append if self.on_comment is not None else None,
        )
        with self.transport.open(Request(method, url, head, body)) as response:
            started = response.times.start_ns
            exchange = Exchange(
                id=self.next_id(),
                call=call,
                intended_ns=call.intended_ns or started,
                started_ns=started,
                judge=judge,
                response=response,
                request_head=head,
                url=url,
            )
            reading = self._read(exchange, comments)
        exchange.ended_ns = time.monotonic_ns()
        # Closing may find a last event (a line without its end), which came with the last read.
        if told := judge.close(response.end):
            assert reading is not None
            reading.tell(told, exchange.ended_ns, exact=False)
        self._conclude(exchange)
        return exchange

    def _key(self, call: Call) -> str | None:
        return self.target.key if call.key == "own" else call.key

    def _request(self, call: Call) -> tuple[tuple[tuple[str, str], ...], bytes]:
        head: list[tuple[str, str]] = []
        key = self._key(call)
        if key is not None:
            head.append(("Authorization", f"Bearer {key}"))
        body = b""
        if call.body is not None:
            try:
                # orjson's own result holds on to the four kilobytes that it began with.
                body = (
                    call.body if isinstance(call.body, bytes) else b"%b" % orjson.dumps(call.body)
                )
            except orjson.JSONEncodeError as error:
                raise UsageError(f"the body of the request is no JSON: {error}") from error
            head.append(("Content-Type", call.content_type))
        if call.endpoint.kind == "stream":
            head.append(("Accept", "text/event-stream, application/json"))
        else:
            head.append(("Accept", "application/json"))
        return (*head, *self.target.headers, *call.headers), body

    def _read(self, exchange: Exchange, comments: list[bytes]) -> Reading | None:
        """Read the body to its end; None if there is not even a head."""
        response, judge = exchange.response, exchange.judge
        head_ns = response.times.head_ns
        if response.status is None or head_ns is None:
            return None
        exchange.milestones["accepted"] = (head_ns - exchange.started_ns) / _SECOND_NS
        judge.head(response.status, response.header("content-type"))
        reading = Reading(
            exchange,
            keep_bytes=self.keep_bytes,
            keep_chunks=self.keep_chunks or exchange.call.keep_chunks,
            comments=comments,
            on_comment=self.on_comment,
        )
        response.pump(reading.take)
        exchange.ended_ns = reading.last_ns
        whole = response.end is not None and response.end.fault_of is None
        if exchange.call.endpoint.kind != "stream" and whole and response.status == _OK:
            seconds = (reading.last_ns - exchange.started_ns) / _SECOND_NS
            exchange.milestones["complete"] = seconds
        return reading

    def _conclude(self, exchange: Exchange) -> None:
        judge, response = exchange.judge, exchange.response
        end, call = response.end, exchange.call
        if exchange.message_id is None and isinstance(judge.value, dict):
            exchange.message_id = identifier(call.contract, judge.value)
        if self.keep_bytes and judge.pending:
            exchange.tape.append(exchange.ended_ns, judge.pending, False)
        if end is not None and end.kind in _TIMEOUTS and not judge.ended:
            exchange.outcome = "timeout"
        elif response.status is None or (
            end is not None and end.fault_of in ("api", "environment")
        ):
            exchange.outcome = "transport"
        elif judge.capped or (end is not None and end.fault_of == "harness" and not judge.ended):
            exchange.outcome = "cut"
        elif not 200 <= response.status < 300:
            exchange.outcome = "refused"
        elif judge.ended or call.expect_error:
            exchange.outcome = "ok"
        else:
            exchange.outcome = "failed"
        if not judge.ended:
            exchange.milestones.pop("complete", None)
