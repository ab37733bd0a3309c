"""What no value can meet is given up soon, and what is nested without end holds little."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from soundstage.generation.sampler import SchemaSampler, Unmet

TEXT, WHOLE = {"type": "string"}, {"type": "integer"}

CONTRADICTIONS: dict[str, Any] = {
    "false": {"not": {}},
    "bounds": {"type": "integer", "minimum": 5, "maximum": 3},
    "lengths": {"type": "string", "minLength": 5, "maxLength": 3},
    "types": {"allOf": [TEXT, WHOLE]},
    "a const of another type": {"type": "string", "const": 1},
    "a const that is ruled out": {"const": 1, "not": {"const": 1}},
    "enums apart": {"allOf": [{"enum": [1]}, {"enum": [2]}]},
    "no integer between": {"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2},
    "no multiple between": {"type": "integer", "multipleOf": 10, "minimum": 11, "maximum": 19},
    "more unique items than values": {"type": "array", "items": {"enum": [1, 2]},
                                      "uniqueItems": True, "minItems": 3},
    "items where none may be": {"type": "array", "items": False, "minItems": 1},
    "a member that must and cannot be": {"type": "object", "properties": {"a": False},
                                         "required": ["a"]},
    "a member that no name may have": {"type": "object", "required": ["a"],
                                       "propertyNames": {"minLength": 2}},
    "a member of a closed object": {"type": "object", "properties": {"a": TEXT}, "required": ["b"],
                                    "additionalProperties": False},
    "more members than names": {"type": "object", "propertyNames": {"enum": ["a"]},
                                "minProperties": 2},
    "anyOf of nothing that can be": {"type": "string", "anyOf": [{"maxLength": 0, "minLength": 1},
                                                                  {"type": "integer"}]},
    "oneOf of the same": {"oneOf": [TEXT, TEXT], "type": "string"},
    "patterns apart": {"type": "string", "allOf": [{"pattern": "^a$"}, {"pattern": "^b$"}]},
    "contains more than there may be": {"type": "array", "contains": {"const": 1},
                                        "minContains": 3, "maxItems": 2},
}  # fmt: skip


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_what_nothing_can_meet_is_given_up_soon(name):
    sampler = SchemaSampler(CONTRADICTIONS[name])
    with pytest.raises(Unmet, match=r"^no value found in 200 tries$"):
        sampler.draw(random.Random(1))


# --- bounds ---------------------------------------------------------------------------------------


def nested(levels: int, keyword: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(levels):
        schema = (
            {"type": "array", "items": schema, "minItems": 1}
            if keyword == "items"
            else {"type": "object", "properties": {"a": schema, "b": schema}, keyword: ["a"]}
        )
    return schema


def size(value: Any) -> int:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(size, below))


@pytest.mark.parametrize("keyword", ["items", "required"])
def test_what_is_nested_holds_below_some_levels_only_what_it_must(keyword):
    schema = nested(12, keyword)
    sampler = SchemaSampler(schema)
    for seed in range(5):
        value = sampler.draw(random.Random(seed))
        Draft202012Validator(schema).validate(value)
        assert size(value) < 2_000


def test_what_is_nested_beyond_all_measure_is_given_up():
    with pytest.raises(Unmet):
        SchemaSampler(nested(60, "items")).draw(random.Random(1))


def test_a_pattern_that_takes_for_ever_is_given_up_soon():
    began = time.process_time()
    with pytest.raises(Unmet, match=r"^no value found in 200 tries$"):
        SchemaSampler({"type": "string", "pattern": "^(a+)+(b+)+(c+)+(d+)+$"}).draw(
            random.Random(1)
        )
    assert time.process_time() - began < 1.0
