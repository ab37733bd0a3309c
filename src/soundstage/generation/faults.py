"""The fault catalogue: every way to break a valid answer that a contract's data forbids, by name.

Derived from the data alone; what is legal makes no fault. The families are made in `fault_*.py`.
Hand in valid chunks, a body or an answer, and get them broken in one named way.
"""

from __future__ import annotations

import difflib
import random
from collections.abc import Iterator
from functools import cache
from typing import Final

from soundstage.contract import Contract
from soundstage.contract.protocol import MEDIA_TYPES, DocumentedError
from soundstage.generation.fault import Body, Chunk, Chunks, Fault, Level, WholeAnswer, encoded
from soundstage.generation.fault_across import of_completion, of_identity, of_index, of_rising
from soundstage.generation.fault_bodies import of_errors, of_results, result_chunks
from soundstage.generation.fault_fields import of_stages
from soundstage.generation.fault_framing import of_framing
from soundstage.generation.fault_http import of_http
from soundstage.generation.fault_json import of_json
from soundstage.generation.fault_order import of_order
from soundstage.generation.fault_tracks import of_tracks
from soundstage.generation.fault_wire import of_wire
from soundstage.generation.story import Payload
from soundstage.generation.walk import payloads, plan, random_story, sync_result
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
    found = tuple(_faults(contract))
    names = [fault.name for fault in found]
    assert len(names) == len(set(names)), sorted({n for n in names if names.count(n) > 1})
    return found


def _faults(contract: Contract) -> Iterator[Fault]:
    if contract.endpoint_of_kind("stream") is not None:
        streams = [valid_stream(contract, random.Random(seed)) for seed in range(_SAMPLES)]
        failing = [
            valid_stream(contract, random.Random(seed), fails=True)
            for seed in range(4)
            if any(stage.failure for stage in contract.protocol.stages)
        ]
        samples: dict[str, list[Payload]] = {stage.name: [] for stage in contract.protocol.stages}
        for step, payload in (chunk for stream in (*streams, *failing) for chunk in stream):
            if len(samples[step.stage]) < 4:
                samples[step.stage].append(payload)
        yield from of_stages(contract, samples)
        yield from of_order(contract, streams)
        yield from of_tracks(contract, streams)
        yield from of_index(contract)
        yield from of_identity(contract)
        yield from of_rising(contract)
        yield from of_completion(contract)
    results = {
        endpoint.name: valid_result(contract, endpoint.name, random.Random(0))[0][1]
        for endpoint in contract.endpoints.values()
        if endpoint.kind == "sync"
    }
    yield from of_results(contract, results)
    yield from of_errors(contract)
    yield from of_json(contract)
    yield from of_framing(contract)
    yield from of_http(contract)


@cache
def wire_faults(contract: Contract) -> tuple[Fault, ...]:
    """The faults below the body, which only a connection can show (`fault_wire.py`)."""
    return tuple(of_wire(contract))


@cache
def by_name(contract: Contract) -> dict[str, Fault]:
    """All faults by name, those of the wire too."""
    return {fault.name: fault for fault in (*catalogue(contract), *wire_faults(contract))}


def near(name: str, contracts: list[Contract]) -> list[str]:
    """The names in the contracts' catalogues that are most like `name`, the likeliest first."""
    names = dict.fromkeys(known for contract in contracts for known in by_name(contract))
    inside = [known for known in names if name and name in known][:_NEAR]
    alike = difflib.get_close_matches(name, names, n=_NEAR, cutoff=0.5)
    return list(dict.fromkeys([*alike, *inside]))[:_NEAR]


# --- valid answers, to be broken ------------------------------------------------------------------


def valid_stream(
    contract: Contract, rng: random.Random, *, fails: bool = False, optional: float = OPTIONAL
) -> Chunks:
    """The chunks of a valid stream from the seeded walk."""
    steps = plan(contract, rng, fails=fails)
    tracks = contract.protocol.tracks
    story = random_story(rng, len(tracks.values) if tracks else 1)
    return list(zip(steps, payloads(contract, steps, story, rng, optional=optional), strict=True))


def valid_result(contract: Contract, endpoint: str, rng: random.Random) -> Chunks:
    """A valid result of a synchronous endpoint, as one chunk."""
    tracks = contract.protocol.tracks
    story = random_story(rng, len(tracks.values) if tracks else 1)
    return result_chunks(endpoint, sync_result(contract, story))


def valid_error(error: DocumentedError) -> Chunks:
    """A documented error, as one chunk."""
    return result_chunks(error.name, dict(error.body))


#: The status of errors that could not be told from an outage under their own.
_PLAIN: Final = 400


def valid_answer(
    contract: Contract, fault: Fault, rng: random.Random, framing: str | None = None
) -> tuple[int, str, Chunks]:
    """(status, framing, chunks) of a valid answer of the kind that a fault breaks."""
    if fault.of == "stream":
        endpoint = contract.endpoint_of_kind("stream")
        assert endpoint is not None
        chunks = valid_stream(contract, rng, fails=fault.of_failure)
        return 200, framing or rng.choice(endpoint.framings), chunks
    if fault.of == "error":
        printed = [error for error in contract.errors.known if error.printed]
        error = rng.choice(printed or list(contract.errors.known))
        # What is broken under a gateway's status may be the gateway's own: nobody could tell.
        status = _PLAIN if is_outage(error.status) else error.status
        return status, "json", valid_error(error)
    return 200, "json", valid_result(contract, fault.of, rng)


def broken_answer(
    fault: Fault, status: int, framing: str, chunks: Chunks, rng: random.Random
) -> WholeAnswer | None:
    """A valid answer broken by `fault`, whatever its level; None if it has no place for it."""
    if fault.level == "payloads":
        changed = fault.apply(chunks, rng)
        if changed is None:
            return None
        chunks = changed
    body: Body | None = encoded(chunks, framing)
    assert body is not None
    if fault.level == "bytes":
        body = fault.apply(body, rng)
        if body is None:
            return None
    answer: WholeAnswer | None = WholeAnswer(status, MEDIA_TYPES[framing], body)
    if fault.level == "http":
        answer = fault.apply(answer, rng)
    return answer
