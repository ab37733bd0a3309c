"""What listeners would have met: the songs that were played while they were being made.

From `playback` of the rows of a load run with --probe-playback. Values in, values out.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass

import numpy as np

from soundstage.reports.words import percent, plain, plural, seconds
from soundstage.results.columns import PlaybackColumns
from soundstage.results.quantiles import quantile

#: Reasons for which a song did not play, or not to its end, that are told apart.
_REASONS = 8


@dataclass(frozen=True, slots=True)
class Playback:
    """Of `probed` songs `never` began to play, and `whole` played without running dry. Times are
    seconds, p50 and p95: to the first byte of the file, and of silence in the songs that played.
    """

    probed: int
    never: int
    whole: int
    stalls: int
    first_byte: tuple[float, float]
    stalled: tuple[float, float]
    reasons: tuple[tuple[str, int], ...]

    @property
    def words(self) -> str:
        """All of it in a line."""
        played = self.probed - self.never
        share = percent(self.whole, self.probed)
        said = [f"{share} of {plural(self.probed, 'song')} played without a stall"]
        if self.never:
            said.append(f"{self.never:,} never played")
        if played:
            said.append(f"{plural(self.stalls, 'stall')} in {plural(played, 'song')}")
            said.append("silent p50 {}, p95 {}".format(*map(seconds, self.stalled)))
        if not math.isnan(self.first_byte[0]):
            said.append("first byte p50 {}, p95 {}".format(*map(seconds, self.first_byte)))
        said.extend(f"{plain(why, 120)} ({number:,})" for why, number in self.reasons)
        return "; ".join(said)


def playback(heard: PlaybackColumns) -> Playback:
    """What all that was heard comes to."""
    return Playback(
        probed=heard.never + len(heard.stalled),
        never=heard.never,
        whole=heard.whole,
        stalls=heard.stalls,
        first_byte=_pair(heard.first_byte),
        stalled=_pair(heard.stalled),
        reasons=tuple(heard.reasons.most_common(_REASONS)),
    )


def _pair(times: array[float]) -> tuple[float, float]:
    if not times:
        return math.nan, math.nan
    values = np.array(times)
    return quantile(values, 0.5), quantile(values, 0.95)
