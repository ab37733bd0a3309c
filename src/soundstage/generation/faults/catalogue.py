"""The fault catalogue: every way to break a valid answer that a contract's data forbids, by name.

Derived from the data alone; what is legal makes no fault. The families are made in `fault_*.py`.
Hand in valid chunks, a body or an answer, and get them broken in one named way.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any, Final

from soundstage.contract import Contract
from soundstage.contract.protocol import MEDIA_TYPES, DocumentedError, Endpoint
from soundstage.generation.faults.fault import (
    Body,
    Chunk,
    Chunks,
    Fault,
    Level,
    WholeAnswer,
    described_results,
    encoded,
)
from soundstage.generation.faults.fault_across import (
    of_completion,
    of_identity,
    of_index,
    of_rising,
)
from soundstage.generation.faults.fault_bills import of_bills
from soundstage.generation.faults.fault_bodies import of_errors, of_results, result_chunks
from soundstage.generation.faults.fault_fields import of_stages
from soundstage.generation.faults.fault_framing import of_framing
from soundstage.generation.faults.fault_http import of_http
from soundstage.generation.faults.fault_json import of_json
from soundstage.generation.faults.fault_looks import of_looks
from soundstage.generation.faults.fault_order import of_order
from soundstage.generation.faults.fault_songs import of_songs
from soundstage.generation.faults.fault_ties import of_ties
from soundstage.generation.faults.fault_tracks import of_tracks
from soundstage.generation.faults.fault_wire import of_wire
from soundstage.generation.faults.legality import TRACKS, told_by
from soundstage.generation.story import Payload
from soundstage.generation.walk import payloads, plan, random_story, story_tracks, sync_result
from soundstage.near_names import near_names
from soundstage.wire.outages import is_outage

__all__ = [
    "Body",
    "Chunk",
    "Chunks",
    "Fault",
    "Level",
    "WholeAnswer",
    "broken_answer",
    "by_name",
    "catalogue",
    "encoded",
    "near",
    "valid_answer",
    "valid_error",
    "valid_result",
    "valid_stream",
    "wire_faults",
]

#: How many streams are drawn to find out where faults have a place.
_SAMPLES: Final = 40
#: How often a field that may be left out is there, in streams that faults are looked for in.
OPTIONAL: Final = 0.3
_NEAR: Final = 5


@cache
def catalogue(contract: Contract) -> tuple[Fault, ...]:
    """Every fault that the contract's data forbids, in the order of its families."""
    seen: Counter[str] = Counter()
    found = []
    for fault in _faults(contract):
        # A contract may have one name for two places (`a.b` beside `a` with `b`), or two reasons
        # for one fault: what comes again is numbered.
        seen[fault.name] += 1
        again = seen[fault.name]
        found.append(fault if again == 1 else replace(fault, name=f"{fault.name}/{again}"))
    return tuple(found)


def _faults(contract: Contract) -> Iterator[Fault]:
    for endpoint in contract.endpoints.values():
        if endpoint.protocol is not None:
            yield from _told(contract, endpoint)
    results = {
        endpoint.name: valid_result(contract, endpoint.name, random.Random(0))[0][1]
        for endpoint in described_results(contract)
    }
    yield from of_results(contract, results)
    yield from (replace(fault, kind="error") for fault in of_errors(contract))
    for fault in (*of_json(contract), *of_framing(contract), *of_http(contract)):
        yield _of_the_told(contract, fault)
    yield from of_ties(contract)
    yield from of_bills(contract)


def _of_the_told(contract: Contract, fault: Fault) -> Fault:
    """A fault with the name of the endpoint that it is of, where it is of what comes in order."""
    if fault.of != "stream":
        return replace(fault, kind="error") if fault.of == "error" else fault
    told = told_by(contract)
    return replace(fault, of=told.name, kind="states" if told.sampled else "stream")


def _told(contract: Contract, endpoint: Endpoint) -> Iterator[Fault]:
    """The faults of what comes in order, of one endpoint. Those of the endpoint that tells most of
    a generation have plain names; those of others begin with its name.
    """
    seen = contract.seen_through(endpoint)
    first = endpoint is contract.told
    kind = "states" if endpoint.sampled else "stream"
    found = list(_of_states(seen) if endpoint.sampled else _of_chunks(seen))
    if not first:
        found += [*of_json(seen), *of_framing(seen), *of_http(seen)]
        found = [fault for fault in found if fault.of == "stream"]
    for fault in found:
        name = fault.name if first else f"{endpoint.name}.{fault.name}"
        yield replace(fault, name=name, of=endpoint.name, kind=kind)


def _of_chunks(contract: Contract) -> Iterator[Fault]:
    streams = [
        valid_stream(contract, random.Random(seed), tracks=tracks_for(contract))
        for seed in range(_SAMPLES)
    ]
    failing = [
        valid_stream(contract, random.Random(seed), fails=True)
        for seed in range(4)
        if any(stage.failure for stage in contract.protocol.stages)
    ]
    yield from of_stages(contract, _samples(contract, [*streams, *failing]))
    yield from of_order(contract, streams)
    yield from of_tracks(contract, streams)
    yield from of_index(contract)
    yield from _with_a_place(streams, of_identity(contract), of_rising(contract))
    yield from of_completion(contract)


def _of_states(contract: Contract) -> Iterator[Fault]:
    """Faults of looks at a state: of each by itself, and of one after the other."""
    fails = any(stage.failure for stage in contract.protocol.stages)
    looks = [valid_stream(contract, random.Random(seed)) for seed in range(_SAMPLES)]
    failing = [valid_stream(contract, random.Random(n), fails=True) for n in range(4) if fails]
    yield from of_stages(contract, _samples(contract, [*looks, *failing]))
    yield from of_looks(contract, looks)
    yield from _with_a_place(looks, of_identity(contract), of_rising(contract))


def _with_a_place(samples: list[Chunks], *families: Iterator[Fault]) -> Iterator[Fault]:
    """The faults that one of the samples, at least, has a place for."""
    for fault in (each for family in families for each in family):
        if any(fault.apply(each, random.Random(0)) is not None for each in samples):
            yield fault


def _samples(contract: Contract, streams: list[Chunks]) -> dict[str, list[Payload]]:
    """A few chunks of each stage."""
    samples: dict[str, list[Payload]] = {stage.name: [] for stage in contract.protocol.stages}
    for step, payload in (chunk for stream in streams for chunk in stream):
        if len(samples[step.stage]) < 4:
            samples[step.stage].append(payload)
    return samples


def tracks_for(contract: Contract) -> int | None:
    """How many tracks a stream has that is to be broken, where the contract does not fix it."""
    tracks = contract.protocol.tracks
    return None if tracks is None or tracks.fixed else TRACKS


def request_for(contract: Contract, tracks: int | None) -> Payload | None:
    """What a request says that asks for so many tracks; None where it has no say."""
    known = contract.protocol.tracks
    if known is None or known.asked is None or tracks is None:
        return None
    body: Any = tracks
    for part in reversed(known.asked.parts):
        body = {part: body}
    return dict(body)


@cache
def wire_faults(contract: Contract) -> tuple[Fault, ...]:
    """The faults below the body, which only a connection can show (`fault_wire.py`), and those of
    the songs behind it (`fault_songs.py`).
    """
    return (*of_wire(contract), *of_songs(contract))


@cache
def by_name(contract: Contract) -> dict[str, Fault]:
    """All faults by name, those of the wire too."""
    return {fault.name: fault for fault in (*catalogue(contract), *wire_faults(contract))}


def near(name: str, contracts: list[Contract]) -> list[str]:
    """The names in the contracts' catalogues that are most like `name`, the likeliest first."""
    names = dict.fromkeys(known for contract in contracts for known in by_name(contract))
    inside = [known for known in names if name and name in known][:_NEAR]
    alike = near_names(name, names, most=_NEAR, alike=0.5)
    return list(dict.fromkeys([*alike, *inside]))[:_NEAR]


# --- valid answers, to be broken ------------------------------------------------------------------


def valid_stream(
    contract: Contract,
    rng: random.Random,
    *,
    fails: bool = False,
    optional: float = OPTIONAL,
    tracks: int | None = None,
) -> Chunks:
    """The chunks of a valid stream (or the looks at a job) from the seeded walk."""
    steps = plan(contract, rng, fails=fails, tracks=tracks)
    story = random_story(rng, story_tracks(contract))
    return list(zip(steps, payloads(contract, steps, story, rng, optional=optional), strict=True))


def valid_result(contract: Contract, endpoint: str, rng: random.Random) -> Chunks:
    """A valid result of an endpoint that answers with one, as one chunk."""
    story = random_story(rng, story_tracks(contract))
    return result_chunks(endpoint, sync_result(contract, story, endpoint))


def valid_error(error: DocumentedError) -> Chunks:
    """A documented error, as one chunk."""
    return result_chunks(error.name, dict(error.body))


#: The status of errors that could not be told from an outage under their own.
_PLAIN: Final = 400


def valid_answer(
    contract: Contract, fault: Fault, rng: random.Random, framing: str | None = None
) -> tuple[int, str, Chunks]:
    """(status, framing, chunks) of a valid answer of the kind that a fault breaks."""
    if fault.of == "error":
        printed = [error for error in contract.errors.known if error.printed]
        error = rng.choice(printed or list(contract.errors.known))
        # What is broken under a gateway's status may be the gateway's own: nobody could tell.
        status = _PLAIN if is_outage(error.status) else error.status
        return status, "json", valid_error(error)
    endpoint = contract.endpoints[fault.of]
    if endpoint.protocol is None:
        return endpoint.usual_status, "json", valid_result(contract, fault.of, rng)
    seen = contract.seen_through(endpoint)
    chunks = valid_stream(seen, rng, fails=fault.of_failure, tracks=tracks_for(seen))
    framing = framing or rng.choice(endpoint.framings or ("json",))
    return endpoint.usual_status, framing if endpoint.framings else "json", chunks


def broken_answer(
    contract: Contract,
    fault: Fault,
    status: int,
    framing: str,
    chunks: Chunks,
    rng: random.Random,
) -> WholeAnswer | None:
    """A valid answer broken by `fault`, whatever its level; None if it has no place for it."""
    if fault.level == "payloads":
        changed = fault.apply(chunks, rng)
        if changed is None:
            return None
        chunks = changed
    endpoint = contract.endpoints.get(fault.of)
    body: Body | None = encoded(chunks, framing, endpoint.protocol if endpoint else None)
    assert body is not None
    if fault.level == "bytes":
        body = fault.apply(body, rng)
        if body is None:
            return None
    answer: WholeAnswer | None = WholeAnswer(status, MEDIA_TYPES[framing], body)
    if fault.level == "http":
        answer = fault.apply(answer, rng)
    return answer
