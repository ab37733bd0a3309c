"""The pages about the contract say what the data and the code say."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import made_parts
import pytest

from soundstage.commands import explain
from soundstage.conformance.codes import codes
from soundstage.contract import load_all
from soundstage.contract.json_schema.keywords import KEYWORDS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def names(schema):
    """Every property name and every enum value that a schema of schemas/ speaks of."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for value in schema.values():
            yield from names(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from names(value)


def test_every_word_of_the_protocol_is_explained():
    schema = json.loads((ROOT / "schemas/protocol.schema.json").read_text())
    text = (DOCS / "reference/contract-words.md").read_text()
    missing = {name for name in names(schema) if f"`{name}`" not in text}
    assert not missing


def test_every_keyword_of_schemas_is_explained():
    text = (DOCS / "reference/contract-words.md").read_text()
    assert not {word for word in KEYWORDS if f"`{word}`" not in text}


def test_the_page_of_violations_is_what_explain_prints():
    page = made_parts.made((DOCS / "reference/violations.md").read_text())
    printed = io.StringIO()
    explain.run(explain.parse_args(["--format", "markdown"]), printed, io.StringIO())
    assert printed.getvalue() in page


def test_the_page_of_violations_says_all_of_every_code():
    page = made_parts.made((DOCS / "reference/violations.md").read_text())
    assert re.findall(r"^### `(.*)`$", page, re.MULTILINE) == list(codes())
    for code in codes().values():
        part = page.partition(f"### `{code.code}`\n")[2].partition("\n#")[0]
        assert all(text in part for text in (code.meaning, code.example, code.cause, code.hint))


READINGS = re.findall(
    r"^\| .* \| .* \| (.*?) \| (`v[^|]*`) \|$",
    (DOCS / "explanation/reading-the-documentation.md").read_text(),
    re.MULTILINE,
)


@pytest.mark.parametrize(("basis", "rules"), READINGS)
def test_every_reading_names_rules_that_have_its_basis(basis, rules):
    known = {rule.id: rule for contract in load_all().values() for rule in contract.rules}
    for rule in re.findall(r"`([^`]+)`", rules):
        assert rule in known, rule
        assert known[rule].basis in basis, (rule, known[rule].basis)


def test_there_are_readings():
    assert len(READINGS) > 30
