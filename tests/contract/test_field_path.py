"""Places in a value by name and by pointer: what they lead to, in which order, and that there is an
end to them.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundstage.contract.json_schema.field_path import FieldPath, field_path

CHUNK = {
    "progress": 30,
    "tracks": [{"url": "a"}, {}, {"url": None}, {"url": "d"}],
    "by_name": {"low": {"url": "x"}, "high": {"url": "y"}},
    "a/b": {"m~n": 1, "~1": 2},
    "a.b": 3,
    "7": "seven",
    "": "empty",
    "nothing": None,
    "*": "a star",
}

# the path, and each place that it names
PLACES: dict[str, list[tuple[str, Any]]] = {
    "progress": [("/progress", 30)],
    "/progress": [("/progress", 30)],
    "a.b": [("/a.b", 3)],
    "a/b": [("/a~1b", CHUNK["a/b"])],
    "/a~1b/m~0n": [("/a~1b/m~0n", 1)],
    "/a~1b/~01": [("/a~1b/~01", 2)],
    "/": [("/", "empty")],
    "/7": [("/7", "seven")],
    "/tracks/0/url": [("/tracks/0/url", "a")],
    "/tracks/2/url": [("/tracks/2/url", None)],
    "/tracks/*/url": [("/tracks/0/url", "a"), ("/tracks/2/url", None), ("/tracks/3/url", "d")],
    "/by_name/*/url": [("/by_name/low/url", "x"), ("/by_name/high/url", "y")],
    "/tracks/1/url": [],
    "/tracks/4/url": [],
    "/tracks/-1/url": [],
    "/tracks/-": [],
    "/tracks/00/url": [],
    "/tracks/03/url": [],
    "/tracks/+1/url": [],
    "/tracks/\N{ARABIC-INDIC DIGIT THREE}/url": [],
    "/tracks/\N{SUPERSCRIPT TWO}": [],
    "/tracks/99999999999999999999": [],
    "/tracks/url": [],
    "/progress/0": [],
    "/nothing/0": [],
    "/nothing": [("/nothing", None)],
    "missing": [],
    "/missing/*": [],
}


@pytest.mark.parametrize(("text", "places"), PLACES.items(), ids=[repr(text) for text in PLACES])
def test_a_path_leads_to_its_places_in_their_order_and_to_nothing_else(text, places):
    path = field_path(text)
    assert list(path.every(CHUNK)) == places
    assert path.is_in(CHUNK) is bool(places)
    assert path.of(CHUNK) == next((value for _, value in places if value is not None), None)
    assert (path.place(CHUNK) is not None) is bool(places)


@pytest.mark.parametrize("value", [None, 3, 3.5, True, "progress", [], ["progress"]])
def test_what_is_no_object_has_no_field(value):
    path = field_path("progress")
    assert not path.is_in(value)
    assert path.of(value) is None
    assert list(path.every(value)) == []
    assert path.put(value, 1) == value


def test_a_star_passes_over_texts_whose_letters_are_no_items():
    assert list(field_path("/a/*").every({"a": "text"})) == []


def test_a_bare_name_and_the_pointer_to_it_are_one_path():
    assert field_path("progress") == field_path("/progress")
    assert hash(field_path("progress")) == hash(field_path("/progress"))
    assert field_path("a/b") == field_path("/a~1b") != field_path("/a/b")


@pytest.mark.parametrize(
    ("text", "dotted", "pointer", "wild"),
    [
        ("progress", "progress", "/progress", False),
        ("/choices/0/delta", "choices.0.delta", "/choices/0/delta", False),
        ("/data/*/audio_url", "data.*.audio_url", "/data/*/audio_url", True),
        ("/a~1b/m~0n", "a/b.m~n", "/a~1b/m~0n", False),
    ],
)
def test_a_path_is_dotted_in_rules_and_a_pointer_in_violations(text, dotted, pointer, wild):
    path = field_path(text)
    assert (str(path), path.pointer, path.wild) == (dotted, pointer, wild)


def test_a_value_is_put_at_each_place_and_what_was_there_stays_as_it_was():
    before = copy.deepcopy(CHUNK)
    changed = field_path("/tracks/*/url").put(CHUNK, "new")
    assert [each["url"] for each in changed["tracks"]] == ["new"] * 4
    assert field_path("/tracks/3/url").put(CHUNK, 1)["tracks"][3] == {"url": 1}
    assert field_path("mood").put(CHUNK, "calm") == {**CHUNK, "mood": "calm"}
    assert field_path("/mood/of/day").put(CHUNK, "calm") == CHUNK
    assert field_path("/tracks/9").put(CHUNK, "new") == CHUNK
    assert before == CHUNK


def test_no_more_than_a_thousand_places_are_looked_at():
    many = {"a": [{"b": [0] * 1_000}] * 1_000}
    assert len(list(field_path("/a/*/b/*").every(many))) == 1_000


def test_a_path_may_be_as_deep_as_a_value_is():
    value: Any = "deep"
    for _ in range(200):
        value = {"a": value}
    assert field_path("/a" * 200).of(value) == "deep"
    assert field_path("/a" * 201).of(value) is None


# --- what a schema says of a place ----------------------------------------------------------------

ITEM = {"type": "object", "properties": {"url": {"type": "string"}}}
SCHEMAS: list[tuple[str, dict[str, Any], str, int]] = [
    ("a named member", {"properties": {"a": ITEM}}, "/a/url", 1),
    ("an item", {"properties": {"a": {"items": ITEM}}}, "/a/0/url", 1),
    ("any item", {"properties": {"a": {"items": ITEM}}}, "/a/*/url", 1),
    ("the first item", {"properties": {"a": {"prefixItems": [ITEM]}}}, "/a/0/url", 1),
    ("an item that is not the first", {"properties": {"a": {"prefixItems": [ITEM]}}}, "/a/1", 0),
    ("any member by its name", {"properties": {"a": {"properties": {"b": ITEM}}}}, "/a/*/url", 1),
    ("any member without a name", {"additionalProperties": ITEM}, "/x/url", 1),
    ("a member by a pattern", {"patternProperties": {"^x": ITEM}}, "/x/url", 1),
    ("both parts of an allOf", {"allOf": [{"properties": {"a": ITEM}}] * 2}, "/a/url", 2),
    ("an alternative", {"anyOf": [{"properties": {"a": ITEM}}, {}]}, "/a/url", 1),
    ("a condition's consequence", {"if": {}, "then": {"properties": {"a": ITEM}}}, "/a/url", 1),
    ("what must not be", {"not": {"properties": {"a": ITEM}}}, "/a/url", 0),
    ("an item of a contains is not the array", {"contains": {"properties": {"a": {}}}}, "/a", 0),
    ("a name is not the object", {"propertyNames": {"properties": {"a": {}}}}, "/a", 0),
    ("what is not evaluated", {"unevaluatedProperties": {"properties": {"a": {}}}}, "/a", 0),
    ("nothing", {"properties": {"a": ITEM}}, "/b", 0),
    ("an item by a name", {"properties": {"a": {"items": ITEM}}}, "/a/foo", 0),
    ("an item with a leading zero", {"properties": {"a": {"items": ITEM}}}, "/a/00", 0),
    ("the item after the last", {"properties": {"a": {"items": ITEM}}}, "/a/-", 0),
    ("an item before the first", {"properties": {"a": {"items": ITEM}}}, "/a/-1/url", 0),
    ("a member by another pattern", {"patternProperties": {"^x": ITEM}}, "/y/url", 0),
]


@pytest.mark.parametrize(
    ("schema", "text", "many"), [row[1:] for row in SCHEMAS], ids=[row[0] for row in SCHEMAS]
)
def test_a_schema_speaks_of_a_place_as_often_as_it_names_it(schema, text, many):
    assert len(field_path(text).schemas(schema)) == many


# --- against a plain reference --------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "0", "1", "~", "/", "~1", "", "a.b"])
VALUES = st.recursive(
    st.none() | st.integers(0, 3) | st.just("a"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
PARTS = st.lists(NAMES | st.just("*"), min_size=1, max_size=4)


def reference(value: Any, parts: list[str]) -> list[tuple[tuple[str | int, ...], Any]]:
    """Every place one after the other, with nothing shared and nothing bounded."""
    found: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    for part in parts:
        below = []
        for way, each in found:
            inside: list[tuple[str | int, Any]] = []
            if isinstance(each, dict):
                inside = list(each.items())
            elif isinstance(each, list):
                inside = list(enumerate(each))
            below += [((*way, key), held) for key, held in inside if part in ("*", str(key))]
        found = below
    return found


def written(parts: list[str]) -> str:
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


@given(VALUES, PARTS)
def test_every_path_leads_where_a_plain_reference_leads(value, parts):
    path = field_path(written(parts))
    expected = reference(value, parts)
    pointers = [(FieldPath(tuple(map(str, way))).pointer, held) for way, held in expected]
    assert path.parts == tuple(parts)
    assert list(path.every(value)) == pointers
    assert path.place(value) == next((way for way, _ in expected), None)


@given(VALUES, PARTS)
def test_what_is_put_somewhere_is_found_there_and_nowhere_else(value, parts):
    path = field_path(written(parts))
    before = copy.deepcopy(value)
    changed = path.put(value, "new")
    assert value == before
    assert {at for at, _ in path.every(value)} <= {at for at, _ in path.every(changed)}
    assert all(held == "new" for _, held in path.every(changed))
    assert path.put(changed, "new") == changed
