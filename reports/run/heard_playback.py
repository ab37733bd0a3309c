"""What listeners would have met: the songs that were played while they were being made.

From `playback` of the rows of a load run with --probe-playback. Values in, values out.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from soundstage.reports.words import percent, plain, plural, seconds
from soundstage.results.listening.playback_columns import PlaybackColumns, TrackColumns
from soundstage.results.quantiles import quantile, rate_interval, tells

#: Reasons for which a song was not heard to its end that are told apart.
_REASONS = 8
_ORDERS = (0.5, 0.95)
#: In place of a figure that there is not: nobody heard anything, or too little.
NONE = "–"


@dataclass(frozen=True, slots=True)
class Spread:
    """p50 and p95 of some values, and the largest; nan of none."""

    n: int
    p50: float
    p95: float
    most: float

    @classmethod
    def of(cls, values: array[float]) -> Spread:
        """What these values come to."""
        if not values:
            return cls(0, math.nan, math.nan, math.nan)
        each = np.frombuffer(values)
        middle, slow = (quantile(each, order) for order in _ORDERS)
        return cls(len(each), middle, slow, float(each.max()))

    @property
    def cells(self) -> tuple[str, str, str]:
        """The three as seconds in words; a dash for what so few values do not tell."""
        return self._said(seconds)

    @property
    def factors(self) -> tuple[str, str, str]:
        """The three as factors in words."""
        return self._said(lambda value: f"{value:.3g}")

    def _said(self, show: Callable[[float], str]) -> tuple[str, str, str]:
        if not self.n:
            return NONE, NONE, NONE
        p95 = show(self.p95) if tells(_ORDERS[1], self.n) else NONE
        return show(self.p50), p95, show(self.most)


@dataclass(frozen=True, slots=True)
class Continuity:
    """Of `heard` songs, or tracks, `continuous` came without a gap, `gapped` did not; of the others
    nobody knows.
    """

    heard: int
    continuous: int
    gapped: int

    @property
    def unknown(self) -> int:
        return self.heard - self.continuous - self.gapped

    @property
    def share(self) -> float:
        """Of all; what nobody knows does not count as continuous."""
        return self.continuous / self.heard if self.heard else math.nan

    @property
    def bounds(self) -> tuple[float, float]:
        """The 95% interval of the share, whatever became of those that nobody knows."""
        low = rate_interval(self.continuous, self.heard)[0]
        return low, rate_interval(self.continuous + self.unknown, self.heard)[1]

    @property
    def words(self) -> str:
        """`95% of 20 songs without a gap (75% to 99.9%)`"""
        low, high = self.bounds
        said = f"{percent(self.continuous, self.heard)} of {plural(self.heard, 'song')}"
        unknown = f", {self.unknown:,} not known" if self.unknown else ""
        return f"{said} without a gap ({100 * low:.3g}% to {100 * high:.3g}%{unknown})"


@dataclass(frozen=True, slots=True)
class TrackPlayback:
    """One track: the first sound since the intended start, silence in all and the longest one of
    those that played.
    """

    name: str
    continuity: Continuity
    sound: Spread
    stalled: Spread
    underrun: Spread
    stalls: int


@dataclass(frozen=True, slots=True)
class Playback:
    """What the songs of an endpoint come to. `factors`: real-time factors by the length that was
    asked for (None: no request says). `audio_rate`: seconds of music that were made in a second of
    load, nan where nobody knows; `of_share`: reckoned from the songs that were listened to.
    """

    continuity: Continuity
    tracks: tuple[TrackPlayback, ...]
    factors: tuple[tuple[float | None, Spread], ...]
    audio_rate: float
    of_share: bool
    reasons: tuple[tuple[str, int], ...]

    @property
    def words(self) -> str:
        """All of it in a line."""
        said = [self.continuity.words] if self.continuity.heard else []
        for track in self.tracks:
            stalled, longest = track.stalled.cells, track.underrun.cells[2]
            sound = track.sound.cells[0]
            said.append(
                f"track {plain(track.name, 20)}: first sound p50 {sound}, "
                f"silent p50 {stalled[0]}, longest gap {longest}"
            )
        for asked, factor in self.factors:
            said.append(f"real-time factor p50 {factor.factors[0]}{length_words(asked)}")
        if not math.isnan(self.audio_rate):
            said.append(self.rate_words)
        said.extend(f"{plain(why, 120)} ({number:,})" for why, number in self.reasons)
        return "; ".join(said)

    @property
    def rate_words(self) -> str:
        """`12.3 s of music made a second`"""
        return f"{'≈ ' if self.of_share else ''}{self.audio_rate:.3g} s of music made a second"


def length_words(asked: float | None) -> str:
    """` of 30 s asked for`; nothing where nobody asked for a length."""
    return "" if asked is None else f" of {asked:g} s asked for"


def playback(heard: PlaybackColumns, measured: int) -> Playback:
    """What all that was heard comes to, of so many songs that were measured."""
    lasted = heard.until - heard.since
    rate = heard.audio_s / lasted if heard.audio_s and lasted > 0 else math.nan
    lengths = sorted(heard.factors, key=lambda asked: math.inf if asked is None else asked)
    return Playback(
        continuity=Continuity(heard.probed, heard.continuous, heard.gapped),
        tracks=tuple(_track(name, heard.tracks[name]) for name in sorted(heard.tracks)),
        factors=tuple((asked, Spread.of(heard.factors[asked])) for asked in lengths),
        audio_rate=rate * measured / heard.songs,
        of_share=measured > heard.songs,
        reasons=tuple(heard.reasons.most_common(_REASONS)),
    )


def _track(name: str, of: TrackColumns) -> TrackPlayback:
    return TrackPlayback(
        name,
        Continuity(of.heard, of.continuous, of.gapped),
        Spread.of(of.sound),
        Spread.of(of.stalled),
        Spread.of(of.underrun),
        of.stalls,
    )
