"""Which faults an emulator injects into which answers.

Which faults there are is the catalogue's business (`generation/faults/catalogue.py`), how one is
asked for `expression.py`'s, how it gets into an answer `injection.py`'s, and what became of it
`fault_tally.py`'s.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import orjson
from starlette.types import Message, Send

from soundstage.contract import Contract
from soundstage.emulator.faults.expression import (
    FAULT_HEADER,
    FaultExpression,
    checked,
    listed,
    misfit,
    named_in,
    shown,
)
from soundstage.emulator.faults.fault_tally import FaultTally
from soundstage.emulator.faults.injection import Chosen, InjectedAnswer, in_step, inject, scripted
from soundstage.emulator.http.asgi import header_list
from soundstage.emulator.http.replies import Headers, Reply
from soundstage.generation.faults.catalogue import (
    Body,
    Chunks,
    Fault,
    WholeAnswer,
    by_name,
    valid_error,
)
from soundstage.generation.faults.fault_wire import REDIRECTED
from soundstage.generation.faults.script import GatewayAnswer, Script
from soundstage.generation.walk import Payload, Step

__all__ = [
    "Chosen",
    "FaultExpression",
    "Faults",
    "InjectedAnswer",
    "Playing",
    "in_step",
    "missed_header",
]

#: Names, in a response, the faults that were asked for and had no place in it.
MISSED_HEADER: Final = "Soundstage-Fault-Missed"
#: How many courses of a generation are drawn until a fault has a place in one.
_REDRAWN: Final = 50
#: … and of those that come by the place where it is to strike.
_REDRAWN_THERE: Final = 5


#: Faults of one request that are remembered: more than a header can name.
_MOST_STRUCK: Final = 8


class Playing(NamedTuple):
    """How an answer is sent when a fault of the wire is in it."""

    script: Script
    chosen: Chosen


class Faults:
    """The faults that an emulator injects. Those that a request names come before those set by
    `replace`, and these before `texts`, the options.

    Raises UsageError for one that none of the contracts can have.
    """

    def __init__(
        self,
        texts: Sequence[str],
        contracts: Sequence[Contract],
        seed: int = 0,
    ) -> None:
        self._seed = seed
        self._contracts = tuple(contracts)
        self._tally = FaultTally()
        self._options = checked(texts, self._contracts)
        #: Those that any answer may get.
        self.asked: tuple[FaultExpression, ...] = self._options

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """By the name of the fault: answers that got it, and answers that had no place for it."""
        return self._tally.counts(self.asked)

    def replace(self, texts: Sequence[str] | None) -> None:
        """Inject these in place of those of the options; None goes back to the options. What is
        limited to a count begins anew.

        Raises UsageError, and changes nothing, for one that none of the contracts can have.
        """
        self.asked = self._options if texts is None else checked(texts, self._contracts)
        self._tally.renew()

    def reset(self) -> None:
        """Go back to those of the options, and count and draw anew."""
        self.asked = self._options
        self._tally.clear()

    def of_request(self, contract: Contract, named: str | None) -> RequestFaults | str | None:
        """The faults that the answer to a request may get, asked once, when it arrives: those that
        it names in its header, else those of the emulator. None where there are none, which is
        nearly always; or what is wrong with those that it names.
        """
        if named is None:
            asked = self.asked
            return RequestFaults(contract, asked, False, self._seed, self._tally) if asked else None
        found = named_in(contract, named, self._contracts)
        if isinstance(found, str):
            return found
        return RequestFaults(contract, found, True, self._seed, self._tally)

    def without_place(self, headers: Iterable[tuple[bytes, bytes]], send: Send) -> Send:
        """For an answer in which no fault has a place: where a request names some all the same,
        a `send` that says so.
        """
        text = header_list(headers, FAULT_HEADER)
        if text is None:
            return send
        named = listed(text)
        for each in () if isinstance(named, str) else named:
            known = (by_name(contract).get(each.name) for contract in self._contracts)
            fault = next(filter(None, known), None)
            if fault is not None:
                self._tally.lost(Chosen(fault, each))
        note = (MISSED_HEADER.lower().encode(), shown(text).encode("latin-1", "replace"))

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], note]}
            await send(message)

        return noted


@dataclass(frozen=True, slots=True)
class RequestFaults:
    """The faults that the answer to one request may get: those that it names (`named`), else those
    of the emulator at its arrival. Counts in `tally` what became of each.
    """

    contract: Contract
    asked: tuple[FaultExpression, ...]
    named: bool
    seed: int
    tally: FaultTally
    _struck: deque[str] = field(default_factory=lambda: deque(maxlen=_MOST_STRUCK))

    @property
    def struck(self) -> str | None:
        """The faults that the answers got, as they were asked for; None if none."""
        return ", ".join(dict.fromkeys(self._struck)) or None

    def strike(self, chosen: Chosen) -> None:
        """An answer gets a fault: note and count it."""
        self._struck.append(chosen.asked.text)
        self.tally.applied(chosen)

    def before(self, path: str, query: bytes) -> Reply | None:
        """What something before the API answers in its place; None if nothing does."""
        known = self._known()
        early = [each for each in known if each.fault.early]
        if not early or query == REDIRECTED.encode():
            return None
        luck = self._luck("before")
        for each in early:
            if luck.random() < each.asked.probability and self.tally.take(each):
                made = scripted(each, WholeAnswer(200, None, Body("json", [])), [], luck)
                assert isinstance(made, GatewayAnswer)
                self.strike(each)
                rest = [other for other in known if other is not each]
                # A redirect to this place is followed by an answer that the rest may be in.
                lost = rest if self.named and not _leads_back(made) else []
                for other in lost:
                    self.tally.lost(other)
                return _whole(made, path, lost)
        return None

    def in_stream(
        self,
        endpoint: str,
        chunks: Chunks,
        framing: str,
        rng: random.Random,
        redrawn: Callable[[random.Random], Chunks],
    ) -> InjectedAnswer | None:
        """A stream with the faults of streams in it, None where there is nothing to do. `redrawn`
        gives another course of the same generation, which may have a place for a fault.
        """
        chosen = self._chosen(endpoint, rng)
        astray = self._astray(endpoint)
        if not chosen and not astray:
            return None
        of = self.contract.endpoints[endpoint]
        assert of.protocol is not None
        failing = of.protocol.by_name[chunks[-1][0].stage].failure
        status = of.usual_status
        broken = inject(chosen, chunks, status, framing, rng, of.protocol)
        courses = there = 1
        while broken.missed and courses < _REDRAWN and there < _REDRAWN_THERE:
            if any(each.fault.of_failure is not failing for each in broken.missed):
                break
            chunks = redrawn(rng)
            courses += 1
            there += all(a.somewhere and a.there(chunks) for _, a in broken.missed)
            broken = inject(chosen, chunks, status, framing, rng, of.protocol)
        return self._tallied(broken, astray)

    def in_refusal(self, refused: Reply) -> Reply:
        """A refusal with the faults of errors in it."""
        luck = self._luck("refused")
        chosen = self._chosen("error", luck)
        astray = self._astray("error")
        if not chosen and not astray:
            return refused
        body = orjson.loads(refused.body)
        error = next((each for each in self.contract.errors.known if each.body == body), None)
        if error is None or not chosen:
            as_it_is = WholeAnswer(refused.status, refused.media_type, Body("json", [refused.body]))
            broken = InjectedAnswer(as_it_is, [], missed=tuple(chosen))
        else:
            broken = inject(chosen, valid_error(error), refused.status, "json", luck)
        return _sent(self._tallied(broken, astray), refused.headers)

    def in_result(
        self, endpoint: str, result: Payload, message_id: str
    ) -> tuple[Reply, Playing | None]:
        """A synchronous answer with the faults of results in it, and how it is sent."""
        luck = random.Random(f"{self.seed}/{message_id}")
        chosen = self._chosen(endpoint, luck)
        astray = self._astray(endpoint)
        status = self.contract.endpoints[endpoint].usual_status
        broken = inject(chosen, [(Step(endpoint, None), result)], status, "json", luck)
        broken = self._tallied(broken, astray)
        return _sent(broken, []), playing(broken)

    def in_look(self, endpoint: str, history: Chunks, message_id: str) -> Reply:
        """The answer to the last look at a job's state of `history`, with faults of states in it:
        those of one answer, and those that show only beside the looks before.
        """
        luck = random.Random(f"{self.seed}/{message_id}/{len(history)}")
        step, body = history[-1]
        status = self.contract.endpoints[endpoint].usual_status
        broken = InjectedAnswer(_one_body(body, status), [(step, body)])
        for each in self._chosen(endpoint, luck):
            changed = _seen_after(each.fault, history, luck)
            if changed is not None:
                broken = broken._replace(
                    answer=_one_body(changed, status), applied=(*broken.applied, each)
                )
            elif each.fault.kind == "states":
                one = inject([each], [(step, body)], status, "json", luck)
                broken = one if one.applied else broken._replace(missed=(*broken.missed, each))
        return _sent(self._tallied(broken, ()), [])

    def ties(self, endpoint: str) -> frozenset[str]:
        """The faults of what others say of the generations that an endpoint makes, by their last
        names.
        """
        found = [
            each for each in self._known() if each.fault.kind == "tie" and each.fault.of == endpoint
        ]
        for each in found:
            self.strike(each)
        return frozenset(each.fault.name.rpartition("/")[2] for each in found)

    def bill(self, endpoint: str, name: str) -> bool:
        """Whether an endpoint charges in that wrong way, by the last name of the fault."""
        for each in self._known():
            ours = each.fault.kind == "bill" and each.fault.of == endpoint
            if ours and each.fault.name.rpartition("/")[2] == name:
                luck = self._luck(each.fault.name)
                if luck.random() < each.asked.probability and self.tally.take(each):
                    self.strike(each)
                    return True
        return False

    # --- choosing ---------------------------------------------------------------------------------

    def _known(self) -> list[Chosen]:
        known, contract = by_name(self.contract), self.contract
        fitting = (each for each in self.asked if misfit(each, contract) is None)
        return [Chosen(known[each.name], each) for each in fitting]

    def _chosen(self, of: str, rng: random.Random) -> list[Chosen]:
        """The faults for one answer of a kind: "stream", "error", or the name of an endpoint."""
        likely = [
            each
            for each in self._known()
            if _concerns(each.fault, of) and rng.random() < each.asked.probability
        ]
        return [each for each in likely if self.tally.take(each)]

    def _astray(self, of: str) -> list[Chosen]:
        """Faults that a request names although its answer is of another kind."""
        known = self._known() if self.named else []
        return [
            each
            for each in known
            if not _concerns(each.fault, of)
            and not each.fault.early
            and each.fault.kind not in ("tie", "bill", "states")
        ]

    def _tallied(self, broken: InjectedAnswer, astray: Sequence[Chosen]) -> InjectedAnswer:
        """Count what became of the faults of one answer; that of the wire is still to come."""
        for each in broken.applied:
            self.strike(each)
        for each in broken.missed:
            self.tally.missed(each)
        for each in astray:
            self.tally.lost(each)
        return broken._replace(missed=(*broken.missed, *astray))

    def _luck(self, what: str) -> random.Random:
        return random.Random(f"{self.seed}/{what}/{self.tally.drawn(what)}")


def _concerns(fault: Fault, of: str) -> bool:
    if fault.of == "any":
        return of != "error" and not fault.early
    return fault.of == of and fault.kind not in ("tie", "bill")


def _one_body(value: Payload, status: int) -> WholeAnswer:
    return WholeAnswer(status, "application/json", Body("json", [orjson.dumps(value)]))


#: Draws until a fault of several looks strikes at the last of them.
_LOOKS_DRAWN: Final = 20


def _seen_after(fault: Fault, history: Chunks, luck: random.Random) -> Payload | None:
    """What the last look shows where a fault strikes there that needs the looks before it; None if
    it does not.
    """
    if fault.kind != "states" or fault.level != "payloads" or len(history) < 2:
        return None
    before = history[:-1]
    for _ in range(_LOOKS_DRAWN):
        changed = fault.apply(history, luck)
        if changed is None:
            return None
        if changed[: len(before)] == before and changed[len(before)] != history[-1]:
            return dict(changed[len(before)][1])
    return None


def playing(broken: InjectedAnswer) -> Playing | None:
    """How a broken answer is sent; None for as usual."""
    if broken.script is None or broken.wire is None:
        return None
    return Playing(broken.script, broken.wire)


def missed_header(missed: Sequence[Chosen]) -> Headers:
    """The header that names faults without a place, if there are any."""
    if not missed:
        return []
    return [(MISSED_HEADER.lower().encode(), ", ".join(m.asked.text for m in missed).encode())]


def _sent(broken: InjectedAnswer, headers: Headers) -> Reply:
    """What the emulator sends of an answer that faults were put into."""
    answer = broken.answer
    body = b"".join(answer.body.frames)
    headers = [*headers, *missed_header(broken.missed)]
    return Reply(answer.status, body, answer.content_type, headers)


def _leads_back(made: GatewayAnswer) -> bool:
    """Whether an answer sends the client to where it asked."""
    return made.location is not None and made.location.startswith("?")


def _whole(made: GatewayAnswer, path: str, lost: Sequence[Chosen]) -> Reply:
    headers: Headers = [(name.encode(), value.encode()) for name, value in made.headers]
    if made.location is not None:
        location = path + made.location if _leads_back(made) else made.location
        headers.append((b"location", location.encode()))
    return Reply(made.status, made.body, made.content_type, [*headers, *missed_header(lost)])
