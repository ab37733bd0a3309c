"""What players met in the rows of one endpoint, as columns of numbers (`columns`)."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from soundstage.results.listening.listened import is_continuous

#: At most so many tracks, lengths that were asked for, and reasons are told apart.
_MOST_TRACKS: Final = 20
_MOST_LENGTHS: Final = 50
_MOST_REASONS: Final = 100


class TrackColumns:
    """One track, over the songs that have it: of `heard`, whether there was a gap (`continuous`,
    `gapped`; of the others nobody knows), the first sound in seconds since the intended start
    (+inf: never), stalled seconds and the longest silence of those that played.
    """

    __slots__ = ("continuous", "gapped", "heard", "sound", "stalled", "stalls", "underrun")

    def __init__(self) -> None:
        self.heard = self.continuous = self.gapped = self.stalls = 0
        self.sound, self.stalled, self.underrun = array("d"), array("d"), array("d")

    def add(self, track: Mapping[str, Any], late: float) -> None:
        """Take in a track of a row that began `late` seconds after its intended start."""
        self.heard += 1
        continuous, sound = track["continuous"], track["sound_s"]
        self.continuous += continuous is True
        self.gapped += continuous is False
        if sound is not None:
            self.sound.append(sound + late)
        elif continuous is False:
            self.sound.append(math.inf)
        if track["stalls"] is not None:
            self.stalls += track["stalls"]
            self.stalled.append(track["stalled_s"])
            self.underrun.append(track["underrun_s"])

    def merge(self, other: TrackColumns) -> None:
        """Take in what another one took in."""
        self.heard += other.heard
        self.continuous += other.continuous
        self.gapped += other.gapped
        self.stalls += other.stalls
        for name in ("sound", "stalled", "underrun"):
            getattr(self, name).extend(getattr(other, name))


class PlaybackColumns:
    """Of `songs` that were read `probed` could be played while they were made: whether each was
    heard without a gap (`continuous`, `gapped`; of the others nobody knows). `tracks` by name.
    `factors`: generation time over length, in playing time, by the length asked for (None: the
    request does not say). `audio_s`: seconds of music of the tracks that came to their end, of
    songs that were made between `since` and `until`, in seconds since the run began. `reasons` of
    what was not heard, or not to its end.
    """

    __slots__ = (
        "audio_s", "continuous", "factors", "gapped", "probed", "reasons", "since", "songs",
        "tracks", "until",
    )  # fmt: skip

    def __init__(self) -> None:
        self.songs = self.probed = self.continuous = self.gapped = 0
        self.audio_s = 0.0
        self.since, self.until = math.inf, 0.0
        self.tracks: dict[str, TrackColumns] = {}
        self.factors: dict[float | None, array[float]] = {}
        self.reasons: Counter[str] = Counter()

    def add(self, row: Mapping[str, Any]) -> None:
        """Take in a row that has `playback`. Raises what one of another shape raises."""
        playback = row["playback"]
        self.songs += 1
        if streamed := playback.get("streamed", True):
            self.probed += 1
            whole = is_continuous(row)
            self.continuous += whole is True
            self.gapped += whole is False
        started = row["started_ns"] / 1e9
        self.since = min(self.since, started)
        self.until = max(self.until, started + (row.get("ended") or 0.0))
        late = (row["started_ns"] - row["intended_ns"]) / 1e9
        for name, track in tracks_of(playback):
            if streamed and (name in self.tracks or len(self.tracks) < _MOST_TRACKS):
                self.tracks.setdefault(name, TrackColumns()).add(track, late)
            why = track["reason"]
            if why and (why in self.reasons or len(self.reasons) < _MOST_REASONS):
                self.reasons[why] += 1
            if why or not track["played_s"]:
                continue
            self.audio_s += track["played_s"]
            if (made := track.get("made_s")) is not None:
                asked = playback.get("asked_s")
                asked = asked if isinstance(asked, int | float) else None
                if asked in self.factors or len(self.factors) < _MOST_LENGTHS:
                    factor = (made + late) * playback["pace"] / track["played_s"]
                    self.factors.setdefault(asked, array("d")).append(factor)

    def merge(self, other: PlaybackColumns) -> None:
        """Take in what another one took in."""
        self.songs += other.songs
        self.probed += other.probed
        self.continuous += other.continuous
        self.gapped += other.gapped
        self.audio_s += other.audio_s
        self.since = min(self.since, other.since)
        self.until = max(self.until, other.until)
        for name, track in other.tracks.items():
            self.tracks.setdefault(name, TrackColumns()).merge(track)
        for asked, factors in other.factors.items():
            self.factors.setdefault(asked, array("d")).extend(factors)
        self.reasons += other.reasons


def tracks_of(playback: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each track that was heard. Of a bundle of before there is but one, of which less is known."""
    if "tracks" in playback:
        yield from playback["tracks"].items()
        return
    before = dict(playback)
    stalls = before["stalls"]
    yield (
        "1",
        {
            **before,
            "continuous": stalls == 0,
            "sound_s": None,
            "underrun_s": before["stalled_s"] if stalls == 1 else 0.0,
            "reason": before["reason"],
        },
    )
