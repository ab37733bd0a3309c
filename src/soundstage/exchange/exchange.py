"""One request, and one exchange: the request with all that came back, and what is kept of it.

Values only: `client.py` makes them, `reader.py` fills them as bytes come.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from soundstage.conformance.coverage import Observation
from soundstage.conformance.judge import Judge
from soundstage.conformance.timing.moments import ArrivalTimes
from soundstage.conformance.violations import (
    Compared,
    Verdict,
    Violation,
    occurrences,
    verdict_of,
)
from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.exchange.held.stage_times import MilestoneTimes, StageTimes
from soundstage.exchange.held.tape import Piece, Tape
from soundstage.exchange.kept_bytes import NO_ROOM, kept_end, kept_head, kept_look, kept_pieces
from soundstage.exchange.look import FollowedJob, Look
from soundstage.exchange.user_secrets import private_texts
from soundstage.output.cutting import head
from soundstage.output.echoes import SHORTEST
from soundstage.output.redact import MARK, Redactor
from soundstage.saved.transcript import Transcript
from soundstage.wire.end import End
from soundstage.wire.transport import Response

_SECOND_NS = 1_000_000_000
#: Too many requests (RFC 6585, section 4).
RATE_LIMITED = 429
#: Requests that were made up to explore: what stands in them is nobody's own.
EXPLORED = "explored"
#: A piece of somebody's own text in an id gives it away; so many characters are looked for at once.
_PIECE = 12
#: Too short to be base64 of such a piece.
_SHORT_ID = re.compile("[A-Za-z0-9_.:-]{0,21}")
_HEXADECIMAL_ID = re.compile("[0-9A-Fa-f]{8,}")
#: So much of an identifier stands in a row.
_LONGEST_ID = 200


@dataclass(frozen=True, slots=True)
class Leave:
    """Where a stream is left: after the first chunk of a stage, or (`inside`) in the chunk after
    it.
    """

    stage: str
    inside: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One request to an endpoint. `body` is JSON to encode, or bytes to send as they are.

    `key`: "own" sends the target's key; anything else is sent instead, None sends none.
    `intended_ns`: when it should have started (monotonic ns; None: when it does). `expect_error`:
    the answer should be a documented error. `broken_rule`: the rule that the request breaks on
    purpose (`request/field/prompt/required`), None if it breaks none. `keep_chunks`: keep the
    chunks of this exchange, even if the client keeps none (`sampled`: so that their shapes are
    observed); `on_chunk` then gets each as it comes, and `on_stage` (stage, track) each stage that
    is recognised; they must neither wait nor raise.
    `follow`: a job that is accepted is asked for until it is over; `confirm`: how often its last
    state is looked at again then. `leave_at`: where the reader of a stream goes away.
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
    sampled: bool = False
    follow: bool = True
    confirm: int = 0
    leave_at: Leave | None = None
    on_chunk: Callable[[dict[str, Any]], None] | None = None
    on_stage: Callable[[str, Any], None] | None = None

    @property
    def billable(self) -> bool:
        """Whether it may be billed: a POST with a key, to an endpoint that is."""
        method = self.method or self.endpoint.method
        return self.endpoint.billed and method == "POST" and self.key is not None


@dataclass(slots=True)
class Exchange:
    """One request with all that came back. Times are monotonic ns; `milestones` and `stages`
    (first, last, count) are seconds since `started_ns`. `tape` holds the raw bytes; `chunks`:
    (stage, chunk), kept only if the client is asked to.

    What is said of it (`violations`, `failed`, `end`, `row`) goes to files and terminals, and is
    without the secrets that `redactor` knows, without the queries of URLs, and without what people
    wrote into the request.
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
    #: When its own answer had ended; what it made may have been looked at until `ended_ns`.
    answered_ns: int = 0
    outcome: str = "ok"
    milestones: MilestoneTimes = field(default_factory=MilestoneTimes)
    #: What it made, if anybody asked for that.
    job: FollowedJob | None = None
    #: The rules about what two endpoints say of one generation that were put to the test, below the
    #: endpoint: `status/known`.
    tied: frozenset[str] = frozenset()
    stages: StageTimes = field(default_factory=StageTimes)
    #: When its chunks came, of a stream between whose stages lies work; None elsewhere.
    arrivals: ArrivalTimes | None = None
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
    #: What is wrong with the files that it points to; found by `asset_checks.py`, if anybody looks.
    in_assets: Sequence[Violation] = ()
    #: What only other exchanges of the same run show to be wrong; see `server_errors.py`.
    found_later: Sequence[Violation] = ()
    redactor: Redactor = field(default_factory=Redactor, repr=False)
    _hiding: Redactor | None = field(default=None, repr=False)
    _said: dict[Violation, Violation] | None = field(default=None, repr=False)

    @property
    def looks(self) -> Sequence[Look]:
        """The questions for the state of what it made."""
        return self.job.looks if self.job is not None else ()

    @property
    def states(self) -> list[tuple[str | None, dict[str, Any]]]:
        """What they showed: (state, answer), kept as `chunks` are."""
        return self.job.states if self.job is not None else []

    @property
    def milestones_low(self) -> dict[str, float]:
        """Of what was seen by asking: since when it may have been so (`milestones`: by when)."""
        return self.job.milestones_low if self.job is not None else {}

    @property
    def violations(self) -> list[Violation]:
        found = [*self.judge.violations, *self.in_assets, *self.found_later]
        return [self._without_secrets(each) for each in found] if found else found

    def _without_secrets(self, violation: Violation) -> Violation:
        if self._said is None:
            self._said = {}
        said = self._said.get(violation)
        if said is None:
            hiding = self.hiding(self.redactor)
            message, path = hiding.message(violation.message), hiding.text(violation.path)
            compared = violation.compared
            if compared is not None:
                compared = Compared(*map(hiding.message, compared))
            if (message, path, compared) == (
                violation.message,
                violation.path,
                violation.compared,
            ):
                said = violation
            else:
                said = replace(violation, message=message, path=path, compared=compared)
            self._said[violation] = said
        return said

    def hiding(self, redactor: Redactor) -> Redactor:
        """`redactor`, made to hide what people wrote into this request, too."""
        if redactor is self.redactor and self._hiding is not None:
            return self._hiding
        hiding = redactor.hiding(self._own_texts())
        if redactor is self.redactor:
            self._hiding = hiding
        return hiding

    def _own_texts(self) -> list[str]:
        call = self.call
        if call.scenario == EXPLORED:
            return []
        return private_texts(call.contract, call.endpoint.name, call.body)

    def _id_to_keep(self) -> str | None:
        """The id of the generation, as far as it does not repeat the request."""
        said = self.message_id
        if said is None or self.redactor.keep_private:
            return said
        own = [text.lower() for text in self._own_texts() if len(text) >= SHORTEST]
        low = said.lower()
        if _is_random(said):
            return MARK if low in own else said
        pieces = [low[at : at + _PIECE] for at in range(0, len(low) - _PIECE + 1, _PIECE // 2)]
        if _SHORT_ID.fullmatch(said) and not any(
            text in low or any(piece in text for piece in pieces) for text in own
        ):
            return said
        return self.hiding(self.redactor).text(said)

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
    def failed(self) -> str | None:
        """What the API said of a failure inside the stream; None if it reported none."""
        said = self.judge.failed
        return None if said is None else self.hiding(self.redactor).message(said)

    @property
    def end(self) -> End | None:
        end = self.response.end
        if end is None or not end.message:
            return end
        message = self.hiding(self.redactor).message(end.message)
        return end if message == end.message else replace(end, message=message)

    @property
    def billed(self) -> bool:
        """Whether it may have been billed: nobody bills a song that was one too many to be made."""
        too_many = self.response.status == RATE_LIMITED and not self.call.expect_error
        return self.call.billable and not too_many

    @property
    def is_probe(self) -> bool:
        """Whether its times are none of a user's: it was to be refused, or nobody waited for its
        end.
        """
        call = self.call
        unfollowed = call.endpoint.kind == "job" and not call.follow
        return call.expect_error or unfollowed or call.leave_at is not None

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
            tied=self.tied,
            timed=self.arrivals is not None and self.judge.arrived.reason is None,
        )

    def observations(self, *, live: bool) -> list[Observation]:
        """What it shows of the rules of each endpoint that was asked: the looks at the state of its
        generation are those of another.
        """
        own = self.observation(live=live)
        tie = self.call.endpoint.looked_up_by
        if not self.looks or tie is None:
            return [own]
        status = next((look.response.status for look in self.looks if look.state), None)
        looks = Observation(
            contract=self.call.contract,
            endpoint=tie.endpoint,
            status=status or self.looks[-1].response.status,
            chunks=self.states,
            value=self.states[-1][1] if self.states else None,
            complete=self.judge.ended,
            live=live,
        )
        return [own, looks]

    def row(self, run_start_ns: int) -> dict[str, Any]:
        """The row of `exchanges.ndjson.gz`."""
        events = self.judge.events
        return {
            "id": self.id,
            "scenario": self.call.scenario,
            "api": self.call.contract.api,
            "endpoint": self.call.endpoint.name,
            "message_id": (kept := self._id_to_keep()) and head(kept, _LONGEST_ID, end=""),
            "intended_ns": self.intended_ns - run_start_ns,
            "started_ns": self.started_ns - run_start_ns,
            "outcome": self.outcome,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "http_status": self.response.status,
            "framing": self.judge.framing,
            "milestones": {name: round(value, 6) for name, value in self.milestones.items()},
            "stages": {
                name: [round(first, 6), round(last, 6), count]
                for name, (first, last, count) in self.stages.items()
            },
            "codes": dict(occurrences(self.violations)),
            "bytes": self.response.wire_bytes
            + sum(look.response.wire_bytes for look in self.looks),
            "events": events,
            "timing": self.response.timing_source,
            "coarse": round(self.coarse_events / events, 4) if events else 0.0,
            "billed": self.billed,
            "warmup": False,
            "transcript": self.transcript_name,
            "hops": len(self.response.hops),
            "silence": None if self.silence is None else [round(each, 6) for each in self.silence],
            "ended": round((self.ended_ns - self.started_ns) / _SECOND_NS, 6),
            "probe": self.is_probe,
            **self._polled(),
            **self._held_back(),
        }

    def _held_back(self) -> dict[str, Any]:
        """What the row of a stream says beside whose chunks were held back: how, and since when
        each milestone may have been reached.
        """
        held, protocol = self.judge.arrived.held, self.call.endpoint.protocol
        if held is None or protocol is None or self.looks:
            return {}
        # The end of the stream empties whatever held it back.
        last = {each.name for stage in protocol.ending for each in stage.milestones}
        lows = held.lows(self.milestones, frozenset({"accepted", *last, *self.judge.at_the_end}))
        return {
            "milestones_low": {name: round(value, 6) for name, value in lows.items()},
            "held_back": held.kind,
        }

    def _polled(self) -> dict[str, Any]:
        """What the row of a job says beside: since when each milestone may have been reached, and
        how often it was asked for.
        """
        if not self.looks:
            return {}
        sent = [(look.sent_ns - self.started_ns) / _SECOND_NS for look in self.looks]
        gaps = [after - before for before, after in pairwise([0.0, *sent])]
        return {
            "milestones_low": {
                name: round(value, 6) for name, value in self.milestones_low.items()
            },
            "polls": {
                "count": len(sent),
                "first": round(sent[0], 6),
                "last": round(sent[-1], 6),
                "longest_gap": round(max(gaps), 6),
            },
        }

    def violation_rows(self) -> list[dict[str, Any]]:
        """The rows of `violations.ndjson`."""
        call = self.call
        ids = {"exchange": self.id, "api": call.contract.api, "endpoint": call.endpoint.name}
        return [{**ids, **violation.to_json()} for violation in self.violations]

    def transcript(self, redactor: Redactor) -> Transcript:
        """The transcript, with secrets and private values redacted."""
        redactor = self.hiding(redactor)
        call, started_ns = self.call, self.started_ns
        body = call.body if isinstance(call.body, dict) else None
        asked = {
            "method": call.method or call.endpoint.method,
            "url": redactor.url(self.url),
            "headers": redactor.headers(self.request_head),
            "body": redactor.body(body) if body is not None else None,
        }
        accepted = self.milestones.get("accepted")
        header: dict[str, Any] = {
            "api": call.contract.api,
            "endpoint": call.endpoint.name,
            "request": asked,
            "response": kept_head(self.response, redactor, accepted),
            "timing": self.response.timing_source,
        }
        if call.expect_error:
            header["expect"] = "error"
        streaming = self.judge.streaming
        kept = kept_pieces(self.tape, redactor, started_ns, streaming=streaming)
        return Transcript(
            header,
            kept,
            {
                **kept_end(self.response, redactor, self._cut(), self._answered_s()),
                **self._kept_arrivals(),
            },
            looks=[kept_look(look, redactor, started_ns) for look in self.looks],
            over=self._over(),
        )

    def _kept_arrivals(self) -> dict[str, Any]:
        """When its chunks came, as a transcript says it: where some came together, since for the
        others their own times say all.
        """
        arrivals = self.arrivals
        if arrivals is None or all(each.events < 2 for each in arrivals.moments):
            return {}
        return {"arrivals": arrivals.to_json()}

    def _cut(self) -> str | None:
        """Why we stopped reading the answer to the request itself, if we did."""
        if self.tape.dropped:
            return NO_ROOM
        if self.job is not None and self.call.leave_at is None:
            return None  # it came whole, or there was nothing to follow
        return self.judge.reason if self.outcome in ("timeout", "cut") else None

    def _answered_s(self) -> float:
        """When the answer to the request itself had ended; what was looked at came later."""
        ended_ns = self.answered_ns or self.ended_ns
        return round((ended_ns - self.started_ns) / _SECOND_NS, 6)

    def _over(self) -> dict[str, Any] | None:
        """Why nobody looks any longer at what it made; None if nobody did."""
        following = self.job.following if self.job is not None else None
        if following is None:
            return None
        over: dict[str, Any] = {
            "cut": following.cut,
            "t": round((self.ended_ns - self.started_ns) / _SECOND_NS, 6),
        }
        if following.second_s != 1.0:
            over["second"] = round(following.second_s, 6)
        return over if following.charges is None else {**over, "charged": following.charges}


def _is_random(said: str) -> bool:
    """Whether an id is a number in hexadecimal, as a UUID is, and not a text that is written so."""
    digits = said.replace("-", "")
    if not _HEXADECIMAL_ID.fullmatch(digits):
        return False
    return not bytes.fromhex(digits[: len(digits) // 2 * 2]).isascii()
