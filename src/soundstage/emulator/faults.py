"""Breaks answers on purpose, in the ways of the fault catalogue, and keeps count of what it did.

Which faults there are, and how each is made, is the catalogue's business (`generation/faults.py`).
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

from soundstage.contract import Contract
from soundstage.emulator.requests import Answer as Sent
from soundstage.emulator.requests import Headers
from soundstage.errors import UsageError
from soundstage.generation.faults import (
    MEDIA_TYPES,
    Answer,
    Body,
    Chunks,
    Fault,
    by_name,
    encoded,
    near,
    valid_error,
)
from soundstage.generation.walk import Payload, Step

log = logging.getLogger("soundstage.emulator")

_LEVELS: Final = ("payloads", "bytes", "http")


@dataclass(frozen=True, slots=True)
class Asked:
    """A fault that was asked for by name, and how likely it is to be injected (0 to 1)."""

    name: str
    probability: float = 1.0


class Broken(NamedTuple):
    """An answer after faults were put into it. `chunks` are those that are still being told;
    `applied` and `missed` are the faults that found a place, and those that did not.
    """

    answer: Answer
    chunks: Chunks
    applied: tuple[Fault, ...]
    missed: tuple[Fault, ...]


def parse(text: str) -> Asked:
    """`NAME` or `NAME:PROBABILITY`; raises UsageError for a probability that is none."""
    name, colon, probability = text.partition(":")
    if not colon:
        return Asked(name)
    try:
        likely = float(probability)
    except ValueError:
        likely = -1.0
    if not 0.0 <= likely <= 1.0:
        raise UsageError(f"--fault {text}: the probability must be from 0 to 1")
    return Asked(name, likely)


def unknown(name: str, contracts: Sequence[Contract]) -> str:
    """What to say about a fault that no contract has."""
    alike = ", ".join(near(name, list(contracts)))
    more = f": did you mean {alike}?" if alike else ""
    return f"no fault is called {name!r}{more} (`soundstage faults --list` names all)"


class Faults:
    """The faults that an emulator injects. Raises UsageError for one that no contract has."""

    def __init__(self, texts: Sequence[str], contracts: Sequence[Contract], seed: int = 0) -> None:
        self._seed = seed
        self._refused = 0
        self.asked = tuple(parse(text) for text in texts)
        for each in self.asked:
            if not any(each.name in by_name(contract) for contract in contracts):
                raise UsageError(unknown(each.name, contracts))
        self.counts: dict[str, dict[str, int]] = {}
        for each in self.asked:
            self._count(each.name)

    def chosen(
        self, contract: Contract, of: str, named: Fault | None, rng: random.Random
    ) -> list[Fault]:
        """The faults for one answer of a kind ("stream", "error", or the name of an endpoint):
        the one that the request names; else of all that were asked for those that `rng` picks.
        """
        if named is not None:
            if named.of == of:
                return [named]
            self.missed(named)
            return []
        known = by_name(contract) if self.asked else {}
        faults = [(known[each.name], each) for each in self.asked if each.name in known]
        return [f for f, each in faults if f.of == of and rng.random() < each.probability]

    def in_refusal(self, contract: Contract, refused: Sent, named: Fault | None) -> Sent:
        """A refusal with the faults of errors in it."""
        if named is None and not self.asked:
            return refused
        self._refused += 1
        luck = random.Random(f"{self._seed}/refused/{self._refused}")
        chosen = self.chosen(contract, "error", named, luck)
        body = orjson.loads(refused.body)
        error = next((each for each in contract.errors.known if each.body == body), None)
        if not chosen or error is None:
            for fault in chosen:
                self.missed(fault)
            return refused
        broken = inject(chosen, valid_error(error), refused.status, "json", luck)
        self.tally(broken)
        return _sent(broken.answer, refused.headers)

    def in_result(
        self,
        contract: Contract,
        endpoint: str,
        result: Payload,
        message_id: str,
        named: Fault | None,
    ) -> Sent:
        """A synchronous answer, with the faults of results in it."""
        if named is None and not self.asked:
            return Sent(200, orjson.dumps(result))
        luck = random.Random(f"{self._seed}/{message_id}")
        chosen = self.chosen(contract, endpoint, named, luck)
        broken = inject(chosen, [(Step(endpoint, None), result)], 200, "json", luck)
        self.tally(broken)
        return _sent(broken.answer, [])

    def tally(self, broken: Broken) -> None:
        """Count what became of the faults of one answer."""
        for fault in broken.applied:
            self._count(fault.name)["applied"] += 1
        for fault in broken.missed:
            self.missed(fault)

    def missed(self, fault: Fault) -> None:
        """Count a fault that an answer had no place for; the first time, say so."""
        counts = self._count(fault.name)
        if not counts["not_applicable"]:
            log.warning("the fault %s had no place in an answer; it was sent whole", fault.name)
        counts["not_applicable"] += 1

    def _count(self, name: str) -> dict[str, int]:
        return self.counts.setdefault(name, {"applied": 0, "not_applicable": 0})


def _sent(broken: Answer, headers: Headers) -> Sent:
    """What the emulator sends of an answer that faults were put into."""
    body = b"".join(broken.body.frames)
    return Sent(broken.status, body, broken.content_type, headers)


def inject(
    faults: Sequence[Fault], chunks: Chunks, status: int, framing: str, rng: random.Random
) -> Broken:
    """A valid answer with faults in it: those of payloads first, then of bytes, then of HTTP."""
    applied: list[Fault] = []
    missed: list[Fault] = []
    body: Body = encoded(chunks, framing)
    answer = Answer(status, MEDIA_TYPES[framing], body)
    for fault in sorted(faults, key=lambda fault: _LEVELS.index(fault.level)):
        changed: Any
        if fault.level == "payloads":
            changed = fault.apply(chunks, rng)
            if changed is not None:
                chunks = changed
                answer = answer._replace(body=encoded(chunks, framing))
        elif fault.level == "bytes":
            changed = fault.apply(answer.body, rng)
            if changed is not None:
                answer = answer._replace(body=changed)
        else:
            changed = fault.apply(answer, rng)
            answer = answer if changed is None else changed
        (missed if changed is None else applied).append(fault)
    return Broken(answer, chunks, tuple(applied), tuple(missed))


def in_step(frames: list[bytes], many: int) -> list[bytes]:
    """The same bytes in so many frames that there is one for each chunk."""
    if len(frames) > many:
        frames = [*frames[: max(0, many - 1)], b"".join(frames[max(0, many - 1) :])]
    return [*frames, *[b""] * (many - len(frames))]


def named_in(contract: Contract, name: str, contracts: Mapping[str, Contract]) -> Fault | str:
    """The fault of a request's header, or what is wrong with the name."""
    fault = by_name(contract).get(name)
    return fault if fault is not None else unknown(name, [contract, *contracts.values()])
