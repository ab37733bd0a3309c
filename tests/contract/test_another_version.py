"""A version is a folder: one that never existed works without any change of Python."""

from __future__ import annotations

import io
import json
import random
import shutil

import pytest

from soundstage.commands import explain, lint
from soundstage.conformance.engine import StreamCheck
from soundstage.contract import available, load
from soundstage.generation import walk


@pytest.fixture
def v7(folder, edit, monkeypatch):
    """docs/how-to/adding-an-api.md: a copy of v6 with another path, and a stage by another name."""
    shutil.copytree(folder / "v6", folder / "v7")
    for path in (folder / "v7").rglob("*.json"):
        path.write_text(path.read_text().replace("Generate Song (v6)", "Generate Song (v7)"))

    def change(data):
        data["api"] = "v7"
        data["endpoints"][0]["path"] = "/v7/make/song"
        data["endpoints"][1]["path"] = "/v7/make/song/sync"
        stage = next(each for each in data["stages"] if each["name"] == "uploading")
        stage.update(name="mastering", chunk="chunks/mastering.json")
        stage["when"]["properties"]["status"]["const"] = "mastering"
        next(each for each in data["stages"] if each["name"] == "final")["after"] = [["mastering"]]

    edit("v7/protocol.json", change)
    (folder / "v7/chunks/uploading.json").rename(folder / "v7/chunks/mastering.json")
    edit(
        "v7/chunks/mastering.json",
        lambda data: data["properties"]["status"].update(const="mastering"),
    )
    (folder / "v7/examples/uploading.json").rename(folder / "v7/examples/mastering.json")
    edit("v7/examples/mastering.json", lambda data: data.update(status="mastering"))

    def rename(data):
        for example in data["examples"]:
            if example["of"] == "stage:uploading":
                example.update(file="mastering.json", of="stage:mastering")

    edit("v7/examples/index.json", rename)
    monkeypatch.setenv("SOUNDSTAGE_SCHEMAS", str(folder))
    return load("v7", folder)


def stream(contract, seed=1):
    rng = random.Random(seed)
    steps = walk.plan(contract, rng)
    return walk.payloads(contract, steps, walk.random_story(rng), rng)


def sse(chunks):
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)


def linted(*arguments):
    stdout = io.StringIO()
    args = lint.parse_args(["--format", "json", *map(str, arguments)])
    return lint.run(args, stdout, io.StringIO()), json.loads(stdout.getvalue())


def test_a_new_folder_is_a_new_version(v7):
    assert available() == ["v5", "v6", "v7"]
    assert "v7/stream/order/final/after/mastering" in v7.rules.rules
    assert v7.endpoints["stream"].path == "/v7/make/song"


def test_its_streams_are_generated_and_checked(v7):
    for seed in range(20):
        chunks = stream(v7, seed)
        assert "mastering" in {chunk["status"] for chunk in chunks}
        check = StreamCheck(v7)
        for chunk in chunks:
            check.event(json.dumps(chunk).encode())
        check.close()
        assert [v for v in check.violations if v.severity != "info"] == []


def test_lint_takes_its_streams_and_finds_what_is_wrong_with_them(v7, tmp_path):
    saved = tmp_path / "song.sse"
    chunks = stream(v7)
    saved.write_bytes(sse(chunks))
    code, found = linted("--api", "v7", saved)
    assert (code, found["api"], found["verdict"]) == (0, "v7", "conforms")
    saved.write_bytes(sse([c for c in chunks if c["status"] != "mastering"]))
    code, found = linted("--api", "v7", saved)
    assert code == 1
    rules = {violation["rule"] for violation in found["violations"]}
    assert "v7/stream/order/final/after/mastering" in rules


def test_explain_knows_its_rules(v7):
    stdout = io.StringIO()
    rule = "v7/stream/order/final/after/mastering"
    assert explain.run(explain.parse_args([rule]), stdout, io.StringIO()) == 0
    assert "final comes after mastering for each track." in stdout.getvalue()
    assert "Generate Song (v7) > " in stdout.getvalue()
