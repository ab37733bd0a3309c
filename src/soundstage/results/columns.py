"""Rows of exchanges.ndjson.gz as columns of numbers: what a run of a million exchanges is kept as.

    intake = take_in(bundle)                    (`intake`)   Columns by (api, endpoint)
    columns.kinds()                             what became of the rows, counted
    columns.since_intended("complete")          seconds from the intended start, a row each
    columns.stages()                            first arrivals of each stage
    columns.failures                            what did not end well, by why
    columns.sample.tables()                     some exchanges, with all that is known of stages

The one reader of rows of a bundle: reports, comparisons, fidelity and fitted profiles rest on it.
(`verdicts.ObjectiveTally` and the trials of a capacity search count rows while a run makes them.)
A row costs a few appends to typed arrays, and is let go; nothing is computed here. Times, stages
and the sample are of *measured* rows: no warm-up, no probe, and sent at all.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from soundstage.output.cutting import head
from soundstage.results.arrivals.exchange_sample import SAMPLE, ExchangeSample
from soundstage.results.arrivals.first_arrivals import FirstArrivals, StageColumn
from soundstage.results.failure_tally import FailureTally
from soundstage.results.listening.listened import BY_LISTENING
from soundstage.results.listening.playback_columns import PlaybackColumns
from soundstage.results.polling import PollTally, Resolution, low_ends, watched
from soundstage.results.times_table import TimesTable

Floats = npt.NDArray[np.float64]

#: At most this many different reasons or codes are told apart; the rest count as "(others)".
DISTINCT_LIMIT = 200
OTHERS = "(others)"

#: The outcome of a request that was never sent, and of one that came to its end.
DROPPED, OK = "dropped", "ok"
#: Outcomes after which nobody knows when the milestones that were not reached would have come.
CUT_SHORT = frozenset({"censored", "cut"})
#: More different names of milestones or stages at an endpoint, and longer ones, are none of ours:
#: they come out of a contract.
NAMES_LIMIT, NAME_LIMIT = 500, 500
#: So much of a reason is told.
_REASON_LIMIT = 1_000
#: Kinds of rows that are told apart while counting.
_KINDS_LIMIT = 5_000


def count(counter: Counter[str], key: str, by: int = 1) -> None:
    """Count, but never tell more than `DISTINCT_LIMIT` keys apart: some come from the API."""
    if key not in counter and len(counter) >= DISTINCT_LIMIT:
        key = OTHERS
    counter[key] += by


def is_probe(row: Mapping[str, Any]) -> bool:
    """Whether the request was made to be refused.

    The row says so, or shows it: where a song was due an error status never conforms.
    """
    return bool(row.get("probe")) or (
        row["verdict"] == "conforms" and (row.get("http_status") or 0) >= 400
    )


class RowKind(NamedTuple):
    """What rows that are counted together have in common, as it stands in them. `status` is that
    of HTTP, None where no answer came.
    """

    outcome: str
    verdict: str
    reason: str | None
    framing: str | None
    timing: str | None
    warmup: bool
    probe: bool
    status: int | None

    @property
    def due(self) -> bool:
        """Whether a song, or a result, was due in the measured window."""
        return not self.warmup and not self.probe


class Columns:
    """The rows of one endpoint. `bad` measured rows did not end well; `ends` says after which
    stage ("" before any) and how. `sample` holds some of them whole.

    `times_only` keeps what a comparison asks for, which costs a third less: no first arrivals of
    stages (`stages`), no `failures`, and in the sample those alone that ended well.

    Rows that reached the same milestones share a table, so that their times go in as one.
    """

    __slots__ = (
        "_dropped", "_first", "_kinds", "_names", "_stages", "_tables", "_times_only", "bad",
        "ends", "failures", "heard", "polled", "sample",
    )  # fmt: skip

    def __init__(self, sample: int = SAMPLE, *, times_only: bool = False) -> None:
        self.heard: PlaybackColumns | None = None
        self.polled = PollTally()
        self.sample = ExchangeSample(sample)
        self.failures = FailureTally()
        self.ends: Counter[tuple[str, str]] = Counter()
        self.bad = 0
        self._kinds: dict[tuple[Any, ...], list[int]] = {}
        self._tables: dict[tuple[str, ...], TimesTable] = {}
        self._first = FirstArrivals()
        self._dropped = array("q")
        self._names: set[str] = set()
        self._stages = 0
        self._times_only = times_only

    def add(self, row: Mapping[str, Any]) -> None:
        """Take a row of exchanges.ndjson.gz in. Raises ValueError at names that are too many or
        too long, and what a row of another shape raises.
        """
        get = row.get
        outcome, verdict, warmup = row["outcome"], row["verdict"], get("warmup")
        status = get("http_status")
        # `is_probe`, said again: a call for each of a million rows is a call too many.
        probe = get("probe") or (verdict == "conforms" and (status or 0) >= 400)
        kind = (
            outcome, verdict, get("reason"), get("framing"), get("timing"), warmup, probe, status,
        )  # fmt: skip
        try:
            self._kinds[kind][0] += 1
        except KeyError:
            self._count(kind)
        # A probe that was refused for what it asked has no reason; one that an outage met has.
        if outcome != OK and not self._times_only and not (probe and get("reason") is None):
            self.failures.add(row, _lasted(row))
        if warmup or probe:
            return
        if outcome == DROPPED:
            self._dropped.append(row["intended_ns"])
            return
        reached = row["milestones"]
        names = tuple(reached)
        table = self._tables.get(names)
        if table is None:
            self._know(names)
            table = self._tables[names] = TimesTable()
        before = len(table.times)
        try:
            table.times.extend(reached.values())
        except TypeError:
            del table.times[before:]
            names, times = _told_of(reached)
            table = self._tables.setdefault(names, TimesTable())
            before = len(table.times)
            table.times.extend(times)
        if "milestones_low" in row or "polls" in row or table.lows is not None:
            self._add_polled(row, table, names, before)
        table.intended.append(row["intended_ns"])
        table.started.append(row["started_ns"])
        if get("playback") is not None:
            self.heard = self.heard or PlaybackColumns()
            self.heard.add(row)
        passed, well = row["stages"], outcome == OK
        if not self._times_only:
            self._first.add(passed, well=well)
            if len(self._first) > self._stages:
                self._stages = len(self._first)
                self._know(tuple(passed))
        if passed and (well or not self._times_only):
            self.sample.add(row)
        if not well:
            if outcome in CUT_SHORT:
                table.cut[len(table.started) - 1] = watched(row, _lasted(row))
            self.bad += 1
            last = max(passed, key=lambda name: float(passed[name][1]), default="")
            self.ends[last, outcome] += 1

    def _add_polled(
        self, row: Mapping[str, Any], table: TimesTable, names: tuple[str, ...], before: int
    ) -> None:
        """Take in what polling knows of a row whose times begin at place `before` of the table."""
        lows = low_ends(row)
        if lows is not None or table.lows is not None:
            table.add_lows(names, before, lows)
        if (polls := row.get("polls")) is not None:
            self.polled.add(polls)

    def _count(self, kind: tuple[Any, ...], number: int = 1) -> None:
        reason = kind[2]
        if kind not in self._kinds and len(self._kinds) >= _KINDS_LIMIT:
            kind = (*kind[:2], OTHERS, *kind[3:7], None)
        elif reason is not None and len(reason) > _REASON_LIMIT:
            kind = (*kind[:2], head(reason, _REASON_LIMIT), *kind[3:])
        self._kinds.setdefault(kind, [0])[0] += number

    def _know(self, names: tuple[str, ...]) -> None:
        if any(len(name) > NAME_LIMIT for name in names):
            raise ValueError(f"a name of more than {NAME_LIMIT} characters")
        self._names.update(names)
        if len(self._names) > NAMES_LIMIT:
            raise ValueError(f"more than {NAMES_LIMIT} names of milestones and stages")

    def merge(self, other: Columns) -> None:
        """Take in the rows that came after these, which another one took in."""
        for kind, (number,) in other._kinds.items():
            self._count(kind, number)
        for names, table in other._tables.items():
            self._tables.setdefault(names, TimesTable()).merge(table)
        self._first.merge(other._first)
        self._dropped.extend(other._dropped)
        if other.heard is not None:
            self.heard = self.heard or PlaybackColumns()
            self.heard.merge(other.heard)
        self.polled.merge(other.polled)
        self.sample.merge(other.sample)
        self.failures.merge(other.failures)
        self.ends += other.ends
        self.bad += other.bad

    def stages(self) -> dict[str, StageColumn]:
        """Each stage that any measured row passed."""
        return self._first.stages()

    def kinds(self) -> Iterator[tuple[RowKind, int]]:
        """The kinds of all rows, and how many there are of each."""
        for kind, (number,) in self._kinds.items():
            outcome, verdict, reason, framing, timing, warmup, probe, status = kind
            yield (
                RowKind(
                    outcome, verdict, reason, framing, timing, bool(warmup), bool(probe), status
                ),
                number,
            )

    def outcomes(self) -> Counter[str]:
        """How the rows of the measured window in which a song was due ended, dropped ones too."""
        found: Counter[str] = Counter()
        for kind, number in self.kinds():
            if kind.due:
                count(found, kind.outcome, number)
        return found

    @property
    def measured(self) -> int:
        """How many rows count for times: neither warm-up nor probe, and sent at all."""
        return sum(len(table.intended) for table in self._tables.values())

    def milestones(self) -> set[str]:
        """The milestones that any measured row reached."""
        return {name for names in self._tables for name in names}

    def tables(self, milestone: str | None) -> list[tuple[tuple[str, ...], TimesTable]]:
        """The rows that tell of a milestone (None: all): of one that is seen by listening alone,
        those that somebody listened to. What follows is in this order.
        """
        if milestone not in BY_LISTENING:
            return list(self._tables.items())
        return [(names, table) for names, table in self._tables.items() if milestone in names]

    def asked(self, milestone: str | None) -> int:
        """How many measured rows tell of a milestone."""
        return sum(len(table.intended) for _, table in self.tables(milestone))

    def intended(self, milestone: str | None = None) -> Floats:
        """Intended starts in seconds since the run began."""
        return _joined([_seconds(table.intended) for _, table in self.tables(milestone)])

    def dropped(self) -> Floats:
        """Intended starts of what was due and never sent, in seconds since the run began."""
        return _seconds(self._dropped)

    def late(self, milestone: str | None = None) -> Floats:
        """Seconds by which each start was late (`row_facts.lateness`)."""
        return _joined(
            [
                (np.array(table.started) - np.array(table.intended)) / 1e9
                for _, table in self.tables(milestone)
            ]
        )

    def cut(self, milestone: str | None = None) -> Floats:
        """Seconds from the actual start after which the harness cut a row, or sent its last poll;
        nan where it did not.
        """
        found = []
        for _, table in self.tables(milestone):
            column = np.full(len(table.intended), math.nan)
            column[list(table.cut)] = list(table.cut.values())
            found.append(column)
        return _joined(found)

    def since_intended(self, milestone: str, *, low: bool = False) -> Floats:
        """Seconds from the intended start (`row_facts.since_intended`); +inf for a row that did
        not get there. `low`: the low ends of what is known by polling (`polling`).
        """
        return self.times(milestone, low=low) + self.late(milestone)

    def times(self, milestone: str, *, low: bool = False) -> Floats:
        """Seconds from the actual start; the rest as in `since_intended`."""
        return _joined(
            [
                table.column(
                    names.index(milestone) if milestone in names else None, len(names), low=low
                )
                for names, table in self.tables(milestone)
            ]
        )

    def is_exact(self, milestone: str) -> bool:
        """Whether the low ends of its times are their high ends, too."""
        return all(
            table.lows is None
            or milestone not in names
            or not table.widths().reshape(-1, len(names))[:, names.index(milestone)].any()
            for names, table in self._tables.items()
        )

    def resolution(self) -> Resolution | None:
        """How well the times are known; None where nothing was polled."""
        widths = _joined([table.widths() for table in self._tables.values()])
        return Resolution.of(widths, self.polled)


class RunColumns:
    """What all rows of a run have in common: when they were asked for, began and ended."""

    def __init__(self) -> None:
        self.intended, self.started = array("q"), array("q")
        self.lasted = array("d")
        self.events = self.bytes = self.billed = 0
        self.coarse = 0.0

    def add(self, row: Mapping[str, Any]) -> None:
        """Take a row in, whatever became of it."""
        get = row.get
        self.intended.append(row["intended_ns"])
        if row["outcome"] == "dropped":
            return
        self.started.append(row["started_ns"])
        ended = get("ended")  # `_lasted`, said again for the same reason as above
        self.lasted.append(_last_seen(row) if ended is None else ended)
        if events := get("events"):
            self.events += events
            if coarse := get("coarse"):
                self.coarse += events * coarse
        self.bytes += get("bytes") or 0
        if get("billed"):
            self.billed += 1

    def merge(self, other: RunColumns) -> None:
        """Take in the rows that came after these, which another one took in."""
        self.intended.extend(other.intended)
        self.started.extend(other.started)
        self.lasted.extend(other.lasted)
        self.events += other.events
        self.bytes += other.bytes
        self.billed += other.billed
        self.coarse += other.coarse

    def asked(self) -> Floats:
        """Intended starts, seconds since the run began."""
        return _seconds(self.intended)

    def begun(self) -> Floats:
        """Actual starts of what was sent, seconds since the run began."""
        return _seconds(self.started)

    def ended(self) -> Floats:
        """Ends of what was sent, seconds since the run began."""
        return self.begun() + (np.frombuffer(self.lasted) if self.lasted else np.empty(0))


def _told_of(reached: Mapping[str, float | None]) -> tuple[tuple[str, ...], list[float]]:
    """The milestones that a row tells of, of which some are null, and their times."""
    told = {
        name: math.inf if at is None else at
        for name, at in reached.items()
        if at is not None or name in BY_LISTENING
    }
    return tuple(told), list(told.values())


def _lasted(row: Mapping[str, Any]) -> float:
    """Seconds that an exchange was in flight, or at least was."""
    ended: float | None = row.get("ended")
    return _last_seen(row) if ended is None else ended


def _last_seen(row: Mapping[str, Any]) -> float:
    """Seconds until the last thing that an exchange showed: how long it was in flight at least."""
    last = 0.0
    for value in row["milestones"].values():
        if value is not None and value > last:
            last = value
    for times in row["stages"].values():
        if times[1] > last:
            last = times[1]
    return last


def _seconds(nanoseconds: array[int]) -> Floats:
    if not nanoseconds:
        return np.empty(0)
    return np.frombuffer(nanoseconds, dtype=np.int64) / 1e9


def _joined(parts: list[Floats]) -> Floats:
    return np.concatenate(parts) if parts else np.empty(0)
