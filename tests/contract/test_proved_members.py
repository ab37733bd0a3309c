"""What is proved of an object by its types, and by values that are known, is what the whole schema
says of it.
"""

from __future__ import annotations

import random

import pytest

from soundstage.contract.json_schema import patterns
from soundstage.contract.json_schema.proved_members import ProvedMembers

SCHEMA = {
    "title": "a chunk",
    "type": "object",
    "required": ["kind", "text"],
    "properties": {
        "kind": {"const": "running", "type": "string"},
        "text": {"type": "string", "title": "any text"},
        "maybe": {"type": ["string", "null"], "minLength": 2},
        "flag": {"type": "boolean"},
        "yes": {"const": True},
        "percent": {"type": "integer", "minimum": 0, "maximum": 100},
        "half": {"type": "number", "minimum": 0.5},
        "whole": {"type": ["integer", "null"], "minimum": 3},
        "items": {"type": "array", "minItems": 1},
        "any": {},
    },
}
CHUNK = {"kind": "running", "text": "a"}


def left(chunk, told_by=frozenset({"kind"}), identifying=(), schema=SCHEMA):
    found = ProvedMembers(schema).unproved(chunk, told_by, identifying)
    return None if found is None else [name for name, _ in found.left]


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({}, []),
        ({"flag": False, "any": [1], "maybe": None, "whole": None}, []),
        ({"maybe": "abc", "yes": True, "percent": 5, "items": [1]},
         ["items", "maybe", "percent", "yes"]),
        ({"half": 1.0}, ["half"]),
        ({"unlisted": {}}, []),
    ],
)  # fmt: skip
def test_what_all_values_of_a_type_answer_alike_is_not_asked_again(more, names):
    assert left({**CHUNK, **more}) == names


def test_values_that_identify_the_stream_are_asked_for_together():
    found = ProvedMembers(SCHEMA).unproved({**CHUNK, "maybe": "abc"}, {"kind"}, ("maybe", "text"))
    assert [name for name, _ in found.identifying] == ["maybe"]
    assert not found.left
    other = {**SCHEMA, "properties": {**SCHEMA["properties"], "maybe": {"type": "string"}}}
    assert ProvedMembers(other).unproved(CHUNK, {"kind"}, ("text",)).identity != found.identity


def test_what_is_said_of_a_field_does_not_tell_identities_apart():
    said = {**SCHEMA["properties"]["maybe"], "title": "a name", "x-basis": "inferred"}
    other = {**SCHEMA, "properties": {**SCHEMA["properties"], "maybe": said}}
    chunk = {**CHUNK, "maybe": "abc"}
    first, second = (
        ProvedMembers(schema).unproved(chunk, {"kind"}, ("maybe",)) for schema in (SCHEMA, other)
    )
    assert first.identity == second.identity


@pytest.mark.parametrize(
    "chunk", [{"kind": "running"}, {**CHUNK, "kind": "other"}, {**CHUNK, "flag": None}]
)
def test_nothing_is_proved_of_what_no_value_could_mend(chunk):
    assert left(chunk) is None


@pytest.mark.parametrize(
    "more",
    [
        {"anyOf": [{"required": ["flag"]}, {"required": ["yes"]}]},
        {"additionalProperties": False},
        {"maxProperties": 3},
        {"dependentRequired": {"flag": ["yes"]}},
        {"type": ["object", "null"]},
    ],
)
def test_a_schema_that_asks_for_more_than_its_members_proves_nothing(more):
    assert left(CHUNK, schema={**SCHEMA, **more}) is None


@pytest.mark.parametrize("seed", range(20))
def test_what_is_left_says_what_the_whole_schema_says(seed):
    """Of chunks with the same names, types and values of what tells the stage."""
    rng = random.Random(seed)
    values = {
        "maybe": (None, "", "a", "abc"), "flag": (True, False), "yes": (True, False, 1),
        "percent": (-1, 0, 50, 100, 101, 2**63), "half": (0.4, 0.5, 1, 0), "whole": (None, 2, 3),
        "items": ([], [1]), "any": (1, "a", None), "text": ("", "b"),
    }  # fmt: skip
    whole = patterns.validator(SCHEMA).is_valid
    for _ in range(100):
        names = rng.sample(sorted(values), 4)
        first, second = (
            {**CHUNK, **{name: rng.choice(values[name]) for name in names}} for _ in range(2)
        )
        if [type(each) for each in first.values()] != [type(each) for each in second.values()]:
            continue
        found = ProvedMembers(SCHEMA).unproved(first, {"kind"}, {"maybe"} & first.keys())
        if found is None:
            assert not whole(second)
            continue
        checks = (*found.left, *found.identifying)
        assert all(is_valid(second[name]) for name, is_valid in checks) == whole(second)
