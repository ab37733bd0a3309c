"""Makes up values for any schema, from a seed.

The schema is brought to its canonical form first (`jsonschema_rs.canonicalize`: alternatives are
spelled out, what holds together is put together), values are drawn from that, and each is held
against the schema as it was written. Recursion is bounded, and so is the number of tries: what
cannot be met in so many is not proved impossible, only not found.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import jsonschema_rs
import orjson
import rstr
from jsonschema_rs import canonical

from soundstage.contract.json_schema import patterns
from soundstage.contract.json_schema.keywords import ANY, Schema, inner
from soundstage.contract.json_schema.plain import for_strict_readers

#: Draws until a value is given up that does not meet its schema.
TRIES: Final = 200
#: Objects and arrays below this hold only what they must.
_DEEP: Final = 4
_DEEPEST: Final = 24
_FEW_ITEMS: Final = 2
#: How often nothing is done for an array to hold what it must, and texts drawn for one of several
#: patterns until they meet the others.
_UNFORCED: Final = 0.2
_TEXTS_DRAWN: Final = 20
_WORDS: Final = (
    "amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "harbor", "island", "juniper",
)  # fmt: skip
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_SPAN: Final = 100
#: Stands beside `pattern` for all that a text must meet; never outside of this file.
_PATTERNS: Final = "x-patterns"
_KINDS: Final = ("object", "array", "string", "integer", "number", "boolean", "null")
#: A place in a value: names of members and numbers of items.
Place = tuple[str, ...]


class Candidates(tuple[Any, ...]):
    """Values of a place, of which the first is taken that its schema allows."""

    __slots__ = ()


class Knowledge:
    """What is known about the values of places, whatever their schema says; here: nothing."""

    def value(self, place: Place) -> Any:
        """The value of a place, or `Candidates`; MISSING if nobody knows."""
        return MISSING

    def items(self, place: Place) -> int | None:
        """How many items an array has, as far as its schema lets it; None if nobody knows."""
        return None

    def has(self, place: Place) -> bool:
        """Whether a member is there that may be left out."""
        return True


class _Unknown:
    """Stands for a value that is still to be drawn."""


MISSING: Final = _Unknown()
_NOTHING: Final = Knowledge()


class Unmet(ValueError):
    """No value was found that meets a schema."""


class SchemaSampler:
    """Draws values that meet a schema. `roles` are the roles of the places in it that have one."""

    def __init__(self, schema: Schema) -> None:
        self._meets = patterns.validator(schema).is_valid
        self.roles: dict[Place, str] = {}
        _roles(schema, (), self.roles, 0)
        plain = for_strict_readers(schema)
        try:
            self._canonical: Any = jsonschema_rs.canonicalize(plain, offline=True).to_json_schema()
        except (ValueError, canonical.CanonicalizationError):
            self._canonical = plain  # beyond the library's bounds: drawn as it is, and checked

    def role_at(self, place: Place) -> str | None:
        """The role of a place, None if it has none."""
        if (found := self.roles.get(place)) is None and self.roles:
            found = self.roles.get(tuple(ANY if part.isdecimal() else part for part in place))
        return found

    def draw(self, rng: random.Random, fill: Knowledge = _NOTHING, *, tries: int = TRIES) -> Any:
        """A value that meets the schema. `fill` knows the values of some places; where one of them
        does not meet its schema, it is drawn like any other. Raises Unmet after so many `tries`.
        """
        for tried in range(tries):
            known = fill if tried <= tries // 2 else _NOTHING
            try:
                value = self._value(self._canonical, (), rng, known, 0)
            except Unmet:
                continue
            if self._meets(value):
                return value
        raise Unmet(f"no value found in {tries:,} tries")

    # --- by keyword -------------------------------------------------------------------------------

    def _value(
        self, schema: Any, place: Place, rng: random.Random, fill: Knowledge, depth: int
    ) -> Any:
        if schema is False or depth > _DEEPEST:
            raise Unmet
        schema = {} if schema is True else schema
        known = fill.value(place)
        for each in known if isinstance(known, Candidates) else (known,):
            if each is not MISSING and _fits(schema, each):
                return each
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return rng.choice(schema["enum"])
        for word in ("anyOf", "oneOf"):
            if word in schema:
                return self._one_of(schema, word, place, rng, fill, depth)
        if "allOf" in schema:
            rest = {key: each for key, each in schema.items() if key != "allOf"}
            for part in schema["allOf"]:
                rest = _both(rest, part if isinstance(part, dict) else {})
            return self._value(rest, place, rng, fill, depth + 1)
        kinds = schema.get("type") or _implied(schema)
        kinds = [kinds] if isinstance(kinds, str) else list(kinds)
        kind = rng.choice([each for each in kinds if each != "null"] or kinds)
        return self._of_kind(kind, schema, place, rng, fill, depth)

    def _one_of(
        self,
        schema: Schema,
        word: str,
        place: Place,
        rng: random.Random,
        fill: Knowledge,
        depth: int,
    ) -> Any:
        rest = {key: each for key, each in schema.items() if key != word}
        branches = list(schema[word])
        rng.shuffle(branches)
        # Null only where nothing else would do: a field that is there says more.
        branches.sort(key=lambda each: isinstance(each, dict) and each.get("type") == "null")
        for branch in branches:
            if branch is False:
                continue
            try:
                both = _both(rest, branch if isinstance(branch, dict) else {})
                return self._value(both, place, rng, fill, depth + 1)
            except Unmet:
                continue
        raise Unmet

    def _of_kind(
        self,
        kind: str,
        schema: Schema,
        place: Place,
        rng: random.Random,
        fill: Knowledge,
        depth: int,
    ) -> Any:
        match kind:
            case "null":
                return None
            case "boolean":
                return rng.random() < 0.5
            case "integer":
                return _integer(schema, rng)
            case "number":
                return _number(schema, rng)
            case "string":
                return _string(schema, rng)
            case "array":
                return self._array(schema, place, rng, fill, depth)
        return self._object(schema, place, rng, fill, depth)

    def _array(
        self, schema: Schema, place: Place, rng: random.Random, fill: Knowledge, depth: int
    ) -> list[Any]:
        first = schema.get("prefixItems", [])
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        holds = schema.get("minContains", 1) if "contains" in schema else 0
        usual = len(first) + (_FEW_ITEMS if depth < _DEEP and schema.get("items") else 0)
        if holds and schema.get("items", True) is not False:
            usual = max(usual, len(first) + holds)
        known = fill.items(place)
        many = max(least, usual if known is None else known, holds)
        many = many if most is None else min(many, most)
        if holds and rng.random() < _UNFORCED:
            holds = 0  # what is there anyway may be what it must hold
        items: list[Any] = []
        for number in range(many):
            which = first[number] if number < len(first) else schema.get("items", True)
            at = (*place, str(number))
            if number >= many - holds:
                which = _both(which if isinstance(which, dict) else {}, schema["contains"])
            for _ in range(20):
                item = self._value(which, at, rng, fill, depth + 1)
                if not schema.get("uniqueItems") or item not in items:
                    break
            items.append(item)
        return items

    def _object(
        self, schema: Schema, place: Place, rng: random.Random, fill: Knowledge, depth: int
    ) -> dict[str, Any]:
        properties: Mapping[str, Any] = schema.get("properties", {})
        needed = set(schema.get("required", ()))
        for name, others in schema.get("dependentRequired", {}).items():
            if name in needed or name in properties:
                needed |= set(others)
        value: dict[str, Any] = {}
        most = schema.get("maxProperties", math.inf)
        for name, each in properties.items():
            free = each is not False and depth < _DEEP and len(value) + len(needed) < most
            if name in needed or (free and fill.has((*place, name))):
                value[name] = self._value(each, (*place, name), rng, fill, depth + 1)
        for name in sorted(needed - value.keys()):
            value[name] = self._value(_other(schema, name), (*place, name), rng, fill, depth + 1)
        while len(value) < schema.get("minProperties", 0):
            name = self._name(schema, rng, value)
            value[name] = self._value(_other(schema, name), (*place, ANY), rng, fill, depth + 1)
        return value

    @staticmethod
    def _name(schema: Schema, rng: random.Random, taken: Mapping[str, Any]) -> str:
        named = schema.get("propertyNames", {})
        known: list[str | None] = [*schema.get("patternProperties", {})]
        if schema.get("additionalProperties") is not False or not known:
            known.append(None)
        for _ in range(50):
            if isinstance(named, dict) and named:
                asked = named.get("pattern")
                name = _string(named, rng) if "enum" not in named else rng.choice(named["enum"])
            else:
                asked = rng.choice(known)
                name = rng.choice(_WORDS) if asked is None else _like(asked, rng)
            if asked is not None and name in taken:
                name = _longer(name, asked, len(name) + 1, rng)
            if name not in taken:
                return str(name)
        raise Unmet


@lru_cache(1_000)
def _sampler(text: bytes) -> SchemaSampler:
    return SchemaSampler(orjson.loads(text))


def sampler_of(schema: Schema) -> SchemaSampler:
    """The sampler of a schema, made once."""
    return _sampler(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS))


def _roles(schema: Schema, place: Place, found: dict[Place, str], depth: int) -> None:
    if depth > _DEEPEST:
        return
    if role := schema.get("x-role"):
        found.setdefault(place, str(role))
    for each in inner(schema):
        _roles(each.schema, place + each.at, found, depth + 1)


def _fits(schema: Schema, value: Any) -> bool:
    return bool(_validator(orjson.dumps(schema)).is_valid(value))


@lru_cache(1_000)
def _validator(schema: bytes) -> jsonschema_rs.Draft202012Validator:
    return patterns.validator(orjson.loads(schema))


def _other(schema: Schema, name: str) -> Any:
    """The schema of a property that is not described by its name."""
    for pattern, each in schema.get("patternProperties", {}).items():
        if patterns.found_in(pattern, name):
            return each
    return schema.get("additionalProperties", True)


def _both(a: Schema, b: Schema) -> Schema:
    """What meets both: the keywords of one beside those of the other. Where they are about the same
    thing the narrower counts, as far as that can be told; the validator has the last word.
    """
    found = {**a, **b}
    for word in a.keys() & b.keys():
        mine, theirs = a[word], b[word]
        if word == "properties":
            shared = mine.keys() & theirs.keys()
            both = {
                name: _both(mine[name], theirs[name])
                for name in shared
                if isinstance(mine[name], dict) and isinstance(theirs[name], dict)
            }
            found[word] = {**mine, **theirs, **both}
        elif word == "required":
            found[word] = [*dict.fromkeys([*mine, *theirs])]
        elif word.startswith(("min", "exclusiveMin")):
            found[word] = max(mine, theirs)
        elif word.startswith(("max", "exclusiveMax")):
            found[word] = min(mine, theirs)
        elif word == "enum":
            found[word] = [value for value in mine if value in theirs] or theirs
        elif word == "type":
            found[word] = _shared_types(mine, theirs)
        elif word == "pattern":
            found[word] = max(mine, theirs, key=len)  # likely to say more
            found[_PATTERNS] = [*a.get(_PATTERNS, ()), *b.get(_PATTERNS, ()), mine, theirs]
    return found


def _shared_types(a: str | list[str], b: str | list[str]) -> list[str]:
    """The types that are both; an integer is a number. Raises Unmet if there is none."""
    mine, theirs = ([each] if isinstance(each, str) else each for each in (a, b))
    found = [each for each in mine if each in theirs or (each == "integer" and "number" in theirs)]
    if "number" in mine and "integer" in theirs:
        found.append("integer")
    if not found:
        raise Unmet
    return found


def _implied(schema: Schema) -> Sequence[str]:
    """The types that keywords speak of, where none is named."""
    if schema.keys() & {"properties", "required", "minProperties", "patternProperties"}:
        return ("object",)
    if schema.keys() & {"items", "prefixItems", "minItems", "contains"}:
        return ("array",)
    if schema.keys() & {"minLength", "maxLength", "pattern"}:
        return ("string",)
    if schema.keys() & {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}:
        return ("number",)
    return ("string", "integer", "boolean")


def _bounds(schema: Schema) -> tuple[float, float]:
    low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    if low == -math.inf:
        low = 0 if high >= 0 else high - _SPAN
    return low, (low + _SPAN if high == math.inf else high)


def _integer(schema: Schema, rng: random.Random) -> int:
    low, high = _bounds(schema)
    step = schema.get("multipleOf", 1)
    first, last = math.ceil(low), math.floor(high)
    first += "exclusiveMinimum" in schema and first == schema["exclusiveMinimum"]
    last -= "exclusiveMaximum" in schema and last == schema["exclusiveMaximum"]
    if isinstance(step, int) and step > 1:
        small, large = -(-first // step), last // step
        if "maximum" not in schema and "exclusiveMaximum" not in schema:
            large = max(large, small + _SPAN)
        if small > large:
            raise Unmet
        return rng.randint(small, large) * step
    if first > last:
        raise Unmet
    return rng.randint(first, last)


def _number(schema: Schema, rng: random.Random) -> float:
    low, high = _bounds(schema)
    step = schema.get("multipleOf")
    if step:
        many = rng.randint(math.ceil(low / step), max(1, math.floor(high / step)))
        return round(float(many * step), 12)
    if low == high:
        return float(low)
    inside = low + (high - low) * rng.uniform(0.05, 0.95)
    return round(inside, 6) if high - low > 1e-3 else inside


def _string(schema: Schema, rng: random.Random) -> str:
    if "const" in schema:
        return str(schema["const"])
    least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
    if (pattern := schema.get("pattern")) is not None:
        others = [each for each in schema.get(_PATTERNS, ()) if each != pattern]
        for _ in range(_TEXTS_DRAWN):
            text = _longer(_like(pattern, rng), pattern, least, rng)
            if all(patterns.found_in(each, text) for each in others):
                return text
        raise Unmet
    text = " ".join(rng.choice(_WORDS) for _ in range(rng.randint(1, 3)))
    while len(text) < least:
        text += f" {rng.choice(_WORDS)}"
    return text if len(text) <= most else text[: int(max(most, 0))].strip() or "x" * int(most)


def _longer(text: str, pattern: str, least: int, rng: random.Random) -> str:
    """A text that a pattern is found in, of so many characters where something may follow it."""
    if pattern.endswith("$"):
        return text
    return text + "".join(rng.choice(_LETTERS) for _ in range(least - len(text)))


def _like(pattern: str, rng: random.Random) -> str:
    """A text that a pattern is found in, where one can be made up for it in no time."""
    if not patterns.is_plain(pattern):
        raise Unmet
    try:
        return str(rstr.Rstr(rng).xeger(pattern))
    except (ValueError, KeyError, RecursionError, OverflowError) as error:
        raise Unmet from error
