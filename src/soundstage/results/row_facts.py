"""What a row of exchanges.ndjson.gz says: how late it began, when it reached its milestones, and
what objectives ask of it. `columns` says the same of all rows of a bundle at once.

What failed or timed out did not get there, however early. What the harness itself cut short
(outcomes `censored` and `cut`) is not known: None.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from soundstage.results.slo import OK, OUTCOMES, VIOLATION, Within

_UNKNOWN = ("censored", "cut")
_VIOLATES = "violates"


def lateness(row: Mapping[str, Any]) -> float:
    """Seconds by which an exchange began after its intended start."""
    return float((row["started_ns"] - row["intended_ns"]) / 1e9)


def since_intended(row: Mapping[str, Any], milestone: str) -> float | None:
    """Seconds from the *intended* start to a milestone, None if it was not reached: TTSR is that of
    `streaming_ready`, TTC that of `complete`. A row's own offsets count from the actual start; to
    leave out how late that was would flatter a target that kept its clients waiting (Tene's
    coordinated omission).
    """
    seconds: float | None = row["milestones"].get(milestone)
    return None if seconds is None else seconds + lateness(row)


def time_of(row: Mapping[str, Any], within: Within) -> tuple[float | None, float]:
    """(seconds from the intended start, 0), +inf if it never got there; (None, seconds that it
    was watched without getting there) if the harness cut it short.
    """
    seconds = since_intended(row, within.milestone)
    if seconds is not None:
        return seconds, 0.0
    if row["outcome"] in _UNKNOWN:
        return None, (row.get("ended") or 0.0) + lateness(row)
    return math.inf, 0.0


def is_within(within: Within, row: Mapping[str, Any]) -> bool | None:
    """Whether a row reached its milestone in time."""
    time, watched = time_of(row, within)
    if time is not None:
        return within.holds(time)
    return None if within.holds(watched) else False


def is_free_of(what: str, row: Mapping[str, Any]) -> bool | None:
    """Whether a row is free of what a rate counts (for "ok": whether it is ok)."""
    outcome = row["outcome"]
    if what == VIOLATION:
        if row["verdict"] == _VIOLATES:
            return False
        return None if outcome in _UNKNOWN else True
    if outcome in _UNKNOWN:
        return None
    if what in OUTCOMES:
        return bool(outcome != what)
    return bool(outcome == OK)


def errors_of(row: Mapping[str, Any], code: str) -> int:
    """How many violations of severity error a row has: all, or those of a code or its group."""
    errors: Mapping[str, int] = row.get("errors") or {}
    if not code:
        return sum(errors.values())
    return sum(many for name, many in errors.items() if f"{name}.".startswith(f"{code}."))
