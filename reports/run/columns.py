"""Rows of exchanges as columns of numbers: what a run of a million exchanges is kept as.

A row costs a few appends to typed arrays, and is let go. Nothing is computed here: `summary` and
`timeline` do that. Rows that reached the same milestones share a table, so that their times go
in as one.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from soundstage.reports.run.heard_playback import PlaybackTotals
from soundstage.reports.run.stage_lengths import ExchangeSample

Floats = npt.NDArray[np.float64]

#: At most this many different reasons or codes are told apart; the rest count as "(others)".
DISTINCT_LIMIT = 200
OTHERS = "(others)"

#: Outcomes after which nobody knows when the milestones that were not reached would have come.
CUT_SHORT = frozenset({"censored", "cut"})
#: More different names of milestones or stages at an endpoint, and longer ones, are none of ours:
#: they come out of a contract.
NAMES_LIMIT, NAME_LIMIT = 500, 500
#: So much of a reason is told.
_REASON_LIMIT = 1_000
#: Combinations of outcome, verdict, reason and framing that are told apart while counting.
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


class _TimesTable:
    """Rows that reached the same milestones: start times, and a row of `times` for each. `cut`:
    of those that the harness cut, how long they had lasted by then, by number of the row.
    """

    __slots__ = ("cut", "intended", "started", "times")

    def __init__(self) -> None:
        self.intended, self.started = array("q"), array("q")
        self.times = array("d")
        self.cut: dict[int, float] = {}


class _Passed:
    """Rows that passed the same stages in the same order: a row of first arrivals for each, and how
    many of them ended badly.
    """

    __slots__ = ("bad", "first")

    def __init__(self) -> None:
        self.first = array("f")
        self.bad = 0


@dataclass(frozen=True, slots=True)
class StageColumn:
    """The first arrivals of a stage, and how many of them in exchanges that ended badly."""

    first: npt.NDArray[np.float32]
    reached_badly: int


class Columns:
    """The rows of one endpoint. `bad` measured rows did not end well; `ends` says after which
    stage ("" before any) and how.
    """

    __slots__ = ("_kinds", "_names", "_passed", "_tables", "bad", "ends", "heard", "sample")

    def __init__(self) -> None:
        self._passed: dict[tuple[str, ...], _Passed] = {}
        self.heard: PlaybackTotals | None = None
        self.sample = ExchangeSample()
        self.ends: Counter[tuple[str, str]] = Counter()
        self.bad = 0
        self._kinds: dict[tuple[Any, ...], list[int]] = {}
        self._tables: dict[tuple[str, ...], _TimesTable] = {}
        self._names: set[str] = set()

    def add(self, row: Mapping[str, Any]) -> None:
        """Take a row of exchanges.ndjson.gz in. Raises ValueError at names that are too many or
        too long, and what a row of another shape raises.
        """
        get = row.get
        outcome, verdict, warmup = row["outcome"], row["verdict"], get("warmup")
        # `is_probe`, said again: a call for each of a million rows is a call too many.
        probe = get("probe") or (verdict == "conforms" and (get("http_status") or 0) >= 400)
        kind = (outcome, verdict, get("reason"), get("framing"), get("timing"), warmup, probe)
        try:
            self._kinds[kind][0] += 1
        except KeyError:
            reason = kind[2]
            if len(self._kinds) >= _KINDS_LIMIT:
                kind = (outcome, verdict, OTHERS, *kind[3:])
            elif reason is not None and len(reason) > _REASON_LIMIT:
                kind = (outcome, verdict, reason[:_REASON_LIMIT] + "…", *kind[3:])
            self._kinds.setdefault(kind, [0])[0] += 1
        if warmup or probe or outcome == "dropped":
            return
        reached = row["milestones"]
        names = tuple(reached)
        table = self._tables.get(names)
        if table is None:
            self._know(names)
            table = self._tables[names] = _TimesTable()
        before = len(table.times)
        try:
            table.times.extend(reached.values())
        except TypeError:
            del table.times[before:]
            names = tuple(name for name in names if reached[name] is not None)
            table = self._tables.setdefault(names, _TimesTable())
            table.times.extend([reached[name] for name in names])
        table.intended.append(row["intended_ns"])
        table.started.append(row["started_ns"])
        if (playback := get("playback")) is not None:
            self.heard = self.heard or PlaybackTotals()
            self.heard.add(playback)
        passed = row["stages"]
        names = tuple(passed)
        stages = self._passed.get(names)
        if stages is None:
            self._know(names)
            stages = self._passed[names] = _Passed()
        stages.first.extend([times[0] for times in passed.values()])
        if passed:
            self.sample.add(passed, get("silence"))
        if outcome != "ok":
            if outcome in CUT_SHORT:
                lasted = get("ended")
                table.cut[len(table.started) - 1] = _last_seen(row) if lasted is None else lasted
            self.bad += 1
            stages.bad += 1
            last = max(passed, key=lambda name: float(passed[name][1]), default="")
            self.ends[last, outcome] += 1

    def _know(self, names: tuple[str, ...]) -> None:
        if any(len(name) > NAME_LIMIT for name in names):
            raise ValueError(f"a name of more than {NAME_LIMIT} characters")
        self._names.update(names)
        if len(self._names) > NAMES_LIMIT:
            raise ValueError(f"more than {NAMES_LIMIT} names of milestones and stages")

    def merge(self, other: Columns) -> None:
        """Take in the rows that came after these, which another one took in."""
        for kind, (number,) in other._kinds.items():
            if kind not in self._kinds and len(self._kinds) >= _KINDS_LIMIT:
                kind = (*kind[:2], OTHERS, *kind[3:])
            self._kinds.setdefault(kind, [0])[0] += number
        for names, table in other._tables.items():
            mine = self._tables.setdefault(names, _TimesTable())
            before = len(mine.started)
            mine.cut |= {before + place: lasted for place, lasted in table.cut.items()}
            mine.intended.extend(table.intended)
            mine.started.extend(table.started)
            mine.times.extend(table.times)
        for names, passed in other._passed.items():
            stages = self._passed.setdefault(names, _Passed())
            stages.first.extend(passed.first)
            stages.bad += passed.bad
        if other.heard is not None:
            self.heard = self.heard or PlaybackTotals()
            self.heard.merge(other.heard)
        self.sample.merge(other.sample)
        self.ends += other.ends
        self.bad += other.bad

    def stages(self) -> dict[str, StageColumn]:
        """Each stage that any measured row passed."""
        first: dict[str, list[npt.NDArray[np.float32]]] = {}
        badly: Counter[str] = Counter()
        for names, passed in self._passed.items():
            if not names:
                continue
            whole = np.frombuffer(passed.first, dtype=np.float32).reshape(-1, len(names))
            for place, name in enumerate(names):
                first.setdefault(name, []).append(whole[:, place])
                badly[name] += passed.bad
        return {
            name: StageColumn(np.concatenate(parts), badly[name]) for name, parts in first.items()
        }

    def kinds(self) -> Iterator[tuple[tuple[Any, ...], int]]:
        """(outcome, verdict, reason, framing, timing, warm-up, probe) of rows, and how many."""
        return ((kind, number) for kind, (number,) in self._kinds.items())

    @property
    def measured(self) -> int:
        """How many rows count for times: neither warm-up nor probe, and sent at all."""
        return sum(len(table.intended) for table in self._tables.values())

    def milestones(self) -> set[str]:
        """The milestones that any measured row reached."""
        return {name for names in self._tables for name in names}

    def intended(self) -> Floats:
        """Intended starts in seconds since the run began, in the order of all columns."""
        return _joined([_seconds(table.intended) for table in self._tables.values()])

    def late(self) -> Floats:
        """Seconds by which each start was late."""
        return _joined(
            [_seconds(table.started) - _seconds(table.intended) for table in self._tables.values()]
        )

    def cut(self) -> Floats:
        """Seconds from the actual start after which the harness cut a row; nan where it did not."""
        found = []
        for table in self._tables.values():
            column = np.full(len(table.intended), math.nan)
            column[list(table.cut)] = list(table.cut.values())
            found.append(column)
        return _joined(found)

    def times(self, milestone: str) -> Floats:
        """Seconds from the actual start; +inf for a row that did not get there."""
        found = []
        for names, table in self._tables.items():
            rows = len(table.intended)
            if milestone in names:
                whole = np.frombuffer(table.times).reshape(rows, len(names))
                found.append(whole[:, names.index(milestone)])
            else:
                found.append(np.full(rows, math.inf))
        return _joined(found)


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
        ended = get("ended")
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
