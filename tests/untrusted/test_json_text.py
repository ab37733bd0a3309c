"""Strict JSON text against RFC 8259, and the fast way against the strict one."""

from __future__ import annotations

import base64
import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import vectors
from soundstage.untrusted import json_text
from soundstage.untrusted.json_text import CODES, Parsed, parse, parse_strictly


def same(a: Any, b: Any) -> bool:
    """Equal in value, type and sign of zero, all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return a == b and math.copysign(1, a) == math.copysign(1, b)
    return bool(a == b)


def codes(parsed: Parsed) -> list[str]:
    return [problem.code for problem in parsed.problems]


CHUNK = (
    b'{"message_id": "665f0c1d2e3f4a5b6c7d8e9f", "isComplete": false, "chunkIndex": 4, '
    b'"status": "running", "album_art": "https://storage.soundverse.ai/a/b.webp", '
    b'"song_name": "Song \\u00e9", "progress": 12}'
)

#: Texts without any problem, and their values.
CLEAN: dict[bytes, Any] = {
    b"null": None,
    b" \t\r\n[ true , false ]\n": [True, False],
    b'{"":{"":[]}}': {"": {"": []}},
    b'"\\u00e9\\ud834\\udd1e\\"\\\\\\/\\b\\f\\n\\r\\t"': 'é\U0001d11e"\\/\b\f\n\r\t',
    '["\u2028\u0085\ufeff"]'.encode(): ["\u2028\u0085\ufeff"],
    b'{"a\\\\": 1, "a\\"": 2, "a:": ":3", "b" : "\\":"}': {
        "a\\": 1,
        'a"': 2,
        "a:": ":3",
        "b": '":',
    },
    b'{"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]}': {"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]},
    b'{"t": "12:30:00", "u": "https://a:1/b"}': {"t": "12:30:00", "u": "https://a:1/b"},
    # Numbers: exact, whatever their size.
    b"-0": 0,
    b"[0.0, -0.0, 0e9, 1.5, -1E-2, 1e3]": [0.0, -0.0, 0.0, 1.5, -0.01, 1000.0],
    b"9223372036854775808": 2**63,
    b"18446744073709551615": 2**64 - 1,
    b'{"a": 18446744073709551616}': {"a": 2**64},
    b"-9223372036854775809": -(2**63) - 1,
    b"1" + b"0" * 4_000: 10**4_000,
    b"[1" + b"0" * 400 + b"]": [10**400],
    b"[-1" + b"0" * 5_000 + b"]": [Decimal("-1" + "0" * 5_000)],
    b"1e400": Decimal("1e400"),
    b"[-1.5e+999]": [Decimal("-1.5e999")],
    b"[1e-400, -1e-400]": [Decimal("1e-400"), Decimal("-1e-400")],
    b"5e-324": 5e-324,
    b"[1e99999999999999999999]": [Decimal("9e999999999999999999")],
    b"[-1e99999999999999999999]": [Decimal("-9e999999999999999999")],
    b"[1e-99999999999999999999]": [Decimal("1e-999999999999999999")],
    CHUNK: {
        "message_id": "665f0c1d2e3f4a5b6c7d8e9f",
        "isComplete": False,
        "chunkIndex": 4,
        "status": "running",
        "album_art": "https://storage.soundverse.ai/a/b.webp",
        "song_name": "Song é",
        "progress": 12,
    },
}


@pytest.mark.parametrize("raw", CLEAN, ids=lambda raw: repr(raw[:40]))
def test_a_clean_text_gives_its_exact_value_and_no_problem(raw: bytes) -> None:
    for parsed in (parse(raw), parse_strictly(raw)):
        assert parsed.ok
        assert parsed.problems == ()
        assert same(parsed.value, CLEAN[raw]), f"read as {parsed.value!r:.200}"


#: Texts that cannot be used: code and byte offset of the one problem.
REFUSED: dict[bytes, tuple[str, int]] = {
    b"": ("json.empty", 0),
    b" \r\n\t": ("json.empty", 0),
    b"{": ("json.syntax", 1),
    b'{"a":1,}': ("json.syntax", 6),
    b"[1,]": ("json.syntax", 2),
    b"{'a':1}": ("json.syntax", 1),
    b"[01]": ("json.syntax", 2),
    b"[1.]": ("json.syntax", 2),
    b"[+1]": ("json.syntax", 1),
    b"[-]": ("json.syntax", 1),
    b"tru": ("json.syntax", 0),
    b"True": ("json.syntax", 0),
    b'["a\tb"]': ("json.syntax", 3),
    b'["\\x"]': ("json.syntax", 2),
    b'["a': ("json.syntax", 1),
    b'"\\u00g0"': ("json.syntax", 2),
    b"\x0c[]": ("json.syntax", 0),
    b"\xc2\xa0[]": ("json.syntax", 0),
    b"[1, // one\n2]": ("json.syntax", 4),
    '["éé",]'.encode(): ("json.syntax", 7),  # bytes, not characters
    b"\xef\xbb\xbf{}": ("json.syntax", 0),
    b"[NaN]": ("json.nan", 1),
    b"-Infinity": ("json.nan", 0),
    b'{"NaN": "\\"NaN", "a": Infinity}': ("json.nan", 22),
    b'{"a":1} x': ("json.trailing_text", 8),
    b'{"a":1}{"b":2}': ("json.trailing_text", 7),
    b"1 2": ("json.trailing_text", 2),
    b"[]\x00": ("json.trailing_text", 2),
    b"\xff\xfe[\0]\0": ("json.invalid_utf8", 0),
    b"[\0]\0": ("json.invalid_utf8", 0),
    b"\0[\0]": ("json.invalid_utf8", 0),
    b"[\xff]": ("json.invalid_utf8", 1),
    b"[" * 129: ("json.too_deep", 128),
    b"[" * 129 + b"]" * 129: ("json.too_deep", 128),
    b"[" * 100_000: ("json.too_deep", 128),
    b'{"a":' * 100_000: ("json.too_deep", 128 * 5),
    b'["[[[",' + b"[" * 128: ("json.too_deep", 7 + 127),
}


@pytest.mark.parametrize("raw", REFUSED, ids=lambda raw: repr(raw[:40]))
def test_a_text_that_is_not_json_is_refused_with_code_and_offset(raw: bytes) -> None:
    parsed = parse(raw)
    assert not parsed.ok
    assert parsed.value is None
    assert [(problem.code, problem.offset) for problem in parsed.problems] == [REFUSED[raw]]
    assert parsed.problems[0].message
    assert parsed == parse_strictly(raw)


#: Texts that can be used although something is wrong: value, and code and path of each problem.
REPAIRED: dict[bytes, tuple[Any, list[tuple[str, str]]]] = {
    b'{"a":1,"a":2}': ({"a": 2}, [("json.duplicate_key", "/a")]),
    b'{"a":1,"a" :1,"a":1}': ({"a": 1}, [("json.duplicate_key", "/a")]),
    b'{"a":1,"\\u0061":2}': ({"a": 2}, [("json.duplicate_key", "/a")]),
    b'{"a/~":[0,{"":1,"":2}]}': ({"a/~": [0, {"": 2}]}, [("json.duplicate_key", "/a~1~0/1/")]),
    b'{"a":{"b":1,"b":2},"a":3}': (
        {"a": 3},
        [("json.duplicate_key", "/a/b"), ("json.duplicate_key", "/a")],
    ),
    b'{"k":":","k":"\\":"}': ({"k": '":'}, [("json.duplicate_key", "/k")]),
    b'{"\\\\":1,"\\\\":"a\\\\"}': ({"\\": "a\\"}, [("json.duplicate_key", "/\\")]),
    b'{"u":"http://a/","u":1}': ({"u": 1}, [("json.duplicate_key", "/u")]),
    b'["x","\\ud800y"]': (["x", "\ufffdy"], [("json.lone_surrogate", "/1")]),
    b'["\\udc00\\ud800"]': (["\ufffd\ufffd"], [("json.lone_surrogate", "/0")]),
    b'{"\\uD800":1}': ({"\ufffd": 1}, [("json.lone_surrogate", "/\ufffd")]),
    b'["\xff"]': (["\ufffd"], [("json.invalid_utf8", "")]),
    b'["\xc0\xaf"]': (["\ufffd\ufffd"], [("json.invalid_utf8", "")]),
    b'["\xed\xa0\x80"]': (["\ufffd\ufffd\ufffd"], [("json.invalid_utf8", "")]),
    b'{"a":"\xff","a":1}': ({"a": 1}, [("json.invalid_utf8", ""), ("json.duplicate_key", "/a")]),
}


@pytest.mark.parametrize("raw", REPAIRED, ids=repr)
def test_a_text_that_can_be_read_is_repaired_and_each_problem_has_its_place(raw: bytes) -> None:
    value, problems = REPAIRED[raw]
    parsed = parse(raw)
    assert parsed.ok
    assert same(parsed.value, value)
    assert [(problem.code, problem.path) for problem in parsed.problems] == problems
    assert parsed == parse_strictly(raw)
    json.dumps(parsed.value, ensure_ascii=False).encode()  # nothing later may fail on it


def test_the_codes_are_those_of_the_table() -> None:
    seen = {code for code, _ in REFUSED.values()}
    seen |= {code for _, problems in REPAIRED.values() for code, _ in problems}
    assert seen == set(CODES)


def test_messages_say_where() -> None:
    (problem,) = parse(b'{\n  "a": 1,\n  b\n}').problems
    assert "line 3, column 3" in problem.message
    (problem,) = parse(b"[1").problems
    assert "the end of the text" in problem.message
    assert "byte order mark" in parse(b"\xef\xbb\xbf1").problems[0].message
    assert "UTF-16" in parse(b"\xfe\xff\0[").problems[0].message
    assert "0xff at offset 1" in parse(b'"\xff"').problems[0].message


def test_the_depth_is_a_cap_and_brackets_in_strings_do_not_count() -> None:
    deep = b"[" * 128 + b"]" * 128
    assert parse(deep).ok
    assert codes(parse(b"[" + deep + b"]")) == ["json.too_deep"]
    assert parse(b'["' + b'[{\\"' * 500 + b'"]').ok
    assert parse(b"[" + b"[]," * 500 + b"[]]").ok, "many arrays side by side are not deep"
    assert codes(parse(b'{"a": 1}', max_depth=0)) == ["json.too_deep"]
    assert parse(b"1", max_depth=0).ok
    assert parse(b'{"a": [1]}', max_depth=2).ok
    assert codes(parse(b'{"a": [1]}', max_depth=1)) == ["json.too_deep"]
    for depth in (1_000, 100_000):  # more than Python nests: refused, never a crash
        assert codes(parse(b"[" * depth, max_depth=10**6)) in (["json.too_deep"], ["json.syntax"])
        nested = b'{"a":NaN,"b":' * depth + b"1" + b"}" * depth
        assert codes(parse(nested, max_depth=10**6))[-1] == "json.too_deep"


def test_ordinary_chunks_are_proved_clean_without_the_strict_parser(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forbidden(raw: bytes, *, max_depth: int = 128) -> Parsed:
        pytest.fail(f"the strict parser was asked about {raw!r}")

    monkeypatch.setattr(json_text, "parse_strictly", forbidden)
    assert parse(CHUNK).ok
    assert parse(CHUNK.replace(b'":', b'" :')).ok, "as printed in the documentation"
    assert parse(CHUNK.replace(b"Song", b"Song 12:30 : \\\\")).ok
    assert parse(b'{"audio_data": [' + CHUNK + b", " + CHUNK + b'], "duration": 12.5}').ok


# --- the fast way and the strict one ----------------------------------------------------------

WHITE = st.sampled_from(["", "", "", " ", "\n", "\t\r"])
KEYS = st.sampled_from(["a", "b", "", ":", '":', "\\", 'a\\"', "a\\", "/", "é", "\x7f", "http://"])
TEXTS = st.one_of(
    KEYS,
    st.text('ab:"\\/é\n\0', max_size=6),
    st.sampled_from(["{[", '\\":', "12:30", "\U0001d11e"]),
)
ESCAPES = st.sampled_from(
    ["", "", "", "\\ud800", "\\udfff", "\\u0061", "\\/", "\\\\", "\\u003a", '\\"']
)
NUMBERS = st.one_of(
    st.integers().map(str),
    st.integers(2**62, 2**65).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(json.dumps),
    st.sampled_from(["-0", "-0.0", "0e1", "1E400", "-1e-400", "18446744073709551616.0"]),
    st.sampled_from(["9223372036854775807", "-9223372036854775809", "NaN", "-Infinity", "01"]),
)


def string_texts(of: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    quoted = st.builds(lambda text, ascii: json.dumps(text, ensure_ascii=ascii), of, st.booleans())
    return st.builds(lambda text, more: text[:-1] + more + '"', quoted, ESCAPES)


def objects(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    member = st.tuples(WHITE, string_texts(KEYS), WHITE, st.just(":"), WHITE, items, WHITE)
    members = st.lists(member.map("".join), max_size=4)
    return members.map(lambda members: "{" + ",".join(members) + "}")


def arrays(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(items, max_size=3).map(lambda items: "[ " + " ,".join(items) + "]")


ITEMS = st.one_of(st.sampled_from(["true", "false", "null"]), NUMBERS, string_texts(TEXTS))
NESTED = st.one_of(ITEMS, objects(ITEMS), arrays(ITEMS))
JSON_TEXTS = st.one_of(objects(ITEMS), objects(NESTED), arrays(objects(NESTED)), ITEMS)


@given(JSON_TEXTS, st.sampled_from([0, 1, 2, 3, 5, 128]))
@example('{"a":1,"a" :2}', 128)
@example('{"a":"://","a":2}', 128)
@example('{"a":1,"a":":"}', 128)
def test_the_fast_way_and_the_strict_way_agree(text: str, max_depth: int) -> None:
    raw = text.encode("utf-8", "replace")
    fast, strict = parse(raw, max_depth=max_depth), parse_strictly(raw, max_depth=max_depth)
    assert (fast.ok, fast.problems) == (strict.ok, strict.problems)
    assert same(fast.value, strict.value)


@given(
    st.binary(max_size=30) | st.text(alphabet='[]{}:,"\\1eu0d8N. -', max_size=20).map(str.encode)
)
def test_no_bytes_make_it_raise_and_a_refusal_has_its_reason(raw: bytes) -> None:
    fast, strict = parse(raw), parse_strictly(raw)
    assert (fast.ok, fast.problems) == (strict.ok, strict.problems)
    assert same(fast.value, strict.value)
    assert fast.ok or fast.problems
    assert set(codes(fast)) <= set(CODES)


# --- vectors of other projects ----------------------------------------------------------------


#: Our choice where RFC 8259 leaves one, by a part of the vector's name; the first that fits.
CHOICES = {
    "i_number": [],  # kept exactly
    "UTF-8_BOM": ["json.syntax"],
    "500_nested": ["json.too_deep"],
    "UTF8_surrogate": ["json.invalid_utf8"],
    "surrogate": ["json.lone_surrogate"],
    "i_string": ["json.invalid_utf8"],
}


@pytest.mark.parametrize("vector", vectors.cases("json"))
def test_vectors_of_other_projects_are_accepted_or_refused(vector: dict[str, Any]) -> None:
    raw = base64.b64decode(vector["bytes_base64"])
    parsed = parse(raw)
    if vector["expected"] == "accept":
        assert parsed.ok
        assert codes(parsed) == ["json.duplicate_key"] * ("duplicated_key" in vector["name"])
    elif vector["expected"] == "reject":
        assert not parsed.ok
        assert parsed.problems
    else:
        choice = next(want for part, want in CHOICES.items() if part in vector["name"])
        assert codes(parsed) == choice
        if vector["name"].startswith("i_number"):
            exact(raw, parsed.value)


def exact(raw: bytes, value: Any) -> None:
    """The one number in an array must be held without loss, clamped only beyond Decimal."""
    (number,) = value
    written = raw.decode().strip("[]\n ")
    if "e0066999" in written:
        assert number == Decimal("9e999999999999999999")
    elif isinstance(number, float):
        assert number == float(written)
        assert math.isfinite(number)
    else:
        assert Decimal(number) == Decimal(written)
