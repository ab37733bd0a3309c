"""Faults of the fields of single bodies: of results, and of printed errors."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

from soundstage.contract import Contract
from soundstage.contract.json_schema.field_schemas import Schema, type_name
from soundstage.contract.json_schema.keywords import is_open
from soundstage.generation.faults.fault import Chunks, Fault
from soundstage.generation.faults.fault_fields import (
    EXTRA,
    Change,
    FieldPlace,
    changed,
    changes,
    extra_field,
    field_fault,
    places,
)
from soundstage.generation.faults.legality import Illegality, Path, broken_at
from soundstage.generation.story import Payload, Step

#: The names that lead to a member of a body.
Names = tuple[str, ...]
#: A text or number in a body, with its place.
Word = tuple[Path, Any]


def of_results(contract: Contract, samples: dict[str, Payload]) -> Iterator[Fault]:
    """Faults of the fields of every single result; `samples` by endpoint."""
    for endpoint, sample in samples.items():
        schema = contract.endpoints[endpoint].response or {}

        def judged(payload: Payload, path: Path, schema: Schema = schema) -> Illegality | None:
            return broken_at(schema, payload, path)

        for place in places(schema):
            for label, says, make in changes(place):
                name = f"result/{endpoint}/{'.'.join(place.path)}/{label}"
                what = (f"in the result of {endpoint}, {says}", make)
                found = field_fault(name, endpoint, endpoint, place, what, judged, [sample])
                if found is not None:
                    yield found
        if not is_open(schema):
            name = f"result/{endpoint}/undocumented"
            yield extra_field(contract, endpoint, endpoint, endpoint, name)


def of_errors(contract: Contract) -> Iterator[Fault]:
    """Faults of the printed errors' bodies: those after which what is left still tells which error
    is meant, since a body that is none of the printed ones may be anything.
    """
    printed = [error for error in contract.errors.known if error.printed]
    for error in printed:
        rule = contract.rules[f"{contract.api}/error/{error.name}/body"]
        own = _own_words(error.body, [each.body for each in printed])

        def told(payload: Payload, body: Payload = error.body, own: list[Word] = own) -> bool:
            if payload == body:
                return False
            here = dict(_words(payload))
            return any(path in here and here[path] == value for path, value in own)

        def fault(
            label: str,
            says: str,
            make: Callable[[Payload], Payload],
            name: str = error.name,
            told: Callable[[Payload], bool] = told,
            severity: str = rule.severity,
        ) -> Fault:
            def apply(chunks: Chunks, rng: random.Random) -> Chunks | None:
                (step, payload), *_ = chunks
                broken = make(copy.deepcopy(payload))
                return [(step, broken)] if step.stage == name and told(broken) else None

            codes = frozenset({"http.error_body"})
            says = f"in the body of the error {name}, {says}"
            return Fault(f"error/{name}/{label}", "payloads", "error", codes, severity, says, apply)

        if told({**error.body, EXTRA: 1}):
            yield fault("extra", "there is a field too many", lambda body: {**body, EXTRA: 1})
        for path, value in _members(error.body):
            schema: Schema = {"const": value, "type": type_name(value)}
            for label, says, make in changes(FieldPlace(path, schema, True)):

                def edit(body: Payload, path: Names = path, make: Change = make) -> Payload:
                    done = changed(body, path, make, random.Random(0))
                    return body if done is None else dict(done[0])

                if told(edit(dict(error.body))):
                    yield fault(f"{'.'.join(path)}/{label}", says, edit)


def _members(body: Payload, path: Names = ()) -> Iterator[tuple[Names, Any]]:
    """Every member of a body and of the objects in it: envelopes nest."""
    for name, value in body.items():
        yield (*path, name), value
        if isinstance(value, dict):
            yield from _members(value, (*path, name))


def _own_words(body: Payload, printed: list[Payload]) -> list[Word]:
    """The words of a body that stand in no other printed one: what tells it from them."""
    theirs = [word for other in printed if other != body for word in _words(other)]
    return [word for word in _words(body) if word not in theirs]


def _words(value: Any, path: Path = ()) -> list[Word]:
    """The texts and numbers in a body, with their places; anybody may say true or null."""
    if isinstance(value, dict):
        return [word for name in value for word in _words(value[name], (*path, name))]
    if isinstance(value, list):
        return [word for at, each in enumerate(value) for word in _words(each, (*path, at))]
    return [(path, value)] if type(value) in (str, int, float) else []


def result_chunks(endpoint: str, payload: Payload) -> Chunks:
    """A single result or error as the one chunk that faults are applied to."""
    return [(Step(endpoint, None), payload)]
