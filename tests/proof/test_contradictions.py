"""Constraints that cannot hold together are named with their file, without anything made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import small_contract as small

from soundstage.contract import load
from soundstage.proof.contract_files import ContractFiles
from soundstage.proof.contradictions import contradictions


def found(root: Path, *words: Any, **more: Any) -> list[str]:
    folder = small.write(root, *words, **more)
    contract = load(folder.name, root)
    return [str(each) for each in contradictions(contract, ContractFiles.of(folder))]


def with_field(schema: small.Json, name: str, value: small.Json) -> small.Json:
    properties = {**schema["properties"], name: value}
    return {**schema, "properties": properties, "required": [*schema["required"], name]}


def test_a_contract_that_can_be_kept_has_none(tmp_path: Path) -> None:
    assert found(tmp_path) == []


def test_a_chunk_and_what_tells_it_from_others(tmp_path: Path) -> None:
    when = {"properties": {"line": {"type": "integer"}}, "required": ["line"]}
    stages = [{**small.STAGES[0], "when": when}, small.STAGES[1]]
    assert found(tmp_path, stages=stages) == [
        "line.json#: no chunk meets this and the `when` of line"
    ]


def test_a_stage_whose_chunks_are_all_told_for_another(tmp_path: Path) -> None:
    stages = [{**small.STAGES[0], "when": {}}, small.STAGES[1]]
    assert found(tmp_path, stages=stages) == [
        "end.json#: every chunk of end is told for line, tried before it"
    ]


def test_a_stage_that_must_come_after_the_end(tmp_path: Path) -> None:
    late = small.stage("late", "late", after=[["end"]])
    text = {"type": "object", "properties": {"late": {"type": "string"}}, "required": ["late"]}
    said = found(tmp_path, stages=[*small.STAGES, late], files={"late.json": text})
    assert said == ["protocol.json#/stages: late must come at stream, and can only after its end"]


@pytest.mark.parametrize("other", ["wild", "calm"])
def test_a_field_that_stays_the_same_and_must_be_two(tmp_path: Path, other: str) -> None:
    files = {
        "line.json": with_field(small.LINE, "mood", {"const": "calm"}),
        "end.json": with_field(small.END, "mood", {"const": other}),
    }
    said = found(tmp_path, files=files, constant=[{"field": "mood"}])
    why = "mood stays the same, and must be another in line (line.json)"
    assert said == ([] if other == "calm" else [f"end.json#/properties/mood: {why}"])


def test_a_field_that_stays_the_same_once_it_is_known_may_be_null_before(tmp_path: Path) -> None:
    files = {
        "line.json": with_field(small.LINE, "mood", {"type": "null"}),
        "end.json": with_field(small.END, "mood", {"const": "wild"}),
    }
    assert found(tmp_path, files=files, constant=[{"field": "mood"}]) == []


def test_a_track_that_a_stage_of_every_track_does_not_allow(tmp_path: Path) -> None:
    voice = {"enum": ["low", "mid"]}
    files = {"line.json": with_field(small.LINE, "voice", voice)}
    stages = [{**small.STAGES[0], "per_track": True}, small.STAGES[1]]
    tracks = {"field": "voice", "values": ["low", "high"]}
    said = found(tmp_path, stages=stages, files=files, tracks=tracks, fields={"voice": {}})
    assert said == ["line.json#/properties/voice: line comes on each track, and cannot on 'high'"]


def test_a_flag_that_cannot_say_what_it_must_on_the_last_chunk(tmp_path: Path) -> None:
    files = {"end.json": with_field(small.END, "done", {"const": False})}
    flag = {"field": "done", "before_last": {}, "last": {}}
    said = found(tmp_path, files=files, completion=flag)
    assert said == ["end.json#/properties/done: done must be true, as end is the last chunk"]


def test_a_request_and_what_sends_it_to_its_endpoint(tmp_path: Path) -> None:
    when = {"properties": {"words": {"type": "integer"}}, "required": ["words"]}
    said = found(tmp_path, [small.STREAM | {"when": when}])
    assert said == ["request.json#: no request meets this and the `when` of the endpoint stream"]
