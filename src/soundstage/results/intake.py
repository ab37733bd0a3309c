"""Takes the rows of a bundle in as columns, so that a million of them fit and none is held.

A large bundle is taken in by two processes, a half each: reading a row costs more than all that is
worked out from it.
"""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from soundstage.errors import UsageError
from soundstage.output.cutting import head
from soundstage.process.signals import deaf_children
from soundstage.results.arrivals.exchange_sample import SAMPLE
from soundstage.results.bundle import Bundle
from soundstage.results.columns import Columns, RunColumns, count
from soundstage.results.row_facts import lateness

#: More different endpoints than any contract has.
ENDPOINTS_LIMIT = 1_000
#: No path of a transcript in a bundle is longer.
_PLACE_LIMIT = 200


class Intake:
    """What is kept of rows: `columns` by (api, endpoint), those of the `whole` run, violations by
    code and in how many exchanges, and of the exchanges in `wanted` the transcripts (`places`) and
    by how many seconds each was sent later than it was due (`late`). `sample` and `times_only` are
    as in `Columns`; the latter leaves `whole` empty as well.
    """

    def __init__(
        self, wanted: Collection[str] = (), sample: int = SAMPLE, *, times_only: bool = False
    ) -> None:
        self.columns: dict[tuple[str, str], Columns] = {}
        self.whole = RunColumns()
        self.violations: Counter[str] = Counter()
        self.exchanges_with: Counter[str] = Counter()
        self.places: dict[str, str] = {}
        self.late: dict[str, float] = {}
        self.total = 0
        self._wanted, self._sample, self._times_only = wanted, sample, times_only

    def take(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take rows in, in their order. Raises UsageError at one of another format."""
        columns, whole, wanted = self.columns, self.whole, self._wanted
        times_only = self._times_only
        for row in rows:
            self.total += 1
            try:
                key = (row["api"], row["endpoint"])
                group = columns.get(key)
                if group is None:
                    if len(columns) >= ENDPOINTS_LIMIT:
                        raise ValueError(f"more than {ENDPOINTS_LIMIT:,} endpoints")
                    group = columns[key] = Columns(self._sample, times_only=self._times_only)
                group.add(row)
                if not times_only:
                    whole.add(row)
                if codes := row["codes"]:
                    for code, number in codes.items():
                        count(self.violations, code, number)
                        count(self.exchanges_with, code)
                place = row.get("transcript")
                if place is not None and row.get("id") in wanted:
                    self.places[row["id"]] = place[:_PLACE_LIMIT]
                    self.late[row["id"]] = lateness(row)
            except (
                AttributeError,
                IndexError,
                KeyError,
                OverflowError,
                TypeError,
                ValueError,
            ) as error:
                name = head(str(row.get("id", f"number {self.total}")), 100)
                raise UsageError(f"exchange {name}: not a row of format 1: {error!r}") from error

    def merge(self, other: Intake) -> None:
        """Take in the rows that came after these, which another one took in."""
        for key, columns in other.columns.items():
            if key in self.columns:
                self.columns[key].merge(columns)
            else:
                self.columns[key] = columns
        self.whole.merge(other.whole)
        for code, number in other.violations.items():
            count(self.violations, code, number)
            count(self.exchanges_with, code, other.exchanges_with[code])
        self.places |= other.places
        self.late |= other.late
        self.total += other.total


def take_in(
    bundle: Bundle,
    wanted: Collection[str] = (),
    sample: int = SAMPLE,
    *,
    times_only: bool = False,
) -> Intake:
    """All rows of a bundle; the rest as in `Intake`. Raises UsageError at a damaged one."""

    def empty() -> Intake:
        return Intake(wanted, sample, times_only=times_only)

    def in_one_go() -> Intake:
        intake = empty()
        intake.take(bundle.exchanges())
        return intake

    middle = bundle.middle() if (os.cpu_count() or 1) > 1 else None
    if middle is None:
        return in_one_go()
    intake = empty()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        with deaf_children():
            other = pool.submit(_later, bundle.path, empty(), middle)
        try:
            intake.take(bundle.exchanges(0, middle))
            later, torn = other.result()
        except (UsageError, BrokenExecutor):
            other.cancel()
            # Read in one go a fault is found again, its place counted from the beginning.
            return in_one_go()
    intake.merge(later)
    if torn:
        bundle.tear()
    return intake


def _later(path: Path, intake: Intake, begin: int) -> tuple[Intake, bool]:
    gc.disable()  # rows have no cycles, and this process reads nothing else
    bundle = Bundle.open(path)
    intake.take(bundle.exchanges(begin, None))
    return intake, bundle.torn > 0
