"""What reports say of every kind of violation reads as a sentence, of one exchange and of more."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from soundstage.conformance.codes import codes, codes_of
from soundstage.contract import Contract, load_all
from soundstage.reports.formats import annotations, junit, sarif
from soundstage.reports.run.findings import Report, read_report
from soundstage.results.bundle import Bundle

GALLERY = load_all(Path(__file__).parents[2] / "examples/contracts")
CONTRACTS = [*load_all().values(), *GALLERY.values()]
#: Two full stops, marks before marks, a number and a noun, or an article and a word, that do not
#: fit.
SLIPS = re.compile(
    r"\.\.|[.:;,]\s*[:;,.](?=\s|$)|  "
    r"|\b1 (?:streams|requests|exchanges|jobs|look-ups|times|rules)\b"
    r"|\b(?:[2-9]|\d\d+) (?:stream|request|exchange|job|look-up|time|rule)\b"
    r"|\b[aA] (?:a|e|i|o|u(?!sual|se|nit|ni))|\b[aA]n [bcdgjkpqtvwyz]|[:;,] *$|[{}]"
)


def of_every_code() -> Iterator[tuple[Contract, Any, str]]:
    """A rule for each code that there is, and its contract."""
    left = dict.fromkeys(codes())
    for contract in CONTRACTS:
        for rule in contract.rules:
            for code in codes_of(contract, rule):
                if code in left:
                    left.pop(code)
                    yield contract, rule, code
    assert set(left) <= {"stream.failed"}


def report_of(
    runs: Any, path: Path, contract: Contract, rule: Any, code: str, broken_in: int
) -> Report:
    """A check in which a rule was broken so often, under a code, without words of its own."""
    message = codes()[code].meaning  # what no two violations have in common as a sentence
    rows, found = [], []
    for number in range(1, broken_in + 1):
        rows.append(runs.exchange(number, random.Random(1)))
        rows[-1] |= {"api": contract.api, "verdict": "violates", "codes": {code: 1}}
        said = f"{message} ({number})" if broken_in > 1 else message
        found.append({**runs.violation(rule.id, code, said, f"e{number:06}"), "path": "/url"})
    evidence = [{key: found[0][key] for key in ("exchange", "chunk", "path", "message")}]
    row = runs.rule(rule.id, "failed", text=rule.text, violations=broken_in, evidence=evidence,
                    exchanges=broken_in + 1)  # fmt: skip
    finish = {"verdict": "fail", "exit_code": 1}
    runs.write(path, rows, rules=[row], violations=found, finish=finish)
    return read_report(Bundle.open(path))


def said(report: Report) -> Iterator[str]:
    yield f"{report.headline.sentence}: {report.headline.detail}"
    for element in ET.fromstring(junit.render(report)).iter():
        if element.tag in ("failure", "error", "skipped"):
            yield element.get("message", "")
    for result in json.loads(sarif.render([report]))["runs"][0]["results"]:
        yield result["message"]["text"]
    for line in annotations.render(report).splitlines():
        head, _, text = line.removeprefix("::").partition("::")
        yield head.partition("title=")[2].replace("%3A", ":").replace("%2C", ",")
        yield text.partition(" — asked: ")[0]


@pytest.mark.parametrize("broken_in", [1, 2])
def test_every_code_makes_sentences(broken_in: int, runs: Any, tmp_path: Path) -> None:
    wrong = []
    for number, (contract, rule, code) in enumerate(of_every_code()):
        report = report_of(runs, tmp_path / str(number), contract, rule, code, broken_in)
        for sentence in said(report):
            if slip := SLIPS.search(re.sub("“.*?”", "“”", sentence)):
                wrong.append((code, slip[0], sentence))
    assert wrong == []
