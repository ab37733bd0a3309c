"""Which stages have been seen, on which track, and what that leaves due.

The bookkeeping of a declarative process model (Declare: existence, precedence, absence): it needs
no enumeration of the ways in which tracks may interleave. A chunk that could not be understood is
a credit: it counts as whatever was due, so that one broken chunk gives one violation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from soundstage.contract.protocol import Protocol, Stage

Track = int | str | None


class Ledger:
    """The stages of one stream so far. Tracks are those of the contract, and any others that the
    API invents (`foreign`), which are followed by themselves.
    """

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._values: tuple[int | str, ...] = protocol.tracks.values if protocol.tracks else ()
        self._counts: Counter[tuple[str, Track]] = Counter()
        self._assumed: set[tuple[str, Track]] = set()
        self._nameless: Counter[str] = Counter()  # chunks of per-track stages without a track
        self._unknown = 0  # chunks of no known stage
        self._seen_tracks: set[Track] = set()
        self._ended: set[Track] = set()
        self._nameless_ends = 0
        self.ended = False

    def times(self, stage: Stage, track: Track) -> int:
        """How often the stage has been seen (on this track, if it counts by track)."""
        return self._counts[(stage.name, track if stage.per_track else None)]

    def track_ended(self, track: Track) -> bool:
        return track in self._ended

    def unmet(self, stage: Stage, track: Track) -> Iterator[tuple[str, ...]]:
        """The groups of `stage.after` of which nothing has come yet. Each is named once: it is
        taken for granted from then on.
        """
        for group in stage.after:
            if any(self._has(self._protocol.by_name[name], track) for name in group):
                continue
            first = self._protocol.by_name[group[0]]
            if not self._take_credit(first, track):
                self._assumed.add((first.name, track if first.per_track else None))
                yield group

    def see_unknown(self) -> None:
        """Count a chunk that belongs to no stage, or could not be read."""
        self._unknown += 1

    def see(self, stage: Stage, track: Track) -> None:
        """Count a chunk. `track` is None where the stage has none or the chunk does not say."""
        if track is not None:
            self._seen_tracks.add(track)
        if stage.per_track and track is None:
            self._nameless[stage.name] += 1
        else:
            self._counts[(stage.name, track if stage.per_track else None)] += 1
        if stage.ends == "stream":
            self.ended = True
        elif stage.ends == "track":
            if track is None:
                self._nameless_ends += 1
            else:
                self._ended.add(track)
            open_tracks = (self._seen_tracks & set(self._values)) - self._ended
            many = len(self._ended) + self._nameless_ends
            self.ended = many >= len(self._values) and len(open_tracks) <= self._nameless_ends

    def lost_tracks(self) -> list[int | str]:
        """The tracks that never showed although every track that did was brought to its end;
        empty where that does not explain why the stream has not ended.
        """
        open_tracks = (self._seen_tracks & set(self._values)) - self._ended
        if not self._ended or open_tracks or self._nameless_ends or self._unknown:
            return []
        return [value for value in self._values if value not in self._ended]

    def missing(self) -> Iterator[tuple[Stage, Track, int]]:
        """Stages that came less often than they must, with the track and how often they came."""
        tracks = [value for value in self._values if value in self._seen_tracks]
        for stage in self._protocol.stages:
            least = stage.times[0]
            for track in tracks if stage.per_track else [None]:
                while self._counts[(stage.name, track)] < least:
                    if not self._take_credit(stage, track):
                        yield stage, track, self._counts[(stage.name, track)]
                        break

    def due(self) -> list[str]:
        """What is still to come, in words: `uploading (track 2)`."""
        return [
            stage.name if track is None else f"{stage.name} (track {track})"
            for stage in sorted(self._protocol.stages, key=self._depth)
            for track in (self._values if stage.per_track else (None,))
            if self._counts[(stage.name, track)] < stage.times[0]
        ]

    def _depth(self, stage: Stage) -> int:
        """How many stages must come before this one, for an order that reads well."""
        before = [self._protocol.by_name[name] for group in stage.after for name in group]
        others = [each for each in before if each is not stage]
        return 1 + max(map(self._depth, others), default=0)

    def _has(self, stage: Stage, track: Track) -> bool:
        if not stage.per_track:
            key: tuple[str, Track] = (stage.name, None)
            return self._counts[key] > 0 or key in self._assumed
        if track is not None:
            return self._counts[(stage.name, track)] > 0 or (stage.name, track) in self._assumed
        return (
            self._nameless[stage.name] > 0
            or (stage.name, None) in self._assumed
            or any(count and name == stage.name for (name, _), count in self._counts.items())
        )

    def _take_credit(self, stage: Stage, track: Track) -> bool:
        if stage.per_track and self._nameless[stage.name]:
            self._nameless[stage.name] -= 1
        elif self._unknown:
            self._unknown -= 1
        else:
            return False
        self._counts[(stage.name, track if stage.per_track else None)] += 1
        return True
