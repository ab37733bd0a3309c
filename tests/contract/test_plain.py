"""Schemas for readers that refuse what they do not know."""

from __future__ import annotations

import pytest

from soundstage.contract.json_schema.plain import for_strict_readers, without


def test_extensions_and_formats_go_at_any_depth():
    noted = {"type": "string", "format": "uri", "x-basis": "documented", "$comment": "kept"}
    bare = {"type": "string", "$comment": "kept"}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "x-observed-protocol": {"a": 1},
        "properties": {"a": noted},
        "patternProperties": {"^b": noted},
        "$defs": {"c": {"items": noted, "prefixItems": [noted], "contains": noted}},
        "anyOf": [noted, {"not": noted}, True],
        "if": noted,
        "then": {"additionalProperties": False},
    }
    assert for_strict_readers(schema) == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "properties": {"a": bare},
        "patternProperties": {"^b": bare},
        "$defs": {"c": {"items": bare, "prefixItems": [bare], "contains": bare}},
        "anyOf": [bare, {"not": bare}, True],
        "if": bare,
        "then": {"additionalProperties": False},
    }


@pytest.mark.parametrize("name", ["x-basis", "format", "$schema", "x-role"])
def test_properties_and_values_of_that_name_stay(name):
    schema = {
        "properties": {name: {"type": "string"}},
        "required": [name],
        "const": {name: 1},
        "enum": [{name: 1}],
        "default": {name: {"x-basis": 1}},
        "examples": [{name: 1}],
        "dependentRequired": {name: [name]},
    }
    assert for_strict_readers(schema) == schema
    assert without(schema, {"x-role", "$schema"}.__contains__) == schema
