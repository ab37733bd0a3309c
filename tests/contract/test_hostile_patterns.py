"""Patterns of contracts that would take for ever: refused, given up, or searched for in no time;
never a hang, and never a violation that nobody found.
"""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import find, settings

from soundstage.conformance.engine import StreamCheck
from soundstage.conformance.violations import Severity, Verdict
from soundstage.contract import load
from soundstage.contract.json_schema import patterns
from soundstage.emulator.generations.request_reader import BadBody, RequestReader
from soundstage.errors import ContractDataError
from soundstage.exchange.requests import valid_body
from soundstage.generation.faults.catalogue import valid_stream
from soundstage.generation.samples import values

SCHEMAS = Path(__file__).parents[2] / "schemas"
GROUNDS = {"title": "so", "x-basis": "documented", "x-source": "Made up"}
#: Takes more steps than the limit on its text: a repeated group with a look around it.
SLOW, LONG = "(?!x)((a|aa)+)+$", "a" * 5000 + "!"
_WORST = settings(max_examples=30, database=None, derandomize=True)


@pytest.fixture
def contract_with(tmp_path):
    """Makes v6 with a field `mood` in the chunks of a stage, of some schema."""

    def make(schema, stage="streaming", when=None):
        root = tmp_path / "contracts"
        shutil.copytree(SCHEMAS / "v6", root / "v6")
        shutil.copy(SCHEMAS / "fields.json", root)
        file = root / f"v6/chunks/{stage}.json"
        data = json.loads(file.read_text())
        data["properties"]["mood"] = {**schema, **GROUNDS}
        file.write_text(json.dumps(data))
        if when is not None:
            file = root / "v6/protocol.json"
            data = json.loads(file.read_text())
            found = next(each for each in data["stages"] if each["name"] == stage)
            found["when"]["properties"] = {**found["when"].get("properties", {}), "mood": when}
            file.write_text(json.dumps(data))
        return load("v6", root)

    return make


def judged(contract, mood, stage="streaming"):
    check = StreamCheck(contract)
    for step, payload in valid_stream(contract, random.Random(0), optional=0.0):
        if step.stage == stage:
            payload = {**payload, "mood": mood}
        check.event(json.dumps(payload).encode())
    check.close()
    return check


def faults(check):
    return [each.code for each in check.violations if each.severity is not Severity.INFO]


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$", "(.*a){25}", "(a*)*b", "(a|a)*$", "(a|aa)+$", "(?:(?:a+)+)+$", "([a-z]+)*0",
        r"(\w+\s?)+$", "^(a?){60}a{60}$", "(x+x+)+y", "^([^/]+/)*[^/]+$",
    ],
)  # fmt: skip
def test_a_pattern_without_looking_around_is_judged_at_once_whatever_it_repeats(
    contract_with, pattern
):
    contract = contract_with({"type": "string", "pattern": pattern})
    # What `re` could never say: whether it is found.
    texts = ("a" * 20 + "\n!", "a" * 5000 + "!/", "x" * 5000)
    found = {text: patterns.found_in(pattern, text) for text in texts}
    assert set(found.values()) <= {True, False}
    for text, fits in found.items():
        check = judged(contract, text)
        assert check.reason is None
        assert faults(check) == ([] if fits else ["field.value"])


def test_what_takes_too_long_is_neither_kept_nor_broken(contract_with):
    contract = contract_with({"type": "string", "pattern": SLOW})
    check = judged(contract, LONG)
    assert faults(check) == []
    assert (check.verdict(), check.reason) == (Verdict.INCONCLUSIVE, "pattern.limit")
    # From then on nobody searches for it, and nothing that came beside it is a pass.
    later = judged(contract, LONG * 100)
    assert (later.verdict(), later.reason) == (Verdict.INCONCLUSIVE, "pattern.limit")


def test_before_it_came_to_its_limit_such_a_pattern_is_judged_like_any(contract_with):
    contract = contract_with({"type": "string", "pattern": SLOW})
    assert judged(contract, "aaa").verdict() is Verdict.CONFORMS
    broken = judged(contract, "aab")
    assert faults(broken) == ["field.value"]
    assert "is 'aab'; expected so" in broken.violations[0].message


def test_another_fault_of_the_chunk_is_found_all_the_same(contract_with):
    contract = contract_with({"type": "string", "pattern": SLOW})
    check = StreamCheck(contract)
    for step, payload in valid_stream(contract, random.Random(0), optional=0.0):
        if step.stage == "streaming":
            payload = {**payload, "mood": LONG, "message_id": 5}
        check.event(json.dumps(payload).encode())
    check.close()
    assert set(faults(check)) == {"field.type"}
    assert check.verdict() is Verdict.VIOLATES


def test_a_stage_that_is_told_by_such_a_pattern_is_not_called_unknown(contract_with):
    asked = {"type": "string", "pattern": SLOW}
    contract = contract_with({"type": "string"}, when=asked)
    check = judged(contract, LONG)
    assert "stage.unknown" not in {each.code for each in check.violations}
    assert check.reason == "pattern.limit"


@pytest.mark.parametrize(
    "pattern",
    [
        "(a{0,999}){0,999}", "a{1,100000}", "(?:a{0,60000}){0,60000}",
        "(" * 1000 + "a" + ")" * 1000,
        "[", "(", "*", r"\u", "(?P<x>", "x" * 3000, "(?(1)a|b)", r"\p{Nonsense}",
    ],
)  # fmt: skip
def test_a_pattern_that_is_none_or_grows_too_large_is_refused(contract_with, pattern):
    with pytest.raises(
        ContractDataError, match=r"streaming.json#/properties/mood/pattern: .*pattern"
    ):
        contract_with({"type": "string", "pattern": pattern})


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        ("^[a-z]+-[0-9]+$", "song-7", "song"),
        ("^(?!draft)", "final", "draft 2"),
        ("^(?=.*[0-9])[a-z0-9]{8,}$", "abcdefg1", "abcdefgh"),
        (r"^(.)\1$", "aa", "ab"),
        ("(?<=#)[0-9]+$", "#12", "12"),
        (
            "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
            "0" * 8 + "-0000" * 3 + "-" + "0" * 12,
            "0",
        ),
        ("^(calm|bright|bold)$", "calm", "Calm"),
    ],
)
def test_patterns_that_people_write_are_judged_as_before(contract_with, pattern, good, bad):
    contract = contract_with({"type": "string", "pattern": pattern})
    assert judged(contract, good).verdict() is Verdict.CONFORMS
    assert faults(judged(contract, bad)) == ["field.value"]
    assert re.search(pattern, good)
    assert not re.search(pattern, bad)


@pytest.mark.parametrize(
    ("pattern", "plain"),
    [
        ("^[a-z]+-[0-9]+$", True), ("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", True),
        ("(?:ab)?c", True), ("^(a|b|c)$", True), ("([0-9]{1,3}[.]){3}[0-9]{1,3}", True),
        ("[]a]+b", True), ("(a+)+$", False), ("(a|aa)*", False), ("(a+){10}", False),
        (r"(a)\1", False), ("a?" * 30 + "a" * 30, False), ("(a|a)" * 30 + "b", False),
        ("x*y*z*w*", False), ("(a{1,1000}){5}", False), ("(.*a){25}", False),
    ],
)  # fmt: skip
def test_texts_are_made_up_only_for_patterns_that_re_can_search(pattern, plain):
    assert patterns.is_plain(pattern) is plain


def test_the_shipped_patterns_never_give_up():
    for contract in (load("v5"), load("v6")):
        for stage in contract.protocol.stages:
            for pattern in patterns.of_schema(stage.schema):
                for text in (
                    "https://a/" + "b" * 200_000,
                    " " * 200_000,
                    "https://" + "a/" * 50_000,
                ):
                    assert patterns.found_in(pattern, text) is not None


def test_samples_of_a_pattern_that_re_cannot_search_are_texts_that_the_contract_allows():
    schema = {"type": "string", "pattern": "^(a|aa)*"}
    assert patterns.found_in("^(a|aa)*", find(values(schema), lambda _: True, settings=_WORST))


def test_an_emulator_does_not_refuse_a_request_that_it_could_not_judge(contract_with):
    contract = contract_with({"type": "string"})
    endpoint = contract.endpoints["stream"]
    endpoint.request["properties"]["mood"] = {"type": "string", "pattern": SLOW}
    body = valid_body(contract, endpoint, 0)
    reader = RequestReader(endpoint)
    assert not isinstance(reader.read(json.dumps({**body, "mood": LONG}).encode()), BadBody)
    bad = reader.read(json.dumps({**body, "mood": "b"}).encode())
    assert isinstance(bad, BadBody)
    assert bad.error == "wrong_types"
    assert "mood: expected" in bad.why
