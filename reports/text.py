"""The report in a few lines of text, as a command prints it when its run is over."""

from __future__ import annotations

from typing import TextIO

from soundstage.reports.capacity_chart import capacity_sentence
from soundstage.reports.findings import Report
from soundstage.reports.summary import Group
from soundstage.reports.wording import (
    HEADLINE_MILESTONES,
    OUTCOMES,
    milestone_label,
    percent,
    plain,
    plural,
    target_facts,
)
from soundstage.results.verdicts import describe


def print_summary(report: Report, stdout: TextIO) -> None:
    """The run in a few lines of text: verdict, voids, times, outcomes, violations."""
    headline = report.headline
    sentence = headline.sentence.removeprefix(f"{headline.tone.capitalize()}: ")
    stdout.write(f"{headline.tone.upper()}  {sentence[:1].upper()}{sentence[1:]}\n")
    if headline.detail:
        stdout.write(f"  {headline.detail}\n")
    if facts := target_facts(report.run):
        stdout.write(f"  {' · '.join(facts)}\n")
    for void in report.voids:
        stdout.write(f"  {void.kind}: {plain(void.message, 500)}\n")
    for entry in report.run.get("slos", ()):
        stdout.write(f"SLO {entry['verdict']}: {plain(describe(entry), 400)}\n")
    if found := report.run.get("capacity"):
        stdout.write(f"capacity: {capacity_sentence(found)}\n")
    if report.rules:
        tally = report.outcomes().items()
        said = ", ".join(f"{count:,} {OUTCOMES[outcome][1]}" for outcome, count in tally)
        stdout.write(f"rules: {said}\n")
    for group in report.summary.groups:
        _print_group(group, stdout)
    broken = [rule for rule in report.findings() if rule.outcome in ("failed", "outside")]
    for rule in broken[:9]:
        stdout.write(f"  ✗ {plain(rule.id, 160)} ({rule.times})\n")
        if rule.evidence:
            stdout.write(f"      {plain(rule.evidence[0].message, 160)}\n")
    if len(broken) > 9:
        stdout.write(f"  and {plural(len(broken) - 9, 'more broken rule')}\n")
    if report.summary.codes:
        stdout.write("violations by code:\n")
        for code, count in list(report.summary.codes.items())[:12]:
            seen = f"in {plural(count.exchanges, 'exchange')}"
            stdout.write(f"  {plain(code, 40):<24} {count.violations:>7,} {seen}\n")


def _print_group(group: Group, stdout: TextIO) -> None:
    total = sum(group.outcomes.values())
    rates = ", ".join(
        f"{plain(outcome, 20)} {count:,} ({percent(count, total)})"
        for outcome, count in group.outcomes.items()
    )
    beside = [f"{plural(group.probes, 'probe')}"] if group.probes else []
    beside += [f"{group.warmup:,} warm-up"] if group.warmup else []
    said = "; ".join(one for one in (rates, ", ".join(beside)) if one)
    stdout.write(f"{plain(group.api, 20)} {plain(group.endpoint, 20)}: {said}\n")
    for name in HEADLINE_MILESTONES:
        one = group.milestone(name)
        label = f"  {milestone_label(name):<6}"
        if one is not None:
            quantiles = "  ".join(
                f"p{round(quantile.order * 100)} {quantile.words:>8}"
                for quantile in one.intended
                if quantile.order != 0.9
            )
            never = "" if one.reached == one.n else f", {one.n - one.reached:,} never got there"
            stdout.write(f"{label} {quantiles}  (n = {one.n:,}{never})\n")
        elif group.endpoint == "stream" and group.measured:
            stdout.write(f"{label} n/a\n")
    if group.playback:
        stdout.write(f"  played while it was made: {group.playback.words}\n")
