"""The report as one self-contained HTML page: no script, no request, no string taken at its word.

What the page shows is decided here; how it looks, in `page.html`.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections import Counter
from functools import cache
from importlib import resources
from typing import Any

import jinja2

from soundstage.output import visible
from soundstage.reports.charts.capacity_chart import capacity_charts
from soundstage.reports.charts.chart import Chart
from soundstage.reports.charts.contract_matrix import matrix
from soundstage.reports.charts.distribution import distribution
from soundstage.reports.charts.looks_chart import looks_charts
from soundstage.reports.charts.survival_chart import survival
from soundstage.reports.charts.time_charts import courses, generator_chart, over_time
from soundstage.reports.charts.waterfall import waterfall
from soundstage.reports.formats.cell_labels import labelled
from soundstage.reports.formats.exchange_page import timelines
from soundstage.reports.run.about import about
from soundstage.reports.run.capacity_found import capacity_found
from soundstage.reports.run.findings import Report
from soundstage.reports.run.legend import FLAKY, OUTCOME_MEANINGS, legend, milestone_meaning
from soundstage.reports.run.load_answer import load_answer
from soundstage.reports.run.looks_told import looks_told
from soundstage.reports.run.milestone_times import MilestoneSummary
from soundstage.reports.run.objectives import told
from soundstage.reports.run.rule_results import RuleResult
from soundstage.reports.run.summary import CodeCount, Group
from soundstage.reports.run.wall_clock import ZONE, wall_clock
from soundstage.reports.words import (
    OUTCOMES,
    budget_words,
    milestone_label,
    outcome_words,
    percent,
    place_words,
    plain,
    plural,
    reason_words,
    resolution_words,
    seconds,
    target_facts,
)

#: At most this many findings of one outcome are shown whole, and rule ids of one reason.
FINDING_LIMIT = 60
ID_LIMIT = 40

#: Findings that the first screen names.
_WORST = 4

#: Endpoints that findings can be narrowed to; the style sheet has a rule for each.
_FILTERS = 12

_ICONS = {"pass": "✓", "fail": "✗", "inconclusive": "?", "invalid": "⊘", "incomplete": "…"}


def render(report: Report) -> str:
    """The page, as text to be stored in UTF-8 beside the bundle's other files."""
    findings = report.findings()
    places = Counter((rule.api, rule.endpoint) for rule in findings)
    # Those of an emulator that is only checked are folded away: they prove nothing.
    timed = (report.run["kind"], report.run["target"]["kind"]) != ("check", "emulator")
    # Those of a search are of all its rates together: what holds at one rate is its answer.
    searched = capacity_found(report.run.get("capacity"))
    filters = sorted(places)[:_FILTERS]
    return page(
        "page.html",
        report=report,
        run=report.run,
        summary=report.summary,
        headline=report.headline,
        icon=_ICONS[report.headline.tone],
        facts=target_facts(report.run),
        apis=report.apis,
        glance=_glance(report, timed=timed and not searched),
        timed=timed,
        headlines=[(report.label(name), milestone_meaning(name)) for name in report.headlines]
        if timed and not searched
        else [],
        objectives=told(report.run),
        answer=load_answer(report),
        capacity=searched,
        looks=looks_told(report.run.get("looks")),
        clock=wall_clock(report.run),
        zone=ZONE,
        tally=report.outcomes(),
        outcomes=OUTCOMES,
        meanings=OUTCOME_MEANINGS,
        legend=legend(report),
        about=about(report.run),
        why=_why(report),
        findings=[
            (outcome, [rule for rule in findings if rule.outcome == outcome])
            for outcome in ("failed", "outside", "warned", "known")
            if any(rule.outcome == outcome for rule in findings)
        ],
        anchors={
            (rule.id, rule.api, rule.endpoint): f"finding-{number}"
            for number, rule in enumerate(findings, start=1)
        },
        codes=_codes(report),
        notes=[rule for rule in findings if rule.outcome == "passed"],
        finding_limit=FINDING_LIMIT,
        timelines=timelines(findings),
        filters=[(place_words(api, endpoint), places[api, endpoint]) for api, endpoint in filters],
        filter_class={place: f"only-{number}" for number, place in enumerate(filters)},
        unjudged=_unjudged(report),
        id_limit=ID_LIMIT,
        charts=_charts(report),
        timings=[
            (group, [(one, _cells(one)) for one in group.milestones])
            for group in report.summary.groups
            if group.milestones
        ],
        matrix=matrix(report.judged),
        listened=[group for group in report.summary.groups if group.playback],
    )


def _why(report: Report) -> list[RuleResult]:
    """The worst findings, which the first screen names: the first is that of the headline."""
    broken = [rule for rule in report.findings() if rule.outcome in ("failed", "outside")]
    return broken[:_WORST]


def _codes(report: Report) -> dict[str, CodeCount]:
    """The codes of violations, but for those that are only noted."""
    told: dict[bool, set[str]] = {True: set(), False: set()}
    for rule in report.findings():
        told[rule.outcome == "passed"] |= set(rule.codes)
    noted = told[True] - told[False]
    return {code: n for code, n in report.summary.codes.items() if code not in noted}


def _charts(report: Report) -> dict[str, list[Chart]]:
    """The charts by where they stand: two in a row, or one as wide as the page."""
    groups, timeline = report.summary.groups, report.summary.timeline
    load = report.run["kind"] == "load"
    slos = report.run.get("slos", ())
    clock = wall_clock(report.run)
    wide = [
        *(waterfall(group) for group in groups),
        over_time(timeline, clock, report.summary.failures) if load and timeline else None,
        *(courses(group, clock) for group in groups if load),
        generator_chart(report.generator, clock) if report.generator else None,
        *(survival(group) for group in groups),
    ]
    return {
        "capacity": capacity_charts(report.run.get("capacity")),
        "looks": looks_charts(looks_told(report.run.get("looks"))),
        "half": [chart for group in groups if (chart := distribution(group, slos))],
        "wide": [chart for chart in wide if chart],
    }


def _glance(report: Report, *, timed: bool) -> list[dict[str, Any]]:
    """A line an endpoint: its rules, its outcomes, and, where it is `timed`, the times that a run
    is known by.
    """
    groups = {(group.api, group.endpoint): group for group in report.summary.groups}
    keys = dict.fromkeys([*groups, *((rule.api, rule.endpoint) for rule in report.judged)])
    lines = []
    for api, endpoint in sorted(keys):
        rules = [rule for rule in report.judged if (rule.api, rule.endpoint) == (api, endpoint)]
        group = groups.get((api, endpoint))
        lines.append(
            {
                "name": place_words(api, endpoint),
                "rules": [
                    (outcome, number)
                    for outcome in OUTCOMES
                    if (number := sum(rule.outcome == outcome for rule in rules))
                ],
                "outcomes": outcome_words(group.outcomes, group.probes, group.warmup)
                if group
                else "–",
                "times": [_short(group, name) for name in report.headlines if timed],
            }
        )
    return lines


def _short(group: Group | None, name: str) -> tuple[str, str] | None:
    """(p50, p95) of a milestone, None where the endpoint has no such thing."""
    one = group.milestone(name) if group and name in group.names.headline else None
    return None if one is None else (one.said(0), one.said(2))


def _cells(one: MilestoneSummary) -> list[tuple[str, str, str]]:
    """For each quantile: its value, its interval, and the value from the actual start."""
    return [
        (
            one.said(place),
            interval(*one.bounds(place)) if one.tells(place) else "",
            one.said(place, actual=True),
        )
        for place in range(len(one.intended))
    ]


def interval(least: float, most: float) -> str:
    """`1.20 – 1.31 s`; empty where there are too few values to bound it on both sides."""
    if math.isnan(least) or math.isnan(most) or math.isinf(least):
        return ""
    low, _, unit = seconds(least).partition(" ")
    high, _, other = seconds(most).partition(" ")
    return f"{low} – {high} {unit}" if unit == other else f"{low} {unit} – {high} {other}".strip()


def _unjudged(report: Report) -> list[tuple[str, str, list[RuleResult]]]:
    """The rules that say nothing this time, by outcome and reason: the largest group first."""
    groups: dict[tuple[str, str], list[RuleResult]] = {}
    for rule in report.rules:
        if rule.outcome in ("inconclusive", "not_exercised"):
            reason = reason_words(rule.reason) if rule.reason else "no reason given"
            groups.setdefault((rule.outcome, reason), []).append(rule)
    ordered = sorted(groups.items(), key=lambda item: (item[0][0], -len(item[1])))
    return [(outcome, reason, rules) for (outcome, reason), rules in ordered[:50]]


def csp_hash(text: str) -> str:
    """The source expression that lets this very style sheet through the page's policy."""
    digest = hashlib.sha256(str(text).encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


@cache
def _template(name: str) -> jinja2.Template:
    """A page of this room by its file's name. All pages share `shell.html`: the style sheet, and
    how a chart stands with its table.
    """
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(_source),
    )
    environment.filters.update(
        csp_hash=csp_hash,
        plain=plain,
        plural=plural,
        seconds=seconds,
    )
    environment.globals.update(
        budget_words=budget_words,
        flaky=FLAKY,
        milestone_label=milestone_label,
        milestone_meaning=milestone_meaning,
        percent=percent,
        resolution_words=resolution_words,
    )
    return environment.get_template(name)


def _visible(value: object) -> object:
    """What stands in a page, whoever it is from: markup is ours, and of text every character shows
    (`output/visible.py`); quoting it is Jinja's part.
    """
    return visible.text(value) if type(value) is str else value


def page(name: str, **values: Any) -> str:
    """A page of this room as text to be stored, or printed, in UTF-8."""
    return visible.in_markup(labelled(_template(name).render(**values)))


def _source(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")
