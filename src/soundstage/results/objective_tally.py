"""The rows that one objective is about, counted as they come; `verdicts` says what they show."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from soundstage.results.listening.listened import is_continuous
from soundstage.results.row_facts import (
    earliest_since_intended,
    errors_of,
    is_free_of,
    is_held_back,
    is_within,
    since_intended,
    straddles,
    time_of,
)
from soundstage.results.slo import ERROR, NO_VIOLATION, OK, VIOLATION, Objective, Slo


@dataclass(slots=True)
class ObjectiveTally:
    """The rows that one objective is about, as they come: `n` of them, of which `good` did well
    and `unknown` may have. Of the latter, of `unresolved` the bound lies between the two ends of a
    time that is known by polling, or (`held_back`) that a buffer made; the others were cut short.
    `times` are those of a quantile, in
    seconds from the intended start: +inf where it was never reached, those that were cut left out;
    `lows` their low ends, None while all are exact, and `widest` how far two ends are apart at
    most. `events` are violations.
    """

    objective: Objective
    n: int = 0
    good: int = 0
    unknown: int = 0
    events: int = 0
    times: array[float] = field(default_factory=lambda: array("d"))
    unheard: bool = False
    unresolved: int = 0
    lows: array[float] | None = None
    widest: float = 0.0
    held_back: int = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Count a row of exchanges.ndjson.gz that is neither warm-up, probe nor dropped."""
        slo = self.objective.slo
        self.n += 1
        if slo.kind == "count":
            self.events += errors_of(row, slo.what)
            return
        did_well = self._did_well(slo, row)
        if did_well is not None:
            self.good += did_well
            return
        self.unheard = self.unheard or (slo.by_listening and row["outcome"] == OK)
        self.unknown += 1
        if "milestones_low" in row:
            self.unresolved += any(straddles(within, row) for within in slo.within)
            self.held_back += any(is_held_back(row, within.milestone) for within in slo.within)

    @property
    def cut(self) -> int:
        """Of how many nobody knows, as the harness cut them short."""
        return self.unknown - self.unresolved

    def _did_well(self, slo: Slo, row: Mapping[str, Any]) -> bool | None:
        """Whether a row counts as good; None: nobody can know."""
        if "milestones_low" in row:
            self._measure(slo, row)
        if slo.kind == "quantile":
            time, limit = time_of(row, slo.within[0])
            if time is None:
                return self._late_already(limit)
            self._keep(time, row)
            return is_within(slo.within[0], row)
        if slo.kind == "rate":
            return is_free_of(slo.what, row)
        answers = [is_within(within, row) for within in slo.within]
        answers += [self._word(word, row) for word in slo.words]
        if False in answers:
            return False
        return None if None in answers else True

    def _late_already(self, elapsed: float) -> bool | None:
        """What is known of one that was cut after `elapsed` seconds without getting there."""
        if self.objective.slo.within[0].holds(elapsed):
            return None
        self._keep(math.inf, {})
        return False

    def _keep(self, time: float, row: Mapping[str, Any]) -> None:
        """Keep a time of a quantile, and its low end where any has one of its own."""
        low: float | None = time
        if "milestones_low" in row:
            low = earliest_since_intended(row, self.objective.slo.within[0].milestone)
        low = time if low is None else low
        if self.lows is None and low < time:
            self.lows = array("d", self.times)
        if self.lows is not None:
            self.lows.append(low)
        self.times.append(time)

    def _measure(self, slo: Slo, row: Mapping[str, Any]) -> None:
        for within in slo.within:
            low = earliest_since_intended(row, within.milestone)
            high = since_intended(row, within.milestone)
            if low is not None and high is not None:
                self.widest = max(self.widest, high - low)

    def _word(self, word: str, row: Mapping[str, Any]) -> bool | None:
        if word == OK:
            return is_free_of(ERROR, row)
        if word == NO_VIOLATION:
            return is_free_of(VIOLATION, row)
        return is_continuous(row)
