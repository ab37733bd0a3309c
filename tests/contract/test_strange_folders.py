"""Folders of contracts from strangers: nothing is followed out of them, waited for, or believed."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
from pathlib import Path

import pytest
from benchmarks import fuzz_contracts

from soundstage.conformance.answers import check_result
from soundstage.contract import load
from soundstage.contract.diagram import in_order
from soundstage.contract.paths import endpoint_at
from soundstage.contract.reading.schema_files import MOST_SCHEMAS
from soundstage.errors import ContractDataError
from soundstage.generation.walk import random_story, sync_result

SCHEMAS = Path(__file__).parents[2] / "schemas"
PROTOCOL, REQUEST, ERRORS = "v6/protocol.json", "v6/request.json", "v6/errors.json"
RUNNING, EXAMPLE = "v6/chunks/running.json", "v6/examples/final.json"
GROUNDS = {"x-basis": "documented", "x-source": "Made up"}


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "contracts"
    shutil.copytree(SCHEMAS / "v6", root / "v6")
    for name in ("fields.json", "protocol.schema.json"):
        shutil.copy(SCHEMAS / name, root / name)
    return root


def edit(file, change):
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))


def linked(path, to):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.symlink_to(to)


def outside(root, name):
    """A copy of a file or folder of the contract that lies outside of it."""
    place = root.parent / Path(name).name
    (shutil.copytree if (root / name).is_dir() else shutil.copy)(root / name, place)
    return place


def chain(root):
    (root / "hop.json").symlink_to(outside(root, REQUEST))
    linked(root / REQUEST, "../hop.json")


OUT = {
    "a file, absolute": lambda root: linked(root / REQUEST, outside(root, REQUEST)),
    "a file, by ..": lambda root: (
        outside(root, REQUEST),
        linked(root / REQUEST, "../../request.json"),
    ),
    "a folder": lambda root: linked(root / "v6/chunks", outside(root, "v6/chunks")),
    "the folder of the version": lambda root: linked(root / "v6", outside(root, "v6")),
    "a chain": chain,
    "what is shared": lambda root: linked(root / "fields.json", outside(root, "fields.json")),
    "a file that nothing refers to": lambda root: linked(root / "v6/x.json", "/etc/passwd"),
    "a folder that nothing refers to": lambda root: linked(root / "v6/more", "/"),
    "a device": lambda root: linked(root / ERRORS, "/dev/zero"),
    "a name in the data": lambda root: (
        outside(root, REQUEST),
        edit(
            root / PROTOCOL, lambda data: data["endpoints"][0].update(request="../../request.json")
        ),
    ),
}


@pytest.mark.parametrize("make", OUT.values(), ids=OUT)
def test_what_leads_out_of_the_folder_is_refused(folder, make):
    make(folder)
    with pytest.raises(
        ContractDataError, match=r"contracts/.*: a link that leads out of .*contracts$"
    ):
        load("v6", folder)


def test_a_link_that_stays_inside_is_followed_and_the_folder_may_be_one(folder, tmp_path):
    shutil.move(folder / REQUEST, folder / "v6/asked.json")
    (folder / REQUEST).symlink_to("asked.json")
    shutil.move(folder / "v6/chunks", folder / "kept")
    (folder / "v6/chunks").symlink_to("../kept")
    edit_refs(folder / "kept")
    named = tmp_path / "named"
    named.symlink_to(folder)
    assert load("v6", named).api == "v6"


def edit_refs(chunks):
    """The references of a folder of chunks hold for the place where they are referred to."""
    assert all("../../fields.json" in file.read_text() for file in chunks.glob("*.json"))


def _socket(path):
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.getcwd()
        os.chdir(path.parent)
        try:
            listening.bind(path.name)
        finally:
            os.chdir(here)


def _fifo(path):
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def _folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "name", [PROTOCOL, REQUEST, ERRORS, RUNNING, EXAMPLE, "fields.json", "v6/more.json"]
)
@pytest.mark.parametrize(
    ("make", "what"), [(_fifo, "a FIFO"), (_socket, "a socket"), (_folder, "a folder")]
)
def test_what_is_no_file_is_refused_without_waiting(folder, name, make, what):
    (folder / name).touch()
    make(folder / name)
    if (name, what) == ("v6/more.json", "a folder"):
        assert load("v6", folder).api == "v6"
        return
    with pytest.raises(ContractDataError) as refused:
        load("v6", folder)
    assert str(refused.value) == f"{folder}/{name}: is {what}, not a file"


def test_folders_that_hold_themselves_are_refused(folder):
    (folder / "v6/a").symlink_to(".")
    (folder / "v6/b").symlink_to("..")
    with pytest.raises(ContractDataError, match="v6/a: a folder that holds itself"):
        load("v6", folder)


NONSENSE = {
    "deep": (b"[" * 800 + b"]" * 800, "nested more than 64 deep"),
    "deeper": (b"[" * 100_000, "nested too deeply"),
    "many values": (b"[" + b"0," * 150_000 + b"0]", "more than 100,000 values"),
    "large": (b" " * (5 * 2**20), "larger than 4 MiB"),
    "a lone surrogate": (rb'{"a": "\udc00"}', "a lone surrogate"),
    "a lone surrogate as a name": (rb'{"\udc00": 1}', "a lone surrogate"),
    "a name with a line break": (rb'{"a\nb": 1}', "characters that nobody sees"),
    "a name that turns round": (rb'{"a\u202eb": 1}', "characters that nobody sees"),
    "a name of nothing": (b'{"": 1}', "is empty"),
    "a number beyond all": (b'{"a": 1e999}', "1e999 is too large a number"),
    "a number of many digits": (b'{"a": ' + b"9" * 400 + b"}", "a number of 400 digits"),
    "a key twice among many": (
        b"{" + b",".join(b'"k%d": 0' % number for number in range(60_000)) + b', "k59999": 1}',
        "the key 'k59999' comes twice in an object",
    ),
    "broken UTF-8": (b'{"a": "\xc3("}', "must be UTF-8: byte 0xc3 at 7 is not"),
}


@pytest.mark.parametrize(("content", "says"), NONSENSE.values(), ids=NONSENSE)
@pytest.mark.parametrize("name", [PROTOCOL, EXAMPLE])
def test_what_is_out_of_proportion_is_refused_by_its_file(folder, name, content, says):
    (folder / name).write_bytes(content)
    with pytest.raises(ContractDataError) as refused:
        load("v6", folder)
    assert str(refused.value).startswith(f"{folder}/{name}: ")
    assert says in str(refused.value)


def put(*steps_and_value):
    *steps, last, value = steps_and_value

    def change(data):
        for step in steps:
            data = data[step]
        data[last] = value

    return change


VALUES = {
    "a dialect from elsewhere": (
        REQUEST,
        put("$schema", "http://127.0.0.1:9/x"),
        "$schema: must be",
    ),
    "another dialect": (
        RUNNING,
        put("$schema", "http://json-schema.org/draft-07/schema#"),
        "must be",
    ),
    "a source that is no text": (
        RUNNING,
        put("properties", "message_id", "x-source", ["a"]),
        "x-source: must be a text",
    ),
    "statuses without end": (ERRORS, put("statuses", "maximum", 10**18), "maximum of 599"),
    "a stage a billion times": (
        PROTOCOL,
        put("stages", 5, "times", [10**9, None]),
        "maximum of 100",
    ),
    "an index that no double holds": (PROTOCOL, put("index", "start", 10**30), "#/index/start"),
    "an endless step": (PROTOCOL, put("index", "step", 10**30), "#/index/step"),
    "a text of a billion letters": (
        RUNNING,
        put("properties", "song", {"type": "string", "minLength": 10**9, **GROUNDS}),
        "song/minLength: at most 10,000",
    ),
    "a list of a billion items": (
        RUNNING,
        put("properties", "songs", {"type": "array", "minItems": 10**9, **GROUNDS}),
        "songs/minItems: at most 10,000",
    ),
    "no URL": (PROTOCOL, put("base_url", "https://["), "#/base_url: the URL has a malformed host"),
    "a URL with a password": (
        PROTOCOL,
        put("base_url", "https://a:b@c"),
        "#/base_url: the URL cont",
    ),
    "a URL with a query": (
        PROTOCOL,
        put("base_url", "https://a/?b=c"),
        "#/base_url: a base URL has",
    ),
    "a look-up without an id": (
        PROTOCOL,
        put("endpoints", 2, "path", "/v6/status"),
        "looked up by",
    ),
    "a parameter that nothing fills in": (
        PROTOCOL,
        put("endpoints", 0, "path", "/v6/{a}"),
        "nothing gives 'a'",
    ),
    "parameters side by side": (
        PROTOCOL,
        put("endpoints", 2, "path", "/{a}{b}"),
        "/endpoints/2/path",
    ),
    "a path with a query": (PROTOCOL, put("endpoints", 0, "path", "/v6?a=b"), "/endpoints/0/path"),
    "a path with a line break": (
        PROTOCOL,
        put("endpoints", 0, "path", "/v6\r\nX: y"),
        "/endpoints/0",
    ),
    "progress that is a word": (
        "v6/chunks/completed.json",
        put("properties", "progress", "const", "all"),
        "is no number",
    ),
    "a reference to the network": (
        RUNNING,
        put("properties", "song", {"$ref": "http://127.0.0.1:9/x#/$defs/a"}),
        "must name a file of the folder",
    ),
    "a reference to this machine": (
        RUNNING,
        put("properties", "song", {"$ref": "file:///etc/passwd#/$defs/a"}),
        "must name a file of the folder",
    ),
}


@pytest.mark.parametrize(("name", "change", "says"), VALUES.values(), ids=VALUES)
def test_a_value_that_nobody_could_use_is_refused_by_its_place(folder, name, change, says):
    edit(folder / name, change)
    with pytest.raises(ContractDataError) as refused:
        load("v6", folder)
    assert str(refused.value).startswith(f"{folder}/{name.rpartition('/')[0]}")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("levels", [12, 30])
@pytest.mark.parametrize("keyword", ["allOf", "properties"])
def test_references_that_double_are_refused_before_they_have_grown(folder, levels, keyword):
    def double(data):
        for level in range(levels):
            both = [{"$ref": f"#/$defs/d{level + 1}"}] * 3
            held = both if keyword == "allOf" else dict(zip("abc", both, strict=True))
            data["$defs"][f"d{level}"] = {"title": "it", keyword: held}
        data["$defs"][f"d{levels}"] = {"title": "it", "type": "string"}

    edit(folder / "fields.json", double)
    reference = {"$ref": "../../fields.json#/$defs/d0", **GROUNDS}
    edit(folder / RUNNING, put("properties", "song", reference))
    with pytest.raises(
        ContractDataError, match=rf"fields.json#.*(more than {MOST_SCHEMAS:,}|deeply)"
    ):
        load("v6", folder)


def test_references_that_go_deeper_and_deeper_are_refused(folder):
    def deep(data):
        for level in range(12):
            inner = {"$ref": f"#/$defs/d{level + 1}"}
            for _ in range(25):
                inner = {"title": "it", "type": "object", "properties": {"a": inner}}
            data["$defs"][f"d{level}"] = inner
        data["$defs"]["d12"] = {"title": "it", "type": "string"}

    edit(folder / "fields.json", deep)
    reference = {"$ref": "../../fields.json#/$defs/d0", **GROUNDS}
    edit(folder / RUNNING, put("properties", "song", reference))
    with pytest.raises(ContractDataError, match="nested too deeply"):
        load("v6", folder)


def test_a_folders_own_copy_of_the_schema_of_protocols_is_not_believed(folder):
    (folder / "protocol.schema.json").write_text('{"$defs": {"errors": {}, "examples": {}}}')
    edit(folder / PROTOCOL, put("stages", None))
    with pytest.raises(ContractDataError, match="#/stages: "):
        load("v6", folder)


def test_many_stages_that_may_come_after_each_other_are_put_in_order_at_once(folder):
    def many(data):
        model = dict(next(stage for stage in data["stages"] if stage["name"] == "running"))
        model.pop("milestones", None)
        for number in range(30):
            name = f"extra{number}"
            when = {"properties": {"status": {"const": name}}, "required": ["status"]}
            before = [[f"extra{each}" for each in range(number)]] if number else []
            data["stages"].append({**model, "name": name, "when": when, "after": before})

    edit(folder / PROTOCOL, many)
    names = [stage.name for stage in in_order(load("v6", folder))]
    assert [name for name in names if name.startswith("extra")] == [f"extra{n}" for n in range(30)]


def test_a_long_path_is_told_from_a_template_at_once():
    contract = load("v6")
    status = next(each for each in contract.endpoints.values() if each.kind == "status")
    found = endpoint_at([contract], status.method, "/base" + status.path.replace("{", "a{"))
    assert found is not None
    assert found[1] is status
    assert endpoint_at([contract], status.method, status.path + "/" * 20_000 + "x") is None


@pytest.mark.proof
def test_of_a_folder_changed_at_random_every_part_is_refused_or_served():
    found = fuzz_contracts.run(120, seed=7, deep_share=0.0)
    assert found.bad == []
    assert found.refused > 40
    assert found.loaded > 20


def test_a_result_whose_fields_are_named_is_an_object_whether_or_not_its_schema_says_so(folder):
    edit(folder / "v6/response.json", lambda schema: schema.pop("type"))
    contract = load("v6", folder)
    story = random_story(random.Random(1), 2)
    assert set(sync_result(contract, story)) >= {"message_id", "audio_data"}
    answer = check_result(contract, "sync", b"[]")
    assert [each.code for each in answer.violations] == ["json.not_object"]
