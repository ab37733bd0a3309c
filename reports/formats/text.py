"""The report in a few lines of text, as a command prints it when its run is over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from soundstage.output.streams import say
from soundstage.reports.formats.failures_text import print_failures
from soundstage.reports.formats.looks_formats import looks_text
from soundstage.reports.run.capacity_found import capacity_found
from soundstage.reports.run.findings import Report
from soundstage.reports.run.legend import until
from soundstage.reports.run.load_answer import an_objective, asked_for_none
from soundstage.reports.run.looks_told import looks_told
from soundstage.reports.run.milestone_times import QUANTILES, MilestoneSummary
from soundstage.reports.run.objectives import said_once
from soundstage.reports.run.rule_results import RuleResult
from soundstage.reports.run.summary import Group
from soundstage.reports.words import (
    OUTCOMES,
    budget_words,
    cost_words,
    milestone_label,
    percent,
    place_words,
    plain,
    plural,
    resolution_words,
    target_facts,
)
from soundstage.results.verdicts import describe

#: Findings of one kind that are named.
_NAMED = 9
_NO_OCCASION = "this run gave no occasion"
#: Quantiles that are printed, by their place among those of a milestone.
_PRINTED = (0, 2, 3)


def print_summary(report: Report, stdout: TextIO) -> None:
    """The run in a few lines of text: verdict, voids, what is broken, times, and notes at last."""
    headline = report.headline
    slos = [plain(describe(said_once(entry, report.run)), 400) for entry in _slos(report)]
    sentence = headline.sentence.removeprefix(f"{headline.tone.capitalize()}: ")
    say(f"{headline.tone.upper()}  {sentence[:1].upper()}{sentence[1:]}", stdout)
    if headline.detail and headline.detail not in (f"SLO {each}" for each in slos):
        say(f"  {headline.detail}", stdout)
    if facts := target_facts(report.run):
        say(f"  {' · '.join(facts)}", stdout)
    for void in report.voids:
        say(f"  {void.kind}: {plain(void.message, 500)}", stdout)
    for entry, said in zip(_slos(report), slos, strict=True):
        say(f"SLO {entry['verdict']}: {said}", stdout)
    if (looks := looks_told(report.run.get("looks"))) is not None:
        for line in looks_text(looks):
            say(line, stdout)
    if asked_for_none(report):
        say(f"SLO: none was asked; {an_objective(report)} would ask for one", stdout)
    searched = capacity_found(report.run.get("capacity"))
    if searched is not None:
        say(f"capacity: {searched.sentence}", stdout)
    if report.summary.failures is not None:
        print_failures(report, report.summary.failures, stdout)
    if report.judged:
        say(f"rules: {', '.join(_outcomes(report))}", stdout)
    findings = report.findings()
    _print_findings([each for each in findings if each.outcome in ("failed", "outside")], stdout)
    _print_findings([each for each in findings if each.outcome == "warned"], stdout)
    _print_next([each for each in findings if each.outcome in ("failed", "outside")], stdout)
    for group in report.summary.groups:
        _print_group(report, group, stdout)
    if cost_words(report.run):
        say(f"cost: {budget_words(report.run)}", stdout)
    if said := until(report):
        say(f"times count from the moment a request was due: {said}", stdout)
    _print_notes([each for each in findings if each.outcome == "passed"], stdout)


def _slos(report: Report) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = report.run.get("slos", ())
    return found


def _outcomes(report: Report) -> Iterable[str]:
    """`4 failed`, `26 not exercised (this run gave no occasion)`."""
    for outcome, count in report.outcomes().items():
        meaning = f" ({_NO_OCCASION})" if outcome == "not_exercised" else ""
        yield f"{count:,} {OUTCOMES[outcome][1]}{meaning}"


def _print_findings(found: list[RuleResult], stdout: TextIO) -> None:
    """A finding a paragraph: the defect and how often, what is asked, the rule."""
    for rule in found[:_NAMED]:
        say(f"  {OUTCOMES[rule.outcome][0]} {plain(rule.title, 220)}: {rule.times}", stdout)
        if rule.asked:
            say(f"      asked: {plain(rule.asked, 300)}", stdout)
        if rule.evidence and rule.evidence[0].expected:
            say(f"      expected: {plain(rule.evidence[0].expected, 200)}", stdout)
            say(f"      received: {plain(rule.evidence[0].received, 200)}", stdout)
        codes = f" [{plain(', '.join(rule.codes), 100)}]" if rule.codes else ""
        say(f"      {plain(rule.id, 160)}{codes}", stdout)
    if len(found) > _NAMED:
        kind = "warning" if found[0].outcome == "warned" else "broken rule"
        say(f"  and {plural(len(found) - _NAMED, f'more {kind}')}", stdout)


def _print_notes(found: list[RuleResult], stdout: TextIO) -> None:
    if found:
        say("notes, none of which breaks the contract:", stdout)
    for rule in found[:_NAMED]:
        say(f"  {plain(rule.title, 220)}: {rule.times}", stdout)
    if len(found) > _NAMED:
        say(f"  and {plural(len(found) - _NAMED, 'more note')}", stdout)


def _print_next(broken: list[RuleResult], stdout: TextIO) -> None:
    """How to look at the worst finding, and how to ask for it again."""
    shown = next((rule for rule in broken if rule.shown is not None), None)
    if shown is not None and shown.shown is not None:
        say(f"  see it chunk by chunk: {shown.shown.command}", stdout)
        if shown.again is not None:
            say(f"  ask it again: {shown.again.command}", stdout)


def _print_group(report: Report, group: Group, stdout: TextIO) -> None:
    total = sum(group.outcomes.values())
    rates = ", ".join(
        f"{plain(outcome, 20)} {count:,} ({percent(count, total)})"
        for outcome, count in group.outcomes.items()
    )
    beside = [f"{plural(group.probes, 'request')} made to be refused"] if group.probes else []
    beside += [f"{group.warmup:,} warm-up"] if group.warmup else []
    said = "; ".join(one for one in (rates, ", ".join(beside)) if one)
    say(f"{place_words(group.api, group.endpoint)}: {said}", stdout)
    _print_times(report, group, stdout)
    if group.playback:
        say(f"  heard while it was made: {group.playback.words}", stdout)


def _print_times(report: Report, group: Group, stdout: TextIO) -> None:
    for name in report.headlines:
        one = group.milestone(name) if name in group.names.headline else None
        if one is not None:
            label = f"  {milestone_label(group.names, name):<6}"
            say(f"{label} {_quantiles(one)}", stdout)
        elif group.endpoint == "stream" and group.measured:
            say(f"  {report.label(name):<6} n/a", stdout)
    if group.resolution:
        say(f"  {resolution_words(group.resolution)}", stdout)


def _quantiles(one: MilestoneSummary) -> str:
    """`p50   1.24 s  p95   2.10 s  (n = 40)`: those that so many values tell."""
    never = "" if one.reached == one.n else f", {one.n - one.reached:,} never got there"
    if one.n == 1:
        return f"{one.said(0)}  (one exchange{never})"
    told = [place for place in _PRINTED if not place or one.tells(place)]
    said = (f"p{round(QUANTILES[place] * 100)} {one.said(place):>8}" for place in told)
    return f"{'  '.join(said)}  (n = {one.n:,}{never})"
