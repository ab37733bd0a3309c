"""Which keywords of a contract's schemas no fault breaks: what they ask is checked, and nothing
proves that it is.

Found by breaking, not by a list: every fault is put into made-up values, and the validator says
which keywords they break then. Of requests the faults are those that a check sends.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from soundstage.contract import Contract
from soundstage.contract.json_schema import patterns
from soundstage.contract.json_schema.field_schemas import Schema, pointer
from soundstage.contract.json_schema.keywords import ALTERNATIVES, VALUES, inner
from soundstage.errors import ContractDataError, UsageError
from soundstage.exchange.requests import valid_body
from soundstage.generation.broken_requests import breaking
from soundstage.generation.faults.catalogue import (
    Chunks,
    Fault,
    catalogue,
    tracks_for,
    valid_result,
    valid_stream,
)
from soundstage.generation.faults.fault import described_results
from soundstage.proof.contract_files import ContractFiles

#: Keywords that ask something of a value, and may be broken. Of the others it is the schemas inside
#: them that ask.
_ASKING: Final = frozenset(
    {*VALUES, *ALTERNATIVES, "type", "required", "not", "if", "contains", "propertyNames"}
)
#: Those that ask something where they are `false`.
_CLOSING: Final = frozenset(
    {"items", "additionalProperties", "unevaluatedItems", "unevaluatedProperties"}
)
#: What a keyword is broken as, where the validator calls it otherwise.
_BROKEN_AS: Final = {
    "if": ("then", "else"),
    "minContains": ("contains",),
    "maxContains": ("contains",),
}
#: How many streams are drawn, so that every fault finds a place in one.
_SAMPLES: Final = 12
Way = tuple[str | int, ...]


class UnbrokenKeyword(NamedTuple):
    """A keyword that no fault breaks: the file that it holds in, and where, with references
    followed.
    """

    keyword: str
    file: str
    at: str

    def __str__(self) -> str:
        return f"no fault for `{self.keyword}` in {self.file}#{self.at}"


def unbroken_keywords(contract: Contract, files: ContractFiles) -> list[UnbrokenKeyword]:
    """The keywords of requests, answers and chunks that no fault breaks, each once."""
    found: dict[UnbrokenKeyword, None] = {}
    for file, schema, when, values in _broken_values(contract, files):
        broken = _broken_by(schema, values)
        for way in _asking(schema):
            # A body that is no object is another family of faults; and what tells a stage from
            # others cannot be broken in it: a chunk without that is none of it.
            if way != ("type",) and not _is_broken(way, broken) and not _stands(way, when):
                found[UnbrokenKeyword(str(way[-1]), file, pointer(*way))] = None
    return list(found)


def _broken_values(
    contract: Contract, files: ContractFiles
) -> Iterator[tuple[str, Schema, Schema, Iterable[Any]]]:
    """(file, schema, what tells its values from others, those that faults have broken)."""
    for endpoint in contract.endpoints.values():
        if endpoint.request is not None:
            broken = _requests(contract, endpoint.name)
            yield files.of_endpoint(endpoint, "request"), endpoint.request, {}, broken
    faults = [each for each in catalogue(contract) if each.level == "payloads"]
    for endpoint in contract.endpoints.values():
        if endpoint.protocol is None:
            continue
        seen = contract.seen_through(endpoint)
        own = [each for each in faults if each.of == endpoint.name]
        broken_chunks = _chunks(own, list(_streams(seen)))
        for stage in endpoint.protocol.stages:
            yield files.of_stage(stage), stage.schema, stage.when, broken_chunks.get(stage.name, [])
    for endpoint in described_results(contract):
        own = [each for each in faults if each.of == endpoint.name]
        whole = [valid_result(contract, endpoint.name, random.Random(0))]
        values = _chunks(own, whole).get(endpoint.name, [])
        yield files.of_endpoint(endpoint, "response"), endpoint.response or {}, {}, values


def _requests(contract: Contract, endpoint: str) -> Iterator[Any]:
    """Requests to an endpoint that break one rule each."""
    try:
        valid = valid_body(contract, contract.endpoints[endpoint], 0)
    except UsageError:
        return
    for rule in contract.rules:
        broken = breaking(contract, rule, valid)
        if broken is not None:
            yield broken


def _streams(contract: Contract) -> Iterator[Chunks]:
    fails = any(stage.failure for stage in contract.protocol.stages)
    for number in range(_SAMPLES):
        try:
            yield valid_stream(
                contract,
                random.Random(number),
                fails=fails and number % 3 == 0,
                optional=number % 2,
                tracks=tracks_for(contract),
            )
        except ContractDataError:
            continue


def _chunks(faults: Iterable[Fault], samples: list[Chunks]) -> dict[str, list[Any]]:
    """Chunks that faults have changed, by stage."""
    found: dict[str, list[Any]] = {}
    for fault in faults:
        rng = random.Random(fault.name)
        for sample in samples:
            changed = fault.apply(sample, rng)
            if changed is None:
                continue
            before = {id(payload) for _, payload in sample}
            for step, payload in changed:
                if id(payload) not in before:
                    found.setdefault(step.stage, []).append(payload)
            break
    return found


def _broken_by(schema: Schema, values: Iterable[Any]) -> set[Way]:
    """The ways to the keywords that values break, and to all that they stand in."""
    validator = patterns.validator(schema)
    broken: set[Way] = set()
    for value in values:
        for error in validator.iter_errors(value):
            way = tuple(error.schema_path)
            broken.update(way[:end] for end in range(1, len(way) + 1))
    return broken


def _asking(schema: Schema, way: Way = ()) -> Iterator[Way]:
    """The ways to all keywords that ask something. What stands in alternatives is asked as a whole,
    by the keyword that holds them.
    """
    for keyword, value in schema.items():
        if (keyword in _CLOSING and value is False) or (keyword in _ASKING and _asks(value)):
            yield (*way, keyword)
    for each in inner(schema):
        if each.asked:
            yield from _asking(each.schema, (*way, *each.way))


def _asks(value: Any) -> bool:
    """Whether a keyword with this value asks anything: no least of zero does."""
    return not (value is False or value in (0, [], {}))


def _is_broken(way: Way, broken: set[Way]) -> bool:
    *before, keyword = way
    names = (keyword, *_BROKEN_AS.get(str(keyword), ()))
    return any((*before, name) in broken for name in names)


def _stands(way: Way, schema: Any) -> bool:
    """Whether there is such a keyword in a schema."""
    for step in way:
        try:
            schema = schema[step]
        except (LookupError, TypeError):
            return False
    return True
