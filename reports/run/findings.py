"""A run as its reports see it: what voids it, the summary, each rule, and each finding's evidence.

Values in, values out; `cli` reads the bundle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from soundstage.reports.run.evidence import FINDING_LIMIT, Smallest
from soundstage.reports.run.summary import Summary, expected_milestones, summary_of
from soundstage.reports.run.timeline import Generator, generator
from soundstage.reports.words import OUTCOMES, Headline, headline, plural
from soundstage.results.intake import Intake

#: The severity of a violation, as the outcome of its rule when the run had no time to write one.
_OUTCOME_OF_SEVERITY = {"error": "failed", "warning": "warned", "info": "passed"}

#: Places shown for a rule.
EVIDENCE_LIMIT = 3


@dataclass(frozen=True, slots=True)
class Evidence:
    """One place where a rule was broken; `transcript` is a path in the bundle, if it is there."""

    exchange: str
    chunk: int | None
    path: str
    message: str
    transcript: str | None


@dataclass(frozen=True, slots=True)
class RuleResult:
    """A rule at an endpoint, and what became of it. `exchanges` were held against it, `broken_in`
    of them broke it; `codes` are those of its violations. Where a transcript was kept, `smallest`
    is the smallest stream that shows it, and `curl` the request as a line for a shell.
    """

    id: str
    api: str
    endpoint: str
    outcome: str
    reason: str | None
    severity: str | None
    basis: str | None
    source: str | None
    text: str | None
    violations: int
    exchanges: int
    broken_in: int
    seconds: float | None
    codes: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    smallest: Smallest | None = None
    curl: str | None = None

    @property
    def subject(self) -> str:
        """What the rule is about: the third step of its id, a stage or `order`, `index`, …"""
        steps = self.id.split("/")
        return steps[2] if len(steps) > 2 else steps[-1]

    @property
    def flaky(self) -> bool:
        """Whether some exchanges broke it and others, held against it too, did not."""
        return 0 < self.broken_in < self.exchanges

    @property
    def times(self) -> str:
        """`3 times in 2 of 40 exchanges`."""
        often = plural(self.violations, "time")
        if not self.broken_in:
            return often
        if self.exchanges < self.broken_in:
            return f"{often} in {plural(self.broken_in, 'exchange')}"
        return f"{often} in {self.broken_in:,} of {plural(self.exchanges, 'exchange')}"


@dataclass(frozen=True, slots=True)
class Void:
    """Why the run's answer does not hold, or not wholly."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """All that a report shows. `rules` are in the order of the contract."""

    run: Mapping[str, Any]
    headline: Headline
    voids: tuple[Void, ...]
    summary: Summary
    rules: tuple[RuleResult, ...]
    transcripts: tuple[str, ...]
    generator: Generator | None = None

    @property
    def empty(self) -> bool:
        """Whether there is nothing to judge."""
        return not self.summary.exchanges and not self.rules

    @property
    def apis(self) -> tuple[str, ...]:
        """The API versions that exchanges, rules or contracts of the run speak of, sorted."""
        names = {*self.run["contracts"], *(group.api for group in self.summary.groups)}
        return tuple(sorted(names | {rule.api for rule in self.rules}))

    def findings(self) -> list[RuleResult]:
        """The rules that were broken, waived or noted: worst first, then the most frequent."""
        urgency = list(OUTCOMES)
        broken = (
            rule
            for rule in self.rules
            if rule.outcome in ("failed", "outside", "warned", "known") or rule.violations
        )
        return sorted(broken, key=lambda rule: (urgency.index(rule.outcome), -rule.violations))

    def outcomes(self) -> dict[str, int]:
        """How many rules came out how, in the order of `OUTCOMES`, without those that are 0."""
        found = Counter(rule.outcome for rule in self.rules)
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
    evidence: Callable[[RuleResult, Evidence], tuple[Smallest | None, str | None]] | None = None,
) -> Report:
    """The report of a run from its rows; `exchanges` takes in those of the exchanges, with the
    transcripts of the ids that it is given; `torn` is asked when all rows have been read,
    `evidence` for the smallest stream that shows a finding, and its request.
    """
    rows = [dict(rule) for rule in rules]
    known_rules = {row["rule"] for row in rows}
    codes: dict[str, Counter[str]] = {}
    broken_in: Counter[str] = Counter()
    last: dict[str, str] = {}
    rebuilt: dict[tuple[str, str, str], dict[str, Any]] = {}
    for violation in violations:
        rule, exchange = violation.get("rule", ""), violation.get("exchange", "")
        codes.setdefault(rule, Counter())[violation.get("code", "")] += violation.get("times", 1)
        # The violations of an exchange were written together: no set of ids is needed.
        if last.get(rule) != exchange:
            broken_in[rule] += 1
            last[rule] = exchange
        if rule not in known_rules:
            _note(rebuilt, violation)
    rows.extend(rebuilt.values())

    wanted = {item["exchange"] for row in rows for item in row.get("evidence", ())}
    kept = set(transcripts)
    intake = exchanges(wanted)
    places = intake.places
    summary = summary_of(intake, expected_milestones(run, rows))
    for exchange in wanted:
        place = places.get(exchange, f"transcripts/{exchange}.ndjson")
        if place in kept:
            places[exchange] = place
        else:
            places.pop(exchange, None)
    report = Report(
        run=run,
        headline=headline(run, empty=not summary.exchanges and not rows),
        voids=tuple(_voids(run, summary.exchanges, torn())),
        summary=summary,
        rules=tuple(
            _rule(row, codes.get(row["rule"], Counter()), broken_in[row["rule"]], places)
            for row in rows
        ),
        transcripts=tuple(sorted(kept)),
        generator=generator(health),
    )
    return report if evidence is None else _with_evidence(report, evidence)


def _with_evidence(
    report: Report, evidence: Callable[[RuleResult, Evidence], tuple[Smallest | None, str | None]]
) -> Report:
    """The report, with stream and request for each of the worst findings."""
    found: dict[int, RuleResult] = {}
    for rule in report.findings()[:FINDING_LIMIT]:
        kept = next((each for each in rule.evidence if each.transcript is not None), None)
        if kept is not None:
            smallest, curl = evidence(rule, kept)
            found[id(rule)] = replace(rule, smallest=smallest, curl=curl)
    return replace(report, rules=tuple(found.get(id(rule), rule) for rule in report.rules))


def _note(
    rebuilt: dict[tuple[str, str, str], dict[str, Any]], violation: Mapping[str, Any]
) -> None:
    """Count a violation towards the rule row that the run did not come to write."""
    rule = violation.get("rule", "")
    steps = [*rule.split("/"), "", ""]
    api, endpoint = violation.get("api") or steps[0], violation.get("endpoint") or steps[1]
    row = rebuilt.get((rule, api, endpoint))
    if row is None:
        row = rebuilt[rule, api, endpoint] = {
            "rule": rule,
            "api": api,
            "endpoint": endpoint,
            "outcome": _OUTCOME_OF_SEVERITY.get(violation.get("severity", ""), "failed"),
            "severity": violation.get("severity"),
            "violations": 0,
            "evidence": [],
        }
    row["violations"] += violation.get("times", 1)
    if len(row["evidence"]) < EVIDENCE_LIMIT:
        row["evidence"].append(
            {
                "exchange": violation.get("exchange", ""),
                "chunk": violation.get("chunk"),
                "path": violation.get("path", ""),
                "message": violation.get("message", ""),
            }
        )


def _rule(
    row: Mapping[str, Any], codes: Counter[str], broken_in: int, places: Mapping[str, str]
) -> RuleResult:
    return RuleResult(
        id=row["rule"],
        api=row["api"],
        endpoint=row["endpoint"],
        outcome=row["outcome"],
        reason=row.get("reason"),
        severity=row.get("severity"),
        basis=row.get("basis"),
        source=row.get("source"),
        text=row.get("text"),
        violations=row.get("violations", 0),
        exchanges=row.get("exchanges", 0),
        broken_in=broken_in,
        seconds=row.get("seconds"),
        codes=tuple(code for code, _ in codes.most_common(5)),
        evidence=tuple(
            Evidence(
                exchange=item["exchange"],
                chunk=item["chunk"],
                path=item["path"],
                message=item["message"],
                transcript=places.get(item["exchange"]),
            )
            for item in row.get("evidence", ())[:EVIDENCE_LIMIT]
        ),
    )


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
        yield Void(void["kind"], void["message"])
