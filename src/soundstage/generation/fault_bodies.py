"""Faults of the fields of single bodies: of results, and of printed errors."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator

from soundstage.contract import Contract
from soundstage.contract.field_schemas import Schema, type_name
from soundstage.contract.keywords import is_open
from soundstage.generation.fault import Chunks, Fault
from soundstage.generation.fault_fields import (
    EXTRA,
    MISSING,
    Change,
    FieldPlace,
    changes,
    extra_field,
    field_fault,
    places,
)
from soundstage.generation.legality import Illegality, Path, broken_at
from soundstage.generation.story import Payload, Step


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
    for error in contract.errors.known:
        if not error.printed:
            continue
        rule = contract.rules[f"{contract.api}/error/{error.name}/body"]

        def told(payload: Payload, body: Payload = error.body) -> bool:
            return payload != body and any(
                not isinstance(value, bool) and name in payload and payload[name] == value
                for name, value in body.items()
            )

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

        yield fault("extra", "there is a field too many", lambda body: {**body, EXTRA: 1})
        for field, printed in error.body.items():
            schema: Schema = {"const": printed, "type": type_name(printed)}
            for label, says, make in changes(FieldPlace((field,), schema, True)):

                def edit(body: Payload, field: str = field, make: Change = make) -> Payload:
                    value = make(body.get(field))
                    rest = {name: old for name, old in body.items() if name != field}
                    return rest if value is MISSING else {**body, field: value}

                if told(edit(dict(error.body))):
                    yield fault(f"{field}/{label}", says, edit)


def result_chunks(endpoint: str, payload: Payload) -> Chunks:
    """A single result or error as the one chunk that faults are applied to."""
    return [(Step(endpoint, None), payload)]
