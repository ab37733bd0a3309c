"""What listeners would have met: the songs that were played while they were being made.

From `playback` of the rows of a load run with --probe-playback. Values in, values out.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from soundstage.reports.words import percent, plain, plural, seconds
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


class PlaybackTotals:
    """Takes in what was heard, a song at a time."""

    __slots__ = ("_first", "_never", "_reasons", "_stalled", "_stalls", "_whole")

    def __init__(self) -> None:
        self._never = self._whole = self._stalls = 0
        self._first, self._stalled = array("d"), array("d")
        self._reasons: Counter[str] = Counter()

    def add(self, playback: Mapping[str, Any]) -> None:
        """Take in `playback` of a row. Raises what one of another shape raises."""
        stalls = playback["stalls"]
        if stalls is None:
            self._never += 1
        else:
            self._stalls += stalls
            self._whole += not stalls
            self._stalled.append(playback["stalled_s"])
        if playback["first_byte_s"] is not None:
            self._first.append(playback["first_byte_s"])
        why = playback["reason"]
        if why and (why in self._reasons or len(self._reasons) < 100):
            self._reasons[why] += 1

    def merge(self, other: PlaybackTotals) -> None:
        """Take in what another one took in."""
        self._never += other._never
        self._whole += other._whole
        self._stalls += other._stalls
        self._first.extend(other._first)
        self._stalled.extend(other._stalled)
        for why, number in other._reasons.items():
            if why in self._reasons or len(self._reasons) < 100:
                self._reasons[why] += number

    def value(self) -> Playback:
        """What it comes to."""
        return Playback(
            probed=self._never + len(self._stalled),
            never=self._never,
            whole=self._whole,
            stalls=self._stalls,
            first_byte=_pair(self._first),
            stalled=_pair(self._stalled),
            reasons=tuple(self._reasons.most_common(_REASONS)),
        )


def _pair(times: array[float]) -> tuple[float, float]:
    if not times:
        return math.nan, math.nan
    values = np.array(times)
    return quantile(values, 0.5), quantile(values, 0.95)
