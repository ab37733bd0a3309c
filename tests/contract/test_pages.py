"""What the two pages list is in the data, and what the data holds is on the pages.

The tables here were read off the pages, not off the data.
"""

from __future__ import annotations

import json

import jsonschema
import pytest

from soundstage.contract import load

V5 = "Generate AI Song (v5)"
V6 = "Generate Song (v6)"

# name: (type, required, default)
V5_PARAMETERS = {
    "userId": ("string", True, None),
    "projectId": ("string", True, None),
    "prompt": ("string", True, None),
    "lyrics": ("string", False, None),
    "duration": ("integer", False, 30),
    "model": ("string", False, "mureka-7.5"),
    "parameters": ("object", False, None),
}
V6_PARAMETERS = {
    "prompt": ("string", True, None),
    "lyrics": ("string", False, None),
    "reference_url": ("string", False, None),
    "instrumental_url": ("string", False, None),
    "vocal_url": ("string", False, None),
    "melody_url": ("string", False, None),
}
# v5 "Response Fields", those of the streaming endpoint and of both; the printed ones besides.
V5_FIELDS = {
    "success": "boolean",
    "messageId": "string",
    "audio_url": "string",
    "album_art": "string",
    "song_name": "string",
    "status": "string",
    "content": "string",
    "isComplete": "boolean",
    "chunkIndex": "integer",
    "task_id": "string",
    "tokens": "integer",
    "totalTokens": "integer",
    "error": "boolean",
}
# v6 "Fields" of the streaming response; lyrics_sections is printed with the last stage.
V6_FIELDS = {
    "isComplete": "boolean",
    "status": "string",
    "chunkIndex": "integer",
    "message_id": "string",
    "stream_url": "string",
    "version": "integer",
    "album_art": "string",
    "song_name": "string",
    "progress": "integer",
    "streaming_ready": "boolean",
    "audio_url": "string",
    "error": "string",
    "operation": "string",
    "lyrics_sections": "array",
}
# v6: the "fields sent" of each stage, and the printed examples where they differ.
V6_STAGES = {
    "initializing": "isComplete, status, chunkIndex",
    "validated": "message_id, isComplete, status, album_art, song_name, chunkIndex",
    "streaming": "message_id, isComplete, status, album_art, song_name, chunkIndex",
    "processing": "message_id, isComplete, chunkIndex, status, album_art, song_name",
    "running": "message_id, isComplete, chunkIndex, status, album_art, song_name, progress",
    "streaming_ready": "message_id, isComplete, status, chunkIndex, stream_url, version, "
    "streaming_ready, album_art, song_name",
    "completed": "message_id, isComplete, chunkIndex, status, album_art, song_name, progress, "
    "audio_url",
    "uploading": "message_id, isComplete, status, version, chunkIndex",
    "final": "message_id, isComplete, status, version, lyrics_sections, chunkIndex",
}
V6_STATUSES = {
    "initializing": "initializing",
    "validated": "validated",
    "streaming": "streaming",
    "processing": "processing",
    "running": "running",
    "streaming_ready": "streaming",
    "completed": "completed",
    "uploading": "uploading",
    "final": "completed",
}
RATE = {"success": False, "message": "Rate limits have been passed for the user."}
BALANCE = {"success": False, "message": "Insufficient balance for this operation."}
PROMPT = {"detail": "Invalid or empty prompt provided"}
NSFW = {
    "success": False,
    "message": "NSFW words detected. Please try again with different lyrics.",
}
DOWN = {
    "success": False,
    "message": "Service temporarily unavailable. Please try again in a moment.",
    "error": "Database connection pool exhausted",
}


def kinds(schema):
    found = schema.get("type", [])
    return [found] if isinstance(found, str) else list(found)


@pytest.mark.parametrize(
    ("api", "parameters"), [("v5", V5_PARAMETERS), ("v6", V6_PARAMETERS)], ids=["v5", "v6"]
)
def test_every_request_parameter_has_its_type_its_requiredness_and_its_default(api, parameters):
    for endpoint in ("stream", "sync"):
        schema = load(api).endpoints[endpoint].request
        assert list(schema["properties"]) == list(parameters)
        for name, (kind, required, default) in parameters.items():
            field = schema["properties"][name]
            assert field["type"] == kind, name
            assert (name in schema["required"]) is required, name
            assert field.get("default") == default, name
            assert field["description"], name
            assert (field["x-basis"], field["x-source"].split(" > ")[0]) == (
                "documented",
                {"v5": V5, "v6": V6}[api],
            )


@pytest.mark.parametrize(
    ("api", "fields"), [("v5", V5_FIELDS), ("v6", V6_FIELDS)], ids=["v5", "v6"]
)
def test_every_documented_field_is_in_the_data_with_its_type(api, fields):
    found = load(api).protocol.fields
    assert found.keys() == fields.keys()
    for name, kind in fields.items():
        assert set(kinds(found[name])) - {"null"} == {kind}, name


def test_v5_fields_that_are_printed_as_null_may_be_null():
    fields = load("v5").protocol.fields
    nullable = {name for name, field in fields.items() if "null" in kinds(field)}
    assert nullable == {"task_id", "status", "album_art", "song_name", "audio_url"}


def test_every_v6_stage_requires_the_fields_sent_and_has_its_status():
    protocol = load("v6").protocol
    assert {stage.name for stage in protocol.stages} == {*V6_STAGES, "failed"}
    for name, fields in V6_STAGES.items():
        schema = protocol.by_name[name].schema
        assert set(schema["required"]) == set(fields.split(", ")), name
        assert set(schema["required"]) <= set(schema["properties"])
        assert schema["properties"]["status"]["const"] == V6_STATUSES[name]
    assert protocol.by_name["completed"].schema["properties"]["progress"]["const"] == 100
    assert (
        protocol.by_name["streaming_ready"].schema["properties"]["streaming_ready"]["const"] is True
    )


def test_v6_stages_have_the_order_and_the_multiplicity_of_the_reading():
    protocol = load("v6").protocol
    table = {s.name: (s.after, s.times, s.per_track, s.ends) for s in protocol.stages}
    assert table == {
        "failed": ((), (0, 1), False, "stream"),
        "initializing": ((), (1, 1), False, None),
        "validated": ((("initializing",),), (1, 1), False, None),
        "streaming": ((("validated",),), (1, 1), False, None),
        "processing": ((("streaming",),), (0, None), False, None),
        "running": ((("streaming",),), (0, None), False, None),
        "streaming_ready": ((("streaming",),), (1, 1), True, None),
        "completed": ((("streaming_ready",),), (1, 2), False, None),
        "uploading": ((("streaming_ready",), ("completed",)), (1, 1), True, None),
        "final": ((("uploading",),), (1, 1), True, "track"),
    }
    assert [s.name for s in protocol.stages[:5]] == [
        "failed", "final", "completed", "streaming_ready", "streaming",
    ]  # fmt: skip


def test_v5_stages_are_progress_and_final():
    protocol = load("v5").protocol
    assert {s.name: (s.times, s.ends) for s in protocol.stages} == {
        "failed": ((0, 1), "stream"),
        "final": ((1, 1), "stream"),
        "progress": ((0, None), None),
    }
    printed = {"content", "isComplete", "chunkIndex", "tokens", "totalTokens", "task_id", "status",
               "album_art", "song_name", "error"}  # fmt: skip
    assert set(protocol.by_name["progress"].schema["required"]) == printed
    assert set(protocol.by_name["final"].schema["required"]) == printed | {"audio_url"}
    listed = {"content", "isComplete", "chunkIndex"}  # "streaming endpoint only", and never null
    for name, sure in (
        ("progress", listed),
        ("final", printed - {"tokens", "totalTokens", "error"}),
    ):
        fields = protocol.by_name[name].schema["properties"]
        by_example = {f for f in printed if fields[f].get("x-required-basis") == "inferred"}
        assert by_example == printed - sure, name


def test_what_holds_across_chunks():
    v5, v6 = load("v5").protocol, load("v6").protocol
    assert (v5.index.field.name, v5.index.start, v5.index.step) == ("chunkIndex", 1, 1)
    assert (v6.index.field.name, v6.index.start, v6.index.step) == ("chunkIndex", 0, 1)
    assert v5.tracks is None
    assert (v6.tracks.field.name, v6.tracks.values) == ("version", (1, 2))
    bases = {each.field.name: each.grounds.basis for each in v6.constant}
    assert bases == {"message_id": "documented", "album_art": "inferred", "song_name": "inferred"}
    bases = {each.field.name: each.grounds.basis for each in v5.constant}
    assert bases == {"task_id": "exemplified", "album_art": "inferred", "song_name": "inferred"}
    (rising,) = v6.never_decrease
    assert (rising.field.name, rising.stages, rising.grounds.basis) == (
        "progress", ("running",), "inferred",
    )  # fmt: skip
    assert (v5.completion.field.name, v6.completion.field.name) == ("isComplete", "isComplete")
    assert (v6.completion.before_last.basis, v6.completion.last.severity) == ("documented", "info")


@pytest.mark.parametrize(
    ("api", "endpoints"),
    [
        ("v5", {
            "stream": ("POST", "/v5/generate/song-gen", "stream", True, ("sse", "lines")),
            "sync": ("POST", "/v5/generate/song-gen/sync", "sync", True, ()),
        }),
        ("v6", {
            "stream": ("POST", "/v6/generate/song", "stream", True, ("sse",)),
            "sync": ("POST", "/v6/generate/song/sync", "sync", True, ()),
            "status": ("GET", "/status/generation/{message_id}", "status", False, ()),
        }),
    ],
)  # fmt: skip
def test_every_documented_endpoint_is_there(api, endpoints):
    contract = load(api)
    assert {
        each.name: (each.method, each.path, each.kind, each.billed, each.framings)
        for each in contract.endpoints.values()
    } == endpoints
    assert contract.base_url == "https://api.soundverse.ai"


def test_the_synchronous_results_have_every_printed_field():
    v5, v6 = load("v5").endpoints["sync"].response, load("v6").endpoints["sync"].response
    assert set(v5["required"]) == {
        "success", "messageId", "audio_url", "album_art", "song_name", "status",
    }  # fmt: skip
    assert v5["properties"]["success"]["const"] is True
    assert v5["properties"]["status"]["const"] == "COMPLETED"
    assert set(v6["required"]) == {"message_id", "album_art", "song_name", "audio_data"}
    tracks = v6["properties"]["audio_data"]
    assert (tracks["minItems"], tracks["maxItems"]) == (2, 2)
    assert set(tracks["items"]["required"]) == {"audio_url", "song_name"}


@pytest.mark.parametrize(
    ("api", "printed"),
    [
        ("v5", {
            "Rate Limit Exceeded": RATE,
            "Insufficient Balance": BALANCE,
            "Invalid Prompt": PROMPT,
            "NSFW Content Detected": NSFW,
        }),
        ("v6", {
            "Rate Limit Exceeded": RATE,
            "Insufficient Balance": BALANCE,
            "Invalid Prompt": PROMPT,
            "NSFW Content Detected": NSFW,
            "Service Unavailable": DOWN,
        }),
    ],
)  # fmt: skip
def test_every_documented_error_is_there_to_the_letter(api, printed):
    errors = load(api).errors
    assert {each.title: each.body for each in errors.known if each.printed} == printed
    for error in errors.known:
        if error.printed:
            assert errors.matching(error.body) is error
            assert errors.named(error.name) is error
    assert (errors.statuses.start, errors.statuses.stop) == (400, 600)
    statuses = {each.name: each.status for each in errors.known}
    assert statuses == {
        "rate_limit": 429, "insufficient_balance": 402, "invalid_prompt": 400, "nsfw": 400,
        "service_unavailable": 503, "unauthorized": 401, "wrong_types": 422, "broken_json": 400,
        "wrong_media_type": 415, "not_found": 404, "method_not_allowed": 405,
    }  # fmt: skip
    with pytest.raises(KeyError):
        errors.named("nothing")


@pytest.mark.parametrize("api", ["v5", "v6"])
def test_every_printed_payload_meets_its_schema(api):
    contract = load(api)
    seen = set()
    for example in contract.examples:
        kind, _, name = example.of.partition(":")
        seen.add(example.of)
        if kind == "stage":
            schema = contract.protocol.by_name[name].schema
        elif kind == "error":
            assert example.payload == contract.errors.named(name).body
            continue
        else:
            schema = getattr(contract.endpoints["sync"], kind)
        assert schema is not None
        jsonschema.Draft202012Validator(schema).validate(example.payload)
    assert {"request", "response"} <= seen
    for stage in contract.protocol.stages:
        assert (f"stage:{stage.name}" in seen) is not stage.failure
    for error in contract.errors.known:
        assert (f"error:{error.name}" in seen) is error.printed


def test_a_printed_payload_that_was_no_json_says_what_was_mended():
    mended = {each.file: each.mended for each in load("v6").examples if each.mended}
    assert mended.keys() == {"final.json", "sync.json"}
    assert all(each.mended is None for each in load("v5").examples)


@pytest.mark.parametrize(("api", "title"), [("v5", V5), ("v6", V6)])
def test_every_rule_has_an_id_a_basis_a_severity_and_a_place_on_the_page(api, title):
    contract = load(api)
    assert contract.title == title
    assert len(contract.rules) > 50
    assert len({rule.id for rule in contract.rules}) == len(contract.rules)
    for rule in contract.rules:
        assert rule.id.startswith(f"{api}/{rule.endpoint}/")
        assert rule.endpoint in (*contract.endpoints, "error", "request")
        assert rule.source.startswith(f"{title} > "), rule
        assert rule.basis in ("documented", "exemplified", "inferred")
        assert rule.severity in ("error", "warning", "info")
        assert rule.text.endswith("."), rule
        assert "None" not in rule.text
    for example in contract.examples:
        assert example.source.startswith(f"{title} > ")


HEADINGS = {
    V5: {"Core Parameters", "Endpoints", "Request Body", "Response", "Response Fields",
         "Sample Output", "Possible Errors", "Notes"},
    V6: {"Endpoints", "Request Parameters", "Example Request", "Streaming Response", "Fields",
         "Stages of Streaming Response", "Initialization", "Validation", "Streaming",
         "Processing & Running", "Streaming Ready", "Completed Generation", "Uploading",
         "Final Completed Response", "Synchronous Response", "Possible Errors"},
}  # fmt: skip


@pytest.mark.parametrize("api", ["v5", "v6"])
def test_every_source_names_headings_that_the_page_has(api):
    contract = load(api)
    for rule in contract.rules:
        title, *headings = rule.source.split(" > ")
        assert headings
        assert set(headings) <= HEADINGS[title], rule.source


def test_the_severity_follows_from_the_basis_unless_the_data_says_otherwise():
    expected = {"documented": "error", "exemplified": "error", "inferred": "warning"}
    others = {
        rule.id
        for api in ("v5", "v6")
        for rule in load(api).rules
        if rule.severity != expected[rule.basis] and "/asset/key/" not in rule.id
    }
    assert others == {"v6/stream/completion/last", "v5/error/no_500", "v6/error/no_500"}


def test_the_rules_that_the_design_names_have_these_ids():
    rules = load("v6").rules.rules
    for rule in (
        "v6/stream/streaming_ready/field/stream_url/required",
        "v6/stream/order/uploading/after/completed",
        "v6/stream/index/consecutive",
        "v6/request/field/prompt/required",
        "v6/request/field/prompt/value/inferred",
        "v6/sync/field/audio_data.*.audio_url/required",
        "v6/error/nsfw/body",
        "v6/stream/end/reached",
        "v6/stream/tracks/all",
    ):
        assert rule in rules, sorted(rules)
    assert json.dumps(sorted(rules))
