"""The findings of a run as SARIF 2.1.0 (OASIS Standard), for code scanning.

A finding is a rule of the contract that was broken; it points at the line of the contract's data
that asks for what was not there. The level follows from the outcome (error, warning), what is
waived is a suppressed result. Fingerprints are of the rule and the code, so that a finding keeps
its identity from run to run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from soundstage import __version__
from soundstage.contract.source_lines import place_of
from soundstage.errors import SoundstageError
from soundstage.output import visible
from soundstage.output.uris import of_path
from soundstage.reports.run.findings import Report
from soundstage.reports.run.rule_results import RuleResult
from soundstage.reports.words import plain

SCHEMA: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
#: GitHub takes 25,000 results of a run and shows 5,000.
RESULT_LIMIT: Final = 5_000
_LEVELS: Final = {
    "failed": "error",
    "outside": "warning",
    "warned": "warning",
    "known": "error",
}
_DEFAULTS: Final = {"error": "error", "warning": "warning", "info": "note"}


def render(reports: Sequence[Report]) -> str:
    """The document: a run of SARIF for each report."""
    document = {"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(each) for each in reports]}
    return visible.in_json(json.dumps(document, indent=2)) + "\n"


def _run(report: Report) -> dict[str, Any]:
    findings = [each for each in report.findings() if each.outcome in _LEVELS][:RESULT_LIMIT]
    rules = {rule.id: rule for rule in findings}
    numbers = {id_: number for number, id_ in enumerate(rules)}
    driver = {
        "name": "Soundstage",
        "semanticVersion": __version__,
        "rules": [_rule(rule) for rule in rules.values()],
    }
    notes = [_note(f"{void.kind}: {void.message}") for void in report.voids]
    return {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"soundstage/{report.run['kind']}/"},
        "invocations": [
            {
                # Whether the tool itself came to its end: what it found is in the results.
                "executionSuccessful": report.run["status"] == "complete" and not report.voids,
                "toolExecutionNotifications": notes,
            }
        ],
        "columnKind": "unicodeCodePoints",
        "properties": {
            "run": plain(report.run["id"], 200),
            "verdict": report.headline.sentence,
            "targetKind": report.run["target"]["kind"],
        },
        "results": [_result(rule, numbers[rule.id]) for rule in findings],
    }


def _text(text: object, limit: int) -> str:
    """Text for a message. `[words](place)` would be a link in it (3.11.6)."""
    return plain(text, limit).replace("](", "]\\(")


def _rule(rule: RuleResult) -> dict[str, Any]:
    said = _text(rule.text, 1000) if rule.text else _text(rule.id, 300)
    descriptor: dict[str, Any] = {
        "id": plain(rule.id, 300),
        "shortDescription": {"text": said},
        "fullDescription": {"text": said},
        "defaultConfiguration": {"level": _DEFAULTS.get(rule.severity or "", "warning")},
        "properties": {"tags": ["contract", plain(rule.api, 40), plain(rule.endpoint, 40)]},
    }
    if rule.source:
        basis = f" ({rule.basis})" if rule.basis else ""
        descriptor["help"] = {"text": f"{said}\nSource: {_text(rule.source, 300)}{basis}"}
    return descriptor


def _result(rule: RuleResult, number: int) -> dict[str, Any]:
    what, seen = _text(rule.title, 500), rule.times
    code = plain(rule.codes[0], 80) if rule.codes else ""
    mark = hashlib.sha256(f"{rule.id}\0{code}".encode()).hexdigest()[:32]
    result: dict[str, Any] = {
        "ruleId": plain(rule.id, 300),
        "ruleIndex": number,
        "level": _LEVELS[rule.outcome],
        "message": {"text": f"{what} ({seen})"},
        "locations": [_location(rule)],
        "partialFingerprints": {"soundstageRule/v1": mark},
        "occurrenceCount": max(1, rule.violations),
        "properties": {
            "code": code,
            "evidence": [
                {
                    "exchange": plain(each.exchange, 80),
                    "chunk": each.chunk,
                    "path": plain(each.path, 200),
                    "message": _text(each.message, 300),
                }
                for each in rule.evidence
            ],
        },
    }
    if rule.outcome == "known":
        reason = _text(rule.reason or "waived", 300)
        result["suppressions"] = [{"kind": "external", "justification": reason}]
    return result


def _location(rule: RuleResult) -> dict[str, Any]:
    logical = {"fullyQualifiedName": plain(rule.id, 300), "kind": "member"}
    try:
        place = place_of(rule.id)
    except SoundstageError:
        # The bundle was held against a contract that is not on this machine.
        return {"logicalLocations": [logical]}
    here = Path(str(place.at)).absolute()
    inside = here.is_relative_to(Path.cwd())
    file = here.relative_to(Path.cwd()).as_posix() if inside else f"schemas/{place.file}"
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": of_path(file)},
            "region": {"startLine": place.line},
        },
        "logicalLocations": [logical],
    }


def _note(text: str) -> dict[str, Any]:
    return {"level": "warning", "message": {"text": _text(text, 500)}}
