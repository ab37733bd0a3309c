"""A run as its reports see it: what voids it, the summary, each rule, and each finding's evidence.

Values in, values out, but for `read_report`, which reads a bundle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from soundstage.conformance.defects import headline_of
from soundstage.process.rubbish import uncollected
from soundstage.reports.run.kept_evidence import KeptEvidence
from soundstage.reports.run.rule_results import Evidence, RuleResult, rule_results
from soundstage.reports.run.summary import Summary, expected_milestones, summary_of
from soundstage.reports.run.timeline import Generator, generator
from soundstage.reports.story.evidence import FINDING_LIMIT, FoundEvidence
from soundstage.reports.words import (
    OUTCOMES,
    Headline,
    headline,
    milestone_label,
    plural,
    reason_words,
)
from soundstage.results.bundle import Bundle
from soundstage.results.intake import Intake, take_in
from soundstage.results.milestone_names import MilestoneNames, common_order, milestone_names


@dataclass(frozen=True, slots=True)
class Void:
    """Why the run's answer does not hold, or not wholly."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """All that a report shows. `rules` are in the order of the contract; `folder` is the bundle's
    place as commands may name it ("" where nobody said).
    """

    run: Mapping[str, Any]
    headline: Headline
    voids: tuple[Void, ...]
    summary: Summary
    rules: tuple[RuleResult, ...]
    transcripts: tuple[str, ...]
    generator: Generator | None = None
    folder: str = ""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to judge."""
        return not self.summary.exchanges and not self.rules

    @property
    def apis(self) -> tuple[str, ...]:
        """The API versions that exchanges, rules or contracts of the run speak of, sorted."""
        names = {*self.run["contracts"], *(group.api for group in self.summary.groups)}
        return tuple(sorted(names | {rule.api for rule in self.rules}))

    @property
    def headlines(self) -> list[str]:
        """The milestones that its endpoints are known by, as they are reached."""
        places = dict.fromkeys((rule.api, rule.endpoint) for rule in self.rules)
        names = [milestone_names(self.run, *place) for place in places]
        names += [group.names for group in self.summary.groups]
        return common_order(each.headline for each in names)

    def label(self, milestone: str) -> str:
        """How a headline is called where it stands for several endpoints."""
        groups = (each.names for each in self.summary.groups if milestone in each.names.headline)
        return milestone_label(next(groups, MilestoneNames()), milestone)

    def findings(self) -> list[RuleResult]:
        """The rules that were broken, waived or noted: worst first, then what most show."""
        urgency = list(OUTCOMES)
        broken = (
            rule
            for rule in self.rules
            if rule.outcome in ("failed", "outside", "warned", "known") or rule.violations
        )
        return sorted(
            broken,
            key=lambda rule: (urgency.index(rule.outcome), -rule.broken_in, -rule.violations),
        )

    @property
    def judged(self) -> list[RuleResult]:
        """The rules that count: one that nobody asked about, and of which there is but a note, has
        not passed.
        """
        return [rule for rule in self.rules if rule.selected or rule.outcome != "passed"]

    def outcomes(self) -> dict[str, int]:
        """How many rules came out how, in the order of `OUTCOMES`, without those that are 0."""
        found = Counter(rule.outcome for rule in self.judged)
        return {outcome: found[outcome] for outcome in OUTCOMES if found[outcome]}


def build(
    run: Mapping[str, Any],
    *,
    rules: Iterable[Mapping[str, Any]],
    violations: Iterable[Mapping[str, Any]],
    exchanges: Callable[[Collection[str]], Intake],
    transcripts: Iterable[str] = (),
    health: Iterable[Mapping[str, Any]] = (),
    torn: Callable[[], int] = lambda: 0,
    evidence: Callable[[RuleResult, Evidence], FoundEvidence] | None = None,
    folder: str = "",
) -> Report:
    """The report of a run from its rows; `exchanges` takes in those of the exchanges, with the
    transcripts of the ids that it is given; `torn` is asked when all rows have been read,
    `evidence` for what the transcript of a finding shows of it.
    """
    results = rule_results(rules, violations, run["contracts"])
    wanted = {item.exchange for result in results for item in result.evidence}
    kept = set(transcripts)
    intake = exchanges(wanted)
    named = ({"rule": one.id, "api": one.api, "endpoint": one.endpoint} for one in results)
    summary = summary_of(intake, expected_milestones(run, named), run)
    if summary.failures is not None:
        summary = replace(summary, failures=summary.failures.kept(kept))
    places = {
        exchange: place
        for exchange in wanted
        if (place := intake.places.get(exchange, f"transcripts/{exchange}.ndjson")) in kept
    }
    report = Report(
        run=run,
        headline=headline(
            run, empty=not summary.exchanges and not results, broken=_broken(results)
        ),
        voids=tuple(_voids(run, summary.exchanges, torn())),
        summary=summary,
        rules=tuple(_with_places(result, places, intake.late) for result in results),
        transcripts=tuple(sorted(kept)),
        generator=generator(health),
        folder=folder,
    )
    return report if evidence is None else _with_evidence(report, evidence)


def _broken(results: Iterable[RuleResult]) -> str:
    """What is broken, in a sentence: of the rules that were asked about, else of any other."""
    broken = [each for each in results if each.outcome in ("failed", "outside")]
    failed = [each for each in broken if each.outcome == "failed"] or broken
    return headline_of(each.broken for each in failed)


def _with_places(
    result: RuleResult, places: Mapping[str, str], late: Mapping[str, float]
) -> RuleResult:
    """The result, with the transcripts that show its evidence."""
    shown = (
        replace(each, transcript=places.get(each.exchange), late=late.get(each.exchange, 0.0))
        for each in result.evidence
    )
    return replace(result, evidence=tuple(shown))


def _with_evidence(
    report: Report, evidence: Callable[[RuleResult, Evidence], FoundEvidence]
) -> Report:
    """The report, with what a transcript shows of each of the worst findings."""
    found: dict[int, RuleResult] = {}
    for rule in report.findings()[:FINDING_LIMIT]:
        kept = next((each for each in rule.evidence if each.transcript is not None), None)
        if kept is not None:
            seen = evidence(rule, kept)
            found[id(rule)] = replace(
                rule, smallest=seen.smallest, shown=seen.shown, again=seen.again
            )
    return replace(report, rules=tuple(found.get(id(rule), rule) for rule in report.rules))


def _voids(run: Mapping[str, Any], exchanges: int, torn: int) -> Iterator[Void]:
    stated = {void["kind"] for void in run["voids"]}
    if run["status"] != "complete" and "incomplete" not in stated:
        how = "was killed, or is still going" if run["status"] == "running" else "was interrupted"
        yield Void(
            "incomplete",
            f"The run {how}. What it wrote until then is here: {plural(exchanges, 'exchange')}.",
        )
    if torn:
        yield Void("incomplete", f"{plural(torn, 'file')} of the bundle ended inside a row.")
    if run["clock"]["stepped"] and "clock" not in stated:
        yield Void("clock", "The clock was set during the run: times may be off by that step.")
    for void in run["voids"]:
        yield Void(void["kind"], reason_words(void["message"]))


def read_report(bundle: Bundle) -> Report:
    """All that a report needs of a bundle, in one pass over its rows."""
    evidence = KeptEvidence(bundle, str(bundle.path))
    with uncollected():
        return build(
            bundle.run,
            rules=bundle.rules(),
            violations=bundle.violations(),
            exchanges=lambda wanted: take_in(bundle, wanted),
            transcripts=bundle.transcripts(),
            health=bundle.health(),
            torn=lambda: bundle.torn,
            evidence=evidence.of,
            folder=str(bundle.path),
        )
