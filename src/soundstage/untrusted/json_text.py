"""Strict JSON text (RFC 8259): bytes in, a value and the problems of the text out.

Nothing is forgiven and nothing is hidden: what Python's and other parsers pass over in silence
(NaN, equal keys, lone surrogates, integers that turn into floats) is reported, or kept exactly.
Most texts are proved harmless by orjson and a few counts; the others are read again, strictly.

Never here: what a chunk should contain.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, InvalidOperation
from functools import lru_cache
from itertools import islice
from typing import Any, Final, NamedTuple

import orjson

from soundstage.output.cutting import cut, head, part

#: Every code that a `Problem` can carry, and what it says.
CODES: Final = {
    "json.empty": "no text at all, or only white space",
    "json.syntax": "not JSON by the grammar of RFC 8259, section 2",
    "json.nan": "NaN, Infinity or -Infinity: not numbers of JSON (section 6)",
    "json.duplicate_key": "an object has the same key twice (section 4)",
    "json.lone_surrogate": "an escape names half of a surrogate pair (section 8.2)",
    "json.invalid_utf8": "the bytes are not UTF-8 (section 8.1)",
    "json.trailing_text": "more text after the end of the value (section 2)",
    "json.too_deep": "arrays and objects are nested deeper than the cap (section 9)",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a text. `path` is a JSON pointer (RFC 6901), "" for the whole text;
    `offset` counts bytes from the start of the text, None where only the pointer is known. `times`:
    how many it stands for, itself and those of its code that were not kept.
    """

    code: str
    message: str
    path: str = ""
    offset: int | None = None
    times: int = 1


class Parsed(NamedTuple):
    """What a text says. `ok`: it could be read, so `value` is usable, though perhaps repaired:
    of equal keys the last wins; a lone surrogate or an invalid byte became U+FFFD. Not `ok`:
    `value` is None and `problems` says why.

    Numbers are exact. An integer is an int, of more than 4,300 digits a Decimal (Python refuses
    to print such an int). A number with fraction or exponent is a float, or a Decimal where the
    float would be infinite or would lose everything to zero. Exponents beyond Decimal's own range
    (10**18) are clamped to its ends: the sign and the order stay right.
    """

    value: Any
    problems: tuple[Problem, ...] = ()
    ok: bool = True


#: The code of a text with more values than anybody reads: a bound of ours, no fault of the text.
TOO_MANY: Final = "cap.event_values"
#: Values that a text may hold. Fifteen megabytes of `[{},{},…]` are a legal event; as Python's
#: objects they would be seven hundred.
MOST_VALUES: Final = 200_000
#: About as deep as Python's own parser goes.
_PYTHON_NESTS: Final = 900
#: Less than orjson writes.
_ORJSON_NESTS: Final = 250
#: Problems of one code that are kept of a text; more are counted.
MOST_PROBLEMS: Final = 20
_LONGEST_PATH: Final = 300

_SCALARS: Final = frozenset((str, int, bool, type(None)))
#: Of an object with more members, it is not remembered how many quotes its text has.
_FEW_MEMBERS: Final = 64
#: What ends a key. Also matches inside strings (`:` first in a value, after an escaped quote).
_KEY_END: Final = re.compile(rb'"[ \t\n\r]*:')
#: Below this, an orjson float cannot be an integer that did not fit into 64 bits.
_FLOAT_IS_FLOAT: Final = 2.0**63
#: A shorter text cannot hold too many values: each but the first takes two bytes at least.
MANY_BYTES: Final = 2 * MOST_VALUES


def parse(raw: bytes, max_depth: int = 128) -> Parsed:
    """Read one JSON text; never raises for anything in `raw`.

    `max_depth` is how many arrays and objects may be open at once (`[]` is 1). Whatever is asked
    for, a text that Python's own parser cannot nest (about 900) is `json.too_deep`. One with more
    than `MOST_VALUES` is not read: its only problem is `TOO_MANY`, which is none of `CODES`.
    """
    seen = proved(raw, max_depth)
    return Parsed(seen[0]) if seen is not None else read_closely(raw, max_depth)


def proved(raw: bytes, max_depth: int = 128) -> tuple[Any, tuple[type, ...]] | None:
    """What a text says, as `parse` gives it, and the types of an object's members (of anything
    else, no types); None where a glance does not prove that nothing is hidden in the text.
    """
    if len(raw) > MANY_BYTES and _holds_too_many(raw):
        return None
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    types: tuple[type, ...] = tuple(map(type, value.values())) if type(value) is dict else ()
    return (value, types) if is_proved(raw, value, types, max_depth) else None


def is_proved(raw: bytes, value: Any, types: tuple[type, ...], max_depth: int) -> bool:
    """Whether nothing is hidden in a text of at most `MANY_BYTES` that orjson read as `value`;
    `types` are those of an object's members.
    """
    # A text has two quotes for each member's key and for each string, equal keys included, and
    # those that are escaped; orjson's value has fewer members if keys were equal. Equal counts are
    # therefore proof that no key came twice; unequal ones are a doubt. So it is with the ends of
    # keys, which look like one inside strings at times.
    if type(value) is dict:
        quotes = _quotes(types) if len(types) <= _FEW_MEMBERS else quotes_of(types)
        if quotes is not None and max_depth > 0:
            return raw.count(b'"') == quotes or len(_KEY_END.findall(raw)) == len(types)
    # Brackets inside strings count too: too many is a doubt, never a miss.
    brackets = raw.count(b"{") + raw.count(b"[")
    if brackets > max_depth:
        return False
    # What reads the same when it is written again hides nothing, wherever its spaces stand: a third
    # of the time that counting takes.
    if brackets < _ORJSON_NESTS and _bare(orjson.dumps(value)) == _bare(raw):
        return True
    members, strings = _counted(value)
    return raw.count(b'"') == 2 * (members + strings) or len(_KEY_END.findall(raw)) == members


def read_closely(raw: bytes, max_depth: int = 128) -> Parsed:
    """What `parse` gives, of a text that is not `proved`."""
    if len(raw) > MANY_BYTES and _holds_too_many(raw):
        message = f"more than {MOST_VALUES:,} values in one text"
        problem = _too_deep(raw, min(max_depth, _PYTHON_NESTS)) or Problem(TOO_MANY, message)
        return Parsed(None, (problem,), False)
    return parse_strictly(raw, max_depth=max_depth)


def quotes_of(types: tuple[type, ...]) -> int | None:
    """How many quotes the text of an object has whose members are of these types, but those that
    are escaped; None if one is an array, an object, or a float, which is looked at more closely.
    """
    return 2 * (len(types) + types.count(str)) if _SCALARS.issuperset(types) else None


#: Objects of one stream have the same members again and again.
_quotes: Final = lru_cache(1_024)(quotes_of)


def _bare(text: bytes) -> bytes:
    return text.replace(b" ", b"")


#: No text has as many quotes, or members.
_DOUBTFUL: Final = (-1, 0)


def _counted(value: Any) -> tuple[int, int]:
    """How many members and strings there are in an orjson value; `_DOUBTFUL` if a float may hide
    something.
    """
    members = strings = 0
    containers: list[Any] = [(value,)]  # grows while it is walked
    for container in containers:
        items: Iterable[Any] = container
        if type(container) is dict:
            members += len(container)
            items = container.values()
        for item in items:
            kind = type(item)
            if kind is str:
                strings += 1
            elif kind is dict or kind is list:
                containers.append(item)
            elif kind is float and (item == 0.0 or abs(item) >= _FLOAT_IS_FLOAT):
                return _DOUBTFUL
    return members, strings


# --- the strict way ---------------------------------------------------------------------------

_WHITE: Final = b" \t\n\r"
_BOM: Final = b"\xef\xbb\xbf"
#: Python's default limit; a longer int can be made but not printed, so it is a trap for messages.
_MAX_INT_DIGITS: Final = 4300
#: Strings are matched so that what stands inside them is skipped; possessive, hence linear.
_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
_BRACKET: Final = re.compile(_STRING + rb"|[\[\]{}]", re.DOTALL)
_CONSTANT: Final = re.compile(_STRING + rb"|NaN|-?Infinity", re.DOTALL)
_SURROGATE_ESCAPE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
#: All up to what may begin a value, whatever stands in strings. Matches at any place, so that a
#: search is never begun twice.
_TO_VALUE: Final = re.compile(rb'(?:[^",\[{]++|' + _STRING + rb")*+(?:[,\[{]|\Z)", re.DOTALL)


class _NonFinite(str):
    """NaN, Infinity or -Infinity, as found."""

    __slots__ = ()


class _Members(list[tuple[str, Any]]):
    """An object as the parser saw it: equal keys still apart."""

    __slots__ = ()


def parse_strictly(raw: bytes, *, max_depth: int = 128) -> Parsed:
    """What `parse` gives, found the slow way: by the standard library's parser with every hook
    set. Also the reference against which the fast way is tested.
    """
    if not raw.strip(_WHITE):
        return _refused("json.empty", "the text is empty", 0)
    if raw.startswith(_BOM):
        return _refused("json.syntax", "a byte order mark before the text is not JSON", 0)
    if b"\0" in raw[:2]:
        # The first two characters of a text are ASCII, so a zero byte can only be half of one.
        return _refused("json.invalid_utf8", "this looks like UTF-16 or UTF-32, not UTF-8", 0)
    problems: list[Problem] = []
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        problems.append(_not_utf8(raw, error))
        text = raw.decode("utf-8", "replace")
    if too_deep := _too_deep(raw, max_depth):
        return Parsed(None, (*problems, too_deep), False)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        # One cause, one problem: a broken byte is reported, not the syntax it broke.
        return Parsed(None, tuple(problems or [_syntax(text, error)]), False)
    except RecursionError:
        problems.append(Problem("json.too_deep", "nested deeper than Python's parser can go"))
        return Parsed(None, tuple(problems), False)
    reading = _JsonReader(raw, problems)
    try:
        value = reading.value(value, None)
    except RecursionError:
        problems.append(Problem("json.too_deep", "nested deeper than Python can go"))
        return Parsed(None, tuple(problems), False)
    return Parsed(value if reading.ok else None, tuple(reading.told()), reading.ok)


#: Where a value stands: the place of what it is in, and its key or number there; None for the text
#: itself. A pointer is made of it only where there is something to say.
_Place = tuple["_Place | None", str | int] | None


class _JsonReader:
    """Turns what the parser saw into plain values, and notes problems with their pointers."""

    def __init__(self, raw: bytes, problems: list[Problem]) -> None:
        self.ok = True
        self._problems = problems
        self._many: Counter[str] = Counter()
        self._surrogates = _SURROGATE_ESCAPE.search(raw) is not None
        # Constants come up in the order of the text, so their offsets pair up with them.
        self._constants: Iterator[int] = (
            match.start() for match in _CONSTANT.finditer(raw) if not match[0].startswith(b'"')
        )

    def told(self) -> Iterator[Problem]:
        """The problems that are kept; the last of a code says how many it stands for."""
        left = Counter(problem.code for problem in self._problems)
        for problem in self._problems:
            code = problem.code
            left[code] -= 1
            more = self._many[code] - MOST_PROBLEMS
            yield replace(problem, times=1 + more) if not left[code] and more > 0 else problem

    def value(self, seen: Any, place: _Place) -> Any:
        if type(seen) is _Members:
            return self._object(seen, place)
        if type(seen) is list:
            return [self.value(item, (place, at)) for at, item in enumerate(seen)]
        if type(seen) is str:
            return self._string(seen, place, "a string")
        if type(seen) is _NonFinite:
            self.ok = False
            offset = next(self._constants, None)
            self._note("json.nan", f"{seen} is not a number of JSON", place, offset)
            return None
        return seen

    def _object(self, members: _Members, place: _Place) -> dict[str, Any]:
        result: dict[str, Any] = {}
        keys: dict[str, bool] = {}  # as written, and whether a repeat was reported
        for key, item in members:
            there = (place, key)
            if keys.get(key) is False:
                said = json.dumps(head(key, 80))
                message = f"the key {said} comes more than once in an object"
                self._note("json.duplicate_key", message, there)
            keys[key] = key in keys
            name = self._string(key, there, "a key")
            result[name] = self.value(item, there)
        return result

    def _string(self, text: str, place: _Place, what: str) -> str:
        if not self._surrogates or text.isascii() or not (found := _SURROGATE.search(text)):
            return text
        message = f"{what} holds a lone surrogate, \\u{ord(found[0]):04x}"
        self._note("json.lone_surrogate", message, place)
        return _SURROGATE.sub("\ufffd", text)

    def _note(self, code: str, message: str, place: _Place, offset: int | None = None) -> None:
        self._many[code] += 1
        if self._many[code] <= MOST_PROBLEMS:
            self._problems.append(Problem(code, message, _pointer(place), offset))


def _pointer(place: _Place) -> str:
    """A place as a JSON pointer; of a long one the head and the tail."""
    tokens = []
    while place is not None:
        place, step = place
        tokens.append(_pointer_token(cut(str(step), _LONGEST_PATH)))
    return cut("".join(f"/{token}" for token in reversed(tokens)), _LONGEST_PATH)


def _pointer_token(key: str) -> str:
    """A key as a reference token (RFC 6901, section 3), safe to encode."""
    return _SURROGATE.sub("\ufffd", key.replace("~", "~0").replace("/", "~1"))


def _integer(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= _MAX_INT_DIGITS else Decimal(digits)


#: Independent of the thread's context, which may not trap an exponent out of range.
_REFUSING: Final = Context(traps=[InvalidOperation])


def _fraction(digits: str) -> float | Decimal:
    number = float(digits)
    mantissa, _, exponent = digits.lower().partition("e")
    if not math.isinf(number) and (number or not mantissa.strip("-0.")):
        return number
    try:
        return Decimal(digits, _REFUSING)
    except InvalidOperation:  # the exponent is beyond 10**18
        sign = "-" if digits.startswith("-") else ""
        end = f"1E{MIN_EMIN}" if exponent.startswith("-") else f"9E{MAX_EMAX}"
        return Decimal(sign + end)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_Members,
    parse_constant=_NonFinite,
    parse_int=_integer,
    parse_float=_fraction,
    strict=True,
)


def _too_deep(raw: bytes, max_depth: int) -> Problem | None:
    if raw.count(b"{") + raw.count(b"[") <= max_depth:
        return None
    depth = 0
    # What is too long to be counted to its end holds too many values besides.
    for match in islice(_BRACKET.finditer(raw), 2 * MOST_VALUES):
        token = match[0]
        if token in b"[{":
            depth += 1
            if depth > max_depth:
                message = f"nested more than {max_depth} deep"
                return Problem("json.too_deep", message, "", match.start())
        elif token in b"]}":
            depth -= 1
    return None


def _holds_too_many(raw: bytes) -> bool:
    """Whether a text holds more values than `MOST_VALUES`: each but the first comes after a comma,
    or begins an array or an object. Counted before anything is made of it.
    """
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") < MOST_VALUES:
        return False
    # Most of them may stand in texts that people wrote.
    begun = islice(_TO_VALUE.finditer(raw), MOST_VALUES)
    return sum(1 for _ in begun) >= MOST_VALUES


def _refused(code: str, message: str, offset: int) -> Parsed:
    return Parsed(None, (Problem(code, message, "", offset),), False)


def _not_utf8(raw: bytes, error: UnicodeDecodeError) -> Problem:
    byte = raw[error.start]
    message = f"byte 0x{byte:02x} at offset {error.start} is not UTF-8 ({error.reason})"
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        message = "this looks like UTF-16, not UTF-8"
    return Problem("json.invalid_utf8", message, "", error.start)


def _syntax(text: str, error: json.JSONDecodeError) -> Problem:
    before = text[: error.pos].rstrip(" \t\n\r")
    if text[error.pos : error.pos + 1] in ("}", "]") and before.endswith(","):
        # What Python says from 3.13 on. Findings are to be the same whatever Python found them.
        of = "object" if text[error.pos] == "}" else "array"
        message = f"Illegal trailing comma before end of {of}"
        error = json.JSONDecodeError(message, text, len(before) - 1)
    offset = len(text[: error.pos].encode("utf-8"))
    where = f"line {error.lineno}, column {error.colno}"
    near = part(text, error.pos, error.pos + 20)
    if error.msg == "Extra data":
        message = f"more text after the value at {where}: {near!r}"
        return Problem("json.trailing_text", message, "", offset)
    reason = (error.msg[:1].lower() + error.msg[1:]).removesuffix(" at")
    message = f"{reason} at {where}" + (f": {near!r}" if near else ", the end of the text")
    return Problem("json.syntax", message, "", offset)
