"""What the loader refuses of a chunk's schema: the place, and what to write instead."""

from __future__ import annotations

import re

import pytest
from tests.support.refused_contracts import put, refused

# what is wrong, the change to a chunk's schema, the place, the reason
OF_SCHEMAS = [
    (
        "a keyword of another dialect",
        put("properties/progress", **{"$anchor": "here"}),
        "/properties/progress",
        "keyword '\\$anchor' is not understood .JSON Schema 2020-12, with \\$ref to files here",
    ),
    (
        "a presence that rests on nothing known",
        put("properties/progress", **{"x-required-basis": "guessed"}),
        "/properties/progress/x-required-basis",
        "must be one of documented, exemplified, inferred",
    ),
    (
        "a reference to what is no schema",
        put("properties/progress", **{"$ref": "#/properties/progress/minimum"}),
        "/properties/progress/minimum",
        "a schema must be an object, not integer",
    ),
    (
        "bounds that leave no number",
        put("properties/progress", minimum=5, maximum=3),
        "/properties/progress",
        "no value can meet this",
    ),
    (
        "a field that must be and must not be there",
        put("", allOf=[{"properties": {"progress": False}}]),
        "",
        "no value can meet this",
    ),
    (
        "more members than anybody makes up",
        put("properties/job_id", minProperties=20_000),
        "/properties/job_id/minProperties",
        "at most 10,000",
    ),
    (
        "a field of an item that is described nowhere",
        put("properties", songs={"type": "array", "items": {"required": ["url"]}}),
        "/properties/songs/items/required",
        "'url' is not described: add it to `properties`",
    ),
    (
        "a pattern that is too large",
        put("properties/job_id", pattern="(a{0,999}){0,999}"),
        "/properties/job_id/pattern",
        "is no pattern, or too large a one",
    ),
]


@pytest.mark.parametrize(
    ("change", "place", "reason"),
    [row[1:] for row in OF_SCHEMAS],
    ids=[row[0] for row in OF_SCHEMAS],
)
def test_schemas_that_nobody_could_keep_are_refused_where_it_stands(
    tmp_path, change, place, reason
):
    said = refused("songs", "chunks/running.json", change, tmp_path)
    assert said.startswith(f"chunks/running.json#{place}: "), said
    assert re.search(reason, said), said
