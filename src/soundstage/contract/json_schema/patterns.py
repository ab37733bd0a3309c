"""The patterns of contracts, run by one engine that gives up: that of `jsonschema-rs`, with a limit
on backtracking and on the size of what a pattern is compiled to.

Every validator of a schema that comes out of data is made here. Nobody may hold such a pattern
against a text with `re`, which has no limit: `(a+)+$` takes it hours to refuse thirty letters.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Set
from functools import cache, lru_cache
from typing import Any, Final

import jsonschema_rs

from soundstage.contract.json_schema.keywords import ANNOTATIONS, VALUES, Inner, Schema, inner
from soundstage.output.cutting import head

#: Steps back that one search may take. Patterns in use take none or a few; the worst that stay
#: below it take some tenths of a second on a text of thousands of characters.
MOST_STEPS: Final = 10_000
#: What a pattern may be compiled to, in bytes: `(a{0,999}){0,999}` is refused.
_LARGEST: Final = 2**20
_OPTIONS: Final = jsonschema_rs.FancyRegexOptions(
    backtrack_limit=MOST_STEPS, size_limit=_LARGEST, dfa_size_limit=_LARGEST
)
#: Characters of a pattern, which a person has to read.
LONGEST: Final = 2_000
_LIMIT: Final = jsonschema_rs.ValidationErrorKind.BacktrackLimitExceeded
_FAILED: Final = jsonschema_rs.ValidationErrorKind.RegexEngineFailure
#: What may stand in a pattern whose texts are made up: repetitions without a limit (or a wide one),
#: which cost a power of the text's length each, and other choices, which cost a factor each.
_FEW: Final = 3
_CHOICES: Final = 16
_WIDE: Final = 10
_MANY_TIMES: Final = 1_000
_REPEATED: Final = re.compile(r"\{([0-9]{1,9})(,?)([0-9]{0,9})\}")


def validator(schema: Any) -> jsonschema_rs.Draft202012Validator:
    """A validator of a schema whose patterns give up, and that fetches nothing.

    Its `is_valid` says no where a pattern gave up; `gave_up` tells. Raises ValueError (or its
    `ValidationError`) for a schema that is none.
    """
    return jsonschema_rs.Draft202012Validator(schema, pattern_options=_OPTIONS, offline=True)


def gave_up(error: jsonschema_rs.ValidationError) -> bool:
    """Whether an error only says that a pattern came to its limit: the value is not judged."""
    return isinstance(error.kind, _LIMIT | _FAILED)


def found_in(pattern: str, text: str) -> bool | None:
    """Whether a pattern is found in a text; None if the engine gave up. Lone surrogates count as
    replacement characters.
    """
    search = _search(pattern)
    text = text.encode("utf-8", "replace").decode()
    if search.is_valid(text):
        return True
    return None if any(map(gave_up, search.iter_errors(text))) else False


@lru_cache(1_000)
def _search(pattern: str) -> jsonschema_rs.Draft202012Validator:
    return validator({"pattern": pattern})


@cache
def can_give_up(pattern: str) -> bool:
    """Whether a pattern may come to the limit: it looks around or back. All others are searched for
    in time that grows with the text alone.
    """
    options = jsonschema_rs.RegexOptions(size_limit=_LARGEST, dfa_size_limit=_LARGEST)
    try:
        jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=options)
    except ValueError:
        return True
    return False


def of_schema(schema: Any) -> Iterator[str]:
    """Every pattern in a resolved schema, those of names included."""
    for each in _everything(schema):
        if isinstance(pattern := each.get("pattern"), str):
            yield pattern
        yield from each.get("patternProperties", ())


def _everything(schema: Schema) -> Iterator[Schema]:
    yield schema
    for each in inner(schema):
        yield from _everything(each.schema)


def given_up(schema: Any, value: Any) -> Iterator[str]:
    """The patterns of a resolved schema that come to the limit in a value."""
    if not isinstance(schema, dict):
        return
    pattern = schema.get("pattern")
    if isinstance(value, str) and pattern is not None and can_give_up(pattern):
        yield from [pattern] if found_in(pattern, value) is None else ()
    for each in inner(schema):
        for below in _values(each, schema, value):
            yield from given_up(each.schema, below)


def _values(part: Inner, schema: Schema, value: Any) -> Iterable[Any]:
    """What a part of a schema is asked about: the value itself, what it holds, or its names."""
    keyword = part.way[0]
    if keyword == "propertyNames":
        return list(value) if isinstance(value, dict) else []
    if keyword in ("contains", "unevaluatedItems", "items", "prefixItems"):
        items = value if isinstance(value, list) else []
        return items[int(part.at[0]) :][:1] if keyword == "prefixItems" else items
    if keyword == "properties":
        held = isinstance(value, dict) and part.at[0] in value
        return [value[part.at[0]]] if held else []
    if keyword in ("patternProperties", "additionalProperties", "unevaluatedProperties"):
        return value.values() if isinstance(value, dict) else []
    return [value]


def without(schema: Any, patterns: Set[str]) -> Any:
    """A resolved schema that does not ask for some patterns."""
    if isinstance(schema, list):
        return [without(each, patterns) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept: Schema = {}
    for keyword, held in schema.items():
        if keyword in VALUES or keyword in ANNOTATIONS or keyword in ("type", "required"):
            kept[keyword] = held
        elif keyword in ("properties", "patternProperties", "dependentSchemas"):
            kept[keyword] = {name: without(each, patterns) for name, each in held.items()}
        else:
            kept[keyword] = without(held, patterns)
    if kept.get("pattern") in patterns:
        del kept["pattern"]
    for pattern in patterns & kept.get("patternProperties", {}).keys():
        del kept["patternProperties"][pattern]
    return kept


@cache
def why_unfit(pattern: str) -> str | None:
    """Why a text cannot be a pattern of a contract: it is none to one of the libraries that read
    it, or too large; None if it can.
    """
    if len(pattern) > LONGEST:
        return f"a pattern of {len(pattern):,} characters; at most {LONGEST:,}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what may mean something else one day
            re.compile(pattern)
        validator({"pattern": pattern})
    except (re.error, ValueError, OverflowError, RecursionError, MemoryError):
        return f"{head(pattern, 100)!r} is no pattern, or too large a one"
    return None


@cache
def is_plain(pattern: str) -> bool:
    """Whether texts may be made up for a pattern by libraries that search with `re`: no group is
    repeated whose length varies, little else is, and nothing refers back. When in doubt, no.
    """
    wide = choices = 0
    times = 1
    alternatives = False
    before = ""
    for token in _tokens(pattern):
        if token.startswith("(?P=") or (token[0] == "\\" and token[1:] in (*"123456789", "k")):
            return False
        repeat = _REPEATED.fullmatch(token)
        least, most = (int(repeat[1]), int(repeat[3] or repeat[1])) if repeat else (0, 0)
        if token in ("*", "+") or (repeat and repeat[2]):
            if before == ")":
                return False
            if repeat and repeat[3] and most - least <= _WIDE:
                choices += 1
            else:
                wide += 1
        elif repeat and before == ")":
            times *= max(1, least)
        elif token == "?" and before not in ("(", "*", "+", "?") and before[-1:] != "}":
            choices += 1
        elif token == "|":
            alternatives = True
        elif token == ")":
            choices += alternatives
            alternatives = False
        if max(least, most) > _MANY_TIMES:
            return False
        before = token
    return choices * times <= _CHOICES and wide <= (_FEW if times == 1 else 0)


def _tokens(pattern: str) -> Iterator[str]:
    """The parts of a pattern: an escape, a class of characters, a repetition, or one character."""
    at = 0
    while at < len(pattern):
        end = at + 1
        if pattern[at] == "\\":
            end = at + 2
        elif pattern[at] == "[":
            end = at + 2 + pattern.startswith("^", at + 1)
            while end < len(pattern) and pattern[end] != "]":
                end += 2 if pattern[end] == "\\" else 1
            end += 1
        elif found := _REPEATED.match(pattern, at):
            end = found.end()
        elif pattern.startswith("(?P=", at):
            end = at + 4
        yield pattern[at:end]
        at = end
