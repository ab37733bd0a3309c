"""Requests that checks and load runs make up: each meets its schema, and is for its endpoint."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tests.support.small_api import small, stage

from soundstage.contract import available, load
from soundstage.errors import UsageError
from soundstage.exchange.budget import Budget
from soundstage.exchange.client import Call, Client
from soundstage.exchange.requests import endpoint_of, own_values, request_body, valid_body
from soundstage.exchange.target import Target
from soundstage.wire.transport import Transport

GALLERY = Path(__file__).parents[2] / "examples/contracts"
SEEDS = range(100)
PROMPT = {"type": "string", "x-role": "prompt"}
URL = {"type": "string", "pattern": "^https?://", "x-role": "reference_audio"}


def asks(required: list[str], properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties, **more}


MESSAGE = asks(["role", "content"], {"role": {"enum": ["user"]}, "content": PROMPT})

REQUESTS: dict[str, dict[str, Any]] = {
    "nothing": {"type": "object"},
    "a prompt": asks(["prompt"], {"prompt": PROMPT}),
    "a short prompt": asks(["prompt"], {"prompt": {**PROMPT, "maxLength": 12}}),
    "a prompt of one letter": asks(["prompt"], {"prompt": {**PROMPT, "maxLength": 1}}),
    "a long prompt": asks(["prompt"], {"prompt": {**PROMPT, "minLength": 400}}),
    "a prompt between": asks(["prompt"], {"prompt": {**PROMPT, "minLength": 30, "maxLength": 33}}),
    "a prompt of a pattern": asks(["prompt"], {"prompt": {**PROMPT, "pattern": "^[a-z ]{5,20}$"}}),
    "anyOf one of several": asks(
        [], {"prompt": PROMPT, "url": URL}, anyOf=[{"required": ["prompt"]}, {"required": ["url"]}]
    ),
    "oneOf, and not both": asks(
        [], {"prompt": PROMPT, "url": URL}, oneOf=[{"required": ["prompt"]}, {"required": ["url"]}]
    ),
    "anyOf beside what must be there": asks(
        ["model"],
        {"model": {"const": "m"}, "prompt": PROMPT, "url": URL},
        anyOf=[{"required": ["prompt"]}, {"required": ["url"]}],
    ),
    "an array that must hold something": asks(
        ["messages"], {"messages": {"type": "array", "minItems": 1, "items": MESSAGE}}
    ),
    "an array by its first items": asks(
        ["messages"],
        {"messages": {"type": "array", "prefixItems": [MESSAGE, MESSAGE], "minItems": 2}},
    ),
    "an array that must hold one of a kind": asks(
        ["tags"], {"tags": {"type": "array", "contains": {"const": "song"}}}
    ),
    "unique items": asks(
        ["tags"],
        {"tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True,
                  "minItems": 3, "maxItems": 5}},
    ),
    "a nested object": asks(["song"], {"song": asks(["lines"], {"lines": {
        "type": "array", "minItems": 2, "items": {"type": "string", "maxLength": 8}}})}),
    "numbers": asks(
        ["n", "share"],
        {"n": {"type": "integer", "exclusiveMinimum": 3, "maximum": 5},
         "share": {"type": "number", "exclusiveMinimum": 0, "maximum": 1}},
    ),
    "a number of steps": asks(["n"], {"n": {"type": "integer", "multipleOf": 30, "minimum": 10}}),
    "a number that is at most": asks(["n"], {"n": {"type": "integer", "maximum": 0}}),
    "a default that is no value": asks(["n"], {"n": {"type": "integer", "default": "three"}}),
    "nullable": asks(["style"], {"style": {"type": ["null", "string"]}}),
    "a condition": asks(
        ["kind"],
        {"kind": {"enum": ["song", "tune"]}, "lyrics": {"type": "string"}},
        **{"if": {"properties": {"kind": {"const": "song"}}}, "then": {"required": ["lyrics"]}},
    ),
    "what depends on another": asks(
        ["a"], {"a": PROMPT, "b": PROMPT}, dependentRequired={"a": ["b"]}
    ),
    "closed": asks(["prompt"], {"prompt": PROMPT, "n": {"type": "integer"}},
                   additionalProperties=False),
    "not both": asks(["prompt"], {"prompt": PROMPT, "url": URL}, **{"not": {"required": ["url"]}}),
    "references in all parts": asks(["prompt"], {"prompt": {"allOf": [PROMPT, {"maxLength": 40}]}}),
}  # fmt: skip


def endpoint(root, request):
    contract = small(root, stage("over", ends="stream"), request=request)
    return contract, contract.endpoints["stream"]


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_meets_its_schema(tmp_path, name):
    contract, asked = endpoint(tmp_path, REQUESTS[name])
    validator = Draft202012Validator(REQUESTS[name])
    for seed in SEEDS:
        validator.validate(request_body(contract, asked, random.Random(seed)))


@pytest.mark.parametrize("name", REQUESTS)
def test_the_same_seed_makes_the_same_request(tmp_path, name):
    contract, asked = endpoint(tmp_path, REQUESTS[name])
    assert valid_body(contract, asked, 7) == valid_body(contract, asked, 7)


@pytest.mark.parametrize(
    "name", ["a prompt", "a short prompt", "a long prompt", "anyOf one of several"]
)
def test_requests_differ_so_that_no_cache_makes_a_service_look_faster(tmp_path, name):
    contract, asked = endpoint(tmp_path, REQUESTS[name])
    bodies = {json.dumps(request_body(contract, asked, random.Random(seed))) for seed in SEEDS}
    assert len(bodies) > 20


def test_an_alternative_is_taken_now_and_then_and_no_more_than_is_needed(tmp_path):
    contract, asked = endpoint(tmp_path, REQUESTS["anyOf one of several"])
    bodies = [request_body(contract, asked, random.Random(seed)) for seed in SEEDS]
    assert {tuple(body) for body in bodies} == {("prompt",), ("url",)}
    urls = {body["url"] for body in bodies if "url" in body}
    assert all(url.startswith("https://example.invalid/") for url in urls), "never fetched"


def test_a_request_that_cannot_be_made_up_is_said_in_one_line(tmp_path):
    hopeless = asks(["a"], {"a": {"type": "string", "pattern": "^(a+)+(b+)+(c+)+(d+)+$"}})
    contract, asked = endpoint(tmp_path, hopeless)
    with pytest.raises(UsageError, match="small stream: no request can be made up") as caught:
        request_body(contract, asked, random.Random(1))
    assert "\n" not in str(caught.value)


# --- endpoints that share a path ------------------------------------------------------------------


def shared(root, request):
    when = {"properties": {"stream": {"const": True}}, "required": ["stream"]}
    once = {
        "name": "once", "kind": "sync", "method": "POST", "path": "/s", "billed": False,
        "request": "request.json", "response": "request.json",
    }  # fmt: skip
    return small(
        root,
        stage("over", ends="stream"),
        endpoint={"when": when},
        more=[once],
        request=request,
    )


@pytest.mark.parametrize("flag", [{"type": "boolean"}, {"type": "boolean", "default": False}])
@pytest.mark.parametrize("needed", [[], ["stream"]])
def test_a_request_is_for_its_endpoint_and_for_no_other(tmp_path, flag, needed):
    request = asks(["prompt", *needed], {"prompt": PROMPT, "stream": flag})
    contract = shared(tmp_path, request)
    for each in contract.endpoints.values():
        for seed in SEEDS:
            body = request_body(contract, each, random.Random(seed))
            Draft202012Validator(request).validate(body)
            assert endpoint_of(contract, each, body) is each
            assert endpoint_of(contract, each, json.dumps(body).encode()) is each


def test_an_endpoint_whose_requests_all_go_to_another_is_said(tmp_path):
    contract = shared(tmp_path, asks(["stream"], {"stream": {"const": True}}))
    with pytest.raises(UsageError, match="not for another endpoint at the same path"):
        request_body(contract, contract.endpoints["once"], random.Random(1))


def test_parameters_of_a_path_are_made_up_of_their_own_schemas(tmp_path):
    contract = small(
        tmp_path,
        stage("over", ends="stream"),
        endpoint={
            "path": "/s/{voice}/{speed}",
            "parameters": {
                "voice": {"enum": ["low", "high"]},
                "speed": {"type": "integer", "minimum": 2, "maximum": 4},
            },
        },
    )
    for seed in SEEDS:
        values = own_values(contract, contract.endpoints["stream"], seed)
        assert values["voice"] in ("low", "high")
        assert values["speed"] in ("2", "3", "4")


@pytest.mark.parametrize("api", available(GALLERY))
def test_requests_of_the_gallery_meet_their_schemas(api):
    contract = load(api, GALLERY)
    for each in contract.endpoints.values():
        for seed in SEEDS if each.request is not None else ():
            body = request_body(contract, each, random.Random(seed))
            Draft202012Validator(each.request).validate(body)
            assert endpoint_of(contract, each, body) is each


# --- what a request decides -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"n": 2}, []),
        (b'{"n": 2}', []),
        (b'{ "n":\n1 }', ["track.unknown"]),
        (b"{", []),
    ],
)
def test_as_many_tracks_are_due_as_was_asked_for_however_the_request_was_written(
    tmp_path, raw_server, body, found
):
    contract = small(
        tmp_path,
        stage("part", per_track=True, ends="track", fields=["n"]),
        stage("over", after_all=[["part"]], ends="stream"),
        tracks={"field": "n", "count": {"request": "/n"}},
        request=asks([], {"n": {"type": "integer"}}),
    )
    chunks = [{"t": "part", "n": 0}, {"t": "part", "n": 1}, {"t": "over"}]
    events = b"".join(b"data: %s\n\n" % json.dumps(each).encode() for each in chunks)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    server = raw_server([("send", head + events)])
    target = Target(server.url("").rstrip("/"))
    client = Client(target, Transport(), Budget(None, free=True))
    exchange = client.exchange(Call(contract, contract.endpoints["stream"], body))
    assert [each.code for each in exchange.violations] == found
