"""Small contracts of shapes that ours do not have: each is proved, and passes a check."""

from __future__ import annotations

import json
import random
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import small_contract as small
from command_run import run_here

from soundstage.conformance.judge import Judge
from soundstage.contract import load
from soundstage.contract.contract import SCHEMAS_VARIABLE
from soundstage.errors import ContractDataError
from soundstage.exchange.requests import request_body
from soundstage.generation.faults.catalogue import valid_result, valid_stream
from soundstage.generation.faults.fault import dumps
from soundstage.proof.own_emulator import own_emulator

TEXT = {"type": "string"}


def obj(**properties: small.Json) -> small.Json:
    return {"type": "object", "properties": properties, "required": list(properties)}


STATUS = {"name": "status", "kind": "status", "method": "GET", "path": "/tales/{id}",
          "response": "tale.json", "billed": False}  # fmt: skip
BODYLESS = {word: value for word, value in small.STREAM.items() if word != "request"}
EVENTS = {**BODYLESS, "method": "GET", "path": "/tales/{id}/events"}
NUMBERED = {
    **BODYLESS,
    "method": "GET",
    "path": "/tales/{number}/events",
    "parameters": {"number": {"type": "integer", "minimum": 1, "maximum": 9}},
}
MAKE = {**small.SYNC, "name": "make", "path": "/tales", "gives": {"id": {"from": "/id"}}}
POEM = {**small.STREAM, "name": "poem", "path": "/poems", "framings": ["lines"]}
VERSES = [
    small.stage("verse", "verse", times=[2, 5]),
    small.stage("close", "close", after=[["verse"]], ends="stream"),
]
#: Keywords that hold on a condition, of one of several, or for some items only.
ODD: small.Json = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["a", "b"]},
        "n": {"type": "integer"},
        "pair": {
            "type": "array",
            "prefixItems": [{"type": "string", "maxLength": 5}, {"type": "integer"}],
            "items": False,
            "minItems": 2,
        },
        "x": {"oneOf": [{"type": "string"}, {"type": "integer", "minimum": 3}]},
        "y": TEXT,
        "z": TEXT,
        "line": {"type": "string", "maxLength": 8},
    },
    "required": ["kind", "pair", "x", "line"],
    "if": {"properties": {"kind": {"const": "a"}}, "required": ["kind"]},
    "then": {"required": ["n"]},
    "dependentRequired": {"y": ["z"]},
    "additionalProperties": False,
}
ODD_FILES = {"request.json": ODD, "tale.json": ODD, "line.json": ODD}

CASES: dict[str, small.Json] = {
    "a status endpoint with a response": {
        "endpoints": [{**small.STREAM, "gives": {"id": {"from": "/id", "stage": "line"}}}, STATUS],
        "files": {"line.json": obj(line=TEXT, id=TEXT), "tale.json": obj(id=TEXT, text=TEXT)},
        "constant": [{"field": "id"}],
    },
    "two streams": {
        "endpoints": [
            {**small.STREAM, "stages": ["line", "end"]},
            {**POEM, "stages": ["verse", "close"]},
        ],
        "stages": [*small.STAGES, *VERSES],
        "files": {"verse.json": obj(verse={"type": "integer"}), "close.json": obj(close=TEXT)},
    },
    "a stream of GET with a parameter of its own": {"endpoints": [NUMBERED]},
    "a stream of what another endpoint has made": {
        "endpoints": [MAKE, EVENTS],
        "files": {"tale.json": obj(id=TEXT)},
    },
    "no streams": {
        "endpoints": [small.SYNC],
        "stages": [],
        "files": {"tale.json": obj(text=TEXT)},
    },
    "a request with an array that may be empty": {
        "files": {"request.json": obj(tags={"type": "array", "items": TEXT})},
    },
    "keywords that hold on a condition": {
        "endpoints": [small.STREAM, small.SYNC],
        "files": ODD_FILES,
    },
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.proof
def test_it_is_proved(tmp_path: Path, case: str) -> None:
    folder = small.write(tmp_path, **CASES[case])
    done = run_here("schema", "--prove", str(folder), env={SCHEMAS_VARIABLE: ""})
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES)
@pytest.mark.proof
def test_its_emulator_passes_a_check(tmp_path: Path, case: str) -> None:
    small.write(tmp_path / "apis", **CASES[case])
    words = ["check", "--target", "emulator", "--api", "tales", "--explore", "2", "--out", "run"]
    added = ["--schemas", "apis"]
    done = run_here(*words, *added, folder=tmp_path, env={SCHEMAS_VARIABLE: ""})
    assert done.returncode == 0, done.stdout + done.stderr


#: What is put into a value that meets `ODD`, and which keyword it breaks.
BROKEN: dict[str, small.Json] = {
    "then": {"kind": "a"},
    "dependentRequired": {"y": "alone"},
    "oneOf": {"x": 2},
    "prefixItems": {"pair": [1, 1]},
    "items": {"pair": ["one", 1, 1]},
    "additionalProperties": {"beside": 1},
    "maxLength": {"line": "far too long"},
}


def broken(valid: small.Json, keyword: str) -> small.Json:
    """`valid` with one keyword broken."""
    plain = {name: value for name, value in valid.items() if name not in ("n", "y", "z")}
    return {**plain, "kind": "b", **BROKEN[keyword]}


@pytest.mark.parametrize("keyword", BROKEN)
def test_a_keyword_that_is_broken_is_found_in_results_and_chunks(
    tmp_path: Path, keyword: str
) -> None:
    small.write(tmp_path, [small.STREAM, small.SYNC], files=ODD_FILES)
    contract = load("tales", tmp_path)

    def errors(endpoint: str, *bodies: bytes) -> list[str]:
        judge = Judge(contract, contract.endpoints[endpoint])
        judge.head(200, "application/json" if endpoint == "sync" else "text/event-stream")
        for body in bodies:
            judge.feed(body)
        judge.close()
        return [each.code for each in judge.violations if each.severity == "error"]

    def events(chunks: list[Any]) -> list[bytes]:
        return [b"data: " + dumps(chunk) + b"\n\n" for chunk in chunks]

    ((_, result),) = valid_result(contract, "sync", random.Random(0))
    assert errors("sync", dumps(result)) == []
    assert errors("sync", dumps(broken(result, keyword))) != []
    chunks = [payload for _, payload in valid_stream(contract, random.Random(0))]
    assert errors("stream", *events(chunks)) == []
    assert errors("stream", *events([broken(chunks[0], keyword), *chunks[1:]])) != []


def test_an_emulator_refuses_requests_that_break_a_keyword(tmp_path: Path) -> None:
    small.write(tmp_path, [small.SYNC], [], files=ODD_FILES)
    contract = load("tales", tmp_path)
    valid = request_body(contract, contract.endpoints["sync"], random.Random(0))
    with own_emulator(contract) as url:
        assert status(url, valid) == 200
        refused = {keyword: status(url, broken(valid, keyword)) for keyword in BROKEN}
    assert all(400 <= each < 500 for each in refused.values()), refused


def status(url: str, body: small.Json) -> int:
    head = {"Content-Type": "application/json", "Authorization": "Bearer any"}
    request = urllib.request.Request(f"{url}/tales/whole", json.dumps(body).encode(), head)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_two_endpoints_that_no_request_could_be_told_apart_by_are_refused(tmp_path: Path) -> None:
    small.write(tmp_path, [small.STREAM, {**small.STREAM, "name": "again"}])
    with pytest.raises(ContractDataError, match=r"#/endpoints/1: 'again' is never reached"):
        load("tales", tmp_path)
