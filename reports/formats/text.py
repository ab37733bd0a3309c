"""The report in a few lines of text, as a command prints it when its run is over."""

from __future__ import annotations

from typing import TextIO

from soundstage.output.streams import say
from soundstage.reports.run.capacity_found import capacity_found
from soundstage.reports.run.findings import Report
from soundstage.reports.run.summary import Group
from soundstage.reports.words import (
    OUTCOMES,
    milestone_label,
    percent,
    place_words,
    plain,
    plural,
    resolution_words,
    target_facts,
)
from soundstage.results.verdicts import describe


def print_summary(report: Report, stdout: TextIO) -> None:
    """The run in a few lines of text: verdict, voids, times, outcomes, violations."""
    headline = report.headline
    sentence = headline.sentence.removeprefix(f"{headline.tone.capitalize()}: ")
    say(f"{headline.tone.upper()}  {sentence[:1].upper()}{sentence[1:]}", stdout)
    if headline.detail:
        say(f"  {headline.detail}", stdout)
    if facts := target_facts(report.run):
        say(f"  {' · '.join(facts)}", stdout)
    for void in report.voids:
        say(f"  {void.kind}: {plain(void.message, 500)}", stdout)
    for entry in report.run.get("slos", ()):
        say(f"SLO {entry['verdict']}: {plain(describe(entry), 400)}", stdout)
    if found := capacity_found(report.run.get("capacity")):
        say(f"capacity: {found.sentence}", stdout)
    if report.rules:
        tally = report.outcomes().items()
        said = ", ".join(f"{count:,} {OUTCOMES[outcome][1]}" for outcome, count in tally)
        say(f"rules: {said}", stdout)
    for group in report.summary.groups:
        _print_group(report, group, stdout)
    broken = [rule for rule in report.findings() if rule.outcome in ("failed", "outside")]
    for rule in broken[:9]:
        say(f"  ✗ {plain(rule.id, 160)} ({rule.times})", stdout)
        if rule.evidence:
            say(f"      {plain(rule.evidence[0].message, 160)}", stdout)
    if len(broken) > 9:
        say(f"  and {plural(len(broken) - 9, 'more broken rule')}", stdout)
    if report.summary.codes:
        say("violations by code:", stdout)
        for code, count in list(report.summary.codes.items())[:12]:
            seen = f"in {plural(count.exchanges, 'exchange')}"
            say(f"  {plain(code, 40):<24} {count.violations:>7,} {seen}", stdout)


def _print_group(report: Report, group: Group, stdout: TextIO) -> None:
    total = sum(group.outcomes.values())
    rates = ", ".join(
        f"{plain(outcome, 20)} {count:,} ({percent(count, total)})"
        for outcome, count in group.outcomes.items()
    )
    beside = [f"{plural(group.probes, 'probe')}"] if group.probes else []
    beside += [f"{group.warmup:,} warm-up"] if group.warmup else []
    said = "; ".join(one for one in (rates, ", ".join(beside)) if one)
    say(f"{place_words(group.api, group.endpoint)}: {said}", stdout)
    _print_times(report, group, stdout)
    if group.playback:
        say(f"  played while it was made: {group.playback.words}", stdout)


def _print_times(report: Report, group: Group, stdout: TextIO) -> None:
    for name in report.headlines:
        one = group.milestone(name) if name in group.names.headline else None
        if one is not None:
            quantiles = "  ".join(
                f"p{round(quantile.order * 100)} {one.said(place):>8}"
                for place, quantile in enumerate(one.intended)
                if quantile.order != 0.9
            )
            never = "" if one.reached == one.n else f", {one.n - one.reached:,} never got there"
            label = f"  {milestone_label(group.names, name):<6}"
            say(f"{label} {quantiles}  (n = {one.n:,}{never})", stdout)
        elif group.endpoint == "stream" and group.measured:
            say(f"  {report.label(name):<6} n/a", stdout)
    if group.resolution:
        say(f"  {resolution_words(group.resolution)}", stdout)
