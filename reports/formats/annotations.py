"""Findings as workflow commands of GitHub Actions: a line each, shown beside the pull request.

GitHub shows at most 10 annotations of a step and drops the others without a word, so there are 9
and one that says how many more.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from soundstage.contract.source_lines import place_of
from soundstage.errors import SoundstageError
from soundstage.output import visible
from soundstage.reports.run.findings import Report
from soundstage.reports.run.rule_results import RuleResult
from soundstage.reports.words import plain, plural

MOST: Final = 9


def render(report: Report) -> str:
    """The lines: what is broken in all, what voids the run, then the worst findings."""
    headline = report.headline
    said = f"{headline.sentence}: {headline.detail}" if headline.detail else headline.sentence
    lines = [_command("error", "Soundstage", said)] if headline.tone == "fail" else []
    lines += [
        _command("warning", f"Soundstage: {void.kind}", void.message) for void in report.voids[:3]
    ]
    broken = [each for each in report.findings() if each.outcome in ("failed", "outside", "warned")]
    shown = broken[: MOST - len(lines)]
    lines += [_of(rule) for rule in shown]
    if more := len(broken) - len(shown):
        said = f"{plural(more, 'more finding')}: see the report and the job summary"
        worst = "error" if any(each.outcome == "failed" for each in broken[len(shown) :]) else None
        lines.append(_command(worst or "warning", "Soundstage", said))
    return "".join(f"{line}\n" for line in lines)


def _of(rule: RuleResult) -> str:
    said = [
        rule.times,
        *([f"asked: {rule.asked}"] if rule.asked else []),
        rule.id,
    ]
    level = "error" if rule.outcome == "failed" else "warning"
    return _command(level, rule.title, " — ".join(said), _file(rule))


def _file(rule: RuleResult) -> tuple[str, int] | None:
    """The line of the contract's data, if it lies in the folder that the job works in."""
    try:
        place = place_of(rule.id)
    except SoundstageError:
        return None
    here = Path(str(place.at)).absolute()
    if not here.is_relative_to(Path.cwd()):
        return None
    name = here.relative_to(Path.cwd()).as_posix()
    # A name is taken as it is: one that gives an order has no place here.
    return (name, place.line) if visible.in_markup(name) == name else None


def _command(level: str, title: str, text: str, at: tuple[str, int] | None = None) -> str:
    where = f"file={_escaped(at[0])},line={at[1]}," if at else ""
    said = (
        visible.text(plain(text, 600)).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    )
    return f"::{level} {where}title={_property(title)}::{said}"


def _property(text: str) -> str:
    """A value in the head of a command, where colons and commas mean something."""
    return _escaped(visible.text(plain(text, 200)))


def _escaped(text: str) -> str:
    for mark in "%\r\n:,":
        text = text.replace(mark, f"%{ord(mark):02X}")
    return text
