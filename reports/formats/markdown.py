"""The report as Markdown for a job summary: the verdict, the times, what broke; capped in size."""

from __future__ import annotations

import re

from soundstage.output import visible
from soundstage.reports.run.capacity_found import capacity_found
from soundstage.reports.run.findings import Report
from soundstage.reports.run.objectives import ObjectiveText, told
from soundstage.reports.run.rule_results import RuleResult
from soundstage.reports.run.summary import Group
from soundstage.reports.words import (
    OUTCOMES,
    milestone_label,
    outcome_words,
    plain,
    plural,
    resolution_words,
)

#: GitHub refuses a summary over 1 MiB; ours stay far below (and below 900 KB whatever comes).
FINDING_LIMIT = 50
SMALLEST_LIMIT = 10
SIZE_LIMIT = 900_000

_FOUND = ("failed", "outside", "warned")
_SIGNS = {"pass": "✅", "fail": "❌", "inconclusive": "❔", "invalid": "🚫", "incomplete": "⚠️"}
_ACTIVE = re.compile(r"[\\`*_{}\[\]()<>#+!|@&~:$^=\-]")
#: What platforms make links and mentions of, though it is written with entities: they look for it
#: in the page that Markdown became. An element parts it there.
_LINKED = re.compile(r"@(?=[\w-])|#(?=[0-9])|!(?=[0-9])|:(?=//)|www(?=\.)", re.IGNORECASE)
_PARTED = "\0"


def escaped(text: object, limit: int = 200) -> str:
    """Text that Markdown and HTML take literally: whatever is active becomes an entity, and no link
    or mention comes of it.
    """
    said = _LINKED.sub(rf"\g<0>{_PARTED}", plain(text, limit))
    said = _ACTIVE.sub(lambda match: f"&#{ord(match[0])};", said)
    return said.replace(_PARTED, "<b></b>")


def heading(text: object) -> str:
    """The same, with colons as they are: those of a link are parted in any case."""
    return escaped(text).replace("&#58;", ":")


def code(text: object, limit: int = 200) -> str:
    """Text as code, in a table cell too. Backticks would end it, a bar would end the cell."""
    return f"<code>{escaped(text, limit)}</code>"


def render(report: Report) -> str:
    """The Markdown text, ending in a line end."""
    run, headline = report.run, report.headline
    caveat = f" — **{headline.caveat}**" if headline.caveat else ""
    parts = [
        f"## {_SIGNS[headline.tone]} {heading(headline.title)}",
        f"Against **{headline.target}**{caveat}",
    ]
    if headline.detail:
        parts.append(escaped(headline.detail, 400))
    parts.extend(
        f"> ⚠️ **{escaped(void.kind, 40)}**: {escaped(void.message, 500)}" for void in report.voids
    )
    if report.rules:
        tally = report.outcomes().items()
        said = " · ".join(
            f"{OUTCOMES[key][0]} {count:,} {OUTCOMES[key][1]}" for key, count in tally
        )
        parts.append(f"**{plural(len(report.rules), 'rule')}**: {said}")
    if found := capacity_found(run.get("capacity")):
        parts.append(f"**Capacity**: {escaped(found.sentence, 600)}")
    if objectives := told(run):
        parts.append(_objectives(objectives))
    if report.summary.groups:
        parts.append(_times(report))
    findings = [rule for rule in report.findings() if rule.outcome in _FOUND]
    if findings:
        parts.append(_findings(findings))
    if report.empty:
        parts.append("Nothing was recorded: no exchange, no rule.")
    spent = run["budget"]["spent"]
    parts.append(f"Run {code(run['id'])} · {plural(spent, 'billable request')} spent")
    text = visible.in_markup("\n\n".join(parts) + "\n")
    if len(text.encode("utf-8")) > SIZE_LIMIT:
        return "\n\n".join([*parts[:2], "The rest is too long for a summary: see report.html.", ""])
    return text


def _objectives(objectives: list[ObjectiveText]) -> str:
    lines = ["| | objective | of | measured | 95% interval | n |", "|---|---|---|---:|---:|---:|"]
    for one in objectives:
        sign = {"pass": "✅", "fail": "❌", "inconclusive": "❔"}[one.verdict]
        why = f"<br>{escaped(one.why, 300)}" if one.why else ""
        cells = [escaped(each, 80) for each in (one.where, one.value, one.interval)]
        lines.append(f"| {sign} | {code(one.slo)}{why} | {' | '.join(cells)} | {one.n:,} |")
    return "\n".join(lines)


def _times(report: Report) -> str:
    lines = [
        "| endpoint | exchanges | time | p50 | p95 | p99 |",
        "|---|---|---|---:|---:|---:|",
    ]
    known = []
    for group in report.summary.groups:
        name = escaped(f"{group.api} {group.endpoint}", 60)
        if group.resolution:
            known.append(f"\n{name}: {escaped(resolution_words(group.resolution))}")
        said = escaped(outcome_words(group.outcomes, group.probes, group.warmup))
        lines.extend(
            f"| {name} | {said} | {label} | {cells} |" for label, cells in _rows(report, group)
        )
    return "\n".join([*lines, *known])


def _rows(report: Report, group: Group) -> list[tuple[str, str]]:
    rows = []
    for name in report.headlines:
        one = group.milestone(name) if name in group.names.headline else None
        if one is not None:
            cells = " | ".join(one.said(place) for place in (0, 2, 3))
            rows.append((escaped(milestone_label(group.names, name), 80), cells))
        elif name == report.headlines[0] and group.endpoint == "stream":
            rows.append((escaped(report.label(name), 80), "n/a | n/a | n/a"))
    return rows or [("–", "– | – | –")]


def _findings(findings: list[RuleResult]) -> str:
    lines = ["| | rule | what was seen | times |", "|---|---|---|---:|"]
    for rule in findings[:FINDING_LIMIT]:
        seen = ""
        if rule.evidence:
            first = rule.evidence[0]
            chunk = "" if first.chunk is None else f" chunk {first.chunk}"
            seen = f"{escaped(first.message, 240)} ({escaped(first.exchange, 40)}{chunk})"
        glyph = "⚠️" if rule.outcome == "warned" else "❌"
        lines.append(f"| {glyph} | {code(rule.id)} | {seen} | {rule.violations:,} |")
    more = len(findings) - FINDING_LIMIT
    text = "\n".join(lines) + (f"\n\nand {plural(more, 'more rule')}" if more > 0 else "")
    shown = [rule for rule in findings if rule.smallest is not None][:SMALLEST_LIMIT]
    return "\n\n".join([text, *(_smallest(rule) for rule in shown)])


def _smallest(rule: RuleResult) -> str:
    """The smallest stream that shows a finding, folded away."""
    one = rule.smallest
    assert one is not None
    trace = ", ".join(
        (f"<b>{escaped(each.label)}</b>" if each.here else escaped(each.label))
        + (f" x{each.count:,}" if each.count > 1 else "")
        for each in one.trace
    )
    parts = [
        f"<details><summary>Smallest stream that shows {code(rule.id)}</summary>",
        f"In exchange {escaped(one.exchange, 40)}, {one.sentence}.",
    ]
    for number, chunk in enumerate(one.chunks):
        if one.hidden and number == len(one.chunks) // 2:
            parts.append(f"… {plural(one.hidden, 'chunk')} not shown …")
        where = " · the violation" if chunk.here else ""
        lines = "\n".join(escaped(line, 1000) for line in chunk.lines)
        parts.append(f"<pre>chunk {chunk.number}{where}\n{lines}</pre>")
    parts.append(f"Asked: {escaped(one.expected, 300)}")
    if one.due:
        parts.append(f"Still due there: {escaped(', '.join(one.due), 1000)}")
    parts.append(f"Stages seen: {trace}")
    if rule.curl:
        parts.append(f"<pre>{escaped(rule.curl, 6000)}</pre>")
    return "\n\n".join([*parts, "</details>"])
