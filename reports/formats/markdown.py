"""The report as Markdown for a job summary: the verdict, the times, what broke; capped in size."""

from __future__ import annotations

import re

from soundstage.output import visible
from soundstage.reports.formats import listeners
from soundstage.reports.formats.looks_formats import looks_markdown
from soundstage.reports.run.capacity_found import capacity_found
from soundstage.reports.run.failures import Failures
from soundstage.reports.run.findings import Report
from soundstage.reports.run.legend import legend
from soundstage.reports.run.load_answer import an_objective, asked_for_none
from soundstage.reports.run.looks_told import looks_told
from soundstage.reports.run.objectives import ObjectiveText, told
from soundstage.reports.run.rule_results import RuleResult
from soundstage.reports.run.summary import Group
from soundstage.reports.run.wall_clock import ZONE, wall_clock
from soundstage.reports.story.ask_again import LONGEST
from soundstage.reports.story.evidence import Smallest
from soundstage.reports.words import (
    OUTCOMES,
    budget_words,
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
_NOTES = 9

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
    if report.judged:
        tally = report.outcomes().items()
        said = " · ".join(
            f"{OUTCOMES[key][0]} {count:,} {OUTCOMES[key][1]}" for key, count in tally
        )
        parts.append(f"**{plural(len(report.judged), 'rule')}**: {said}")
    searched = capacity_found(run.get("capacity"))
    if searched is not None:
        parts.append(f"**Capacity**: {escaped(searched.sentence, 600)}")
    if (looks := looks_told(run.get("looks"))) is not None:
        parts.append(looks_markdown(looks, escaped))
    if objectives := told(run):
        parts.append(_objectives(objectives))
    elif asked_for_none(report):
        parts.append(f"No objective was asked: {code(an_objective(report))} would ask for one.")
    if report.summary.failures is not None:
        parts.append(_failures(report, report.summary.failures))
    findings = [rule for rule in report.findings() if rule.outcome in _FOUND]
    broken = [_findings(findings)] if findings else []
    times = [_times(report)] if report.summary.groups else []
    times += listeners.as_markdown(report.summary.groups, escaped)
    # Of a load run times are asked first, of a check its contract.
    parts += [*times, *broken] if run["kind"] == "load" else [*broken, *times]
    if notes := [rule for rule in report.findings() if rule.outcome == "passed"]:
        parts.append(_notes(notes))
    if report.empty:
        parts.append("Nothing was recorded: no exchange, no rule.")
    if words := legend(report):
        listed = "\n".join(
            f"- **{escaped(word, 60)}**: {escaped(meaning)}" for word, meaning in words
        )
        parts.append(f"<details><summary>What the words mean</summary>\n\n{listed}\n\n</details>")
    parts.append(f"Run {code(run['id'])} · {budget_words(run)}")
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


def _failures(report: Report, failed: Failures) -> str:
    clock = wall_clock(report.run)
    lines = []
    if failed.kinds:
        lines += [
            f"**Failures**: {escaped(failed.sentence, 600)}" if failed.total else "**Failures**",
            "",
            f"| failure | why | endpoint | exchanges | share | first, {ZONE} | last | example |",
            "|---|---|---|---:|---:|---:|---:|---|",
        ]
    for one in failed.kinds:
        status = "" if one.status == one.title else f"{one.status}; "
        why = escaped(f"{status}{one.why}".removesuffix("; "), 300)
        reason = f" {code(one.reason)}" if one.reason else ""
        first, last = (
            f"{clock.at(each)} ({each:,.1f} s)".replace(":", "&#58;")
            for each in (one.first, one.last)
        )
        lines.append(
            f"| {escaped(one.title, 80)} | {why}{reason} | {escaped(one.api, 40)} "
            f"{escaped(one.endpoint, 20)} | {one.count:,} | {one.share} | {first} | {last} "
            f"| {code(one.example, 80)} |"
        )
    if failed.more:
        kinds, exchanges = plural(failed.more, "more kind"), failed.more_exchanges
        lines.append(f"\nand {kinds}, {plural(exchanges, 'exchange')}")
    if failed.example:
        command = f"soundstage show {plain(report.run['id'])} {failed.example}"
        lines.append(f"\nTo read one chunk by chunk: {code(command, 300)}")
    if failed.unknown:
        cut = plural(failed.unknown, "exchange")
        lines.append(f"\n{cut} of these were cut by Soundstage: how they would have ended is open.")
    if failed.warmup:
        lines.append(f"\n{plural(failed.warmup, 'exchange')} failed during the warm-up.")
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
    lines = ["| | what is wrong | how often | asked | example |", "|---|---|---|---|---|"]
    for rule in findings[:FINDING_LIMIT]:
        seen = ""
        if rule.evidence:
            first = rule.evidence[0]
            chunk = "" if first.chunk is None else f" chunk {first.chunk}"
            repeated = first.expected or first.message == rule.title
            said = "" if repeated else f"{escaped(first.message, 240)}: "
            sides = (("expected", first.expected), ("received", first.received))
            both = "".join(
                f"{word}&#58; {code(side, 240)}<br>" for word, side in sides if first.expected
            )
            seen = f"{said}{both}{escaped(first.exchange, 40)}{chunk}"
        glyph = "⚠️" if rule.outcome == "warned" else "❌"
        asked = f"{escaped(rule.asked, 400)}<br>" if rule.asked else ""
        cells = (f"**{escaped(rule.title, 240)}**", rule.times, f"{asked}{code(rule.id)}", seen)
        lines.append(f"| {glyph} | {' | '.join(cells)} |")
    more = len(findings) - FINDING_LIMIT
    text = "\n".join(lines) + (f"\n\nand {plural(more, 'more rule')}" if more > 0 else "")
    shown = [rule for rule in findings if rule.smallest or rule.again][:SMALLEST_LIMIT]
    return "\n\n".join([text, *(_shown(rule) for rule in shown)])


def _notes(notes: list[RuleResult]) -> str:
    """What is worth knowing and breaks nothing."""
    lines = [f"- {escaped(rule.title, 240)}: {rule.times}" for rule in notes[:_NOTES]]
    if len(notes) > _NOTES:
        lines.append(f"- and {plural(len(notes) - _NOTES, 'more note')}")
    return "\n".join(["Notes, none of which breaks the contract:", "", *lines])


def _shown(rule: RuleResult) -> str:
    """What shows a finding, folded away: the smallest stream, and how to ask again."""
    what = "Smallest stream that shows" if rule.smallest is not None else "Ask again for"
    parts = [f"<details><summary>{what} {code(rule.id)}</summary>"]
    parts += _smallest(rule.smallest) if rule.smallest is not None else []
    if rule.shown is not None:
        parts.append(f"See it chunk by chunk:\n<pre>{escaped(rule.shown.command, 1000)}</pre>")
    if rule.again is not None:
        note = f" {escaped(rule.again.note, 300)}" if rule.again.note else ""
        parts.append(f"Ask it again:{note}\n<pre>{escaped(rule.again.command, LONGEST)}</pre>")
    return "\n\n".join([*parts, "</details>"])


def _smallest(one: Smallest) -> list[str]:
    """The smallest stream that shows a finding, a block each."""
    trace = ", ".join(
        (f"<b>{escaped(each.label)}</b>" if each.here else escaped(each.label))
        + (f" x{each.count:,}" if each.count > 1 else "")
        for each in one.trace
    )
    parts = [f"In exchange {escaped(one.exchange, 40)}, {one.sentence}."]
    for number, chunk in enumerate(one.chunks):
        if one.hidden and number == len(one.chunks) // 2:
            parts.append(f"… {plural(one.hidden, 'chunk')} not shown …")
        where = " · the violation" if chunk.here else ""
        lines = "\n".join(escaped(line, 1000) for line in chunk.lines)
        parts.append(f"<pre>chunk {chunk.number}{where}\n{lines}</pre>")
    parts.append(f"Asked: {escaped(one.expected, 300)}")
    if one.due:
        parts.append(f"Still due there: {escaped(', '.join(one.due), 1000)}")
    return [*parts, f"Stages seen: {trace}"]
