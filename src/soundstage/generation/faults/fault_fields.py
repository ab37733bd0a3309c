"""Faults of single fields: of every stage's chunks, of results and of printed errors.

For each place that a schema names, values are tried that it may rule out; one that the data does
not forbid there makes no fault.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from soundstage.contract import Contract
from soundstage.contract.json_schema.field_schemas import Schema
from soundstage.contract.json_schema.keywords import is_open, plain
from soundstage.contract.roles import URL_ROLES, role_of
from soundstage.generation.faults.fault import Chunks, Fault
from soundstage.generation.faults.legality import Illegality, Path, broken_in_chunk, told_by
from soundstage.generation.payloads import gathered
from soundstage.generation.story import Payload


class _Missing:
    """Stands for a field that is taken away."""


MISSING: Final = _Missing()
#: A value of each JSON type, most like what else may stand there.
_TYPES: Final[tuple[tuple[str, str, Callable[[Any], Any]], ...]] = (
    ("null", "null", lambda value: None),
    ("boolean", "boolean", lambda value: value != 0),
    ("integer", "integer", lambda value: 1),
    ("number", "number", lambda value: 0.5),
    ("string", "string", lambda value: str(value).lower() if value is not None else "null"),
    ("array", "array", lambda value: [] if isinstance(value, dict | list) else [value]),
    ("object", "object", lambda value: {}),
)
_MALFORMED_URLS: Final = (
    ("relative", "/songs/1.mp3"),
    ("no_scheme", "storage.example/songs/1.mp3"),
    ("scheme_relative", "//storage.example/songs/1.mp3"),
    ("other_scheme", "ftp://storage.example/songs/1.mp3"),
    ("file", "file:///songs/1.mp3"),
    ("one_slash", "https:/storage.example/songs/1.mp3"),
    ("no_host", "https:///songs/1.mp3"),
    ("scheme_only", "https://"),
    ("space", "https://storage.example/my song.mp3"),
    ("line_end", "https://storage.example/song.mp3\n"),
    ("words", "not a URL"),
)
_MISMATCHES: Final = ("!", "-", "x", "0", " ", "no such text")
_NO_SUCH: Final = "no-such-value"
#: An array that is too long by one is made up of at most so many items.
_MOST_ITEMS: Final = 10_000
#: The name of a field that no page documents.
EXTRA: Final = "undocumented_field"

Change = Callable[[Any], Any]


class FieldPlace(NamedTuple):
    """A place in a schema: property names, "*" for one item of an array, the number of one that has
    a schema of its own.
    """

    path: tuple[str, ...]
    schema: Schema
    required: bool


def places(schema: Schema, path: tuple[str, ...] = ()) -> Iterator[FieldPlace]:
    """Every place below a schema."""
    for name, inner in schema.get("properties", {}).items():
        here = (*path, name)
        inner = gathered(plain(inner))
        yield FieldPlace(here, inner, name in schema.get("required", ()))
        yield from _below(inner, here)


def _below(schema: Schema, path: tuple[str, ...]) -> Iterator[FieldPlace]:
    yield from places(schema, path)
    for number, item in enumerate(schema.get("prefixItems", ())):
        here, item = (*path, str(number)), gathered(plain(item))
        yield FieldPlace(here, item, False)
        yield from _below(item, here)
    if isinstance(schema.get("items"), dict):
        here, items = (*path, "*"), gathered(schema["items"])
        yield FieldPlace(here, items, False)
        yield from _below(items, here)


def changes(place: FieldPlace) -> Iterator[tuple[str, str, Change]]:
    """(name, what it does in words, the change) of each that may break a place."""
    schema = place.schema
    field = ".".join(place.path)
    kinds = schema.get("type", [])
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    if place.required:
        yield "missing", f"{field} is missing", lambda value: MISSING
    for name, kind, change in _TYPES:
        if kind not in kinds and not (kind == "integer" and "number" in kinds):
            yield name, f"{field} is of the type {kind}", change
    for kind, empty in (("string", ""), ("array", []), ("object", {})):
        if kind in kinds:
            yield "empty", f"{field} is an empty {kind}", _put(empty)
    yield from _out_of_range(schema, field)
    if "const" in schema:
        yield "other", f"{field} has another value", _another
    values = [schema["const"]] if "const" in schema else schema.get("enum", ())
    if "enum" in schema:
        yield "other", f"{field} has a value that is not listed", lambda value: _NO_SUCH
    if any(isinstance(value, str) for value in values):
        yield "case", f"{field} is written in the wrong case", _swapcase
    if role_of(schema) in URL_ROLES:
        for name, url in _MALFORMED_URLS:
            yield f"url_{name}", f"{field} is {url!r}", _put(url)
    elif "pattern" in schema:
        for number, text in enumerate(_MISMATCHES):
            yield f"mismatch_{number}", f"{field} is {text!r}", _put(text)


def _put(value: Any) -> Change:
    return lambda before: value


def _out_of_range(schema: Schema, field: str) -> Iterator[tuple[str, str, Change]]:
    if "minimum" in schema:
        yield "below", f"{field} is below its minimum", lambda value: schema["minimum"] - 1
    if "maximum" in schema:
        yield "above", f"{field} is above its maximum", lambda value: schema["maximum"] + 1
    for word in ("exclusiveMinimum", "exclusiveMaximum"):
        if word in schema:
            yield word, f"{field} is at a bound that it must not reach", _put(schema[word])
    if schema.get("multipleOf"):
        half = schema["multipleOf"] / 2
        yield "between", f"{field} lies between two steps", lambda value: (value or 0) + half
    if "maxLength" in schema and schema["maxLength"] < _MOST_ITEMS:
        text = "-" * (schema["maxLength"] + 1)
        yield "long", f"{field} is too long", _put(text)
    if schema.get("uniqueItems"):
        yield "item_twice", f"{field} has an item twice", lambda value: _twice(value)
    if schema.get("minLength", 0) > 1:
        yield "short", f"{field} is too short", lambda value: "-" * (schema["minLength"] - 1)
    if schema.get("minItems", 0) > 0:
        few = schema["minItems"] - 1
        yield "too_few", f"{field} has too few items", lambda value: _items(value, few)
    if "maxItems" in schema and schema["maxItems"] < _MOST_ITEMS:
        many = schema["maxItems"] + 1
        yield "too_many", f"{field} has too many items", lambda value: _items(value, many)


def _items(value: Any, number: int) -> Any:
    items = list(value) if isinstance(value, list) else []
    return (items * (number + 1) or [None] * number)[:number]


def _twice(value: Any) -> Any:
    return [*value, value[0]] if isinstance(value, list) and value else [None, None]


def _another(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value - 1
    return _NO_SUCH


def _swapcase(value: Any) -> Any:
    return value.swapcase() if isinstance(value, str) else _NO_SUCH.upper()


# --- applying a change ----------------------------------------------------------------------------


def changed(
    value: Any, path: Iterable[str], change: Change, rng: random.Random
) -> tuple[Any, Path] | None:
    """A copy of `value` with the place at `path` changed, and where that is; of an array one item.
    None if there is no such place.
    """
    result = copy.deepcopy(value)
    at: list[str | int] = []
    holder: Any = result
    parts = list(path)
    for number, part in enumerate(parts):
        key: Any = part
        if isinstance(holder, list) and part.isdecimal() and int(part) < len(holder):
            key = int(part)
        elif part == "*":
            if not (isinstance(holder, list) and holder):
                return None
            key = rng.randrange(len(holder))
        elif not isinstance(holder, dict):
            return None
        at.append(key)
        if number < len(parts) - 1:
            if isinstance(holder, dict) and part not in holder:
                return None
            holder = holder[key]
    before = holder[key] if isinstance(holder, list) else holder.get(key, MISSING)
    after = change(None if before is MISSING else before)
    if after is MISSING:
        if before is MISSING:
            return None
        del holder[key]
    else:
        holder[key] = copy.deepcopy(after)
    return (result, tuple(at)) if after is not before else None


Judged = Callable[[Payload, Path], Illegality | None]


def field_fault(
    name: str,
    of: str,
    stage: str,
    place: FieldPlace,
    change: tuple[str, Change],
    judged: Judged,
    samples: list[Payload],
    *,
    of_failure: bool = False,
) -> Fault | None:
    """The fault that makes `change` in chunks of `stage`, if any of the samples is broken by it."""
    what, make = change

    def broken(payload: Payload, rng: random.Random) -> tuple[Payload, Illegality] | None:
        found = changed(payload, place.path, make, rng)
        if found is None:
            return None
        why = judged(*found)
        return None if why is None else (found[0], why)

    first = next(filter(None, (broken(each, random.Random(0)) for each in samples)), None)
    if first is None:
        return None
    expected = first[1]

    def apply(chunks: Chunks, rng: random.Random) -> Chunks | None:
        numbers = [number for number, (step, _) in enumerate(chunks) if step.stage == stage]
        rng.shuffle(numbers)
        for number in numbers:
            step, payload = chunks[number]
            found = broken(payload, rng)
            if found is not None and found[1] == expected:
                return [*chunks[:number], (step, found[0]), *chunks[number + 1 :]]
        return None

    return Fault(
        name,
        "payloads",
        of,
        frozenset({expected.code}),
        expected.severity,
        what,
        apply,
        of_failure,
    )


def _undocumented(documented: Iterable[str]) -> str:
    name = EXTRA
    while name in documented:
        name += "_"
    return name


def of_stages(contract: Contract, samples: dict[str, list[Payload]]) -> Iterator[Fault]:
    """Faults of the fields of every stage; `samples` are chunks of each."""
    protocol = contract.protocol
    endpoint = told_by(contract)
    for stage in protocol.stages:

        def judged(payload: Payload, path: Path, name: str = stage.name) -> Illegality | None:
            return broken_in_chunk(contract, name, payload, path)

        listed = stage.schema
        others: Schema = {
            "properties": {
                name: schema
                for name, schema in protocol.fields.items()
                if name not in listed.get("properties", {})
            }
        }
        for family, schema in (("field", listed), ("unlisted", others)):
            for place in places(schema):
                for label, says, make in changes(place):
                    name = f"{family}/{stage.name}/{'.'.join(place.path)}/{label}"
                    found = field_fault(
                        name,
                        "stream",
                        stage.name,
                        place,
                        (f"in a chunk of {stage.name}, {says}", make),
                        judged,
                        samples[stage.name],
                        of_failure=stage.failure,
                    )
                    if found is not None:
                        yield found
        if not is_open(stage.schema):
            yield extra_field(
                contract, endpoint.name, "stream", stage.name, f"undocumented/{stage.name}"
            )


def extra_field(contract: Contract, endpoint: str, of: str, stage: str, name: str) -> Fault:
    """A field in chunks of `stage`, or in the result, that no page documents."""
    known = {*contract.protocol.fields}
    for each in contract.stages:
        known |= each.schema.get("properties", {}).keys()
    response = contract.endpoints[endpoint].response or {}
    extra = _undocumented(known | response.get("properties", {}).keys())

    def apply(chunks: Chunks, rng: random.Random) -> Chunks | None:
        numbers = [number for number, (step, _) in enumerate(chunks) if step.stage == stage]
        if not numbers:
            return None
        number = rng.choice(numbers)
        step, payload = chunks[number]
        return [*chunks[:number], (step, {**payload, extra: 1}), *chunks[number + 1 :]]

    rule = contract.rules[f"{contract.api}/{endpoint}/undocumented"]
    says = f"a field that the page does not document in {stage}"
    failing = stage in contract.protocol.by_name and contract.protocol.by_name[stage].failure
    codes = frozenset({"field.undocumented"})
    return Fault(name, "payloads", of, codes, rule.severity, says, apply, failing)
