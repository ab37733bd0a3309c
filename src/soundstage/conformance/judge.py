"""Judges one answer as its bytes come in: framing, decoder, engine, and the end, put together.

Without I/O, and so the same for a live exchange, a transcript and a file that `curl -N` saved.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from soundstage.conformance.answers import check_content_type, check_hosts, may_be_lines, violation
from soundstage.conformance.bounded_violations import SAID, Findings, bounded
from soundstage.conformance.engine import SeenEvent, StreamCheck
from soundstage.conformance.poll_check import PollCheck
from soundstage.conformance.timing.held_back import ArrivalFinding
from soundstage.conformance.timing.held_back import judge as judge_arrivals
from soundstage.conformance.timing.moments import ArrivalTimes
from soundstage.conformance.violations import Verdict, Violation, verdict_of
from soundstage.conformance.whole_body import (
    AnswerContext,
    BodyJudgement,
    judge_no_stream,
    judge_whole,
    outage_reason,
)
from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.contract.stream_rules import AS_MADE
from soundstage.process.memory import Claim
from soundstage.untrusted import json_text
from soundstage.wire.end import End, EndKind
from soundstage.wire.lines import LineDecoder, sniff_framing
from soundstage.wire.media_type import media_type
from soundstage.wire.sse import Decoder, Event, EventTooLarge

#: How an API that breaks HTTP shows in the violations: code, and rule of the endpoint.
_BROKEN = {
    EndKind.TRUNCATED: ("http.truncated", "http/body"),
    EndKind.RESET: ("http.reset", "http/body"),
    EndKind.FRAMING: ("http.framing", "http/body"),
    EndKind.CONTENT_ENCODING: ("http.content_encoding", "http/body"),
    EndKind.REDIRECT: ("http.redirect", "http/status"),
}
#: An event, and what the engine saw in it.
Told = tuple[Event, SeenEvent]
#: A framing that shows only after so many bytes is none.
_SNIFFED_BYTES = 65_536
#: So many bytes of body come between two looks at how much of it is held.
_STEP = 65_536


@dataclass(frozen=True, slots=True)
class Caps:
    """Bounds on what one answer may make us hold (docs/reference/limits.md): bytes of an event,
    number of events, depth of JSON. That of the values in one text is `json_text.MOST_VALUES`.
    """

    event_bytes: int = 16 * 2**20
    events: int = 10_000
    json_depth: int = 128


class Judge:
    """One answer of an endpoint, or of any endpoint's errors (`expect_error`). `broken_rule` is the
    rule that the request itself broke on purpose (`request/field/prompt/required`), None if none.

    Call `head` if the status is known, `feed` with pieces of the body, `close` with the end.
    `on_event` is called with each decoded event and what the engine saw in it. `own_host` is the
    live target's host, None for any other target: only there the hosts of URLs are checked. What
    has come and is not judged yet is held by `claim`; without room for it the answer is cut.
    `arrived`: what its arrivals show, as far as somebody gave them (`take_arrivals`).
    `request` is the body that it answers, None if nobody knows; `looks` are those at the same job
    before, of an answer that is one more, and `seen` is what it showed.
    """

    __slots__ = (
        "_body",
        "_check",
        "_claim",
        "_decoder",
        "_has_head",
        "_held",
        "_look_at",
        "_look_closer",
        "_looks",
        "_no_stream",
        "_on_comment",
        "_on_event",
        "_own_host",
        "_reason",
        "_violations",
        "arrived",
        "body_bytes",
        "broken_rule",
        "capped",
        "caps",
        "content_type",
        "contract",
        "endpoint",
        "error_name",
        "events",
        "expect_error",
        "framing",
        "pending",
        "seen",
        "status",
        "value",
    )

    def __init__(
        self,
        contract: Contract,
        endpoint: Endpoint,
        *,
        caps: Caps | None = None,
        expect_error: bool = False,
        broken_rule: str | None = None,
        own_host: str | None = None,
        on_event: Callable[[Event, SeenEvent], None] | None = None,
        on_comment: Callable[[bytes], None] | None = None,
        claim: Claim | None = None,
        request: Any = None,
        looks: PollCheck | None = None,
    ) -> None:
        self.contract = contract
        self.endpoint = endpoint
        self.caps = caps or Caps()
        self.expect_error = expect_error
        self.broken_rule = broken_rule
        self.status: int | None = None
        self.content_type: str | None = None
        self.framing: str | None = None
        self.events = 0
        self.body_bytes = 0
        self.capped: str | None = None
        self.error_name: str | None = None
        self.value: Any = None
        self.pending = b""
        self._own_host = own_host
        self._on_event = on_event
        self._look_closer = own_host is not None or on_event is not None
        self._on_comment = on_comment
        self._claim = claim
        self._held = 0
        self._looks = looks
        self.seen: SeenEvent | None = None
        self.arrived = ArrivalFinding()
        self._look_at = _STEP if claim is not None else math.inf
        self._has_head = False
        self._violations = Findings()
        self._reason: str | None = None
        self._body = bytearray()
        self._no_stream = False
        self._decoder: Decoder | LineDecoder | None = None
        self._check: StreamCheck | None = None
        if endpoint.kind == "stream" and not expect_error:
            self._check = StreamCheck(
                contract, endpoint.name, max_depth=self.caps.json_depth, request=request
            )

    # ------------------------------------------------------------------ what was found

    @property
    def violations(self) -> list[Violation]:
        """The violations so far, those of single chunks in the order of the chunks; of very many
        those that `bounded_violations.SAID` has room for, which stand for all.
        """
        found = [*self._violations.all(), *(self._check.violations if self._check else ())]
        return found if len(found) <= SAID.of_a_place else bounded(found, SAID)

    @property
    def reason(self) -> str | None:
        """Why an answer without errors is inconclusive; None if it is not."""
        return self._reason or (self._check.reason if self._check else None)

    @property
    def failed(self) -> str | None:
        """The error that the API reported inside the stream; None if it reported none."""
        return self._check.failed if self._check else None

    @property
    def ended(self) -> bool:
        """Whether the promised answer has come whole: the stream's last chunk, or a result."""
        if self._check is not None:
            return self._check.ended and self._check.failed is None and self._check.refusal is None
        return self.value is not None and self._reason is None and self.error_name is None

    @property
    def at_the_end(self) -> tuple[str, ...]:
        """The milestones that are reached with the end of the body; known after `close`."""
        return self._check.at_the_end if self._check is not None else ()

    @property
    def due(self) -> list[str]:
        """What of a stream has not come yet, in words: `uploading (track 2)`."""
        return self._check.due() if self._check is not None else []

    @property
    def streaming(self) -> bool:
        """Whether the body is being taken for a stream of events."""
        return self._check is not None

    @property
    def mid_event(self) -> bool:
        """Whether bytes have come that belong to no event yet."""
        return bool(self._body) if self._decoder is None else self._decoder.mid_event

    def verdict(self, *, strict: bool = False) -> Verdict:
        """The verdict; final after `close`."""
        return verdict_of(self.violations, self.reason, strict=strict)

    # ------------------------------------------------------------------ what comes in

    def head(self, status: int, content_type: str | None) -> None:
        """The status and the Content-Type of the answer."""
        self._has_head = True
        self.status = status
        self.content_type = content_type
        if not self.endpoint.is_success(status) or (
            self._check is not None and not self._could_be_stream()
        ):
            self._check_later()

    def feed(self, piece: bytes) -> list[Told]:
        """The next bytes of the body, in any split; returns the events that they completed."""
        self.body_bytes += len(piece)
        if self.body_bytes >= self._look_at and not self._has_room(len(piece)):
            self.capped = self.capped or "cap.memory"
            self._body = bytearray()
            return []
        if self._decoder is not None:
            return self._decode(self._decoder, piece)
        self._body += piece
        return [] if self._check is None else self._sniff(ended=False)

    def _has_room(self, more: int) -> bool:
        """Whether there is room for what has come and is not judged yet; looked at now and then."""
        assert self._claim is not None
        decoder = self._decoder
        held = more + (len(self._body) if decoder is None else decoder.held_bytes)
        self._look_at = self.body_bytes + _STEP
        if held <= self._held:
            self._claim.give(self._held - held)
        elif not self._claim.take(held - self._held, kept=False):
            return False
        self._held = held
        return True

    def close(self, end: End | None = None, *, cut: str | None = None) -> list[Told]:
        """No more bytes come. `end` says why (None: the body is whole, as in a file); `cut` is
        the harness's own reason for having stopped. Returns the events that only the end showed.
        """
        told: list[Told] = []
        cut = cut or self.capped
        if end is not None and end.fault_of == "environment":
            cut = f"environment.{end.kind}"
        elif end is not None and end.fault_of == "harness" and not self._done(end):
            cut = cut or f"harness.{end.kind}"
        raw = b""
        if self._check is None and cut is None:
            # It may be large: one copy, and not the other beside it.
            raw, self._body = bytes(self._body), bytearray()
            # A gateway's answer says nothing of the API, however badly it ends.
            self._reason = outage_reason(self._asked(), raw)
            if self._reason is not None:
                return self._closed(told)
        if end is not None and end.fault_of == "api":
            code, rule = _BROKEN.get(end.kind, ("http.framing", "http/body"))
            self._add(code, f"{self.endpoint.name}/{rule}", end.message)
        if self._check is not None:
            told = self._close_stream(cut, broken=end is not None and end.fault_of == "api")
        elif cut is not None:
            self._reason = cut
        elif end is None or end.fault_of != "api":
            self._whole(judge_whole, raw)
        return self._closed(told)

    def _closed(self, told: list[Told]) -> list[Told]:
        """Let go of what was held."""
        self._body = bytearray()
        if self._claim is not None:
            self._claim.give(self._held)
            self._held = 0
        return told

    @property
    def times_tell(self) -> bool:
        """Whether there is anything to learn from when chunks came: work lies between them."""
        protocol = self.endpoint.protocol
        return self._check is not None and any(
            stage.takes_time for stage in (protocol.stages if protocol is not None else ())
        )

    def take_arrivals(self, arrivals: ArrivalTimes) -> None:
        """When the chunks of the stream came, once it is closed: whether they were held back."""
        protocol = self.endpoint.protocol
        if protocol is None or not self.times_tell:
            return
        self.arrived = judge_arrivals(protocol, arrivals)
        if (held := self.arrived.held) is not None:
            self._add("stream.buffered", f"{self.endpoint.name}/{AS_MADE}", held.message)

    # ------------------------------------------------------------------ streams

    def _done(self, end: End) -> bool:
        """A server that keeps the connection open after the last chunk has still said it all."""
        timeouts = (EndKind.IDLE_TIMEOUT, EndKind.TOTAL_TIMEOUT, EndKind.CANCELLED)
        return end.kind in timeouts and self._check is not None and self._check.ended

    def _could_be_stream(self) -> bool:
        media = media_type(self.content_type)
        known = not media or media in ("text/event-stream", "text/plain") or "json" in media
        return known or ("lines" in self.endpoint.framings and may_be_lines(media))

    def _check_later(self) -> None:
        """The body is not a stream, whatever is due: keep it, and look at it when it is whole."""
        self._check = None

    def _sniff(self, *, ended: bool) -> list[Told]:
        """Start decoding as soon as the first bytes show a framing; until then they are kept."""
        if self._no_stream:
            return []
        framing = sniff_framing(bytes(self._body), ended=ended)
        if framing == "json" and "lines" in self.endpoint.framings and b"\n" not in self._body:
            framing = "lines"  # a single line whose end is missing
        if framing == "lines":
            line = bytes(self._body).strip().partition(b"\n")[0]
            self._no_stream = self.contract.errors.matching(json_text.parse(line).value) is not None
        elif framing == "unknown":
            self._no_stream = ended or len(self._body) >= _SNIFFED_BYTES
        elif framing == "json":
            # Nothing that comes can change it; to look again at each read would take for ever.
            self._no_stream = ended or len(self._body) >= _SNIFFED_BYTES
        if framing in ("sse", "lines") and not self._no_stream:
            return self._start(framing)
        return []

    def _start(self, framing: str) -> list[Told]:
        assert self._check is not None
        self.framing = framing
        self._check.framed(framing)
        limit = self.caps.event_bytes
        decoder: Decoder | LineDecoder
        if framing == "lines":
            decoder = LineDecoder(max_event_bytes=limit)
        else:
            decoder = Decoder(max_event_bytes=limit, on_comment=self._on_comment)
        self._decoder = decoder
        if self._has_head:
            self._violations.extend(
                check_content_type(self.contract, self.endpoint, self.content_type, framing)
            )
        held, self._body = bytes(self._body), bytearray()
        return self._decode(decoder, held)

    def _decode(self, decoder: Decoder | LineDecoder, piece: bytes) -> list[Told]:
        if self.capped:
            return []
        try:
            events = decoder.feed(piece)
        except EventTooLarge as error:
            events, self.capped = error.events, "cap.event_bytes"
        if not events:
            return []
        room = self.caps.events - self.events
        if len(events) > room:
            events, self.capped = events[:room], "cap.events"
        assert self._check is not None
        check = self._check.event
        self.events += len(events)
        if self._look_closer:
            told = [(event, self._event(event)) for event in events]
        elif self._check.named:
            told = [(event, check(event.data, event.type)) for event in events]
        else:
            told = [(event, check(event.data)) for event in events]
        if self._check.capped is not None:
            self.capped = self.capped or self._check.capped
        return told

    def _event(self, event: Event) -> SeenEvent:
        assert self._check is not None
        seen = self._check.event(event.data, event.type)
        if self._own_host is not None and seen.chunk is not None:
            self._hosts(seen.chunk, self._own_host, self._check.events - 1)
        if self._on_event is not None:
            self._on_event(event, seen)
        return seen

    def _close_stream(self, cut: str | None, *, broken: bool) -> list[Told]:
        assert self._check is not None
        told: list[Told] = []
        if self._decoder is None and self._body:
            told += self._sniff(ended=True)
        if self._decoder is None:
            self._close_unstarted(cut, broken=broken)
            return told
        pending = self._decoder.close()
        self.pending = pending.raw
        unterminated = pending.unterminated
        if unterminated and isinstance(self._decoder, LineDecoder) and not cut:
            # The last line's end is often left out; the line itself says whether it is whole.
            event = Event(pending.data, "message", "", pending.raw)
            self.events += 1
            told.append((event, self._event(event)))
            unterminated, self.pending = False, b""
        # What was cut by the connection needs no second violation for the event it was cut in.
        self._check.close(cut=cut or self.capped, unterminated=unterminated and not broken)
        if self._check.refusal is not None:
            self.error_name = self._check.refusal.name
        return told

    def _close_unstarted(self, cut: str | None, *, broken: bool) -> None:
        """No framing showed: nothing came, or nothing that is a stream."""
        assert self._check is not None
        self.pending = bytes(self._body)
        if not self._body or cut is not None or broken:
            if self._has_head and cut is None and not broken:
                self._violations.extend(
                    check_content_type(self.contract, self.endpoint, self.content_type, None)
                )
            self._check.close(cut=cut)
            return
        self._whole(judge_no_stream, self.pending)

    # ------------------------------------------------------------------ whole bodies

    def _whole(self, judge: Callable[[AnswerContext, bytes], BodyJudgement], raw: bytes) -> None:
        """Take over what a body that is no stream of events was found to be."""
        found = judge(self._asked(), raw)
        self._violations.extend(found.violations)
        self.framing, self.value = found.framing, found.value
        self.error_name, self._reason = found.error_name, found.reason
        self.seen = found.seen

    def _asked(self) -> AnswerContext:
        return AnswerContext(
            self.contract,
            self.endpoint,
            has_head=self._has_head,
            status=self.status,
            content_type=self.content_type,
            expect_error=self.expect_error,
            broken_rule=self.broken_rule,
            own_host=self._own_host,
            max_depth=self.caps.json_depth,
            looks=self._looks,
        )

    def _hosts(self, value: Any, own_host: str, chunk: int | None) -> None:
        name = self.endpoint.name
        self._violations.extend(check_hosts(self.contract, name, value, own_host, chunk))

    def _add(self, code: str, rule: str, message: str) -> None:
        self._violations.add(violation(self.contract, code, rule, message))
