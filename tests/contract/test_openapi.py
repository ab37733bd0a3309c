"""The OpenAPI document of a contract: valid, complete, and used by what reads such documents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import jsonschema
import pytest
from late_import import LateModule
from tests.support import small_api

from soundstage.contract import Contract, load_all
from soundstage.contract.openapi import PROTOCOL, document
from soundstage.wire.sse import Decoder

openapi_spec_validator = LateModule("openapi_spec_validator")
schemathesis = LateModule("schemathesis")

CONTRACTS = load_all()
DOCUMENTS = {api: document(contract) for api, contract in CONTRACTS.items()}
EACH = pytest.mark.parametrize("api", sorted(CONTRACTS))


def found(value: Any, keys: tuple[str, ...]) -> Iterator[Any]:
    """Everything under these keys, at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in keys:
                yield inner
            yield from found(inner, keys)
    elif isinstance(value, list):
        for inner in value:
            yield from found(inner, keys)


def inside(api: str, schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    """A validator for a schema of the document, with the components it refers to."""
    components = {"components": DOCUMENTS[api]["components"]}
    return jsonschema.Draft202012Validator({**schema, **components})


@EACH
def test_the_document_is_valid_openapi_3_2(api: str) -> None:
    assert DOCUMENTS[api]["openapi"] == "3.2.0"
    assert [
        str(each)
        for each in openapi_spec_validator.OpenAPIV32SpecValidator(DOCUMENTS[api]).iter_errors()
    ] == []
    assert json.loads(json.dumps(DOCUMENTS[api])) == DOCUMENTS[api]


def test_the_validator_would_have_seen_a_mistake() -> None:
    broken = {**next(iter(DOCUMENTS.values())), "security": "none"}
    assert list(openapi_spec_validator.OpenAPIV32SpecValidator(broken).iter_errors())


@EACH
def test_every_schema_meets_the_metaschema_also_those_of_items(api: str) -> None:
    schemas = [
        *DOCUMENTS[api]["components"]["schemas"].values(),
        *found(DOCUMENTS[api]["paths"], ("schema", "itemSchema", "contentSchema")),
        *DOCUMENTS[api][PROTOCOL]["fields"].values(),
        *(stage["when"] for stage in DOCUMENTS[api][PROTOCOL]["stages"]),
    ]
    assert len(schemas) > 30
    assert any("data" in each.get("properties", ()) for each in schemas), "an event of a stream"
    for schema in schemas:
        jsonschema.Draft202012Validator.check_schema(schema)


@EACH
def test_every_reference_leads_somewhere(api: str) -> None:
    components = DOCUMENTS[api]["components"]["schemas"]
    references = set(found(DOCUMENTS[api], ("$ref",)))
    used = {each.removeprefix("#/components/schemas/") for each in references}
    assert used <= components.keys()
    assert components.keys() <= used, "a component that nothing refers to"


@EACH
def test_every_example_meets_the_schema_that_it_stands_beside(api: str) -> None:
    seen = 0
    for name, schema in DOCUMENTS[api]["components"]["schemas"].items():
        for example in schema.get("examples", ()):
            inside(api, schema).validate(example)
            seen += 1
            assert name != "chunk"
    for media in found(DOCUMENTS[api]["paths"], ("application/json",)):
        for example in media.get("examples", {}).values():
            inside(api, media["schema"]).validate(example["value"])
            seen += 1
    printed = CONTRACTS[api].examples
    assert seen > len(printed)


@EACH
def test_printed_chunks_are_an_example_of_the_stream_and_meet_its_item_schema(api: str) -> None:
    (media,) = found(DOCUMENTS[api]["paths"], ("text/event-stream",))
    text = media["examples"]["printed"]["serializedValue"]
    events = Decoder().feed(text.encode())
    stages = [each for each in CONTRACTS[api].examples if each.of.startswith("stage:")]
    assert len(events) == len(stages)
    chunk = media["itemSchema"]["properties"]["data"]["contentSchema"]
    for event in events:
        inside(api, chunk).validate(json.loads(event.data))
    with pytest.raises(jsonschema.ValidationError):
        inside(api, chunk).validate({"status": 7})


@EACH
def test_nothing_of_the_contract_is_left_out(api: str) -> None:
    contract, described = CONTRACTS[api], DOCUMENTS[api]
    schemas = described["components"]["schemas"]
    for endpoint in contract.endpoints.values():
        operation = described["paths"][endpoint.path][endpoint.method.lower()]
        assert operation["x-soundstage-billed"] is endpoint.billed
        assert operation["x-source"] == endpoint.grounds.source
        assert ("requestBody" in operation) is (endpoint.request is not None)
        bodies = [
            example["value"]
            for answer in operation["responses"].values()
            for media in answer["content"].values()
            for name, example in media.get("examples", {}).items()
            if name in {error.name for error in contract.errors.known}
        ]
        assert bodies == [error.body for error in by_status(contract)]
        assert {"4XX", "5XX"} <= operation["responses"].keys()
    for error in contract.errors.known:
        assert schemas[f"error.{error.name}"]["x-basis"] == error.grounds.basis
        assert ("const" in schemas[f"error.{error.name}"]) is error.printed
    protocol = described[PROTOCOL]
    assert [stage["name"] for stage in protocol["stages"]] == list(contract.protocol.by_name)
    for stage in contract.protocol.stages:
        assert set(schemas[f"chunk.{stage.name}"]["properties"]) == set(stage.schema["properties"])
    for part in ("tracks", "index", "completion"):
        assert (part in protocol) is (getattr(contract.protocol, part) is not None)
    assert {"x-basis", "x-source"} <= protocol["index"].keys()
    assert not list(found(described, ("x-role",)))


def by_status(contract: Contract) -> list[Any]:
    return sorted(contract.errors.known, key=lambda error: error.status)


def drawn(cases: Any) -> list[Any]:
    bodies: list[Any] = []

    @hypothesis.settings(
        max_examples=6,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=cases)
    def draw(case: Any) -> None:
        bodies.append(case.body)

    draw()
    return bodies


@EACH
@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_schemathesis_draws_requests_from_it(api: str, mode: str) -> None:
    described = schemathesis.openapi.from_dict(DOCUMENTS[api], config=schemathesis.Config())
    for endpoint in CONTRACTS[api].endpoints.values():
        if endpoint.request is None:
            continue
        check = inside(api, {"$ref": "#/components/schemas/request"})
        operation = described[endpoint.path][endpoint.method]
        bodies = drawn(operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode)))
        assert len(bodies) >= 5
        valid = [check.is_valid(body) for body in bodies]
        assert all(valid) if mode == "positive" else not all(valid)


def printed_beside_a_state(root: Path) -> dict[str, str]:
    """By media type, what the document of a stream has as printed, where a chunk of it is printed
    and a state of the status endpoint beside it, too.
    """
    status = {"name": "status", "kind": "status", "method": "GET", "path": "/s/{id}",
              "billed": False, "stages": ["done"]}  # fmt: skip
    printed = {"examples": [
        {"file": f"{name}.json", "of": f"stage:{name}", "source": "Small > All"}
        for name in ("over", "done")
    ]}  # fmt: skip
    contract = small_api.small(
        root,
        small_api.stage("over", ends="stream", fields=["id"]),
        small_api.stage("done", ends="stream", fields=["id"]),
        endpoint={
            "framings": ["sse", "lines"], "sentinel": {"data": "[DONE]"},
            "gives": {"id": {"from": "/id"}}, "looked_up_by": "status",
        },
        more=[status],
        files={
            "examples/index.json": printed,
            "examples/over.json": {"t": "over", "id": "a"},
            "examples/done.json": {"t": "done", "id": "a"},
        },
    )  # fmt: skip
    responses = document(contract)["paths"]["/s"]["post"]["responses"]
    return {
        media: each["examples"]["printed"]["serializedValue"]
        for media, each in responses["200"]["content"].items()
        if "examples" in each
    }


def test_the_printed_example_of_a_stream_has_its_last_text_and_no_state_of_a_job(
    tmp_path: Path,
) -> None:
    printed = printed_beside_a_state(tmp_path)
    chunk = '{"t":"over","id":"a"}'
    assert printed == {
        "text/event-stream": f"data: {chunk}\n\ndata: [DONE]\n\n",
        "application/x-ndjson": f"{chunk}\n[DONE]\n",
    }
