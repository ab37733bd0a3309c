"""Times that are known by polling: a milestone came between two ends.

A job is asked again and again how it is. Of a milestone that an answer shows for the first time it
is known that it was not there when the last poll that lacked it was sent (the *low* end), and that
it was there when this answer was complete (the *high* end). A row has the high ends in
`milestones` and, where it was polled, the low ends in `milestones_low`; a milestone that has none
there is known exactly, as are all of a row without. No time between the two ends is ever taken
for the milestone's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # commands name what is here in their help, and start without numpy
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


def low_ends(row: Mapping[str, Any]) -> Mapping[str, float] | None:
    """The low ends of a row of exchanges.ndjson.gz by milestone, in seconds since its actual start;
    None if all of its times are exact. Raises ValueError at a low end that lies after its high one.
    """
    lows: Mapping[str, float] | None = row.get("milestones_low")
    if not lows:
        return None
    wide = False
    for name, high in row["milestones"].items():
        low = lows.get(name)
        if low is None or high is None:
            continue
        if low > high:
            raise ValueError(f"the low end of {name} lies after its high end")
        wide = wide or low < high
    return lows if wide else None


def watched(row: Mapping[str, Any], ended: float) -> float:
    """Seconds since the actual start for which a row that ended after `ended` is known to have
    lacked the milestones that it did not reach: of a polled one, until its last poll was sent.
    """
    polls = row.get("polls")
    if polls is None:
        return ended
    last = polls["last"]
    return 0.0 if last is None else min(ended, float(last))


@dataclass(slots=True)
class PollTally:
    """The polls of some rows: `exchanges` that were polled, how often they were (`polls`), and the
    `longest_gap` between two polls of one exchange, in seconds.
    """

    exchanges: int = 0
    polls: int = 0
    longest_gap: float = 0.0

    def add(self, polls: Mapping[str, Any]) -> None:
        """Take in `polls` of a row. Raises what one of another shape raises."""
        self.exchanges += 1
        self.polls += polls["count"]
        self.longest_gap = max(self.longest_gap, polls["longest_gap"] or 0.0)

    def merge(self, other: PollTally) -> None:
        """Take in what another one took in."""
        self.exchanges += other.exchanges
        self.polls += other.polls
        self.longest_gap = max(self.longest_gap, other.longest_gap)


@dataclass(frozen=True, slots=True)
class Resolution:
    """How well times by polling are known: of the milestones that came between two ends, how far
    these are apart, in seconds (`median`, `most`; nan if all are exact); and by how many `polls`
    of how many `exchanges`, at most `longest_gap` seconds apart.
    """

    median: float
    most: float
    polls: int
    exchanges: int
    longest_gap: float

    @property
    def widest(self) -> float:
        """How far two ends are apart at most, in seconds; 0 if all times are exact."""
        return 0.0 if math.isnan(self.most) else self.most

    @classmethod
    def of(cls, widths: Floats, tally: PollTally) -> Resolution | None:
        """From how far apart the ends are, 0 where they are one; None where nothing was polled."""
        import numpy as np

        wide = widths[widths > 0]
        if not len(wide) and not tally.exchanges:
            return None
        # The median as the quantiles have it: a value that occurred.
        median = float(np.sort(wide)[(len(wide) - 1) // 2]) if len(wide) else math.nan
        most = float(wide.max()) if len(wide) else math.nan
        return cls(median, most, tally.polls, tally.exchanges, tally.longest_gap)
