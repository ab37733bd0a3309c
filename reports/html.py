"""The report as one self-contained HTML page: no script, no request, no string taken at its word.

What the page shows is decided here; how it looks, in `page.html`.
"""

from __future__ import annotations

import base64
import hashlib
import math
from functools import cache
from importlib import resources
from typing import Any

import jinja2

from soundstage.reports import charts
from soundstage.reports.findings import Report, Rule
from soundstage.reports.summary import Group, Milestone, Quantile
from soundstage.reports.wording import (
    HEADLINE_MILESTONES,
    OUTCOMES,
    milestone_label,
    outcome_words,
    percent,
    plain,
    plural,
    seconds,
    target_facts,
)

#: At most this many findings of one outcome are shown whole, and rule ids of one reason.
FINDING_LIMIT = 60
ID_LIMIT = 40

_ICONS = {"pass": "✓", "fail": "✗", "inconclusive": "?", "invalid": "⊘", "incomplete": "…"}


def render(report: Report) -> str:
    """The page, as text to be stored in UTF-8 beside the bundle's other files."""
    findings = report.findings()
    return template("page.html").render(
        report=report,
        run=report.run,
        summary=report.summary,
        headline=report.headline,
        icon=_ICONS[report.headline.tone],
        facts=target_facts(report.run),
        apis=sorted({*report.run["contracts"], *(group.api for group in report.summary.groups)}),
        glance=_glance(report),
        tally=report.outcomes(),
        outcomes=OUTCOMES,
        findings=[
            (outcome, [rule for rule in findings if rule.outcome == outcome])
            for outcome in ("failed", "warned", "known", "passed")
            if any(rule.outcome == outcome for rule in findings)
        ],
        finding_limit=FINDING_LIMIT,
        unjudged=_unjudged(report),
        id_limit=ID_LIMIT,
        charts=_charts(report),
        timings=[
            (group, [(one, _cells(one)) for one in group.milestones])
            for group in report.summary.groups
            if group.milestones
        ],
        matrix=charts.matrix(report.rules),
    )


def _charts(report: Report) -> dict[str, list[charts.Chart]]:
    groups = report.summary.groups
    timeline = report.summary.timeline
    return {
        "wide": [chart for group in groups if (chart := charts.waterfall(group))],
        "half": [chart for group in groups if (chart := charts.distribution(group))],
        "time": [charts.over_time(timeline)] if timeline and report.run["kind"] == "load" else [],
    }


def _glance(report: Report) -> list[dict[str, Any]]:
    """A line an endpoint: its rules, its outcomes, and the three times that a run is known by."""
    groups = {(group.api, group.endpoint): group for group in report.summary.groups}
    keys = dict.fromkeys([*groups, *((rule.api, rule.endpoint) for rule in report.rules)])
    lines = []
    for api, endpoint in sorted(keys):
        rules = [rule for rule in report.rules if (rule.api, rule.endpoint) == (api, endpoint)]
        group = groups.get((api, endpoint))
        lines.append(
            {
                "name": f"{plain(api, 20)} {plain(endpoint, 20)}",
                "rules": [
                    (outcome, number)
                    for outcome in OUTCOMES
                    if (number := sum(rule.outcome == outcome for rule in rules))
                ],
                "outcomes": outcome_words(group.outcomes, group.probes, group.warmup)
                if group
                else "none sent",
                "times": [_short(group, name) for name in HEADLINE_MILESTONES],
            }
        )
    return lines


def _short(group: Group | None, name: str) -> tuple[str, str] | None:
    """(p50, p95) of a milestone, None where the endpoint has no such thing."""
    one = group.milestone(name) if group else None
    if one is None:
        return None
    return seconds(one.intended[0].value), seconds(one.intended[2].value)


def _cells(one: Milestone) -> list[tuple[str, str, str]]:
    """For each quantile: its value, its interval, and the value from the actual start."""
    return [
        (seconds(quantile.value), interval(quantile), seconds(actual.value))
        for quantile, actual in zip(one.intended, one.actual, strict=True)
    ]


def interval(quantile: Quantile) -> str:
    """`1.20 – 1.31 s`; empty where there are too few values to bound it on both sides."""
    if math.isnan(quantile.low) or math.isnan(quantile.high) or math.isinf(quantile.low):
        return ""
    low, _, unit = seconds(quantile.low).partition(" ")
    high, _, other = seconds(quantile.high).partition(" ")
    return f"{low} – {high} {unit}" if unit == other else f"{low} {unit} – {high} {other}".strip()


def _unjudged(report: Report) -> list[tuple[str, str, list[Rule]]]:
    """The rules that say nothing this time, by outcome and reason: the largest group first."""
    groups: dict[tuple[str, str], list[Rule]] = {}
    for rule in report.rules:
        if rule.outcome in ("inconclusive", "not_exercised"):
            reason = rule.reason or "no reason given"
            groups.setdefault((rule.outcome, reason), []).append(rule)
    ordered = sorted(groups.items(), key=lambda item: (item[0][0], -len(item[1])))
    return [(outcome, reason, rules) for (outcome, reason), rules in ordered[:50]]


def csp_hash(text: str) -> str:
    """The source expression that lets this very style sheet through the page's policy."""
    digest = hashlib.sha256(str(text).encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


@cache
def template(name: str) -> jinja2.Template:
    """A page of this room by its file's name. All pages share `shell.html`: the style sheet, and
    how a chart stands with its table.
    """
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(_source),
    )
    environment.filters.update(
        csp_hash=csp_hash,
        milestone_label=milestone_label,
        plain=plain,
        plural=plural,
        seconds=seconds,
    )
    environment.globals.update(percent=percent)
    return environment.get_template(name)


def _source(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")
