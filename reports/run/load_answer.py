"""What the first screen of a load run answers: do its objectives hold, how many exchanges failed
and why, and what to look at next.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from soundstage.reports.run.findings import Report
from soundstage.reports.run.objectives import ObjectiveText, told
from soundstage.reports.words import plural

#: Objectives that the first screen names: the missed ones first.
_SHOWN = 4


@dataclass(frozen=True, slots=True)
class NextLook:
    """Where to look next: why, and the section of the page that shows it ("" for none)."""

    words: str
    anchor: str


@dataclass(frozen=True, slots=True)
class LoadAnswer:
    """`held` says how many objectives are met ("" where none was asked), `objectives` are the first
    of them, `ask` is an `--slo` that this run could have had; `failed` says how many exchanges
    failed, and why.
    """

    held: str
    objectives: tuple[ObjectiveText, ...]
    ask: str
    failed: str
    looks: tuple[NextLook, ...]


def asked_for_none(report: Report) -> bool:
    """Whether a load run had no objective: one that searches for a capacity has its own."""
    run = report.run
    if run["kind"] != "load" or report.empty or run.get("capacity") or run.get("looks"):
        return False
    return not run.get("slos")


def load_answer(report: Report) -> LoadAnswer | None:
    """The answer of a load run; None of anything else, and of a search for a capacity."""
    if report.run["kind"] != "load" or report.empty or report.run.get("capacity"):
        return None
    objectives = told(report.run)
    failures = report.summary.failures
    return LoadAnswer(
        held=_held(objectives),
        objectives=tuple(objectives[:_SHOWN]),
        ask=an_objective(report),
        failed=(failures.sentence if failures else "") or "no exchange failed",
        looks=tuple(_looks(report, objectives)),
    )


def an_objective(report: Report) -> str:
    """An `--slo` that this run could have had."""
    return f"--slo '{(report.headlines or ['complete'])[0]}.p95<8s'"


def _held(objectives: list[ObjectiveText]) -> str:
    if not objectives:
        return ""
    met = sum(each.verdict == "pass" for each in objectives)
    undecided = sum(each.verdict == "inconclusive" for each in objectives)
    said = f"{met:,} of {plural(len(objectives), 'objective')} met"
    return f"{said}, {undecided:,} undecided" if undecided else said


def _looks(report: Report, objectives: list[ObjectiveText]) -> Iterator[NextLook]:
    failures = report.summary.failures
    broken = [rule for rule in report.findings() if rule.outcome in ("failed", "outside")]
    missed = [each for each in objectives if each.verdict == "fail"]
    open_ = [each for each in objectives if each.verdict == "inconclusive"]
    invalid = report.run["verdict"] == "invalid"
    if invalid:
        yield NextLook("what voids this run, above: until that is mended, no figure holds", "")
    if failures is not None and failures.total:
        worst = failures.kinds[0]
        place = f"{worst.api} {worst.endpoint}"
        yield NextLook(f"the failures: most are “{worst.title}” of {place}", "failures")
    if broken:
        yield NextLook(f"{plural(len(broken), 'broken rule')} of the contract", "findings")
    if invalid:
        return
    if missed:
        yield NextLook("the stages in which the time goes, and when it rose", "charts")
    if open_ and not missed:
        yield NextLook("how many more exchanges would decide: run for longer", "objectives")
    if not (broken or missed or open_ or (failures and failures.total)):
        yield NextLook("the times; and beside an earlier run: soundstage compare", "times")
