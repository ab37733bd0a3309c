"""One request, and one exchange: the request with all that came back, and what is kept of it.

Values only: `client.py` makes them, `reading.py` fills them as bytes come.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from soundstage.conformance.coverage import Observation
from soundstage.conformance.violations import Verdict, Violation, occurrences, verdict_of
from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.exchange.judge import Judge
from soundstage.exchange.tape import Piece, Tape
from soundstage.exchange.transcript import redacted
from soundstage.wire.ending import End
from soundstage.wire.redact import Redactor
from soundstage.wire.transcript import Transcript
from soundstage.wire.transport import Response

_SECOND_NS = 1_000_000_000
#: Why a transcript lacks the body of an answer that was judged all the same.
_NO_ROOM = "cap.memory"
#: So much of an identifier stands in a row.
_LONGEST_ID = 200


@dataclass(frozen=True, slots=True)
class Call:
    """One request to an endpoint. `body` is JSON to encode, or bytes to send as they are.

    `key`: "own" sends the target's key; anything else is sent instead, None sends none.
    `intended_ns`: when it should have started (monotonic ns; None: when it does). `expect_error`:
    the answer should be a documented error. `broken_rule`: the rule that the request breaks on
    purpose (`request/field/prompt/required`), None if it breaks none. `keep_chunks`: keep the
    chunks of this exchange, even if the client keeps none; `on_chunk` then gets each as it comes,
    and must neither wait nor raise.
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
    on_chunk: Callable[[dict[str, Any]], None] | None = None


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
    #: Whether some of its chunks, or its result, found no room and were let go once judged.
    forgotten: bool = False
    coarse_events: int = 0
    #: The longest time between two reads that brought events, and its beginning, in seconds.
    silence: tuple[float, float] | None = None
    transcript_name: str | None = None
    #: As the API gave it, so that it can be looked up; at most `roles.LONGEST_ID` characters.
    message_id: str | None = None
    #: What is wrong with the files that it points to; found by `assets.py`, if anybody looks.
    in_assets: list[Violation] = field(default_factory=list)
    #: What only other exchanges of the same run show to be wrong; see `server_errors.py`.
    found_later: list[Violation] = field(default_factory=list)

    @property
    def violations(self) -> list[Violation]:
        return self.judge.violations + self.in_assets + self.found_later

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
            outage=call.expect_error and self.judge.reason is not None,
        )

    def row(self, run_start_ns: int) -> dict[str, Any]:
        """The row of `exchanges.ndjson.gz` (design 9)."""
        events = self.judge.events
        return {
            "id": self.id,
            "scenario": self.call.scenario,
            "api": self.call.contract.api,
            "endpoint": self.call.endpoint.name,
            "message_id": self.message_id and self.message_id[:_LONGEST_ID],
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
            "codes": dict(occurrences(self.violations)),
            "bytes": self.response.wire_bytes,
            "events": events,
            "timing": self.response.timing_source,
            "coarse": round(self.coarse_events / events, 4) if events else 0.0,
            "billed": self.billed,
            "warmup": False,
            "transcript": self.transcript_name,
            "hops": len(self.response.hops),
            "silence": None if self.silence is None else [round(each, 6) for each in self.silence],
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
                "reason": redactor.name(response.reason),
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
        ours = self.outcome in ("timeout", "cut")
        ended = {
            "kind": end.kind.value if end else None,
            "fault_of": end.fault_of if end else None,
            "message": redactor.text(end.message) if end else "",
            "cut": _NO_ROOM if self.tape.dropped else self.judge.reason if ours else None,
            "t": round((self.ended_ns - self.started_ns) / _SECOND_NS, 6),
        }
        return Transcript(header, kept, ended)
