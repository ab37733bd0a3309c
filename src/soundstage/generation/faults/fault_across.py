"""Faults of what holds across chunks: index, identity, values that never fall, completion flag."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from soundstage.contract import Contract
from soundstage.contract.json_schema.field_path import FieldPath, field_path
from soundstage.contract.json_schema.field_schemas import Schema
from soundstage.contract.protocol import ConstantField, NeverDecrease
from soundstage.generation.faults.fault import Chunks, Fault
from soundstage.generation.faults.legality import (
    broken_in_chunk,
    ends_at,
    is_legal,
    schema_of,
    stage_of,
    stream_rule,
)
from soundstage.generation.story import Payload

#: Which chunks get which value of the index: (numbers and values before, rng) -> after, or None.
Renumbering = Callable[[list[Any], random.Random], list[Any] | None]


def _with(chunks: Chunks, number: int, field: FieldPath, value: Any) -> Chunks:
    step, payload = chunks[number]
    return [*chunks[:number], (step, field.put(payload, value)), *chunks[number + 1 :]]


def of_index(contract: Contract) -> Iterator[Fault]:
    """Faults of the numbering of chunks."""
    index = contract.protocol.index
    if index is None:
        return
    step = index.step

    def shifted(by: int) -> Renumbering:
        return lambda values, rng: [value + by for value in values]

    def from_one_on(by: int) -> Renumbering:
        def renumber(values: list[Any], rng: random.Random) -> list[Any] | None:
            if len(values) < 2:
                return None
            start = rng.randrange(1, len(values))
            return [value + (by if n >= start else 0) for n, value in enumerate(values)]

        return renumber

    def one(value: Callable[[list[Any], int], Any], least: int = 1) -> Renumbering:
        def renumber(values: list[Any], rng: random.Random) -> list[Any] | None:
            if len(values) <= least:
                return None
            at = rng.randrange(least, len(values))
            return [*values[:at], value(values, at), *values[at + 1 :]]

        return renumber

    def swapped(values: list[Any], rng: random.Random) -> list[Any] | None:
        if len(values) < 3:
            return None
        at = rng.randrange(1, len(values) - 1)
        return [*values[:at], values[at + 1], values[at], *values[at + 2 :]]

    numbering: tuple[tuple[str, str, str, Renumbering], ...] = (
        ("start", "index.start", "starts too high", shifted(step)),
        ("start_below", "index.start", "starts too low", shifted(-step)),
        ("gap", "index.gap", "leaves a number out", from_one_on(step)),
        ("jump", "index.gap", "leaves a thousand numbers out", from_one_on(1000 * step)),
        ("repeat", "index.repeated", "has a number twice", from_one_on(-step)),
        ("stuck", "index.repeated", "never rises", lambda values, _: [values[0]] * len(values)),
        ("decrease", "index.decreased", "steps back", one(lambda v, n: v[n - 2], 2)),
        ("restart", "index.decreased", "starts again", one(lambda v, n: v[0], 2)),
        ("swapped", "index.gap", "has two numbers swapped", swapped),
        ("backwards", "index.decreased", "counts backwards", lambda v, _: v[::-1]),
        ("string", "field.type", "is a string", one(lambda v, n: str(v[n]), 0)),
        ("float", "field.type", "is a fraction", one(lambda v, n: v[n] + 0.5, 0)),
        ("null", "field.type", "is null", one(lambda v, n: None, 0)),
    )
    for name, code, says, renumber in numbering:
        rule = "index/start" if code == "index.start" else "index/consecutive"
        yield _numbering(contract, name, code, rule, says, renumber)


def _numbering(
    contract: Contract, name: str, code: str, rule: str, says: str, renumber: Renumbering
) -> Fault:
    index = contract.protocol.index
    assert index is not None
    field = index.field

    def apply(chunks: Chunks, rng: random.Random) -> Chunks | None:
        numbered = [n for n, (step, _) in enumerate(chunks) if step.stage not in index.without]
        if not numbered or not all(field.is_in(chunks[n][1]) for n in numbered):
            return None
        values = [field.of(chunks[n][1]) for n in numbered]
        after = renumber(values, rng)
        if after is None or after == values or (name == "backwards" and len(values) < 3):
            return None
        result = list(chunks)
        for n, value in zip(numbered, after, strict=True):
            result = _with(result, n, field, value)
        if code == "field.type":
            at = next(n for n, value in enumerate(after) if value != values[n])
            step, payload = result[numbered[at]]
            place = field.place(payload) or ()
            found = broken_in_chunk(contract, step.stage, payload, place)
            if found is None or found.code != code:
                return None
        return result

    severity = stream_rule(contract, rule)
    says = f"{field} {says}"
    codes = {code} | ({"index.start"} if name == "backwards" else set())
    return Fault(f"index/{name}", "payloads", "stream", frozenset(codes), severity, says, apply)


# --- identity -------------------------------------------------------------------------------------


def _others(value: Any) -> Iterator[Any]:
    """Values like a value, but others."""
    if isinstance(value, str):
        last = "1" if value.endswith("0") else "0"
        like = f"{value[:-1]}{last}"
        for other in (f"{value}0", f"0{value}", value[:-1], value.swapcase(), like, "another"):
            if other != value:
                yield other
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from (value + 1, value - 1)


def of_identity(contract: Contract) -> Iterator[Fault]:
    """Faults of fields that keep their value once it is known."""
    for constant in contract.protocol.constant:
        for for_good in (False, True):
            name = "changed_for_good" if for_good else "changed"
            often = "from a chunk on" if for_good else "in one chunk"
            yield Fault(
                f"constant/{constant.field}/{name}",
                "payloads",
                "stream",
                frozenset({"identity.changed"}),
                stream_rule(contract, f"constant/{constant.field}"),
                f"{often} {constant.field} has another value",
                _changed_identity(contract, constant, for_good),
            )


def _changed_identity(
    contract: Contract, constant: ConstantField, for_good: bool
) -> Callable[[Chunks, random.Random], Chunks | None]:
    def apply(chunks: Chunks, rng: random.Random) -> Chunks | None:
        for field, holders in _holders(constant, chunks):
            numbers = holders[1:]
            rng.shuffle(numbers)
            for number in numbers:
                for other in _others(field.of(chunks[number][1])):
                    targets = [n for n in holders if n >= number] if for_good else [number]
                    result = chunks
                    for target in targets:
                        result = _with(result, target, field, other)
                    if all(_fits(contract, *result[target]) for target in targets):
                        return result
        return None

    return apply


def _holders(constant: ConstantField, chunks: Chunks) -> Iterator[tuple[FieldPath, list[int]]]:
    """Each place that keeps its value, and the numbers of the chunks that have one there (of one
    track, where each track has its own).
    """
    found: dict[tuple[str, Any], list[int]] = {}
    for number, (step, payload) in enumerate(chunks):
        for at, value in constant.field.every(payload):
            if value and not isinstance(value, dict | list):
                track = step.track if constant.per_track else None
                found.setdefault((at, track), []).append(number)
    yield from ((field_path(at), numbers) for (at, _), numbers in found.items())


def _fits(contract: Contract, step: Any, payload: Payload) -> bool:
    stage = stage_of(contract, payload, step.stage)
    schema: Schema = schema_of(contract, step.stage)
    return stage is not None and stage.name == step.stage and is_legal(schema, payload)


def of_rising(contract: Contract) -> Iterator[Fault]:
    """Faults of fields that never fall."""
    for rising in contract.protocol.never_decrease:
        yield Fault(
            f"rising/{rising.field}/fell",
            "payloads",
            "stream",
            frozenset({"progress.decreased"}),
            stream_rule(contract, f"never_decrease/{rising.field}"),
            f"{rising.field} is lower than before",
            _fallen(contract, rising),
        )


def _fallen(
    contract: Contract, rising: NeverDecrease
) -> Callable[[Chunks, random.Random], Chunks | None]:
    field = rising.field

    def apply(chunks: Chunks, rng: random.Random) -> Chunks | None:
        by_track: dict[Any, list[int]] = {}
        for n, (step, payload) in enumerate(chunks):
            if step.stage in rising.stages and isinstance(field.of(payload), int | float):
                by_track.setdefault(step.track if rising.per_track else None, []).append(n)
        pairs = [pair for holders in by_track.values() for pair in pairwise(holders)]
        rng.shuffle(pairs)
        for before, number in pairs:
            value = field.of(chunks[before][1])
            # Either the later one is too low, or the earlier one is too high.
            schemas = field.schemas(schema_of(contract, chunks[before][0].stage))
            bounds = [schema["maximum"] for schema in schemas if "maximum" in schema]
            highest = min(bounds, default=value + 1)
            half = value / 2 if isinstance(value, float) else value // 2
            tries = ((number, value - 1), (number, half), (before, value + 1), (before, highest))
            for at, other in tries:
                result = _with(chunks, at, field, other)
                fell = field.of(result[number][1]) < field.of(result[before][1])
                if fell and _fits(contract, *result[at]):
                    return result
        return None

    return apply


# --- completion -----------------------------------------------------------------------------------


def of_completion(contract: Contract) -> Iterator[Fault]:
    """Faults of the flag that says that the stream is complete."""
    protocol = contract.protocol
    flag = protocol.completion
    if flag is None:
        return
    field = flag.field
    for stage in protocol.stages:
        if stage.failure or stage.anywhere or stage.ends == "stream":
            continue

        def early(chunks: Chunks, rng: random.Random, name: str = stage.name) -> Chunks | None:
            end = ends_at(protocol, [step for step, _ in chunks])
            numbers = [
                n
                for n, (step, payload) in enumerate(chunks)
                if step.stage == name
                and n != end
                and field.of(payload) is False
                and field.is_in(payload)
            ]
            rng.shuffle(numbers)
            for number in numbers:
                result = _with(chunks, number, field, True)
                if _fits(contract, *result[number]):
                    return result
            return None

        yield Fault(
            f"completion/{stage.name}/early",
            "payloads",
            "stream",
            frozenset({"field.value"}),
            stream_rule(contract, "completion/before_last"),
            f"in a chunk of {stage.name} before the last, {field} is true",
            early,
        )

    def never(chunks: Chunks, rng: random.Random) -> Chunks | None:
        end = ends_at(protocol, [step for step, _ in chunks])
        if end is None or field.of(chunks[end][1]) is not True:
            return None
        result = _with(chunks, end, field, False)
        return result if _fits(contract, *result[end]) else None

    severity = stream_rule(contract, "completion/last")
    if severity != "info":
        codes = frozenset({"stream.not_closed"})
        says = f"{field} is false in the last chunk, too"
        yield Fault("completion/never", "payloads", "stream", codes, severity, says, never)
