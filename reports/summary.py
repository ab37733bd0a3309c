"""What a run comes to: counts, rates, exact quantiles. Rows in, values out; no I/O.

Columns of numbers are kept, rows never, so a million exchanges fit.

**Who counts.** Times are over the exchanges of the measured window in which a song (or a result)
was due: warm-up rows and probes (requests made to be refused) are left out, and counted. A row
that did not reach a milestone, for whatever reason, counts as +inf: nothing is dropped from a
quantile, so failures cannot flatter it. Censored rows (still in flight at the end of the run)
count as +inf too, which is pessimistic; dropped ones were never sent and count in outcomes only.

**Quantile** of order p over n values is the value of rank ceil(n p): the inverse of the empirical
distribution function, Hyndman and Fan (1996) definition 1. It is always a value that occurred.
Its 95% interval is that of the order statistics (Conover 1999, 3.2), exact for any distribution.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from soundstage.errors import UsageError
from soundstage.reports.wording import MILESTONES

QUANTILES = (0.5, 0.9, 0.95, 0.99)
CONFIDENCE = 0.95

#: At most this many different reasons or codes are told apart; the rest count as "(others)".
DISTINCT_LIMIT = 200

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile in seconds, +inf if that share never got there.

    `low` and `high` bound it with 95% confidence; nan where n is too small to bound it.
    """

    order: float
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Milestone:
    """How long a milestone took over `n` exchanges, of which `reached` got there.

    `intended` counts from the intended start and is the number to quote, `actual` from the
    actual start. `times` are the sorted seconds from the intended start, +inf included.
    """

    name: str
    n: int
    reached: int
    intended: tuple[Quantile, ...]
    actual: tuple[Quantile, ...]
    times: Floats


@dataclass(frozen=True, slots=True)
class Stage:
    """First arrivals of a stage (`streaming_ready#1`: of a track), seconds from the actual start.

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
    """The exchanges of one endpoint of one API version."""

    api: str
    endpoint: str
    exchanges: int
    measured: int
    warmup: int
    probes: int
    outcomes: dict[str, int]
    verdicts: dict[str, int]
    reasons: dict[str, int]
    milestones: tuple[Milestone, ...]
    stages: tuple[Stage, ...]

    def milestone(self, name: str) -> Milestone | None:
        """The milestone, or None where this endpoint has none of that name."""
        return next((one for one in self.milestones if one.name == name), None)


@dataclass(frozen=True, slots=True)
class Timeline:
    """The run in slices of `width` seconds: arrivals asked and started, and what was in flight."""

    width: float
    asked: tuple[int, ...]
    started: tuple[int, ...]
    in_flight: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Code:
    """How often a violation code came, and in how many exchanges."""

    violations: int
    exchanges: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What all rows of a run come to. `coarse` is the share of events timed coarsely."""

    exchanges: int
    groups: tuple[Group, ...]
    codes: dict[str, Code]
    timing: dict[str, int]
    framings: dict[str, int]
    coarse: float
    events: int
    bytes: int
    billed: int
    lateness: tuple[Quantile, ...]
    timeline: Timeline | None


def rank_of(order: float, n: int) -> int:
    """The rank, from 1, of the quantile of `order` among `n` values: ceil(n p), at least 1."""
    return max(1, math.ceil(round(order * n, 9)))


def interval_ranks(order: float, n: int, confidence: float = CONFIDENCE) -> tuple[int, int]:
    """Ranks, from 1, of the values that bound the quantile; 0 and n + 1 mean unbounded.

    The same as `scipy.stats.quantile_test(x, p=order).confidence_interval(confidence)`, whose
    module takes a second to load.
    """
    from scipy.special import bdtr  # type: ignore[import-untyped]

    def smallest_with(share: float) -> int:
        low, high = 0, n
        while low < high:
            middle = (low + high) // 2
            if bdtr(middle, n, order) >= share:
                high = middle
            else:
                low = middle + 1
        return low

    tail = (1 - confidence) / 2
    return smallest_with(tail), smallest_with(1 - tail) + 1


def quantiles(ordered: Floats, orders: Iterable[float] = QUANTILES) -> tuple[Quantile, ...]:
    """Exact quantiles of sorted values with their intervals; none of no values."""
    n = len(ordered)
    if n == 0:
        return ()

    def at(rank: int) -> float:
        return float(ordered[rank - 1]) if 1 <= rank <= n else math.nan

    found = []
    for order in orders:
        low, high = interval_ranks(order, n)
        found.append(Quantile(order, at(rank_of(order, n)), at(low), at(high)))
    return tuple(found)


@dataclass(slots=True)
class _StageColumn:
    first: array[float] = field(default_factory=lambda: array("f"))
    reached_badly: int = 0


class _GroupColumns:
    """Collects the rows of one endpoint as columns."""

    def __init__(self) -> None:
        self.exchanges = 0
        self.warmup = 0
        self.probes = 0
        self.bad = 0
        self.outcomes: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.framings: Counter[str] = Counter()
        self.late: array[float] = array("d")
        self.milestones: dict[str, array[float]] = {}
        self.stages: dict[str, _StageColumn] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        self.exchanges += 1
        outcome: str = row["outcome"]
        _count(self.verdicts, row["verdict"])
        framing = row.get("framing")
        if framing:
            _count(self.framings, framing)
        reason = row.get("reason")
        if reason:
            _count(self.reasons, reason)
        if row.get("warmup"):
            self.warmup += 1
            return
        if is_probe(row):
            self.probes += 1
            return
        _count(self.outcomes, outcome)
        if outcome == "dropped":
            return
        self.late.append((row["started_ns"] - row["intended_ns"]) / 1e9)
        n = len(self.late)
        for name, value in row["milestones"].items():
            if value is None:
                continue
            column = self.milestones.get(name)
            if column is None:
                column = self.milestones[name] = array("d")
            if len(column) < n - 1:
                column.extend([math.inf] * (n - 1 - len(column)))
            column.append(value)
        badly = outcome != "ok"
        self.bad += badly
        stages = self.stages
        for name, times in row["stages"].items():
            if name not in stages:
                stages[name] = _StageColumn()
            stage = stages[name]
            stage.first.append(times[0])
            if badly:
                stage.reached_badly += 1

    def group(self, api: str, endpoint: str, expected: Iterable[str]) -> Group:
        late = np.frombuffer(self.late) if self.late else np.empty(0)
        order = list(MILESTONES)
        names = sorted(
            {*self.milestones, *expected},
            key=lambda name: (order.index(name) if name in order else len(order), name),
        )
        return Group(
            api=api,
            endpoint=endpoint,
            exchanges=self.exchanges,
            measured=len(late),
            warmup=self.warmup,
            probes=self.probes,
            outcomes=dict(self.outcomes.most_common()),
            verdicts=dict(self.verdicts.most_common()),
            reasons=dict(self.reasons.most_common()),
            milestones=tuple(self._milestone(name, late) for name in names) if len(late) else (),
            stages=tuple(sorted(map(self._stage, self.stages), key=lambda one: one.p50)),
        )

    def _milestone(self, name: str, late: Floats) -> Milestone:
        n = len(late)
        actual = np.full(n, math.inf)
        column = self.milestones.get(name)
        if column:
            actual[: len(column)] = np.frombuffer(column)
        intended = np.sort(actual + late)
        actual.sort()
        reached = int(np.isfinite(actual).sum())
        return Milestone(name, n, reached, quantiles(intended), quantiles(actual), intended)

    def _stage(self, name: str) -> Stage:
        column = self.stages[name]
        reached = len(column.first)
        n = reached + self.bad - column.reached_badly
        times = np.full(n, math.inf)
        times[:reached] = np.frombuffer(column.first, dtype=np.float32)
        times.sort()
        return Stage(
            name=name,
            n=n,
            reached=reached,
            p50=float(times[rank_of(0.5, n) - 1]),
            p95=float(times[rank_of(0.95, n) - 1]),
        )


def _count(counter: Counter[str], key: str, by: int = 1) -> None:
    """Count, but never tell more than `DISTINCT_LIMIT` keys apart: some come from the API."""
    if key not in counter and len(counter) >= DISTINCT_LIMIT:
        key = "(others)"
    counter[key] += by


def is_probe(row: Mapping[str, Any]) -> bool:
    """Whether the request was made to be refused.

    The row says so, or shows it: where a song was due an error status never conforms.
    """
    return bool(row.get("probe")) or (
        row["verdict"] == "conforms" and (row.get("http_status") or 0) >= 400
    )


def summarise(
    rows: Iterable[Mapping[str, Any]],
    expected: Mapping[tuple[str, str], Iterable[str]] | None = None,
) -> Summary:
    """The summary of `rows` (of exchanges.ndjson.gz).

    `expected` names the milestones that an endpoint promises by (api, endpoint), so that one
    that was never reached is shown as such. Raises UsageError at a row of another format.
    """
    columns: dict[tuple[str, str], _GroupColumns] = {}
    violations: Counter[str] = Counter()
    exchanges_with: Counter[str] = Counter()
    timing: Counter[str] = Counter()
    intended, started, ended = array("d"), array("d"), array("d")
    total = events = size = billed = 0
    coarse = 0.0
    for row in rows:
        total += 1
        try:
            key = (row["api"], row["endpoint"])
            group = columns.get(key)
            if group is None:
                group = columns[key] = _GroupColumns()
            group.add(row)
            for code, number in row["codes"].items():
                _count(violations, code, number)
                _count(exchanges_with, code)
            intended.append(row["intended_ns"] / 1e9)
            if row["outcome"] == "dropped":
                continue
            start = row["started_ns"] / 1e9
            started.append(start)
            ended.append(start + _duration(row))
            of_row = row.get("events") or 0
            events += of_row
            coarse += of_row * (row.get("coarse") or 0.0)
            size += row.get("bytes") or 0
            billed += bool(row.get("billed"))
            if row.get("timing"):
                _count(timing, row["timing"])
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            name = row.get("id", f"number {total}")
            raise UsageError(f"exchange {name}: not a row of format 1: {error!r}") from error
    late = [np.frombuffer(group.late) for group in columns.values() if group.late]
    lateness = np.sort(np.concatenate(late)) if late else np.empty(0)
    return Summary(
        exchanges=total,
        groups=tuple(
            group.group(*key, (expected or {}).get(key, ()))
            for key, group in sorted(columns.items())
        ),
        codes={
            code: Code(number, exchanges_with[code]) for code, number in violations.most_common()
        },
        timing=dict(timing),
        framings={
            f"{api} {endpoint}: {framing}": number
            for (api, endpoint), group in sorted(columns.items())
            for framing, number in group.framings.items()
        },
        coarse=coarse / events if events else 0.0,
        events=events,
        bytes=size,
        billed=billed,
        lateness=quantiles(lateness),
        timeline=_timeline(_column(intended), _column(started), _column(ended)),
    )


def _duration(row: Mapping[str, Any]) -> float:
    """Seconds that the exchange was in flight; without `ended`, until the last that it showed."""
    ended = row.get("ended")
    if ended is not None:
        return float(ended)
    last = 0.0
    for value in row["milestones"].values():
        if value is not None and value > last:
            last = value
    for times in row["stages"].values():
        if times[1] > last:
            last = times[1]
    return last


def _column(values: array[float]) -> Floats:
    return np.frombuffer(values) if values else np.empty(0)


def _timeline(intended: Floats, started: Floats, ended: Floats) -> Timeline | None:
    """At most about 60 slices, of a width that people read easily."""
    if not len(intended):
        return None
    span = max(float(intended.max()), float(ended.max()) if len(ended) else 0.0)
    widths = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
    width = next((width for width in widths if span / width <= 60), span / 60)
    slices = math.floor(span / width) + 1
    edges = np.arange(slices) * width

    def arrivals(times: Floats) -> tuple[int, ...]:
        # A thousandth of a slice keeps arrivals that fall on an edge from straying by rounding.
        place = np.clip(np.floor(times / width + 0.001), 0, slices - 1).astype(np.int64)
        return tuple(int(n) for n in np.bincount(place, minlength=slices))

    begun, over = np.sort(started), np.sort(ended)
    in_flight = np.searchsorted(begun, edges, "right") - np.searchsorted(over, edges, "right")
    return Timeline(
        width=float(width),
        asked=arrivals(intended),
        started=arrivals(started),
        in_flight=tuple(int(n) for n in in_flight),
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
        names.update(step for step in rule["rule"].split("/")[2:3] if step in MILESTONES)
    return expected
