"""Values that are made up for any schema: each meets it, by a validator that is not ours, for every
keyword that contracts may use.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from soundstage.contract.json_schema.keywords import ANNOTATIONS, KEYWORDS
from soundstage.generation.sampler import Knowledge, SchemaSampler, sampler_of

TEXT, WHOLE = {"type": "string"}, {"type": "integer"}
PAIR = {"type": "object", "properties": {"a": TEXT, "b": WHOLE}}

SCHEMAS: dict[str, Any] = {
    # --- values
    "anything": {},
    "const": {"const": {"a": [1, None, "x"]}},
    "const null": {"const": None},
    "enum": {"enum": ["a", 1, None, [1], {"b": 2}]},
    "enum and type": {"type": "string", "enum": ["a", 1, "b"]},
    "one type": {"type": "boolean"},
    "types": {"type": ["integer", "string", "null"]},
    "nullable": {"anyOf": [{"type": "null"}, {"type": "string", "minLength": 3}]},
    "null": {"type": "null"},
    # --- numbers
    "minimum": {"type": "integer", "minimum": 5},
    "maximum below zero": {"type": "integer", "maximum": -5},
    "one integer": {"type": "integer", "minimum": 7, "maximum": 7},
    "exclusive integers": {"type": "integer", "exclusiveMinimum": 2, "exclusiveMaximum": 4},
    "exclusive and inclusive": {"type": "integer", "minimum": 3, "exclusiveMinimum": 3},
    "bounds between integers": {"type": "integer", "minimum": 0.5, "maximum": 1.5},
    "exclusive numbers": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001},
    "narrow numbers": {"type": "number", "minimum": 1, "exclusiveMaximum": 1.000001},
    "one number": {"type": "number", "minimum": 0.1, "maximum": 0.1},
    "negative numbers": {"type": "number", "minimum": -1, "maximum": -0.5},
    "multiples": {"type": "integer", "multipleOf": 7, "minimum": 100, "maximum": 110},
    "multiples of a fraction": {"type": "number", "multipleOf": 0.25, "minimum": 1, "maximum": 2},
    "negative multiples": {"type": "number", "multipleOf": 5, "minimum": -20, "maximum": -10},
    "integers that are multiples of a fraction": {
        "type": "integer",
        "multipleOf": 1.5,
        "minimum": 1,
        "maximum": 20,
    },
    "multiples in an exclusive interval": {
        "type": "integer",
        "multipleOf": 10,
        "exclusiveMinimum": 10,
        "exclusiveMaximum": 30,
    },
    "multiples without bounds": {"type": "number", "multipleOf": 0.5},
    "large integers": {"type": "integer", "minimum": 2**52, "maximum": 2**52 + 3},
    # --- texts
    "short": {"type": "string", "maxLength": 2},
    "empty": {"type": "string", "maxLength": 0},
    "long": {"type": "string", "minLength": 200, "maxLength": 201},
    "exact": {"type": "string", "minLength": 5, "maxLength": 5},
    "pattern": {"type": "string", "pattern": "^[a-f0-9]{8}-[0-9]{2}$"},
    "pattern not anchored": {"type": "string", "pattern": "abc"},
    "pattern of choices": {"type": "string", "pattern": "^(song|tune)_(a|b|c)$"},
    "pattern and lengths": {**TEXT, "pattern": "^[a-z]+$", "minLength": 3, "maxLength": 9},
    "two patterns": {"allOf": [{"type": "string", "pattern": "^a"}, {"pattern": "^[a-z]{3}$"}]},
    "three patterns": {"allOf": [{**TEXT, "pattern": "^[a-z]{2,4}$"}, {"pattern": "[aeiou]"},
                                 {"pattern": "[xyz]"}]},
    "a pattern's text that is longer": {**TEXT, "pattern": "^https?://", "minLength": 12},
    "a pattern's text of one length": {**TEXT, "pattern": "ab", "minLength": 5, "maxLength": 5},
    "pattern of a URL": {"type": "string", "pattern": "^https?://"},
    "formats": {
        "type": "object",
        "required": ["a", "b"],
        "properties": {"a": {**TEXT, "format": "uri"}, "b": {**TEXT, "format": "date-time"}},
    },
    # --- arrays
    "items": {"type": "array", "items": WHOLE, "minItems": 2, "maxItems": 3},
    "no items": {"type": "array", "maxItems": 0},
    "items false": {"type": "array", "items": False},
    "prefixItems": {"type": "array", "prefixItems": [TEXT, WHOLE], "minItems": 2},
    "prefixItems and nothing else": {"prefixItems": [TEXT, WHOLE], "items": False, "minItems": 1},
    "prefixItems and others": {"prefixItems": [TEXT], "items": WHOLE, "minItems": 3},
    "prefixItems of which one cannot be": {"type": "array", "prefixItems": [TEXT, False]},
    "uniqueItems": {"type": "array", "items": WHOLE, "uniqueItems": True, "minItems": 5},
    "all of few unique": {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True,
                          "minItems": 3},
    "unique booleans": {"type": "array", "items": {"type": "boolean"}, "uniqueItems": True,
                        "minItems": 2},
    "few unique of themselves": {"type": "array", "items": {"enum": ["a"]}, "uniqueItems": True},
    "contains": {"type": "array", "contains": {"const": 7}},
    "contains of items": {"type": "array", "items": WHOLE, "contains": {"minimum": 1_000}},
    "minContains": {"type": "array", "contains": {"const": "x"}, "minContains": 3, "maxItems": 4},
    "maxContains": {"type": "array", "items": WHOLE, "contains": {"minimum": 50}, "maxContains": 1,
                    "minItems": 2},
    "contains of none": {"type": "array", "contains": WHOLE, "minContains": 0, "items": TEXT},
    "contains in prefixItems": {"type": "array", "prefixItems": [{"const": 1}], "items": TEXT,
                                "contains": WHOLE},
    "contains behind prefixItems": {"type": "array", "prefixItems": [TEXT, TEXT],
                                    "contains": {"const": 1}},
    # --- objects
    "required": {**PAIR, "required": ["a", "b"]},
    "required of no properties": {"type": "object", "required": ["x", "y"]},
    "closed": {**PAIR, "additionalProperties": False, "required": ["a"]},
    "other members": {"type": "object", "additionalProperties": WHOLE, "minProperties": 3},
    "minProperties": {**PAIR, "minProperties": 4},
    "maxProperties": {**PAIR, "maxProperties": 1},
    "maxProperties with required": {**PAIR, "required": ["b"], "maxProperties": 1},
    "no member": {"type": "object", "maxProperties": 0},
    "patternProperties": {"type": "object", "patternProperties": {"^n_[a-z]{2}$": WHOLE},
                          "additionalProperties": False, "minProperties": 2},
    "patternProperties that begin alike": {"type": "object", "patternProperties": {"^x-": WHOLE},
                                           "additionalProperties": False, "minProperties": 3},
    "patternProperties beside others": {"type": "object", "patternProperties": {"^a$": WHOLE},
                                        "minProperties": 3},
    "patternProperties beside properties": {**PAIR, "patternProperties": {"^a": {"minLength": 9}},
                                            "required": ["a"]},
    "propertyNames": {"type": "object", "propertyNames": {"pattern": "^[A-Z]{3}$"},
                      "minProperties": 2},
    "propertyNames of an enum": {"type": "object", "propertyNames": {"enum": ["x", "y"]},
                                 "minProperties": 2},
    "propertyNames of a length": {"type": "object", "propertyNames": {"maxLength": 3},
                                  "minProperties": 2},
    "propertyNames of properties": {**PAIR, "propertyNames": {"enum": ["a", "c"]}},
    "a property that cannot be": {"type": "object", "properties": {"a": False, "b": TEXT}},
    "dependentRequired": {**PAIR, "dependentRequired": {"a": ["c", "d"]}, "required": ["a"]},
    "dependentRequired in a chain": {**PAIR, "dependentRequired": {"a": ["b"], "b": ["c"],
                                                                   "c": ["d"]}},
    "dependentSchemas": {**PAIR, "required": ["a"],
                         "dependentSchemas": {"a": {"required": ["c"],
                                                    "properties": {"c": {"const": 1}}}}},
    # --- together
    "allOf": {"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 5}, {"multipleOf": 2}]},
    "allOf of objects": {"allOf": [{**PAIR, "required": ["a"]},
                                   {"properties": {"a": {"minLength": 20}}, "required": ["c"]}]},
    "allOf of enums": {"allOf": [{"enum": [1, 2, 3]}, {"enum": [2, 3, 4]}, {"not": {"const": 3}}]},
    "anyOf": {"anyOf": [TEXT, {"type": "integer", "minimum": 10}]},
    "anyOf of required": {**PAIR, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
    "anyOf of which one cannot be": {"type": "string", "anyOf": [False, {"minLength": 4}]},
    "oneOf": {"oneOf": [{"type": "string", "maxLength": 3}, {"type": "string", "minLength": 6}]},
    "oneOf of overlapping": {"oneOf": [{"type": "integer", "minimum": 0, "maximum": 10},
                                       {"type": "integer", "minimum": 8, "maximum": 20}]},
    "oneOf of required": {**PAIR, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
    "oneOf by a tag": {"oneOf": [{"type": "object", "required": ["t", name],
                                  "properties": {"t": {"const": name}, name: TEXT}}
                                 for name in ("x", "y", "z")]},
    "not": {"type": "integer", "minimum": 0, "maximum": 3, "not": {"enum": [0, 1]}},
    "not a type": {"type": ["string", "integer"], "not": {"type": "string"}},
    "not required": {**PAIR, "not": {"required": ["a", "b"]}},
    "not a pattern": {"type": "string", "not": {"pattern": "amber"}},
    "if and then": {**PAIR, "if": {"required": ["a"]}, "then": {"required": ["c"]}},
    "if and else": {**PAIR, "required": ["b"], "if": {"properties": {"b": {"minimum": 50}}},
                    "then": {"required": ["c"]}, "else": {"required": ["d"]}},
    "if by a value": {"type": "object", "required": ["t"], "properties": {"t": {"enum": [1, 2]}},
                      "if": {"properties": {"t": {"const": 1}}}, "then": {"required": ["x"]},
                      "else": {"required": ["y"]}},
    "unevaluatedProperties": {"allOf": [PAIR], "unevaluatedProperties": False, "type": "object"},
    "unevaluatedProperties of a schema": {"allOf": [{**PAIR, "required": ["a"]}],
                                          "unevaluatedProperties": WHOLE, "minProperties": 3},
    "unevaluatedProperties with anyOf": {
        "type": "object",
        "anyOf": [{"properties": {"x": TEXT}, "required": ["x"]},
                  {"properties": {"y": WHOLE}, "required": ["y"]}],
        "unevaluatedProperties": False,
    },
    "unevaluatedItems": {"type": "array", "prefixItems": [TEXT, WHOLE], "unevaluatedItems": False},
    "unevaluatedItems in allOf": {"allOf": [{"type": "array", "prefixItems": [TEXT]}],
                                  "unevaluatedItems": WHOLE, "minItems": 2},
    "deep": {"type": "object", "required": ["a"], "properties": {"a": {
        "type": "array", "minItems": 1, "items": {"type": "object", "required": ["b"],
        "properties": {"b": {"anyOf": [{"type": "null"}, {"type": "array", "items": {"enum": [1]},
                                                          "minItems": 1}]}}}}}},
}  # fmt: skip

SEEDS = range(50)


@pytest.mark.parametrize("name", SCHEMAS)
def test_what_is_made_up_meets_its_schema(name):
    schema = SCHEMAS[name]
    Draft202012Validator.check_schema(schema)
    validator, sampler = Draft202012Validator(schema), SchemaSampler(schema)
    for seed in SEEDS:
        value = sampler.draw(random.Random(seed))
        validator.validate(value)


def test_every_keyword_of_contracts_is_among_them():
    used: set[str] = set()

    def look(schema: Any) -> None:
        if isinstance(schema, dict):
            used.update(schema)
            for each in schema.values():
                look(each)
        elif isinstance(schema, list):
            for each in schema:
                look(each)

    look(list(SCHEMAS.values()))
    assert KEYWORDS - ANNOTATIONS - used - {"$ref"} == set()


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_same_seed_gives_the_same_value(name):
    drawn = [SchemaSampler(SCHEMAS[name]).draw(random.Random(seed)) for seed in (3, 4, 3)]
    assert drawn[0] == drawn[2]


def test_different_seeds_give_different_values():
    sampler = SchemaSampler(SCHEMAS["required"])
    assert len({str(sampler.draw(random.Random(seed))) for seed in SEEDS}) > 20


class Told(Knowledge):
    def value(self, place):
        return {("a",): "told", ("b",): "no number", ("c",): "cab"}.get(place, super().value(place))


def test_what_is_known_of_a_place_is_taken_where_its_schema_allows_it():
    spelled = {**TEXT, "pattern": "^[a-c]{3}$", "allOf": [{"pattern": "^c"}, {"pattern": "b$"}]}
    asked = {**PAIR, "required": ["a", "b", "c"]}
    schema = {**asked, "properties": {**PAIR["properties"], "c": spelled}}
    for seed in SEEDS:
        value = sampler_of(schema).draw(random.Random(seed), Told())
        Draft202012Validator(schema).validate(value)
        assert value["a"] == "told"
        assert type(value["b"]) is int
        assert value["c"] == "cab"
