"""What a run comes to: counts, rates, exact quantiles. Rows in, values out; no I/O.

Columns of numbers are kept, rows never, so a million exchanges fit.

**Who counts.** Times are over the exchanges of the measured window in which a song (or a result)
was due: warm-up rows and probes (requests made to be refused) are left out, and counted. A row
that did not reach a milestone, for whatever reason, counts as +inf: nothing is dropped from a
quantile, so failures cannot flatter it. Of rows that the harness cut (still in flight at the end of
the run) it is known only that they took longer: quantiles that reach into them are estimated
(`results/survival.py`) and say so. Dropped rows were never sent and count in outcomes only.

**Quantile** of order p over n values is the value of rank ceil(n p): the inverse of the empirical
distribution function, Hyndman and Fan (1996) definition 1. It is always a value that occurred.
Its 95% interval is that of the order statistics (Conover 1999, 3.2), exact for any distribution.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from soundstage.reports.run.failures import Failures, failures
from soundstage.reports.run.heard_playback import Playback, playback
from soundstage.reports.run.milestone_times import (
    MilestoneSummary,
    Quantile,
    milestone_summary,
    quantiles,
)
from soundstage.reports.run.stage_lengths import Length, Silence, lengths, silence
from soundstage.reports.run.timeline import MilestoneCourse, Timeline, course, timeline
from soundstage.results import quantiles as exact
from soundstage.results.columns import DROPPED, Columns, count
from soundstage.results.intake import Intake
from soundstage.results.milestone_names import MilestoneNames, milestone_names, named_before
from soundstage.results.polling import Resolution


@dataclass(frozen=True, slots=True)
class StageSummary:
    """First arrivals of a stage (`final#1`: of a track), seconds from the actual start.

    An exchange that went well without the stage does not count (a stage may be optional); one
    that ended badly before it counts as +inf. `n` is all that count, `reached` those that got it.
    """

    name: str
    n: int
    reached: int
    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Group:
    """The exchanges of one endpoint of one API version.

    `ends` counts the measured ones that did not end well by (the last stage that they showed, ""
    for none; outcome); `courses` are the headline milestones over time; `lengths` (by
    stage) and `silence` are those of a sample (`stage_lengths`); `playback` is None where nobody
    listened; `resolution` None where nothing was polled.
    """

    api: str
    endpoint: str
    exchanges: int
    measured: int
    warmup: int
    probes: int
    outcomes: dict[str, int]
    verdicts: dict[str, int]
    reasons: dict[str, int]
    milestones: tuple[MilestoneSummary, ...]
    stages: tuple[StageSummary, ...]
    ends: dict[tuple[str, str], int]
    courses: tuple[MilestoneCourse, ...]
    lengths: Mapping[str, Length] = field(default_factory=dict)
    silence: Silence | None = None
    playback: Playback | None = None
    names: MilestoneNames = field(default_factory=MilestoneNames)
    resolution: Resolution | None = None

    def milestone(self, name: str) -> MilestoneSummary | None:
        """The milestone, or None where this endpoint has none of that name."""
        return next((one for one in self.milestones if one.name == name), None)


@dataclass(frozen=True, slots=True)
class CodeCount:
    """How often a violation code came, and in how many exchanges."""

    violations: int
    exchanges: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What all rows of a run come to. `coarse` is the share of events timed coarsely; `failures`
    is None where nothing failed.
    """

    exchanges: int
    groups: tuple[Group, ...]
    codes: dict[str, CodeCount]
    timing: dict[str, int]
    framings: dict[str, int]
    coarse: float
    events: int
    bytes: int
    billed: int
    lateness: tuple[Quantile, ...]
    timeline: Timeline | None
    failures: Failures | None = None


def _group(
    run: Mapping[str, Any],
    key: tuple[str, str],
    columns: Columns,
    expected: Iterable[str],
    line: Timeline | None,
) -> Group:
    verdicts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    warmups = probes = 0
    for kind, number in columns.kinds():
        count(verdicts, kind.verdict, number)
        if kind.reason:
            count(reasons, kind.reason, number)
        warmups += number * kind.warmup
        probes += number * (kind.probe and not kind.warmup)
    reached = {*columns.milestones(), *expected}
    names = milestone_names(run, *key, reached)
    milestones: list[MilestoneSummary] = []
    courses: list[MilestoneCourse] = []
    if columns.measured:
        milestones = [milestone_summary(columns, name) for name in names.in_order(reached)]
        courses = [
            course(name, columns.intended(name), columns.since_intended(name), line)
            for name in names.in_order(reached)
            if name in names.headline and line is not None
        ]
    return Group(
        *key,
        exchanges=sum(number for _, number in columns.kinds()),
        measured=columns.measured,
        warmup=warmups,
        probes=probes,
        outcomes=dict(columns.outcomes().most_common()),
        verdicts=dict(verdicts.most_common()),
        reasons=dict(reasons.most_common()),
        milestones=tuple(milestones),
        stages=tuple(_stages(columns)),
        ends=dict(columns.ends),
        courses=tuple(courses),
        lengths=lengths(columns.sample.exchanges()),
        silence=silence(columns.sample.exchanges()),
        playback=playback(columns.heard, columns.measured) if columns.heard else None,
        names=names,
        resolution=columns.resolution(),
    )


def _in_order(stages: Iterable[str], columns: Columns) -> list[str]:
    """Stages by their mean place in the exchanges of the sample. Not by their quantiles: those
    of a stage that few exchanges have are the quantiles of these few.
    """
    came: Counter[str] = Counter()
    places: Counter[str] = Counter()
    for names, exchanges in columns.sample.tables():
        for place, name in enumerate(names):
            came[name] += len(exchanges)
            places[name] += place * len(exchanges)
    return sorted(stages, key=lambda name: places[name] / came[name] if came[name] else math.inf)


def _stages(columns: Columns) -> Iterable[StageSummary]:
    stages = columns.stages()
    for name in _in_order(stages, columns):
        column = stages[name]
        reached = len(column.first)
        n = reached + columns.bad - column.reached_badly
        times = np.full(n, math.inf)
        times[:reached] = column.first
        ranks = [exact.rank(0.5, n) - 1, exact.rank(0.95, n) - 1]
        times.partition(ranks)
        yield StageSummary(name, n, reached, float(times[ranks[0]]), float(times[ranks[1]]))


def summarise(
    rows: Iterable[Mapping[str, Any]],
    expected: Mapping[tuple[str, str], Iterable[str]] | None = None,
    run: Mapping[str, Any] | None = None,
) -> Summary:
    """The summary of `rows` (of exchanges.ndjson.gz); `expected` and `run` as in `summary_of`.
    Raises UsageError at a row of another format.
    """
    intake = Intake()
    intake.take(rows)
    return summary_of(intake, expected, run)


def summary_of(
    intake: Intake,
    expected: Mapping[tuple[str, str], Iterable[str]] | None = None,
    run: Mapping[str, Any] | None = None,
) -> Summary:
    """The summary of the rows that were taken in.

    `expected` names the milestones that an endpoint promises by (api, endpoint), so that one
    that was never reached is shown as such. `run` is run.json, which says what they are called.
    """
    columns, whole = intake.columns, intake.whole
    line = timeline(whole.asked(), whole.begun(), whole.ended())
    late = [group.late() for group in columns.values()]
    lateness = np.sort(np.concatenate(late)) if late else np.empty(0)
    timing: Counter[str] = Counter()
    framings: Counter[str] = Counter()
    for (api, endpoint), group in sorted(columns.items()):
        for kind, number in group.kinds():
            if kind.framing:
                count(framings, f"{api} {endpoint}: {kind.framing}", number)
            if kind.timing and kind.outcome != DROPPED:
                count(timing, kind.timing, number)
    return Summary(
        exchanges=intake.total,
        groups=tuple(
            _group(run or {}, key, group, (expected or {}).get(key, ()), line)
            for key, group in sorted(columns.items())
        ),
        codes={
            code: CodeCount(number, intake.exchanges_with[code])
            for code, number in intake.violations.most_common()
        },
        timing=dict(timing),
        framings=dict(framings),
        coarse=whole.coarse / whole.events if whole.events else 0.0,
        events=whole.events,
        bytes=whole.bytes,
        billed=whole.billed,
        lateness=quantiles(lateness),
        timeline=line,
        failures=failures(columns, line),
    )


def expected_milestones(
    run: Mapping[str, Any], rules: Iterable[Mapping[str, Any]]
) -> dict[tuple[str, str], set[str]]:
    """The milestones that each endpoint promises, by (api, endpoint).

    From `contracts` of run.json where they stand there; else a rule about a stage that is called
    as a milestone shows that the endpoint has it, and every endpoint completes.
    """
    expected: dict[tuple[str, str], set[str]] = {}
    for api, contract in run["contracts"].items():
        for endpoint, names in contract.get("milestones", {}).items():
            expected[api, endpoint] = set(names)
    stated = set(expected)
    for rule in rules:
        key = (rule["api"], rule["endpoint"])
        if key in stated or key[1] not in ("stream", "sync"):
            continue
        names = expected.setdefault(key, {"complete"})
        names.update(step for step in rule["rule"].split("/")[2:3] if step in named_before())
    return expected
