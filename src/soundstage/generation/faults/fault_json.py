"""Faults of the JSON text of chunks, results and errors."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from soundstage.contract import Contract
from soundstage.generation.faults.fault import (
    Body,
    Fault,
    described_results,
    dumps,
    only_framed,
    reframed,
    texts_of,
)
from soundstage.generation.faults.legality import stream_rule

Edit = Callable[[bytes, random.Random], bytes | None]

_MARK: Final = "\N{REPLACEMENT CHARACTER}mark"
_MEMBER: Final = re.compile(rb'^\{("(?:[^"\\]|\\.)+"):')
#: Deeper than anybody's cap on nesting.
_DEEP: Final = 5000
_BOM: Final = b"\xef\xbb\xbf"


def _in_string(avoid: frozenset[str], put: bytes) -> Edit:
    """Puts bytes at the end of a string, best in one that no other rule looks at."""

    def edit(text: bytes, rng: random.Random) -> bytes | None:
        value = json.loads(text)
        if not isinstance(value, dict):
            return None
        places = [way for way, item in _leaves(value, ()) if isinstance(item, str)]
        own = [way for way in places if len(way) == 1] or places
        ways = [way for way in own if way[0] not in avoid] or own
        if not ways:
            return None
        way = rng.choice(ways)
        holder = value
        for part in way[:-1]:
            holder = holder[part]
        holder[way[-1]] += _MARK
        return dumps(value).replace(_MARK.encode(), put)

    return edit


def _leaves(value: Any, way: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """What a JSON value holds that holds nothing itself, and the way to it."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _leaves(each, (*way, name))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _leaves(each, (*way, number))
    else:
        yield way, value


def _instead_of_number(put: bytes) -> Edit:
    def edit(text: bytes, rng: random.Random) -> bytes | None:
        value = json.loads(text)
        names = [n for n, item in value.items() if type(item) in (int, float)]
        if not names:
            names = list(value)
        marked = dumps({**value, rng.choice(names): _MARK})
        return marked.replace(b'"' + _MARK.encode() + b'"', put)

    return edit


def _twice(written: Callable[[bytes], bytes]) -> Edit:
    def edit(text: bytes, rng: random.Random) -> bytes | None:
        value = json.loads(text)
        name = rng.choice(list(value))
        key, item = dumps(name), dumps(value[name])
        return b"{" + written(key) + b":" + item + b"," + text[1:]

    return edit


def _escaped(key: bytes) -> bytes:
    return b'"\\u%04x' % key[1] + key[2:]


def _python(text: bytes, rng: random.Random) -> bytes:
    return repr(json.loads(text)).encode()


def _half(text: bytes) -> bytes:
    """Up to the middle; half a character is another fault."""
    characters = text.decode()
    return characters[: len(characters) // 2].encode()


def _json_edits(avoid: frozenset[str]) -> Iterator[tuple[str, str, str, Edit]]:
    """(name, code, what it does, edit) of each fault of a JSON text."""
    put = _in_string

    def always(edit: Callable[[bytes], bytes]) -> Edit:
        return lambda text, rng: edit(text)

    yield "empty", "json.empty", "there is no text at all", always(lambda _: b"")
    yield "blank", "json.empty", "there is only white space", always(lambda _: b"  ")
    syntax = "json.syntax"
    yield "cut", syntax, "the text stops short", always(lambda text: text[:-1])
    yield (
        "half",
        syntax,
        "only the first half of the text comes",
        always(_half),
    )
    yield "python", syntax, "the text is Python's repr", _python
    yield "comma", syntax, "a comma too many", always(lambda text: text[:-1] + b",}")
    yield "comment", syntax, "a comment stands in it", always(lambda text: text[:-1] + b"/**/}")
    yield (
        "unquoted_key",
        syntax,
        "a key without quotes",
        always(lambda text: _MEMBER.sub(rb"{key:", text)),
    )
    yield "tab_in_string", syntax, "a raw tab stands in a string", put(avoid, b"\t")
    yield "bad_escape", syntax, "a string has an escape that is none", put(avoid, b"\\x41")
    yield "bom", syntax, "a byte order mark before the text", always(lambda text: _BOM + text)
    yield "done_mark", syntax, "the text is [DONE]", always(lambda _: b"[DONE]")
    for name, written in (("nan", b"NaN"), ("infinity", b"Infinity"), ("minus", b"-Infinity")):
        says = f"{written.decode()} stands for a number"
        yield f"nan_{name}".replace("nan_nan", "nan"), "json.nan", says, _instead_of_number(written)
    code = "json.duplicate_key"
    yield "duplicate_key", code, "an object has a key twice", _twice(lambda key: key)
    yield "duplicate_key_escaped", code, "a key comes twice, once escaped", _twice(_escaped)
    code = "json.lone_surrogate"
    yield "lone_surrogate", code, "half of a surrogate pair", put(avoid, b"\\ud83d")
    yield "lone_low_surrogate", code, "the second half of a pair alone", put(avoid, b"\\udc00")
    code = "json.invalid_utf8"
    yield "invalid_utf8", code, "a byte that UTF-8 never has", put(avoid, b"\xff")
    yield "latin1", code, "a character in Latin-1", put(avoid, "é".encode("latin-1"))
    yield "cut_character", code, "half of a character", put(avoid, "✅".encode()[:2])
    yield "encoded_surrogate", code, "a surrogate as three bytes", put(avoid, b"\xed\xa0\xbd")
    yield "overlong", code, "an overlong form", put(avoid, b"\xc0\xaf")
    code = "json.trailing_text"
    yield "trailing_text", code, "text after the value", always(lambda text: text + b" ok")
    yield "twice", code, "the text comes twice in a row", always(lambda text: text + text)
    yield (
        "too_deep",
        "json.too_deep",
        "nested deeper than any cap",
        always(lambda text: text[:-1] + b',"deep":' + b"[" * _DEEP + b"]" * _DEEP + b"}"),
    )
    code = "json.not_object"
    yield "array", code, "the object stands in an array", always(lambda text: b"[" + text + b"]")
    yield "string", code, "the object stands in a string", always(lambda t: dumps(t.decode()))
    for name, other in (("null", b"null"), ("number", b"17"), ("true", b"true")):
        yield f"only_{name}", code, f"the text is {name}", always(lambda _, other=other: other)  # type: ignore[misc]


def _edited(edit: Edit) -> Callable[[Body, random.Random], Body | None]:
    """The edit, in one text of a body."""

    def apply(body: Body, rng: random.Random) -> Body | None:
        texts = texts_of(body)
        # The first line tells that a body is bare JSON lines: see `framing/first_line_broken`.
        numbers = list(range(body.framing == "lines", len(texts)))
        rng.shuffle(numbers)
        for number in numbers:
            after = edit(texts[number], rng)
            if after is not None and after != texts[number]:
                return reframed(body, [*texts[:number], after, *texts[number + 1 :]])
        return None

    return apply


def of_json(contract: Contract) -> Iterator[Fault]:
    """Faults of the JSON text of chunks, results and errors."""
    protocol = contract.protocol
    marks = {name for s in protocol.stages for name in s.when.get("properties", ())}
    avoid = frozenset(marks | {each.field.parts[0] for each in protocol.constant})
    told = contract.told
    for name, code, says, edit in _json_edits(avoid):
        codes = frozenset({code})
        if told is not None and told.sampled:
            severity = stream_rule(contract, "json")
            yield Fault(f"json/{name}", "bytes", "stream", codes, severity, says, _edited(edit))
        elif told is not None:
            endpoint, apply = told, _edited(edit)
            sentinel = protocol.sentinel
            if name == "done_mark" and sentinel is not None and sentinel.data == b"[DONE]":
                continue  # it ends the stream, and is no text of a chunk
            if name in ("empty", "blank") and set(endpoint.framings) == {"lines"}:
                continue  # an empty line is no event there
            if name == "blank" or name == "empty":
                apply = only_framed(("sse",), apply)
            severity = stream_rule(contract, "json")
            yield Fault(f"json/{name}", "bytes", "stream", codes, severity, says, apply)
        for sync in described_results(contract):
            severity = contract.rules[f"{contract.api}/{sync.name}/json"].severity
            full = f"result/{sync.name}/json/{name}"
            yield Fault(full, "bytes", sync.name, codes, severity, says, _edited(edit))
        if not contract.errors.known:
            continue
        severity = contract.rules[f"{contract.api}/error/other/body"].severity
        codes = codes if code != "json.not_object" else frozenset({"http.error_body"})
        yield Fault(f"error/json/{name}", "bytes", "error", codes, severity, says, _edited(edit))
