"""What a row of exchanges.ndjson.gz says: how late it began, when it reached its milestones, and
what objectives ask of it. `columns` says the same of all rows of a bundle at once.

What failed or timed out did not get there, however early. What the harness itself cut short
(outcomes `censored` and `cut`) is not known: None.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from soundstage.results.listening.listened import BY_LISTENING
from soundstage.results.polling import watched
from soundstage.results.slo import OK, OUTCOMES, VIOLATION, Within

_UNKNOWN = ("censored", "cut")
_VIOLATES = "violates"


def lateness(row: Mapping[str, Any]) -> float:
    """Seconds by which an exchange began after its intended start."""
    return float((row["started_ns"] - row["intended_ns"]) / 1e9)


def since_intended(row: Mapping[str, Any], milestone: str) -> float | None:
    """Seconds from the *intended* start to a milestone, None if it was not reached: TTC is that of
    `complete`. A row's own offsets count from the actual start; to leave out how late that was
    would flatter a target that kept its clients waiting (Tene's coordinated omission). Of a time
    that is known by polling it is the high end (`polling`).
    """
    seconds: float | None = row["milestones"].get(milestone)
    return None if seconds is None else seconds + lateness(row)


def earliest_since_intended(row: Mapping[str, Any], milestone: str) -> float | None:
    """The low end of the same: when it may have been reached at the earliest."""
    seconds: float | None = row["milestones"].get(milestone)
    if seconds is None:
        return None
    lows = row.get("milestones_low")
    low = lows.get(milestone) if lows else None
    return (seconds if low is None else min(low, seconds)) + lateness(row)


def time_of(row: Mapping[str, Any], within: Within) -> tuple[float | None, float]:
    """(seconds from the intended start, 0), +inf if it never got there; (None, seconds that it
    was watched without getting there) if the harness cut it short. The seconds are the high end.
    """
    seconds = since_intended(row, within.milestone)
    if seconds is not None:
        return seconds, 0.0
    if within.milestone in BY_LISTENING and within.milestone not in row["milestones"]:
        return None, 0.0  # nobody listened, or it could not be heard here
    if row["outcome"] in _UNKNOWN:
        return None, watched(row, row.get("ended") or 0.0) + lateness(row)
    return math.inf, 0.0


def straddles(within: Within, row: Mapping[str, Any]) -> bool:
    """Whether its bound lies between the two ends of a row's time, so that polling cannot tell; or,
    of a time that a buffer made, whether it is not too late in any case.
    """
    low, high = (f(row, within.milestone) for f in (earliest_since_intended, since_intended))
    if low is None or high is None or not within.holds(low):
        return False
    return is_held_back(row, within.milestone) or not within.holds(high)


def is_held_back(row: Mapping[str, Any], milestone: str) -> bool:
    """Whether the time of a milestone is that of a buffer (`held_streams`)."""
    return "held_back" in row and milestone in (row.get("milestones_low") or ())


def is_within(within: Within, row: Mapping[str, Any]) -> bool | None:
    """Whether a row reached its milestone in time; None where nobody can know: it was cut short,
    polling cannot tell, or its chunks were held back.
    """
    time, waited = time_of(row, within)
    if time is None:
        return None if within.holds(waited) else False
    return None if straddles(within, row) else within.holds(time)


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
