"""The loader: what it does not fully understand it refuses, by file, pointer and reason."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import jsonschema
import pytest
from tests.support.refused_contracts import at, drop, put

from soundstage.contract import available, load
from soundstage.contract.json_schema.keywords import KEYWORDS
from soundstage.errors import ContractDataError, UsageError

SCHEMAS = Path(__file__).parents[2] / "schemas"
ON_FIELD = {"x-basis": "documented", "x-source": "Generate Song (v6) > Fields"}
GROUNDS = {"basis": "inferred", "source": "Generate Song (v6) > Fields"}


def append(path, value):
    return lambda data: at(data, path).append(value)


PROTOCOL, CHUNK, ERRORS = "v6/protocol.json", "v6/chunks/running.json", "v6/errors.json"
EXAMPLES, REQUEST = "v6/examples/index.json", "v6/request.json"
STAGE = "stages/9"  # uploading

# name, file, edit, what the message must say after "file#"
REFUSED = [
    ("an unknown key", PROTOCOL, put("", mood=1), r"#: .*mood"),
    ("an unknown key of a stage", PROTOCOL, put(STAGE, mood=1), r"#/stages/9: .*mood"),
    (
        "an unknown key of an endpoint",
        PROTOCOL,
        put("endpoints/0", mood=1),
        r"#/endpoints/0: .*mood",
    ),
    ("an unknown key of the index", PROTOCOL, put("index", mood=1), r"#/index: .*mood"),
    ("an unknown key of an error", ERRORS, put("printed/0", mood=1), r"#/printed/0: .*mood"),
    ("an unknown key of an example", EXAMPLES, put("examples/0", mood=1), r"#/examples/0: .*mood"),
    ("no stages", PROTOCOL, put("", stages=[]), r"#/never_decrease/0/stages: "),
    ("a missing part", PROTOCOL, drop("", "endpoints"), r"#: .*endpoints"),
    ("another name than the folder's", PROTOCOL, put("", api="v5"), r"#/api: .*'v6'"),
    ("a wrong basis", PROTOCOL, put(STAGE, basis="guessed"), r"#/stages/9/basis: "),
    ("a stage without a basis", PROTOCOL, drop(STAGE, "basis"), r"#/stages/9: .*basis"),
    ("a stage without a source", PROTOCOL, drop(STAGE, "source"), r"#/stages/9: .*source"),
    (
        "an after that names no stage",
        PROTOCOL,
        put(STAGE, after=[["dreaming"]]),
        r"#/stages/9/after: .*'dreaming'",
    ),
    (
        "a never_decrease that names no stage",
        PROTOCOL,
        put("never_decrease/0", stages=["dream"]),
        r"#/never_decrease/0/stages: .*'dream'",
    ),
    (
        "two stages of one name",
        PROTOCOL,
        put("stages/8", name="processing"),
        r"#/stages: .*processing",
    ),
    (
        "two endpoints of one name",
        PROTOCOL,
        put("endpoints/1", name="stream"),
        r"#/endpoints: .*stream",
    ),
    (
        "an endpoint called error",
        PROTOCOL,
        put("endpoints/1", name="error"),
        r"#/endpoints/1/name: .*error",
    ),
    (
        "a stage that must come more often than it may",
        PROTOCOL,
        put(STAGE, times=[3, 2]),
        r"#/stages/9/times: ",
    ),
    ("no stage that ends the stream", PROTOCOL, drop("stages/1", "ends"), r"#/stages: .*ends"),
    ("a stage of tracks without tracks", PROTOCOL, drop("", "tracks"), r"#/stages/1/.*tracks"),
    (
        "a track's end that is no track's",
        PROTOCOL,
        put("stages/1", per_track=False),
        r"#/stages/1/ends: .*track",
    ),
    (
        "stages that wait for each other",
        PROTOCOL,
        put("stages/5", after=[["final"]]),
        r"#/stages: .*can never",
    ),
    (
        "a stage that waits for itself",
        PROTOCOL,
        put(STAGE, after=[["uploading"]]),
        r"#/stages: .*uploading can never",
    ),
    (
        "an index that no field is",
        PROTOCOL,
        put("index", field="number"),
        r"#/index/field: .*number",
    ),
    (
        "a track that no field is",
        PROTOCOL,
        put("tracks", field="number"),
        r"#/tracks/field: .*number",
    ),
    (
        "a constant that no field is",
        PROTOCOL,
        put("constant/1", field="id"),
        r"#/constant/1/field: .*id",
    ),
    (
        "a flag that no field is",
        PROTOCOL,
        put("completion", field="done"),
        r"#/completion/field: .*done",
    ),
    (
        "a rising field that no field is",
        PROTOCOL,
        put("never_decrease/0", field="speed"),
        r"#/never_decrease/0/field: .*speed",
    ),
    (
        "a chunk schema that is not there",
        PROTOCOL,
        put(STAGE, chunk="chunks/none.json"),
        r"^v6/protocol\.json#/stages/9/chunk: there is no file v6/chunks/none\.json$",
    ),
    (
        "a request schema that is not there",
        PROTOCOL,
        put("endpoints/0", request="none.json"),
        r"^v6/protocol\.json#/endpoints/0/request: there is no file v6/none\.json$",
    ),
    (
        "a stream without framings",
        PROTOCOL,
        drop("endpoints/0", "framings"),
        r"#/endpoints/0: .*framings",
    ),
    (
        "a result without a schema",
        PROTOCOL,
        drop("endpoints/1", "response"),
        r"#/endpoints/1: .*response",
    ),
    (
        "an unknown framing",
        PROTOCOL,
        put("endpoints/0", framings=["xml"]),
        r"#/endpoints/0/framings/0: ",
    ),
    (
        "an unknown keyword in a when",
        PROTOCOL,
        put("stages/0/when", oneof=[]),
        r"#/stages/0/when: .*'oneof'",
    ),
    (
        "an unknown keyword in a field",
        PROTOCOL,
        put("fields/status", formatMinimum=1),
        r"#/fields/status: .*'formatMinimum'",
    ),
    (
        "an unknown keyword in a chunk",
        CHUNK,
        put("properties/progress", **{"$dynamicRef": "#x"}),
        r"#/properties/progress: .*'\$dynamicRef'",
    ),
    (
        "an unknown keyword at the top",
        CHUNK,
        put("", additionalproperties=False),
        r"#: .*'additionalproperties'",
    ),
    ("an anyOf of nothing", CHUNK, put("", anyOf=[]), r"#/anyOf: .*"),
    (
        "a $ref that leads nowhere",
        CHUNK,
        put("properties/progress", **{"$ref": "../../fields.json#/$defs/none"}),
        r"#/properties/progress: .*leads nowhere",
    ),
    (
        "a $ref to an anchor",
        CHUNK,
        put("properties/progress", **{"$ref": "../../fields.json#progress"}),
        r"#/properties/progress: .*FILE#/POINTER",
    ),
    (
        "a $ref to a file that is not there",
        CHUNK,
        put("properties/progress", **{"$ref": "../none.json#/$defs/a"}),
        r"^v6/chunks/running\.json#/properties/progress/\$ref: there is no file v6/none\.json$",
    ),
    (
        "a $ref that is no text",
        CHUNK,
        put("properties/progress", **{"$ref": 7}),
        r"#/properties/progress/\$ref: 7",
    ),
    (
        "a $ref to itself",
        "fields.json",
        put("$defs/url", **{"$ref": "#/$defs/url"}),
        r"^fields\.json#/\$defs/url: .*itself",
    ),
    (
        "a keyword beside a $ref that rules out what it asks",
        CHUNK,
        put("properties/progress", type="string"),
        r"#/properties/progress.*: no value can meet this",
    ),
    (
        "a field without a basis",
        CHUNK,
        drop("properties/progress", "x-basis"),
        r"#/properties/progress: .*no basis",
    ),
    (
        "a field without a source",
        CHUNK,
        drop("properties/progress", "x-source"),
        r"#/properties/progress: .*no basis",
    ),
    (
        "a wrong basis of a field",
        CHUNK,
        put("properties/progress", **{"x-basis": "guessed"}),
        r"#/properties/progress/x-basis: ",
    ),
    ("a type that is none", CHUNK, put("properties/status", type="strng"), r"#/properties/status"),
    (
        "a pattern that is none",
        "fields.json",
        put("$defs/url", pattern="("),
        r"^fields\.json#/\$defs/url",
    ),
    ("a required that is no list", CHUNK, put("", required="status"), r"#.*required"),
    ("properties that are no object", CHUNK, put("", properties=[]), r"#.*properties"),
    (
        "an allOf that is no list",
        REQUEST,
        put("properties/prompt", allOf={}),
        r"#/properties/prompt.*allOf",
    ),
    (
        "a required field that is not described",
        CHUNK,
        append("required", "mood"),
        r"#/required: .*mood",
    ),
    (
        "a schema that is no object",
        CHUNK,
        put("properties", progress=7),
        r"#/properties/progress: 7 must be of type boolean or object",
    ),
    ("a chunk that no object can be", CHUNK, put("", maxProperties=2, **ON_FIELD), r"#: no value"),
    (
        "a role that there is not",
        CHUNK,
        put("properties/progress", **{"x-role": "speed"}),
        r"#/properties/progress/x-role: no such role; there are .*progress",
    ),
    ("a chunk that is no object", CHUNK, put("", type="array"), r"#/type: "),
    (
        "an example of no stage",
        EXAMPLES,
        put("examples/1", of="stage:dream"),
        r"#/examples/1/of: .*dream",
    ),
    (
        "an example of no error",
        EXAMPLES,
        put("examples/12", of="error:x"),
        r"#/examples/12/of: .*x",
    ),
    ("an example of nothing", EXAMPLES, put("examples/1", of="thing"), r"#/examples/1/of: "),
    (
        "an example that is not there",
        EXAMPLES,
        put("examples/1", file="none.json"),
        r"^v6/examples/index\.json#/examples/1/file: there is no file v6/examples/none\.json$",
    ),
    ("two errors of one name", ERRORS, put("unprinted/0", name="nsfw"), r"nsfw"),
]


@pytest.mark.parametrize(
    ("name", "change", "says"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_what_is_not_understood_is_refused_by_file_pointer_and_reason(
    folder, edit, name, change, says
):
    edit(name, change)
    with pytest.raises(ContractDataError) as caught:
        load("v6", folder)
    text = str(caught.value)
    assert text.startswith(f"{folder}/"), text
    text = text.removeprefix(f"{folder}/")
    if says.startswith("^"):
        assert re.match(says, text), text
    else:
        assert text.startswith(name), text
        assert re.search(says, text), text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "Expecting property name"),
        (b"", "Expecting value"),
        (b"\xff", "must be UTF-8"),
        (b"[]", "object"),
        (b"null", "object"),
        (b'{"api": "v6", "api": "v6"}', "'api' comes twice"),
        (b'{"a": NaN}', "NaN"),
        (b"[" * 100_000, "nested"),
    ],
)
@pytest.mark.parametrize("name", [PROTOCOL, CHUNK, ERRORS, EXAMPLES, "fields.json"])
def test_a_file_that_is_no_json_object_is_refused_by_its_name(folder, name, content, says):
    (folder / name).write_bytes(content)
    with pytest.raises(ContractDataError) as caught:
        load("v6", folder)
    assert str(caught.value).startswith(f"{folder}/{name}"), caught.value
    assert says in str(caught.value)


def test_a_file_that_is_named_and_missing_is_refused_by_its_name(folder):
    (folder / CHUNK).unlink()
    with pytest.raises(ContractDataError, match=rf"{re.escape(CHUNK)}$"):
        load("v6", folder)


def test_errors_and_examples_may_be_left_out(folder):
    (folder / ERRORS).unlink()
    (folder / EXAMPLES).unlink()
    contract = load("v6", folder)
    assert not contract.errors.known
    assert contract.errors.statuses == range(400, 600)
    assert not contract.examples


def test_an_unknown_version_is_a_wrong_usage_that_names_what_there_is():
    with pytest.raises(UsageError, match=r"no contract for 'v9': there are v5, v6"):
        load("v9")


def test_the_variable_adds_a_folder_of_contracts(tmp_path, monkeypatch):
    built_in = available()
    shutil.copytree(SCHEMAS / built_in[-1], tmp_path / "mine")
    protocol = tmp_path / "mine" / "protocol.json"
    protocol.write_text(protocol.read_text().replace(f'"{built_in[-1]}"', '"mine"', 1))
    monkeypatch.setenv("SOUNDSTAGE_SCHEMAS", str(tmp_path))
    assert available() == sorted([*built_in, "mine"])
    assert load("mine").title == load(built_in[-1]).title, "fields.json is the shared one"
    monkeypatch.setenv("SOUNDSTAGE_SCHEMAS", str(tmp_path / "none"))
    with pytest.raises(UsageError, match=r"SOUNDSTAGE_SCHEMAS.*no such folder of contracts"):
        available()


def test_a_folder_without_contracts_has_none(tmp_path):
    assert available(tmp_path) == []
    with pytest.raises(UsageError, match="there are none"):
        load("v6", tmp_path)


def test_a_contract_is_read_once(folder):
    assert load("v6", folder) is load("v6", folder)
    assert load("v6", folder) is not load("v6")


def test_the_hash_follows_from_the_files_and_from_nothing_else(folder, edit):
    assert load("v6", folder).sha256 == load("v6").sha256
    assert load("v6").sha256 != load("v5").sha256
    edit("v6/examples/final.json", lambda data: data.update(version=2))
    other = folder.with_name("other")
    folder.rename(other)
    assert load("v6", other).sha256 != load("v6").sha256
    assert load("v5", other).sha256 == load("v5").sha256


# --- the schema of protocol.json itself


def words(schema, path="#"):
    """Every property that a schema describes, with the place."""
    if isinstance(schema, dict):
        for name, sub in schema.get("properties", {}).items():
            yield f"{path}/{name}", name, sub
        for key, sub in schema.items():
            yield from words(sub, f"{path}/{key}")
    elif isinstance(schema, list):
        for number, sub in enumerate(schema):
            yield from words(sub, f"{path}/{number}")


def test_the_schema_of_the_protocol_is_a_schema():
    schema = json.loads((SCHEMAS / "protocol.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    for api in available():
        data = json.loads((SCHEMAS / api / "protocol.json").read_text())
        jsonschema.Draft202012Validator(schema).validate(data)


def test_the_schema_of_the_protocol_describes_each_of_its_words():
    schema = json.loads((SCHEMAS / "protocol.schema.json").read_text())
    for path, _, word in words(schema):
        if "$ref" in word:
            word = {**schema["$defs"][word["$ref"].rpartition("/")[2]], **word}
        if path.startswith("#/allOf") or "/if" in path:
            continue
        assert len(word.get("description", "")) > 10, path


def test_only_json_and_an_empty_module_lie_with_the_contracts():
    for path in SCHEMAS.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert path.suffix == ".json" or path.name == "__init__.py", path


def test_every_schema_of_a_contract_uses_only_known_keywords_and_four_of_its_own():
    own = {"x-basis", "x-source", "x-required-basis", "x-role"}
    assert {word for word in KEYWORDS if word.startswith("x-")} == own
    for path in SCHEMAS.rglob("*.json"):
        if path.parent.name == "examples":
            continue
        text = path.read_text()
        assert not re.search(r'"pattern": "[^"]*\\\\[dDwWsSbB]', text), f"{path}: validators differ"
        assert '"format"' not in text


def test_every_file_of_a_contract_is_used(folder):
    """A chunk schema that no stage names, or an example that the index leaves out, is a mistake."""
    for api in available():
        names = {path.name for path in (SCHEMAS / api / "chunks").iterdir()}
        protocol = json.loads((SCHEMAS / api / "protocol.json").read_text())
        assert {f"chunks/{name}" for name in names} == {s["chunk"] for s in protocol["stages"]}
        examples = {path.name for path in (SCHEMAS / api / "examples").iterdir()} - {"index.json"}
        assert examples == {each.file for each in load(api).examples}
