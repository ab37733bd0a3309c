"""Hypothesis strategies for all that a contract allows, and for near misses of it.

For use in tests, ours and other people's (docs/how-to/testing-your-client.md). What is drawn
shrinks: a failing property shows the fewest chunks, and the plainest values, that still fail.

Only this module and `schema_values` import Hypothesis.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from hypothesis import strategies as st

from soundstage.contract import Contract
from soundstage.contract.json_schema import patterns
from soundstage.contract.json_schema.field_schemas import Schema
from soundstage.contract.protocol import Stage
from soundstage.generation.faults.catalogue import (
    broken_answer,
    catalogue,
    valid_answer,
    valid_error,
    valid_stream,
)
from soundstage.generation.faults.fault import Chunks, Fault, WholeAnswer, dumps, framed
from soundstage.generation.faults.fault_bodies import result_chunks
from soundstage.generation.faults.legality import is_legal, stage_of
from soundstage.generation.payloads import gathered
from soundstage.generation.schema_values import TEXTS, drawn, json_values, values
from soundstage.generation.story import Payload, Step
from soundstage.generation.walk import maker_of, order_of, payloads, random_story, story_tracks

__all__ = [
    "NearMiss",
    "Refusal",
    "encoded",
    "errors",
    "near_misses",
    "requests",
    "results",
    "streams",
    "values",
]

#: How often an unbounded stage comes at most, beyond what it must.
_FEW, _MANY = 3, 12
_SMALL = ("boolean", "null")


class Refusal(NamedTuple):
    """A valid error: its status, and the object in its body."""

    status: int
    body: Payload


class NearMiss(NamedTuple):
    """A valid answer with one fault in it. `raw` is its body as bytes."""

    fault: Fault
    answer: WholeAnswer

    @property
    def raw(self) -> bytes:
        return b"".join(self.answer.body.frames)

    def __repr__(self) -> str:
        caught = " or ".join(sorted(self.fault.codes))
        return f"<{self.fault.name}, {self.fault.severity} {caught}: {self.raw!r}>"


# --- requests, results, errors --------------------------------------------------------------------


def _undocumented(contract: Contract) -> st.SearchStrategy[Payload]:
    documented = set(contract.protocol.fields)
    for stage in contract.stages:
        documented |= stage.schema.get("properties", {}).keys()
    for endpoint in contract.endpoints.values():
        documented |= (endpoint.response or {}).get("properties", {}).keys()
    names = st.text().filter(lambda name: name not in documented)
    return st.dictionaries(names, json_values, max_size=2)


def requests(contract: Contract, endpoint: str) -> st.SearchStrategy[Payload]:
    """Every body that a request to `endpoint` may have."""
    found = contract.endpoints[endpoint]
    if found.request is None:
        return st.just({})
    if found.when is None:
        return values(found.request)
    return drawn({"type": "object", "allOf": [found.request, found.when]})


def results(
    contract: Contract, endpoint: str | None = None, *, undocumented: bool = False
) -> st.SearchStrategy[Payload]:
    """Every result that a synchronous endpoint (by default the first) may give. `undocumented`
    adds fields that no page documents: they are drift, reported as a warning.
    """
    found = contract.endpoints[endpoint] if endpoint else contract.endpoint_of_kind("sync")
    if found is None or found.response is None:
        raise LookupError(f"{contract.api} has no synchronous endpoint {endpoint or ''}")
    plain = values(found.response)
    if not undocumented:
        return plain
    return st.builds(lambda extra, result: {**extra, **result}, _undocumented(contract), plain)


def errors(contract: Contract) -> st.SearchStrategy[Refusal]:
    """Every error that the contract allows: a printed body, or any other object that is no near
    miss of one, under any status that an error may have.
    """
    known = contract.errors
    printed = [error.body for error in known.known if error.printed]
    said = {value for body in printed for value in body.values() if isinstance(value, str)}
    details = TEXTS.filter(lambda text: text not in said)
    others = st.dictionaries(st.sampled_from(("detail", "message", "error")), details, max_size=2)
    statuses = st.sampled_from(known.statuses)
    bodies = st.sampled_from(printed).map(dict) | others if printed else others
    return st.builds(Refusal, statuses, bodies)


# --- streams --------------------------------------------------------------------------------------


def streams(
    contract: Contract,
    *,
    failures: bool = False,
    unlisted: bool = True,
    undocumented: bool = False,
) -> st.SearchStrategy[list[Payload]]:
    """Every valid stream, as the list of its chunks: all optional stages, all orders in which
    tracks may interleave, all of Unicode, short and long.

    `failures`: the stream may be cut by a documented failure; it is inconclusive then. `unlisted`:
    a chunk may have documented fields that its stage does not list. `undocumented`: chunks may
    have fields that no page documents (drift, reported as a warning).
    """
    found = _streams(contract, failures, unlisted, undocumented)
    return found.map(lambda chunks: [payload for _, payload in chunks])


def encoded(chunks: Sequence[Payload], framing: str = "sse") -> bytes:
    """The body of a stream: chunks framed as "sse" (Server-Sent Events) or as bare JSON "lines"."""
    return b"".join(framed(map(dumps, chunks), framing).frames)


@st.composite
def _plans(draw: st.DrawFn, contract: Contract, failures: bool) -> list[Step]:
    protocol = contract.protocol
    if protocol.tracks is not None and not protocol.tracks.fixed:
        least = max(1, len(protocol.tracks.values))
        most = min(protocol.tracks.most or least + 1, least + 1)
        protocol = protocol.for_tracks(draw(st.integers(least, most)))
    order = order_of(contract, protocol)
    left = [_draw_times(draw, item.stage) for item in order.items]
    if order.closing:
        order.make_end(left, lambda many: draw(_choice(many)))
    order.make_possible(left)
    steps: list[Step] = []
    came = 0
    while any(left):
        ready = order.ready(left, came)
        number = ready[draw(_choice(len(ready)))] if len(ready) > 1 else ready[0]
        steps.append(order.items[number].step)
        left[number] -= 1
        came |= 1 << number
    failing = [stage.name for stage in contract.protocol.stages if stage.failure]
    if failures and failing and draw(st.booleans()):
        kept = draw(st.integers(1, len(steps) - 1))
        steps = [*steps[:kept], Step(draw(st.sampled_from(failing)), None)]
    return steps


def _draw_times(draw: st.DrawFn, stage: Stage) -> int:
    least, most = stage.times
    least = max(1, least) if stage.charges else least
    return draw(_times(least, most)) if most != least else least


@cache
def _times(least: int, most: int | None) -> st.SearchStrategy[int]:
    if most is not None:
        return st.integers(least, most)
    return st.integers(least, least + _FEW) | st.integers(least, least + _MANY)


@cache
def _choice(many: int) -> st.SearchStrategy[int]:
    return st.integers(0, many - 1)


@cache
def _some(many: int) -> st.SearchStrategy[set[int]]:
    return st.sets(_choice(many), max_size=3)


class _Fields(NamedTuple):
    """How the fields of one stage are drawn. `own` and `optional` are free; `others` documented
    fields that the stage does not list.
    """

    own: Mapping[str, st.SearchStrategy[Any]]
    optional: Mapping[str, st.SearchStrategy[Any]]
    others: tuple[str, ...]
    constants: frozenset[str]
    nullable: frozenset[str]
    rising: frozenset[str]


@cache
def _fields(contract: Contract, stage_name: str) -> _Fields:
    protocol = contract.protocol
    stage = protocol.by_name[stage_name]
    if maker_of(contract).is_sampled(stage.name):
        # What is known of its chunks lies deeper than their members: the walk has drawn them.
        return _Fields({}, {}, (), frozenset(), frozenset(), frozenset())
    taken = {str(each.field.name) for each in protocol.constant}
    for part in (protocol.index, protocol.completion, protocol.tracks):
        taken |= {str(part.field.name)} if part is not None else set()
    rising = {str(each.field.name) for each in protocol.never_decrease if stage.name in each.stages}
    properties = stage.schema.get("properties", {})
    required = stage.schema.get("required", ())
    sample = _sample(contract, stage)
    free = {
        name: _kept(contract, stage, sample, name, schema)
        for name, schema in properties.items()
        if name not in taken | rising
    }
    constants = frozenset(str(each.field.name) for each in protocol.constant)
    return _Fields(
        {name: value for name, value in free.items() if name in required},
        {name: value for name, value in free.items() if name not in required},
        tuple(name for name in protocol.fields if name not in properties),
        constants & properties.keys(),
        frozenset(n for n in constants & properties.keys() if is_legal(properties[n], None)),
        frozenset(rising),
    )


def _sample(contract: Contract, stage: Stage) -> Payload:
    """A chunk of a stage."""
    rng = random.Random(0)
    for _ in range(200):
        for step, payload in _walked(contract, rng, fails=stage.failure):
            if step.stage == stage.name:
                return payload
    return {}


def _is_free(contract: Contract, name: str) -> bool:
    """Whether a field that keeps its value may be given any: no stage draws it otherwise."""
    maker, protocol = maker_of(contract), contract.protocol
    holders = [s for s in protocol.stages if name in s.schema["properties"] and not s.failure]
    return bool(holders) and not any(maker.is_sampled(stage.name) for stage in holders)


def _walked(contract: Contract, rng: random.Random, *, fails: bool) -> Chunks:
    return valid_stream(contract, rng, fails=fails, optional=0.0)


def _kept(
    contract: Contract, stage: Stage, sample: Payload, name: str, schema: Schema
) -> st.SearchStrategy[Any]:
    """The values of a field with which a chunk stays one of its stage."""

    def stays(value: Any) -> bool:
        return stage_of(contract, {**sample, name: value}) is stage

    kinds = schema.get("type", ())
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    whole = gathered(schema)
    if "const" in whole:
        return st.just(whole["const"])
    if "enum" in whole or (kinds and set(kinds) <= set(_SMALL)):
        every = whole.get("enum", [False, True, None])
        return st.sampled_from([v for v in every if is_legal(schema, v) and stays(v)])
    if any(name in (each.when.get("properties") or {}) for each in contract.protocol.stages):
        return values(schema).filter(stays)
    return values(schema)


@cache
def _constant_values(contract: Contract, name: str) -> st.SearchStrategy[Any]:
    """The values that a field may keep throughout: legal in all stages, and known."""
    protocol = contract.protocol
    schemas = [
        s.schema["properties"][name] for s in protocol.stages if name in s.schema["properties"]
    ]
    schemas = [*schemas, *([protocol.fields[name]] if name in protocol.fields else [])]
    valid = patterns.validator({"allOf": schemas, "not": {"type": "null"}})
    return values(schemas[0]).filter(valid.is_valid)


@st.composite
def _streams(
    draw: st.DrawFn, contract: Contract, failures: bool, unlisted: bool, undocumented: bool
) -> Chunks:
    protocol = contract.protocol
    steps = draw(_plans(contract, failures))
    story = random_story(random.Random(0), story_tracks(contract))
    usual = payloads(contract, steps, story, random.Random(0))
    constants = {
        str(each.field.name): draw(_constant_values(contract, each.field.name))
        for each in protocol.constant
        if each.field.name is not None and _is_free(contract, each.field.name)
    }
    known = {name: draw(_choice(len(steps) + 1)) for name in constants}
    rises = {
        str(each.field.name): iter(_rises(draw, contract, each.field.name, each.stages, steps))
        for each in protocol.never_decrease
        if each.field.name is not None
    }
    flag = protocol.completion
    loose = flag is not None and flag.last.severity == "info"
    complete = not loose or draw(st.booleans())
    #: The chunks that may have fields which their stage does not list.
    odd = draw(_some(len(steps))) if unlisted else set()
    drift = draw(_some(len(steps))) if undocumented else set()
    chunks: Chunks = []
    for number, (step, payload) in enumerate(zip(steps, usual, strict=True)):
        stage = protocol.by_name[step.stage]
        fields = _fields(contract, stage.name)
        for name, value in fields.own.items():
            payload[name] = draw(value)
        for name in fields.optional:
            if draw(st.booleans()):
                payload[name] = draw(fields.optional[name])
        for name in constants:
            if name in payload:
                early = name in fields.nullable and number < known[name]
                payload[name] = None if early else constants[name]
        for name in fields.rising:
            payload[name] = next(rises[name])
        if flag is not None and flag.field.name in payload:
            last = number == len(steps) - 1 and not stage.failure
            payload[flag.field.name] = complete and last
        for name in fields.others if number in odd else ():
            fitting = _unlisted(contract, stage, name, constants, steps[:number])
            if name not in payload and fitting is not None and draw(st.booleans()):
                extended = {**payload, name: draw(fitting)}
                payload = extended if stage_of(contract, extended) is stage else payload
        if number in drift:
            payload = {**draw(_undocumented(contract)), **payload}
        chunks.append((step, payload))
    return chunks


def _rises(
    draw: st.DrawFn, contract: Contract, name: str, stages: Sequence[str], steps: Sequence[Step]
) -> list[Any]:
    """Values for a field that never falls, one for each chunk that has it."""
    found = []
    for step in steps:
        schema = contract.protocol.by_name[step.stage].schema.get("properties", {}).get(name)
        if step.stage in stages and schema is not None:
            found.append(draw(values(schema)))
    return sorted(found)


def _unlisted(
    contract: Contract,
    stage: Stage,
    name: str,
    constants: Mapping[str, Any],
    before: Sequence[Step],
) -> st.SearchStrategy[Any] | None:
    """What a documented field may be in a stage that does not list it; None if it had better not
    be there.
    """
    protocol = contract.protocol
    counting = (protocol.index, protocol.completion)
    if name in {part.field.name for part in counting if part is not None}:
        return None
    if name in constants:
        return st.just(constants[name])
    if protocol.tracks is None or name != protocol.tracks.field.name:
        return values(protocol.fields[name])
    # A chunk that names a track comes after what must have come on that track.
    fitting = [
        track
        for track in protocol.tracks.values
        if all(
            any(step.stage in group and step.track in (None, track) for step in before)
            for group in stage.after
        )
    ]
    return st.sampled_from(fitting) if fitting else None


# --- near misses ----------------------------------------------------------------------------------


def near_misses(
    contract: Contract, faults: Sequence[Fault] | None = None
) -> st.SearchStrategy[NearMiss]:
    """A valid answer and one fault in it, labelled: of the whole catalogue, or of `faults`."""
    return _near_misses(contract, tuple(faults if faults is not None else _in_answers(contract)))


def _in_answers(contract: Contract) -> list[Fault]:
    """The faults that single answers show."""
    return [each for each in catalogue(contract) if each.kind in ("stream", "result", "error")]


@st.composite
def _near_misses(draw: st.DrawFn, contract: Contract, faults: tuple[Fault, ...]) -> NearMiss:
    fault = draw(st.sampled_from(faults))
    seed = draw(st.integers(0, 2**16))
    answer = _broken_sample(draw, contract, fault, random.Random(seed))
    while answer is None:
        # What was drawn has no place for this fault: take walks until one has.
        seed += 1
        rng = random.Random(seed)
        status, framing, chunks = valid_answer(contract, fault, rng)
        answer = broken_answer(contract, fault, status, framing, chunks, rng)
    return NearMiss(fault, answer)


def _broken_sample(
    draw: st.DrawFn, contract: Contract, fault: Fault, rng: random.Random
) -> WholeAnswer | None:
    status, framing = 200, "json"
    if fault.kind in ("stream", "states"):
        endpoint = contract.endpoints[fault.of]
        seen = contract.seen_through(endpoint)
        chunks = draw(_streams(seen, fault.of_failure, False, False))
        framing = draw(st.sampled_from(endpoint.framings or ("json",)))
        status = endpoint.usual_status
    elif fault.of == "error":
        error = draw(st.sampled_from([e for e in contract.errors.known if e.printed]))
        status, chunks = error.status, valid_error(error)
    else:
        chunks = result_chunks(fault.of, draw(results(contract, fault.of)))
    return broken_answer(contract, fault, status, framing, chunks, rng)
