"""The table of codes is whole, and the rules that can give a code are those that do."""

from __future__ import annotations

import ast
import random
import re
from collections import defaultdict
from pathlib import Path

import pytest

from soundstage.conformance.codes import codes, codes_of, rules_of
from soundstage.conformance.judge import Judge
from soundstage.contract import load_all
from soundstage.generation.faults.catalogue import broken_answer, catalogue, valid_answer
from soundstage.proof.fault_trials import judged
from soundstage.untrusted import json_text
from soundstage.wire.end import FAULT_OF, End

ROOT = Path(__file__).parents[2]
#: The first six find no pair of a code and a rule that these three do not.
SEEDS = (0, 1, 4)
CONTRACTS = load_all()
#: They say what the versions that come with us do not: jobs, names of events, sentinels.
GALLERY = load_all(ROOT / "examples/contracts")
#: Reasons for a verdict, no violations: no rule gives them.
REASONS = {"stream.failed"}
#: Reported of the live API alone, of files that are fetched, of arrivals or of accounts
#: (`tests/proof` has these): no answer of the catalogue stands for them.
LIVE_ONLY = {
    "asset.host", "asset.address", "asset.missing", "asset.media_type", "asset.broken",
    "asset.length", "asset.needs_key", "asset.not_decoded",
    "stream.buffered", "billing.too_much", "billing.too_little",
}  # fmt: skip


def seen(contract):
    """(code, rule) of everything that the faults of a contract and broken connections lead to."""
    for fault in catalogue(contract):
        for seed in SEEDS:
            rng = random.Random(f"{fault.name}/{seed}")
            answer = broken_answer(contract, fault, *valid_answer(contract, fault, rng), rng)
            if answer is not None:
                for violation in judged(contract, fault, answer):
                    yield violation.code, violation.rule
    for endpoint in contract.endpoints.values():
        for kind in FAULT_OF:
            for body in (b"", b"data: {}", b"7", b"<html>"):
                judge = Judge(contract, endpoint)
                judge.head(200, "text/plain")
                judge.feed(body)
                judge.close(End.of(kind, "why", 0, answered=True))
                for violation in judge.violations:
                    yield violation.code, violation.rule


def shape(rule):
    """A rule's id without the names in it."""
    path = rule.partition("/")[2]
    path = re.sub(r"^(stream|sync|status)/(?:[^/]+/)?field/.*/([a-z]+)$", r"\1/field/\2", path)
    path = re.sub(r"^request/.*", "request", path)
    path = re.sub(r"^error/(?!other/)[^/]+/body$", "error/NAME/body", path)
    return re.sub(r"/(times|order|constant|never_decrease)/.*", r"/\1", path)


@pytest.mark.proof
def test_what_is_found_has_a_code_that_its_rule_promises_and_every_promise_is_kept():
    given = defaultdict(set)
    promised = defaultdict(set)
    for contract in CONTRACTS.values():
        found = set(seen(contract))
        assert len(found) > 100
        assert not {(c, r) for c, r in found if c not in codes_of(contract, contract.rules[r])}
        for code, rule in found:
            given[code].add(shape(rule))
        for code in codes():
            promised[code] |= {shape(rule.id) for rule in rules_of(contract, code)}
    idle = {
        (code, each)
        for code, shapes in promised.items()
        for each in shapes - given[code]
        if not each.startswith("status/")  # the catalogue breaks no answers of a status endpoint
    }
    # A valid request that is answered with 500 again and again shows in a whole run only.
    idle.discard(("http.server_error", "stream/http/status"))
    idle.discard(("http.server_error", "sync/http/status"))
    assert {code for code, _ in idle} <= LIVE_ONLY, idle


def test_every_rule_gives_a_code_and_every_code_has_a_rule():
    all_of_them = [*CONTRACTS.values(), *GALLERY.values()]
    for contract in all_of_them:
        for rule in contract.rules:
            assert codes_of(contract, rule)
            assert set(codes_of(contract, rule)) <= codes().keys()
    for code in codes():
        has_rule = any(rules_of(contract, code) for contract in all_of_them)
        assert has_rule is (code not in REASONS)


def test_every_code_that_the_code_uses_is_in_the_table_and_no_other():
    names = re.compile(rf"(?:{'|'.join({c.partition('.')[0] for c in codes()})})\.[a-z_0-9]+")
    used = {
        node.value
        # `reports` names kinds of drift in the same way, and `doctor` causes; neither uses a code.
        for folder in ("src/soundstage", "contracts", "loadtests")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "codes.py" and path.parent.name != "doctor"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and names.fullmatch(node.value)
    }
    # Messages of ASGI, reasons of an inconclusive verdict, a fact that is observed, a page, and a
    # setting of Jinja.
    others = {
        "http.disconnect",
        "http.request",
        "http.500",
        "http.502",
        "http.504",
        "index.html",
        "index.step",
        "job.not_done",
        "json.dumps_kwargs",
    }
    assert used - codes().keys() <= others
    assert codes().keys() <= used
    assert json_text.CODES.keys() <= codes().keys()


@pytest.mark.parametrize("code", codes().values(), ids=codes())
def test_a_code_says_all_in_whole_sentences(code):
    for text in (code.meaning, code.cause, code.hint):
        assert re.fullmatch(r"[A-Zh].*\.", text), text  # one begins with "http"
        assert len(text) < 140
    assert code.example.strip() == code.example
    assert code.example


@pytest.mark.parametrize("code", json_text.CODES)
def test_an_example_of_bad_json_is_bad_in_that_way(code):
    text = codes()[code].example.removeprefix("data:").strip()
    if code == "json.too_deep":
        text = text[:6] * 30
    data = text.partition(" (")[0].encode().replace(b"<E9>", b"\xe9")
    assert code in [problem.code for problem in json_text.parse(data).problems]
