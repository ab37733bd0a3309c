"""The report as JUnit XML: a suite an endpoint, a case for each rule there, named by its id.

Inconclusive, unexercised and known rules are skipped with their reason; a warning passes and says
so in its output. Objectives are cases of their own. A run that did not end, or measured nothing,
is an error: it is never green. What a case has to show (what is asked, where it was broken, the
request, the smallest stream) stands in its `system-out`, which GitLab and Jenkins unfold, and in
short in the failure, which GitHub's readers of JUnit print.

**Times.** A rule's is how long its own check took, with the requests that it sent itself; most are
judged by exchanges that all of them share, which `run/verdict` has the rest of the run's time for.
So those of all cases add up to how long the run took. A host has no place here.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from soundstage.output import visible
from soundstage.reports.formats.looks_formats import looks_cases
from soundstage.reports.run.findings import Report
from soundstage.reports.run.legend import FLAKY
from soundstage.reports.run.looks_told import looks_told
from soundstage.reports.run.objectives import ObjectiveText, told
from soundstage.reports.run.rule_results import RuleResult
from soundstage.reports.story.evidence import Smallest
from soundstage.reports.words import duration, plain, target_facts

_SKIPPED = {
    "inconclusive": "inconclusive",
    "known": "known and waived",
    "outside": "outside the selection",
    "not_exercised": "not exercised",
}


def render(report: Report) -> str:
    """The XML document."""
    run = report.run
    kind = "contract check" if run["kind"] == "check" else "load run"
    target = report.headline.target.removeprefix("the ").removeprefix("a ").upper()
    root = ET.Element("testsuites", name=f"Soundstage {kind} against the {target}")
    _run_suite(root, report)
    if objectives := told(run):
        suite = _suite(root, f"objectives against the {target}", report)
        for each in objectives:
            _objective(suite, each)
        _count(suite)
    if (looks := looks_told(run.get("looks"))) is not None:
        suite = _suite(root, f"gates against the {target}", report)
        for name, verdict, said in looks_cases(looks):
            _judged(suite, "gates", name, verdict, said)
        _count(suite)
    keys = dict.fromkeys((rule.api, rule.endpoint) for rule in report.judged)
    for api, endpoint in keys:
        rules = [rule for rule in report.judged if (rule.api, rule.endpoint) == (api, endpoint)]
        suite = _suite(root, f"{plain(api, 40)} {plain(endpoint, 40)} against the {target}", report)
        for rule in rules:
            _case(suite, rule)
        _count(suite)
    _count(root)
    del root.attrib["skipped"]  # a count that suites may have, and the whole may not
    _show(root)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode", xml_declaration=False)
    return visible.in_markup(f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n')


def _show(root: ET.Element) -> None:
    """Make every character visible: XML 1.0 has no word for most of those that are not (2.2)."""
    for element in root.iter():
        for name, value in element.attrib.items():
            element.set(name, visible.line(value))
        if element.text:
            element.text = visible.text(element.text)


def _suite(root: ET.Element, name: str, report: Report) -> ET.Element:
    run = report.run
    suite = ET.SubElement(root, "testsuite", name=name, timestamp=plain(run["created"], 40))
    properties = ET.SubElement(suite, "properties")
    facts = {
        "run": run["id"],
        "target.kind": run["target"]["kind"],
        **({"target.rehearsal": "true"} if run["target"].get("rehearsal") else {}),
        "target.url": run["target"]["url"],
        "headline": report.headline.sentence,
        "budget.spent": run["budget"]["spent"],
        "budget.limit": run["budget"]["limit"],
        "seed": run["seed"],
        **{f"target.{key}": run["target"].get(key) for key in ("profile", "speed", "seed")},
        **{f"contract.{api}.sha256": one["sha256"] for api, one in run["contracts"].items()},
        **{f"version.{name}": version for name, version in run["versions"].items()},
    }
    for name, value in facts.items():
        if value is not None:
            ET.SubElement(properties, "property", name=plain(name, 80), value=plain(value, 300))
    return suite


def _run_suite(root: ET.Element, report: Report) -> None:
    """The run as a whole, as a case that is green only if the answer holds."""
    run = report.run
    suite = _suite(root, f"run against {report.headline.target}", report)
    case = ET.SubElement(suite, "testcase", classname="soundstage.run", name="run/verdict")
    headline = report.headline
    said = [f"{void.kind}: {plain(void.message, 500)}" for void in report.voids]
    why = headline.detail or (said[0] if said else None)
    message = headline.sentence + (f": {why}" if why else "")
    said = said if headline.detail else said[1:]
    if headline.tone in ("incomplete", "invalid") or report.empty:
        _outcome(case, "error", headline.tone, message, said)
    elif headline.tone == "inconclusive":
        _outcome(case, "skipped", None, message, [])
    elif headline.tone == "fail":
        _outcome(case, "failure", "verdict", message, said)
    output = ET.SubElement(case, "system-out")
    output.text = "\n".join([message, *target_facts(report.run), *said])
    # What no rule's own check took: the exchanges that all of them are judged by.
    rest = duration(run) - sum(rule.seconds or 0 for rule in report.judged)
    case.set("time", f"{max(0.0, rest):.3f}")
    _count(suite)


def _case(suite: ET.Element, rule: RuleResult) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=f"soundstage.{plain(rule.api, 40)}.{plain(rule.endpoint, 40)}",
        name=plain(rule.id, 300),
        time=f"{rule.seconds or 0:.3f}",
    )
    if rule.outcome == "failed":
        kind = rule.codes[0] if rule.codes else "rule"
        _outcome(case, "failure", kind, f"{plain(rule.title, 300)}: {rule.times}", _story(rule))
        if shown := _shown(rule):
            _output(case, shown)
    elif rule.outcome in _SKIPPED:
        word = _SKIPPED[rule.outcome]
        reason = f"{word}: {plain(rule.reason, 300)}" if rule.reason else word
        _outcome(case, "skipped", None, reason, [])
        if rule.outcome == "known":
            _output(case, [f"{reason}:", *_story(rule), *_shown(rule)])
    elif rule.violations:
        word = "warning" if rule.outcome == "warned" else "note"
        _output(case, [f"{word}:", *_story(rule), *_shown(rule)])
    if rule.violations and rule.outcome in ("failed", "warned", "known"):
        known = "known " if rule.outcome == "known" else ""
        case.set("status", f"{known}{'flaky' if rule.flaky else 'steady'}")


def _objective(suite: ET.Element, one: ObjectiveText) -> None:
    interval = f" ({one.interval})" if one.interval else ""
    why = f": {one.why}" if one.why else ""
    said = f"{one.answer[2]}: {one.value}{interval}, n = {one.n:,}{why}"
    _judged(suite, "objectives", f"{one.slo} at {one.where}", one.verdict, said)


def _judged(suite: ET.Element, kind: str, name: str, verdict: str, said: str) -> None:
    """A case of something that is met, missed, or not known."""
    where = {"classname": f"soundstage.{kind}", "name": name, "time": "0.000"}
    case = ET.SubElement(suite, "testcase", where)
    if verdict == "fail":
        _outcome(case, "failure", kind.removesuffix("s"), said, [])
    elif verdict == "inconclusive":
        _outcome(case, "skipped", None, said, [])
    _output(case, [said])


def _outcome(case: ET.Element, name: str, kind: str | None, message: str, lines: list[str]) -> None:
    child = ET.SubElement(case, name, message=message)
    if kind is not None:
        child.set("type", plain(kind, 80))
    if lines:
        child.text = "\n".join(lines)


def _output(case: ET.Element, lines: list[str]) -> None:
    ET.SubElement(case, "system-out").text = "\n".join(lines)


def _shown(rule: RuleResult) -> list[str]:
    """How to ask again, and the smallest stream that shows it; a line each."""
    asked = []
    if rule.again is not None:
        note = [rule.again.note] if rule.again.note else []
        asked = ["", "ask it again:", *note, rule.again.command]
    if rule.shown is not None:
        asked = ["", "see it chunk by chunk:", rule.shown.command, *asked]
    return [*asked, *(_stream(rule.smallest) if rule.smallest else [])]


def _stream(one: Smallest) -> list[str]:
    lines = ["", f"smallest stream that shows it, in exchange {plain(one.exchange, 60)}:"]
    lines.append(one.sentence)
    for number, chunk in enumerate(one.chunks):
        if one.hidden and number == len(one.chunks) // 2:
            lines.append(f"… {one.hidden:,} chunks not shown …")
        lines.append(f"chunk {chunk.number}{' · the violation' if chunk.here else ''}")
        lines += [f"  {line}" for line in chunk.lines]
    seen = (f"[{each.label}]" if each.here else each.label for each in one.trace)
    due = [f"still due there: {', '.join(one.due)}"] if one.due else []
    return [*lines, f"asked: {one.expected}", *due, f"stages seen: {', '.join(seen)}"]


def _story(rule: RuleResult) -> list[str]:
    """What is wrong, how often, what is asked, by what, and where it was broken; a line each."""
    lines = []
    lines.append(
        f"{plain(rule.title, 300)}: {rule.times}{f' (flaky: {FLAKY})' if rule.flaky else ''}"
    )
    if rule.asked:
        lines.append(f"asked: {rule.asked}")
    for item in rule.evidence:
        chunk = "" if item.chunk is None else f" chunk {item.chunk}"
        path = f" {plain(item.path, 200)}" if item.path else ""
        kept = f" [{item.transcript}]" if item.transcript else ""
        lines.append(f"- {plain(item.exchange, 60)}{chunk}{path}: {plain(item.message)}{kept}")
    return lines


def _count(element: ET.Element) -> None:
    """Set the counters of a suite, or of all suites, from the cases beneath it."""
    cases = list(element.iter("testcase"))
    element.set("tests", str(len(cases)))
    for attribute, name in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(attribute, str(sum(case.find(name) is not None for case in cases)))
    element.set("time", f"{sum(float(case.get('time', '0')) for case in cases):.3f}")
