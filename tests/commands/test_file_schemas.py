"""The schemas of files that people write say what the readers of those files take, no more and no
less, but for what no schema can know.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from command_run import run_here

from soundstage.commands.new_files.file_schemas import FILE_SCHEMAS, file_schema
from soundstage.config import read_config
from soundstage.errors import SoundstageError
from soundstage.loadtests.schedule.scenario_file import parse_scenario
from soundstage.untrusted import toml_text

CONFIG = """
[target]
url = "emulator"
api = ["v6"]
key_file = "key"
ca_file = "ca.pem"
budget = 4
timeout = 1800
[severity]
"v6/stream/undocumented" = "error"
"v6/stream/" = "info"
[[waiver]]
fingerprint = "0123456789ab"
reason = "known"
until = 2026-12-31
[[waiver]]
drift = "0123456789ab"
reason = "known"
until = 2026-12-31
[[waiver]]
rule = "v6/stream/a"
code = "field.missing"
reason = "known"
until = "2026-12-31"
"""
SCENARIO = """
description = "All of it."
arrivals = "constant"
warmup = "1s"
drain = 0
timeout = "10m"
idle_timeout = 180.5
max_in_flight = 9
seed = 3
slo = ["violations==0", "complete.p95<90s"]
abort_on_hopeless = true
[[traffic]]
api = "v6"
endpoint = "stream"
weight = 2
[[phase]]
kind = "constant"
rate = 2
duration = "5s"
[[phase]]
kind = "ramp"
from = 1
to = 3.5
duration = "5s"
[[phase]]
kind = "steps"
rates = [1, 2]
each = "2s"
[[phase]]
kind = "spike"
rate = 1
peak = 4
before = "1s"
during = "2s"
after = 0
[[phase]]
kind = "soak"
rate = 1
rise = "1s"
duration = "10s"
"""
CLOSED = """
users = 3
duration = "30s"
"""
#: What stands in place of each value, one after another.
_VALUES = (
    '"x"', '""', "-1", "0", "1", "1.5", "true", "[]", "{}", '["x"]', '"30s"', '"0s"', "inf",
    '"2026-02-30"', "2026-12-31", "2026-12-31T00:00:00", '"0123456789ab"',
)  # fmt: skip
#: What only a reader can know: contracts, objectives, and whether anything would arrive in time.
_BEYOND = re.compile(
    r"no contract for|has no endpoint|SLO|objective|no arrivals|rise: shorter|must be|"
    r"users have at most|more than 0|warm"
)


def mutants(text: str) -> Iterator[str]:
    """The text with one line another."""
    lines = text.strip().splitlines()
    for number, line in enumerate(lines):
        key, equals, _ = line.partition(" = ")
        others = [[], [f"un{line}"]] if equals else [[]]
        others += [[f"{key} = {value}"] for value in _VALUES] if equals else []
        others += [[line, 'unheard = "of"']]
        for other in others:
            yield "\n".join([*lines[:number], *other, *lines[number + 1 :]])


def why_refused(read: Callable[[bytes], object], text: str) -> str | None:
    try:
        read(text.encode())
    except SoundstageError as error:
        return str(error)
    return None


def read_settings(folder: Path, text: bytes) -> object:
    (folder / "soundstage.toml").write_bytes(text)
    return read_config(folder / "soundstage.toml")


def validator(name: str) -> Any:
    schema = json.loads(file_schema(name))
    of = jsonschema.Draft202012Validator
    return of(schema, format_checker=of.FORMAT_CHECKER)


@pytest.mark.parametrize(
    ("name", "text"), [("config", CONFIG), ("scenario", SCENARIO), ("scenario", CLOSED)]
)
def test_a_schema_takes_what_its_reader_takes_and_refuses_what_it_refuses(name, text, tmp_path):
    read = {
        "config": partial(read_settings, tmp_path),
        "scenario": lambda data: parse_scenario(data, tmp_path / "scenario.toml"),
    }[name]
    of = validator(name)
    assert why_refused(read, text) is None
    assert not list(of.iter_errors(toml_text.parse(text, Path("x"))))
    taken = refused = 0
    for mutant in mutants(text):
        try:
            tomllib.loads(mutant)
        except ValueError:
            continue
        fits = of.is_valid(toml_text.parse(mutant, Path("x")))
        why = why_refused(read, mutant)
        taken, refused = taken + (why is None), refused + (why is not None)
        if fits and why is not None:
            assert _BEYOND.search(why), (mutant, why)
        else:
            assert fits == (why is None), (mutant, why)
    assert refused > 5
    assert taken > 1


@pytest.mark.parametrize("name", FILE_SCHEMAS)
def test_every_schema_is_one_and_is_printed(name, tmp_path):
    schema = json.loads(file_schema(name))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    printed = run_here("schema", "--of", name)
    assert (printed.returncode, json.loads(printed.stdout)) == (0, schema)
    file = tmp_path / "x.json"
    assert run_here("schema", "--of", name, "--output", str(file)).returncode == 0
    assert json.loads(file.read_text()) == schema


@pytest.mark.parametrize("name", ["config", "scenario"])
def test_every_key_says_what_it_is(name):
    schema = json.loads(file_schema(name))

    def undescribed(value: Any, place: str) -> Iterator[str]:
        if isinstance(value, list):
            for each in value:
                yield from undescribed(each, place)
        if not isinstance(value, dict):
            return
        properties = value.get("properties", {})
        for key, inner in properties.items():
            # `true` leaves what is said of a key elsewhere as it is, and so do conditions.
            if isinstance(inner, dict) and "const" not in inner:
                target = schema["$defs"][inner["$ref"][8:]] if "$ref" in inner else {}
                if "description" not in {**target, **inner}:
                    yield f"{place}/{key}"
        for key, inner in value.items():
            yield from undescribed(inner, f"{place}/{key}")

    assert list(undescribed(schema, "")) == []


@pytest.mark.parametrize("other", ["--api=v6", "--with-basis", "--prove", "--format=text"])
def test_the_schema_of_a_file_is_not_asked_of_a_contract(other):
    run = run_here("schema", "--of", "config", other)
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
