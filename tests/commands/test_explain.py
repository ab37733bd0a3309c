"""`soundstage explain`: every code and every rule has its words."""

from __future__ import annotations

import io
import json
import re

import pytest

from soundstage.commands import explain
from soundstage.conformance.codes import codes, rules_of
from soundstage.contract import load_all
from soundstage.errors import UsageError


def run(*arguments):
    stdout = io.StringIO()
    assert explain.run(explain.parse_args(list(arguments)), stdout, io.StringIO()) == 0
    return stdout.getvalue()


@pytest.mark.parametrize("code", codes().values(), ids=codes())
def test_every_code_is_explained(code):
    text = run(code.code)
    for label in ("meaning", "cause", "hint"):
        assert f"\n{label + ':':<10} {getattr(code, label)}\n" in text
    for line in code.example.splitlines():
        assert line in text
    rules = {api: rules_of(contract, code.code) for api, contract in load_all().items()}
    for of_api in rules.values():
        for rule in of_api[:3]:
            said = f"{rule.severity}, {rule.basis}: {rule.source}"
            assert re.search(rf" {re.escape(rule.id)}\n +{re.escape(said)}\n", text)
        assert (f" and {len(of_api) - 3} more\n" in text) is (len(of_api) > 3)
    (row,) = map(json.loads, run("--format", "json", code.code).splitlines())
    assert list(row) == ["code", "meaning", "example", "cause", "hint", "rules"]
    assert [each["rule"] for each in row["rules"]] == [
        rule.id for of_api in rules.values() for rule in of_api
    ]


def test_every_rule_is_explained():
    for contract in load_all().values():
        for rule in contract.rules:
            lines = run(rule.id).splitlines()
            assert lines[:-1] == [
                f"rule:      {rule.id}",
                f"asks:      {rule.text}",
                f"severity:  {rule.severity}",
                f"basis:     {rule.basis}",
                f"source:    {rule.source}",
            ]
            given = lines[-1].removeprefix("codes:     ").split(", ")
            assert given == [code for code in given if code in codes()]
            (row,) = map(json.loads, run("--format", "json", rule.id).splitlines())
            assert row["codes"] == given


def test_markdown_is_for_codes_only():
    assert run("--format", "markdown", "stage").count("\n### `stage.") == 4
    with pytest.raises(UsageError):
        run("--format", "markdown", "v6/stream/json")


def test_without_a_name_all_codes_are_listed():
    assert [line for line in run().splitlines() if not line.startswith("    ")] == list(codes())


@pytest.mark.parametrize("family", ["json", "json.", "stage"])
def test_a_family_lists_its_codes(family):
    listed = [line for line in run(family).splitlines() if not line.startswith("    ")]
    assert listed == [code for code in codes() if code.startswith(family.rstrip(".") + ".")]


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
