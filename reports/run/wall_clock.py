"""The time of day at which something in a run happened, beside its seconds into the run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

#: The time zone of every time of day that a report shows.
ZONE = "UTC"


@dataclass(frozen=True, slots=True)
class WallClock:
    """When the run began, from which the nanoseconds of its rows count."""

    began: datetime

    def at(self, seconds: float, *, tenths: bool = False) -> str:
        """`12:03:20` (UTC), `11-28 00:03:20` where that is another day than the run began on;
        `12:03:20.5` with `tenths`. "–" for a moment that never came.
        """
        moment = self._moment(seconds)
        if moment is None:
            return "–"
        said = f"{moment:%H:%M:%S}"
        if tenths:
            said += f".{moment.microsecond // 100_000}"
        return said if moment.date() == self.began.date() else f"{moment:%m-%d} {said}"

    def instant(self, seconds: float) -> str | None:
        """The moment as ISO 8601 in UTC; None for one that never came."""
        moment = self._moment(seconds)
        if moment is None:
            return None
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _moment(self, seconds: float) -> datetime | None:
        if not math.isfinite(seconds):
            return None
        try:
            return self.began + timedelta(seconds=seconds)
        except OverflowError:
            return None


def wall_clock(run: Mapping[str, Any]) -> WallClock:
    """The clock of a run: `began` of run.json, or `created` where it has none: a check's exchanges
    count from there, within milliseconds.
    """
    began = datetime.fromisoformat(run.get("began") or run["created"])
    return WallClock(began.astimezone(UTC))
