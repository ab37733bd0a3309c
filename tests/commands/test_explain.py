"""`soundstage explain`: every code and every rule has its words."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from soundstage.commands import explain
from soundstage.conformance.codes import CODES
from soundstage.contract import load_all
from soundstage.errors import UsageError
from soundstage.wire import jsontext

ROOT = Path(__file__).parents[2]


def run(*arguments):
    stdout = io.StringIO()
    assert explain.run(explain.parse_args(list(arguments)), stdout, io.StringIO()) == 0
    return stdout.getvalue()


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_explained(code):
    text = run(code)
    assert text.startswith(f"code:      {code}\nmeaning:   ")
    assert CODES[code].meaning in text
    assert (f"hint:      {CODES[code].hint}\n" in text) is bool(CODES[code].hint)
    (row,) = map(json.loads, run("--format", "json", code).splitlines())
    assert list(row) == ["code", "meaning", "hint"]


def test_every_rule_is_explained():
    for contract in load_all().values():
        for rule in contract.rules:
            lines = run(rule.id).splitlines()
            assert lines == [
                f"rule:      {rule.id}",
                f"asks:      {rule.text}",
                f"severity:  {rule.severity}",
                f"basis:     {rule.basis}",
                f"source:    {rule.source}",
            ]


def test_without_a_name_all_codes_are_listed():
    assert [line for line in run().splitlines() if not line.startswith("    ")] == list(CODES)


@pytest.mark.parametrize("family", ["json", "json.", "stage"])
def test_a_family_lists_its_codes(family):
    listed = [line for line in run(family).splitlines() if not line.startswith("    ")]
    assert listed == [code for code in CODES if code.startswith(family.rstrip(".") + ".")]


def test_the_beginning_of_a_rule_lists_the_rules_below_it():
    listed = [line for line in run("v6/stream/order/").splitlines() if line[0] != " "]
    assert "v6/stream/order/final/after/uploading" in listed
    assert all(line.startswith("v6/stream/order/") for line in listed)
    assert len(run("v5").splitlines()) > 100


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("stage.ordr", "did you mean stage.order?"),
        ("v6/stream/index/consecutiv", "did you mean v6/stream/index/consecutive?"),
        ("zzz", "`soundstage explain` lists the codes"),
        ("", "`soundstage explain` lists the codes"),
    ],
)
def test_an_unknown_name_is_a_wrong_usage_that_helps(name, near):
    with pytest.raises(UsageError) as caught:
        run(name)
    assert near in str(caught.value)


def test_every_code_that_the_code_uses_is_in_the_table():
    """And none is in the table that nothing uses."""
    text = "\n".join(
        path.read_text()
        for folder in ("src/soundstage", "contracts", "loadtests")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "codes.py"
    )
    families = "|".join(sorted({code.partition(".")[0] for code in CODES}))
    used = set(re.findall(rf'"((?:{families})\.[a-z_0-9]+)"', text))
    assert used - CODES.keys() <= {"http.disconnect"}, "ASGI's, not ours"
    assert jsontext.CODES.keys() <= CODES.keys()
