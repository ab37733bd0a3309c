"""Takes the rows of a bundle in as columns, so that a million of them fit and none is held.

A large bundle is taken in by several processes, in parts: reading a row costs more than all that is
worked out from it.
"""

from __future__ import annotations

import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from soundstage.errors import UsageError
from soundstage.output.cutting import head
from soundstage.process.rubbish import uncollected
from soundstage.process.signals import deaf_children
from soundstage.results.arrivals.exchange_sample import SAMPLE
from soundstage.results.bundle import ROW_LIMIT, Bundle
from soundstage.results.columns import Columns, RunColumns, count
from soundstage.results.row_facts import lateness

#: More different endpoints than any contract has.
ENDPOINTS_LIMIT = 1_000
#: No path of a transcript in a bundle is longer.
_PLACE_LIMIT = 200
#: More processes would not be faster: this one has to put together what they took in. Each needs
#: some 60 MB.
_MOST_PROCESSES = 4

_Part = tuple[int, int | None]


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

    empty = partial(Intake, wanted, sample, times_only=times_only)

    def in_one_go() -> Intake:
        intake = empty()
        with uncollected():
            intake.take(bundle.exchanges())
        return intake

    places = bundle.places()
    processes = min(_usable_cores(), _MOST_PROCESSES, len(places) // 2)
    if processes < 2:
        return in_one_go()
    try:
        parts: list[_Part] = [*zip(places, [*places[1:], None], strict=True)]
        # A part keeps its share of the sample, four times over since parts differ; and enough of an
        # endpoint that is asked in one part alone.
        share = max(-(-4 * sample // len(parts)), sample // 8)
        part = partial(Intake, wanted, share, times_only=times_only)
        return _shared(bundle, parts, empty(), part, processes - 1)
    except (UsageError, BrokenExecutor):
        # Read in one go a fault is found again, its place counted from the beginning.
        return in_one_go()


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _shared(
    bundle: Bundle,
    parts: Sequence[_Part],
    intake: Intake,
    empty: Callable[[], Intake],
    helpers: int,
) -> Intake:
    """All rows in `intake`, taken in by this process from the first part on, and by `helpers`
    others from the last part on, until they meet: whoever begins later, or is slower, has less to
    do. Each part is taken into an intake of its own (`empty`), so that the result does not depend
    on who took it. Raises UsageError at damaged rows, and BrokenExecutor.
    """
    left = deque(enumerate(parts))
    lock = threading.Lock()
    handed_out: dict[int, Future[tuple[Intake, bool]]] = {}

    def hand_out(_: object = None) -> None:
        """One part more for a process that has nothing to do."""
        with lock:
            if not left:
                return
            number, part = left[-1]
            try:
                handed = pool.submit(_taken, bundle.path, empty(), part)
            except RuntimeError:  # no process is left: what remains is read here
                return
            left.pop()
            handed_out[number] = handed
        handed.add_done_callback(hand_out)

    torn = False
    with ProcessPoolExecutor(helpers, mp_context=get_context("spawn")) as pool:
        try:
            with deaf_children():
                for _ in range(helpers):
                    hand_out()
            while not torn:
                with lock:
                    if not left:
                        break
                    _, part = left.popleft()
                taken, torn = _taken(bundle.path, empty(), part)
                intake.merge(taken)
        finally:
            with lock:
                left.clear()
        for number in sorted(handed_out):
            if torn:
                raise UsageError("a row that ends within the file")
            taken, torn = handed_out.pop(number).result()
            intake.merge(taken)
    if intake.total > ROW_LIMIT:
        raise UsageError(f"more than {ROW_LIMIT:,} rows")
    if torn:
        bundle.tear()
    return intake


def _taken(path: Path, intake: Intake, part: _Part) -> tuple[Intake, bool]:
    """A part, taken in, and whether it ended in the middle of a row."""
    bundle = Bundle(path, {})  # nobody asks it for the run
    with uncollected():
        intake.take(bundle.part(*part))
    return intake, bundle.torn > 0
