"""Takes the rows of a run in, so that a million of them fit and none needs to be held.

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
from soundstage.process.signals import deaf_children
from soundstage.reports.run.columns import Columns, RunColumns, count
from soundstage.results.bundle import Bundle

#: More different endpoints than any contract has.
ENDPOINTS_LIMIT = 1_000
#: No path of a transcript in a bundle is longer.
_PLACE_LIMIT = 200


class Intake:
    """What is kept of rows: `columns` by (api, endpoint), those of the `whole` run, violations by
    code and in how many exchanges, and the transcripts (`places`) of the exchanges in `wanted`.
    """

    def __init__(self, wanted: Collection[str] = ()) -> None:
        self.columns: dict[tuple[str, str], Columns] = {}
        self.whole = RunColumns()
        self.violations: Counter[str] = Counter()
        self.exchanges_with: Counter[str] = Counter()
        self.places: dict[str, str] = {}
        self.total = 0
        self._wanted = wanted

    def take(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take rows in, in their order. Raises UsageError at one of another format."""
        columns, whole, wanted = self.columns, self.whole, self._wanted
        for row in rows:
            self.total += 1
            try:
                key = (row["api"], row["endpoint"])
                group = columns.get(key)
                if group is None:
                    if len(columns) >= ENDPOINTS_LIMIT:
                        raise ValueError(f"more than {ENDPOINTS_LIMIT:,} endpoints")
                    group = columns[key] = Columns()
                group.add(row)
                whole.add(row)
                if codes := row["codes"]:
                    for code, number in codes.items():
                        count(self.violations, code, number)
                        count(self.exchanges_with, code)
                place = row.get("transcript")
                if place is not None and row.get("id") in wanted:
                    self.places[row["id"]] = place[:_PLACE_LIMIT]
            except (
                AttributeError,
                IndexError,
                KeyError,
                OverflowError,
                TypeError,
                ValueError,
            ) as error:
                name = str(row.get("id", f"number {self.total}"))[:100]
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
        self.total += other.total


def take_in(bundle: Bundle, wanted: Collection[str] = ()) -> Intake:
    """All rows of a bundle. Raises UsageError at a damaged one."""
    middle = bundle.middle() if (os.cpu_count() or 1) > 1 else None
    if middle is None:
        return _part(bundle, wanted, 0, None)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        with deaf_children():
            other = pool.submit(_later, bundle.path, wanted, middle)
        try:
            intake = _part(bundle, wanted, 0, middle)
            later, torn = other.result()
        except (UsageError, BrokenExecutor):
            other.cancel()
            # Read in one go a fault is found again, its place counted from the beginning.
            return _part(bundle, wanted, 0, None)
    intake.merge(later)
    if torn:
        bundle.tear()
    return intake


def _later(path: Path, wanted: Collection[str], begin: int) -> tuple[Intake, bool]:
    gc.disable()  # rows have no cycles, and this process reads nothing else
    bundle = Bundle.open(path)
    return _part(bundle, wanted, begin, None), bundle.torn > 0


def _part(bundle: Bundle, wanted: Collection[str], begin: int, end: int | None) -> Intake:
    intake = Intake(wanted)
    intake.take(bundle.exchanges(begin, end))
    return intake
