"""`soundstage schema`: a contract for other tools, and for people."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import jsonschema
import jsonschema_rs
import pytest
from late_import import LateModule
from strict_validators import ajv, needs_ajv

from soundstage import cli
from soundstage.commands import schema
from soundstage.contract import available, load, load_all
from soundstage.contract.openapi import document

openapi_spec_validator = LateModule("openapi_spec_validator")

EACH = pytest.mark.parametrize("api", available())


def printed(*argv: str) -> str:
    out, err = io.StringIO(), io.StringIO()
    assert (cli.run("schema", list(argv), out, err), err.getvalue()) == (0, "")
    return out.getvalue()


@EACH
def test_text_lists_every_stage_and_every_rule(api: str) -> None:
    text, contract = printed("--api", api), load(api)
    for stage in contract.protocol.stages:
        assert re.search(rf"^  {stage.name} +\S", text, re.MULTILINE)
        assert stage.grounds.source in text
    for rule in contract.rules:
        assert f"{rule.severity:<8} {rule.id}\n" in text
    assert max(map(len, text.splitlines())) < 160


def test_stages_are_listed_in_the_order_in_which_they_come() -> None:
    text = printed("--api", "v6").partition("stages, in")[2].partition("across chunks")[0]
    names = re.findall(r"^  ([a-z_]+) ", text, re.MULTILINE)
    assert names == [
        *("initializing", "validated", "streaming", "streaming_ready", "processing", "running"),
        *("completed", "uploading", "final", "failed"),
    ]


def test_openapi_is_a_document_for_each_version() -> None:
    text = printed("--format", "openapi")
    assert text.isascii()
    decoder, documents = json.JSONDecoder(), []
    while text.strip():
        value, end = decoder.raw_decode(text.lstrip())
        documents.append(value)
        text = text.lstrip()[end:]
    assert documents == [document(contract) for contract in load_all().values()]


@EACH
def test_jsonschema_bundles_every_schema_with_references_that_lead_inside(api: str) -> None:
    bundle = json.loads(printed("--api", api, "--format", "jsonschema"))
    jsonschema.Draft202012Validator.check_schema(bundle)
    for each in load(api).examples:
        kind, _, name = each.of.partition(":")
        if kind == "stage":
            chunk = {**bundle, "$ref": "#/$defs/chunk"}
            jsonschema.Draft202012Validator(chunk).validate(each.payload)
            exact = {**bundle, "$ref": f"#/$defs/chunk.{name}"}
            jsonschema.Draft202012Validator(exact).validate(each.payload)


@EACH
def test_jsonschema_has_no_keyword_that_is_ours(api: str) -> None:
    text = printed("--api", api, "--format", "jsonschema")
    assert '"x-' not in text
    jsonschema_rs.meta.validate(json.loads(text))
    noted = printed("--api", api, "--format", "jsonschema", "--with-basis")
    assert '"x-basis": "documented"' in noted
    assert json.loads(noted)["$defs"].keys() == json.loads(text)["$defs"].keys()


@needs_ajv
@EACH
def test_a_strict_validator_takes_every_exported_schema_and_the_printed_examples(api: str) -> None:
    bundle = json.loads(printed("--api", api, "--format", "jsonschema"))
    examples: dict[str, list[object]] = {
        name: [7] for name in bundle["$defs"] if name.startswith("chunk")
    }
    for each in load(api).examples:
        kind, _, stage = each.of.partition(":")
        if kind == "stage":
            examples["chunk"].insert(0, each.payload)
            examples[f"chunk.{stage}"].insert(0, each.payload)
    complaints, verdicts = ajv(bundle, examples)
    assert complaints == []
    assert {name: of for name, of in verdicts.items() if of} == {
        name: [*[True] * (len(values) - 1), False] for name, values in examples.items()
    }
    complaints, _ = ajv(json.loads(printed("--api", api, "--format", "jsonschema", "--with-basis")))
    assert 'unknown keyword: "x-basis"' in complaints[0]


@EACH
def test_openapi_3_1_is_for_readers_that_know_no_3_2(api: str) -> None:
    newer = json.loads(printed("--api", api, "--format", "openapi"))
    older = json.loads(printed("--api", api, "--format", "openapi-3.1"))
    validator = openapi_spec_validator.OpenAPIV31SpecValidator
    assert [str(each) for each in validator(older).iter_errors()] == []
    assert list(validator({**newer, "openapi": "3.1.1"}).iter_errors())
    stream = next(e for e in load(api).endpoints.values() if e.kind == "stream")
    operation = older["paths"][stream.path]["post"]
    for media in operation["responses"]["200"]["content"].values():
        assert media["schema"] == {"type": "string"}
        assert media["x-soundstage-chunk"] == {"$ref": "#/components/schemas/chunk"}
        assert isinstance(media["examples"]["printed"]["value"], str)
    for same in ("components", "x-soundstage-protocol", "info", "servers"):
        assert older[same] == newer[same]


@pytest.mark.parametrize("argv", [["--format", "openapi"], [], ["--observed", "x", "--docs-diff"]])
def test_the_basis_is_kept_in_json_schemas_only(argv: list[str]) -> None:
    err = io.StringIO()
    assert cli.run("schema", ["--with-basis", *argv], io.StringIO(), err) == 2
    assert "--with-basis: of --format jsonschema" in err.getvalue()


@EACH
def test_the_diagram_has_a_node_for_each_stage_and_an_arrow_for_each_after(api: str) -> None:
    text, protocol = printed("--api", api, "--format", "mermaid"), load(api).protocol
    nodes = dict(re.findall(r'^    (s[0-9]+)\["([a-z_]+)<br>', text, re.MULTILINE))
    assert set(nodes.values()) == set(protocol.by_name)
    arrows = {
        (nodes.get(a, a), nodes.get(b, b))
        for a, b in re.findall(r"^    (\w+) -[^>]*->(?:\|[^|]*\|)? (\w+)$", text, re.MULTILINE)
    }
    expected = {
        (name, stage.name) for stage in protocol.stages for group in stage.after for name in group
    }
    expected |= {(stage.name, "done") for stage in protocol.stages if stage.ends}
    expected |= {("begin", s.name) for s in protocol.stages if s.failure or not s.after}
    assert arrows == expected


def test_output_is_a_file_for_one_version(tmp_path: Path) -> None:
    path = tmp_path / "v6.json"
    assert printed("--api", "v6", "--format", "openapi", "--output", str(path)) == ""
    assert json.loads(path.read_text()) == document(load("v6"))
    err = io.StringIO()
    argv = ["--format", "openapi", "--output", str(path)]
    assert cli.run("schema", argv, io.StringIO(), err) == 2
    assert "--output takes one version" in err.getvalue()
    argv = ["--api", "v6", "--output", str(tmp_path / "no" / "x")]
    assert cli.run("schema", argv, io.StringIO(), io.StringIO()) == 2


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        schema.parse_args(["--help"])
    assert stopped.value.code == 0
    assert "--format openapi --output" in capsys.readouterr().out
