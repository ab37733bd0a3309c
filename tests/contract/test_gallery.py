"""The contracts of examples/contracts, and what the pages show of them: they load, saved answers
conform, so does what is generated, every fault in it is caught, and the pages say the truth.
"""

from __future__ import annotations

import json
import random
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_run import run_here

from page_blocks import read_page
from page_runs import commands
from soundstage.commands.faults import judge_all
from soundstage.commands.lint import lint
from soundstage.conformance.judge import Caps
from soundstage.conformance.violations import Verdict
from soundstage.contract import Contract, available, load
from soundstage.contract.json_schema import patterns
from soundstage.generation.faults.catalogue import catalogue, valid_result

ROOT = Path(__file__).parents[2]
GALLERY = ROOT / "examples/contracts"
APIS = available(GALLERY)
#: The page of each.
PAGES = {
    "chat": "chat-completions.md",
    "countdown": "countdown.md",
    "messages": "typed-events.md",
    "pictures": "job-and-poll.md",
    "songs": "next-version.md",
}
PAGE = {api: (ROOT / "docs/how-to/contracts" / name).read_text() for api, name in PAGES.items()}
ADDING = (ROOT / "docs/how-to/adding-an-api.md").read_text()
#: Saved answers whose file does not say which endpoint they are of: (api, endpoint).
TOLD = {"chat/saved/answer.json": ("chat", "sync")}
#: Answers of a job, one file each: a body alone does not say which endpoint it answers.
PLAIN = {"accepted": None, "queued": "queued", "running": "running", "succeeded": "succeeded"}

#: What the files say: (api, file of an example), (api, endpoint whose answer is one result).
EXAMPLES = [
    (path.parts[-3], each["file"])
    for path in sorted(GALLERY.glob("*/examples/index.json"))
    for each in json.loads(path.read_text())["examples"]
]
RESULTS = [
    (api, each["name"])
    for api in APIS
    for each in json.loads((GALLERY / api / "protocol.json").read_text())["endpoints"]
    if "response" in each
]

apis = pytest.mark.parametrize("api", APIS)


def of(api: str) -> Contract:
    return load(api, GALLERY)


def test_each_contract_of_the_gallery_has_a_page() -> None:
    assert set(APIS) == set(PAGES)
    assert all(f"(contracts/{name})" in ADDING for name in PAGES.values())


# --- what it allows -------------------------------------------------------------------------------


@apis
def test_a_contract_of_the_gallery_loads_and_has_a_headline(api: str) -> None:
    contract = of(api)
    assert contract.title
    moments = [moment for stage in contract.stages for moment in stage.milestones]
    assert any(moment.headline and moment.title for moment in moments)


SAVED = sorted(
    str(path.relative_to(GALLERY)) for path in GALLERY.glob("*/saved/*") if path.stem not in PLAIN
)


@pytest.mark.parametrize("name", SAVED)
def test_a_saved_answer_conforms(name: str) -> None:
    told = TOLD.get(name)
    words = ("--api", told[0], "--endpoint", told[1]) if told else ()
    env = {"SOUNDSTAGE_SCHEMAS": "examples/contracts"}
    done = run_here("lint", *words, f"examples/contracts/{name}", folder=ROOT, env=env)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    assert lines
    assert all("conforms" in line for line in lines)
    assert all(name.partition("/")[0] in line.partition("conforms")[2] for line in lines)


def test_every_contract_of_the_gallery_has_a_saved_answer() -> None:
    assert {name.partition("/")[0] for name in SAVED} == set(APIS)


@pytest.mark.parametrize("name", PLAIN)
def test_a_saved_answer_of_a_job_meets_its_schema(name: str) -> None:
    contract = of("pictures")
    state = PLAIN[name]
    schema = (
        contract.endpoints["job"].response
        if state is None
        else next(stage.schema for stage in contract.stages if stage.name == state)
    )
    body = json.loads((GALLERY / f"pictures/saved/{name}.json").read_text())
    assert patterns.validator(schema).is_valid(body)


@pytest.mark.parametrize(("api", "file"), EXAMPLES)
def test_an_example_of_a_payload_meets_its_schema(api: str, file: str) -> None:
    contract = of(api)
    (example,) = (each for each in contract.examples if each.file == file)
    kind, _, name = example.of.partition(":")
    if kind == "error":
        assert example.payload == contract.errors.named(name).body
        return
    schemas = (
        [stage.schema for stage in contract.stages if stage.name == name]
        if kind == "stage"
        else [
            schema
            for endpoint in contract.endpoints.values()
            if (schema := getattr(endpoint, kind)) is not None
        ]
    )
    assert any(patterns.validator(schema).is_valid(example.payload) for schema in schemas)


@apis
def test_a_hundred_valid_answers_raise_no_alarm(api: str) -> None:
    matrix = judge_all(of(api), (), valid=100)
    assert matrix.errors.valid_streams == 100
    assert matrix.alarms == []


@pytest.mark.parametrize(("api", "endpoint"), RESULTS)
def test_a_hundred_results_meet_their_schema(api: str, endpoint: str) -> None:
    contract = of(api)
    schema = contract.endpoints[endpoint].response
    assert schema is not None
    meets = patterns.validator(schema).is_valid
    for seed in range(100):
        ((_, result),) = valid_result(contract, endpoint, random.Random(seed))
        assert meets(result), result


# --- what it catches ------------------------------------------------------------------------------


def test_no_fault_of_the_smallest_contract_survives() -> None:
    """Of the others, too: by their pages, which show `soundstage faults`, and by `--prove`."""
    matrix = judge_all(of("countdown"), catalogue(of("countdown")))
    for table in (matrix.errors, matrix.warnings):
        missed = [*table.of("survived"), *table.of("wrong_code")]
        assert [(each.fault.name, each.found) for each in missed] == []
    assert len(matrix.errors.of("killed")) > 50


# --- what the pages show --------------------------------------------------------------------------


def fenced(text: str, language: str) -> list[str]:
    """The blocks of a page that are marked as of a language ("" for none)."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for marked, block in found if marked == language]


@apis
def test_a_page_shows_all_that_one_does_with_a_contract(api: str) -> None:
    shown = [
        command.source
        for block in read_page(ROOT / "docs/how-to/contracts" / PAGES[api]).blocks
        if block.language == "console" and block.not_run is None
        for command in commands(block)
    ]
    for name in ("schema", "lint", "check", "faults", "load"):
        assert any(each.startswith(f"soundstage {name} ") for each in shown), name
    load_run = shlex.split(next(each for each in shown if each.startswith("soundstage load ")))
    objective = load_run[load_run.index("--slo") + 1]
    headlines = {m.name for s in of(api).stages for m in s.milestones if m.headline}
    assert objective.split(".")[2] in headlines


def blocks(text: str) -> list[Any]:
    """The JSON of a page; members that stand alone are taken for an object."""
    return [
        json.loads(each if each.startswith("{") else f"{{{each.rstrip().rstrip(',')}}}")
        for each in fenced(text, "json")
    ]


def holds(whole: Any, part: Any) -> bool:
    """Whether all that `part` says stands in `whole`, in the same place."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(name in whole and holds(whole[name], each) for name, each in part.items())
    return bool(whole == part)


def inside(value: Any) -> Iterator[Any]:
    yield value
    for each in value.values() if isinstance(value, dict) else ():
        yield from inside(each)
    for each in value if isinstance(value, list) else ():
        yield from inside(each)


@apis
def test_what_a_page_quotes_stands_in_the_files(api: str) -> None:
    files = [json.loads(path.read_text()) for path in (GALLERY / api).rglob("*.json")]
    quoted = blocks(PAGE[api])
    assert len(quoted) > 3
    for each in quoted:
        assert any(holds(value, each) for file in files for value in inside(file)), each


LINKS = [
    (page, target)
    for page in ("adding-an-api.md", *(f"contracts/{name}" for name in PAGES.values()))
    for target in re.findall(r"\]\(([^)]+)\)", (ROOT / "docs/how-to" / page).read_text())
]


@pytest.mark.parametrize(("page", "target"), LINKS)
def test_a_link_of_a_page_leads_to_a_file_and_a_heading(page: str, target: str) -> None:
    name, _, anchor = target.partition("#")
    here = ROOT / "docs/how-to" / page
    place = here.parent / name if name else here
    assert place.exists()
    if anchor:
        headings = re.findall(r"^#+ (.*)$", place.read_text(), re.MULTILINE)
        assert anchor in {
            re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings
        }


def test_the_first_contract_of_the_docs_is_the_one_of_the_gallery() -> None:
    shown = read_page(ROOT / "docs/how-to/adding-an-api.md").blocks
    # What is saved under a name twice is begun first, and whole then.
    saved = {Path(block.saved_as).name: json.loads(block.text) for block in shown if block.saved_as}
    folder = GALLERY / "countdown"
    assert saved == {path.name: json.loads(path.read_text()) for path in folder.glob("*.json")}


@pytest.mark.parametrize("name", [name for name in SAVED if name.endswith(".sse")])
def test_a_saved_stream_without_its_last_event_is_never_taken_for_a_whole_one(name: str) -> None:
    raw = (GALLERY / name).read_bytes().rstrip(b"\n")
    cut = raw[: raw.rindex(b"\n\n") + 2]
    contract = of(name.partition("/")[0])
    assert lint(cut, name, [contract], "stream", Caps()).verdict(False) is Verdict.VIOLATES
