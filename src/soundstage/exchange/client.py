"""Sends one request and tells its story: the judge's findings with the transport's times.

Nothing that the network or the API does raises here; it becomes an `Exchange` with an outcome.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import orjson

from soundstage.conformance.following import Following
from soundstage.conformance.job_judge import JobJudge
from soundstage.conformance.judge import Caps, Judge
from soundstage.contract.roles import identifier
from soundstage.errors import UsageError
from soundstage.exchange.budget import Budget
from soundstage.exchange.exchange import Call, Exchange
from soundstage.exchange.filled_paths import path_of
from soundstage.exchange.held.tape import Likeness, Tape
from soundstage.exchange.job_follower import Interrupt, JobFollower
from soundstage.exchange.reader import ExchangeReader, Underway
from soundstage.exchange.target import Target
from soundstage.output.redact import Redactor
from soundstage.process.memory import AnswerMemory, Claim
from soundstage.untrusted import json_text
from soundstage.wire.end import End, EndKind
from soundstage.wire.media_type import content_type_of
from soundstage.wire.response import Response
from soundstage.wire.transport import Request, Transport

__all__ = ["Call", "Client", "Exchange"]

_Value = TypeVar("_Value")
_SECOND_NS = 1_000_000_000
_TIMEOUTS = (EndKind.IDLE_TIMEOUT, EndKind.TOTAL_TIMEOUT, EndKind.CONNECT_TIMEOUT)
#: How a connection ends that somebody gave up.
_LOST = (EndKind.TRUNCATED, EndKind.RESET, EndKind.REFUSED, EndKind.UNREACHABLE, EndKind.TLS)
_SERVER_ERROR = 500


class Client:
    """Makes exchanges with one target. Safe to use from many greenlets at once.

    `keep_bytes`: keep the raw events for transcripts. `on_comment` gets (arrival ns, comment) of
    SSE comments, for benchmarks whose server stamps its send times. `redactor`: what is said of
    exchanges goes through it. `room`: what its exchanges may hold together.
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
        redactor: Redactor | None = None,
        room: AnswerMemory | None = None,
    ) -> None:
        self.target = target
        self.transport = transport
        self.budget = budget
        self.caps = caps or Caps()
        self.keep_bytes = keep_bytes
        self.keep_chunks = keep_chunks
        self.on_comment = on_comment
        self.redactor = redactor or Redactor()
        self.room = room or AnswerMemory()
        #: Ends the waits between questions for the state of a job, and knows whether all is over.
        self.interrupt = Interrupt()
        self._last: dict[type, Any] = {}
        self._likenesses: defaultdict[tuple[str, str], Likeness] = defaultdict(Likeness)
        counter = itertools.count(1)
        self.next_id = ids or (lambda: f"e{next(counter):06d}")

    def admit(self, call: Call) -> str:
        """Pay for a request, and give it its id. Whoever sends several at once admits them one
        after the other, so that budget and ids do not depend on which of them is quicker.

        Raises BudgetError for one that is billable and not covered.
        """
        if call.billable and self._key(call) is not None:
            self.budget.take()
        return self.next_id()

    def exchange(self, call: Call, admitted: str | None = None) -> Exchange:
        """Send one request, read its answer to the end, and judge it. `admitted`: the id that
        `admit` gave it; without one it is admitted here.

        Raises BudgetError before anything is sent if the request is billable and not covered, and
        UsageError for a request that cannot be sent; nothing else.
        """
        underway = self.begin(call, admitted)
        underway.read()
        return self.finish(underway)

    def begin(self, call: Call, admitted: str | None = None) -> Underway:
        """Send one request, and wait for the head of its answer. The rest is to be read (`read`,
        `flow`), and then to `finish`. Raises as `exchange` does.
        """
        method = call.method or call.endpoint.method
        path = call.path or path_of(call.endpoint)
        url = self.target.url + path
        head, body = self._request(call)
        admitted = admitted or self.admit(call)
        comments: list[bytes] | None = None if self.on_comment is None else []
        claim = self.room.claim()
        followed = call.endpoint.kind == "job" and call.follow and not call.expect_error
        kind = JobJudge if followed else Judge
        judge = kind(
            call.contract,
            call.endpoint,
            caps=self.caps,
            expect_error=call.expect_error,
            broken_rule=call.broken_rule,
            own_host=urlsplit(url).hostname if self.target.as_live else None,
            on_comment=None if comments is None else comments.append,
            claim=claim,
            request=_asked(call),
        )
        url, head = self._alike(url), self._alike(head)
        response = self.transport.open(Request(method, url, head, body))
        try:
            started = response.times.start_ns
            exchange = Exchange(
                id=admitted,
                call=call,
                intended_ns=call.intended_ns or started,
                started_ns=started,
                judge=judge,
                response=response,
                request_head=head,
                url=url,
                redactor=self.redactor,
                tape=Tape(claim, self._likenesses[call.contract.api, call.endpoint.name]),
            )
            return Underway(exchange, claim, self._reading(exchange, claim, comments))
        except BaseException:
            response.close()
            raise

    def finish(self, underway: Underway) -> Exchange:
        """Judge an exchange whose body is over, and ask for the state of the job that it began, if
        it began one: that waits.
        """
        exchange, claim, reading = underway.exchange, underway.claim, underway.reading
        judge, response = exchange.judge, exchange.response
        exchange.ended_ns = exchange.answered_ns = underway.ended_ns
        if reading is not None:
            self._note_whole(exchange, reading)
        # Closing may find a last event (a line without its end), which came with the last read.
        cut = self._cut(response, judge)
        if told := judge.close(response.end, cut=cut):
            assert reading is not None
            reading.tell(told, exchange.ended_ns, exact=False)
        if reading is not None:
            reading.closed(self.target.work_s(exchange.call.contract.api))
            for name in judge.at_the_end:
                seconds = (reading.last_ns - exchange.started_ns) / _SECOND_NS
                exchange.milestones.setdefault(name, seconds)
        if isinstance(judge, JobJudge) and judge.accepted(response.header):
            self._follow(exchange, judge.following, claim)
        self._conclude(exchange)
        if judge.value is not None and not claim.take(judge.body_bytes):
            # It was judged; only what may be looked at later has no room.
            exchange.forgotten, judge.value = True, {}
        return exchange

    def ask_for(self, exchange: Exchange, following: Following) -> None:
        """Ask for the state of a generation whose stream was left, until it is over."""
        self._follow(exchange, following, self.room.claim())

    def _follow(self, exchange: Exchange, following: Following, claim: Claim) -> None:
        """Ask for the state of a generation, until it is over."""
        call = exchange.call
        key = self._key(call)
        head = [] if key is None else [self._authorization(call, key)]
        head.append(("Accept", "application/json"))
        sent = (*head, *self.target.headers, *call.headers)

        def ask(url: str) -> tuple[Response, tuple[tuple[str, str], ...]]:
            return self.transport.open(Request("GET", url, sent)), sent

        JobFollower(
            exchange,
            following,
            ask,
            self.target.url,
            claim,
            self.interrupt,
            keep_bytes=self.keep_bytes,
            keep_chunks=self.keep_chunks or call.keep_chunks,
            confirm=call.confirm,
            second_s=self.target.second_s,
            pay=self.budget.take,
        ).follow()
        exchange.tied |= {"status/known"} if exchange.looks else set()

    def _alike(self, value: _Value) -> _Value:
        """`value`, or the last of its type where that is equal, of which thousands of exchanges
        then hold one.
        """
        last = self._last.get(type(value))
        if last != value:
            self._last[type(value)] = last = value
        same: _Value = last
        return same

    def _cut(self, response: Response, judge: Judge) -> str | None:
        """Why an answer did not come to its end, if it is our doing. One that broke off, or says
        that the server fails, as all was halted is taken for one that was cut: nobody knows what it
        would have been.
        """
        end = response.end
        if end is None or judge.ended:
            return None
        failed = response.status is not None and response.status >= _SERVER_ERROR
        if self.interrupt.halted and (failed or end.kind in _LOST):
            end = End.of(
                EndKind.CANCELLED, end.message, end.at_ns, answered=response.status is not None
            )
            response.end = end
        return self.interrupt.reason if end.kind is EndKind.CANCELLED else None

    @staticmethod
    def _authorization(call: Call, key: str) -> tuple[str, str]:
        auth = call.contract.auth
        return auth.header, auth.value(key)

    def _key(self, call: Call) -> str | None:
        return self.target.key if call.key == "own" else call.key

    def _request(self, call: Call) -> tuple[tuple[tuple[str, str], ...], bytes]:
        head: list[tuple[str, str]] = []
        key = self._key(call)
        if key is not None:
            head.append(self._authorization(call, key))
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

    def _reading(
        self, exchange: Exchange, claim: Claim, comments: list[bytes] | None
    ) -> ExchangeReader | None:
        """Who reads the body; None if there is not even a head."""
        response, judge = exchange.response, exchange.judge
        head_ns = response.times.head_ns
        if response.status is None or head_ns is None:
            return None
        exchange.milestones["accepted"] = (head_ns - exchange.started_ns) / _SECOND_NS
        judge.head(response.status, content_type_of(response.headers))
        return ExchangeReader(
            exchange,
            keep_bytes=self.keep_bytes,
            keep_chunks=self.keep_chunks or exchange.call.keep_chunks,
            claim=claim,
            comments=comments,
            on_comment=self.on_comment,
        )

    @staticmethod
    def _note_whole(exchange: Exchange, reading: ExchangeReader) -> None:
        """The milestone of an answer that is complete with its body."""
        response, endpoint = exchange.response, exchange.call.endpoint
        whole = response.end is not None and response.end.fault_of is None
        status = response.status
        if endpoint.kind in ("sync", "status") and whole and endpoint.is_success(status or 0):
            seconds = (reading.last_ns - exchange.started_ns) / _SECOND_NS
            exchange.milestones["complete"] = seconds

    def _conclude(self, exchange: Exchange) -> None:
        judge, response = exchange.judge, exchange.response
        end, call = response.end, exchange.call
        if exchange.message_id is None and isinstance(judge.value, dict):
            exchange.message_id = identifier(call.contract, judge.value)
        if self.keep_bytes and judge.pending:
            exchange.tape.append(exchange.ended_ns, judge.pending, False)
        if isinstance(judge, JobJudge) and judge.was_accepted:
            exchange.outcome = _of_a_job(judge)
        elif end is not None and end.kind in _TIMEOUTS and not judge.ended:
            exchange.outcome = "timeout"
        elif end is not None and end.kind is EndKind.CANCELLED and not judge.ended:
            exchange.outcome = "cut"
        elif response.status is None or (
            end is not None and end.fault_of in ("api", "environment")
        ):
            exchange.outcome = "transport"
        elif judge.capped or (end is not None and end.fault_of == "harness" and not judge.ended):
            exchange.outcome = "cut"
        elif not 200 <= response.status < 300 or judge.error_name is not None:
            exchange.outcome = "refused"
        elif judge.ended or call.expect_error:
            exchange.outcome = "ok"
        else:
            exchange.outcome = "failed"
        if not judge.ended:
            exchange.milestones.pop("complete", None)


def _asked(call: Call) -> Any:
    """What a request asks of the number of tracks, where that is for it to say; None elsewhere."""
    protocol = call.endpoint.protocol
    tracks = protocol.tracks if protocol is not None else None
    if call.endpoint.kind != "stream" or tracks is None or tracks.asked is None:
        return None
    if isinstance(call.body, bytes):
        return json_text.parse(call.body).value
    return call.body


def _of_a_job(judge: JobJudge) -> str:
    """What became of a job that was accepted."""
    if judge.ended:
        return "ok"
    if judge.timed_out:
        return "timeout"
    reason = judge.reason or ""
    if reason.startswith(("harness.", "cap.", "budget.")):
        return "cut"
    return "transport" if reason.startswith("environment.") else "failed"
