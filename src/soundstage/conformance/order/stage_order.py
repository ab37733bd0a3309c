"""Which stages have been seen, on which track, and what that leaves due.

The bookkeeping of a declarative process model (Declare: existence, precedence, absence): it needs
no enumeration of the ways in which tracks may interleave. A chunk that was not what it should have
been is a credit: it counts as whatever was due, so that one broken chunk gives one violation.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

from soundstage.contract.protocol import MOST_TRACKS, Protocol, Stage

Track = int | str | None
_Key = tuple[str, Track]
EMPTY: frozenset[Any] = frozenset()
_NOTHING: tuple[tuple[str, ...], ...] = ()
_ENDINGS = {1: "st", 2: "nd", 3: "rd"}


def nth(number: int) -> str:
    """`1st`, `2nd`, `11th`."""
    tens, ones = divmod(number % 100, 10)
    return f"{number:,}{'th' if tens == 1 else _ENDINGS.get(ones, 'th')}"


class StageOrder:
    """The stages of one stream so far.

    Tracks are those of the contract. A chunk of a per-track stage that names none of them, or one
    that it cannot be of (out of order, too often), is a credit for the stage on any track.
    """

    # Thousands of streams are judged at once, so they are to be small. For the same reason, sets
    # that change rarely or never are frozen ones: all that are empty are one object.
    __slots__ = (
        "_assumed",
        "_by_tracks",
        "_counts",
        "_credited_ends",
        "_credits",
        "_ended",
        "_growing",
        "_kept",
        "_seen_tracks",
        "_unknown",
        "doubtful",
        "ended",
        "may_close",
        "protocol",
        "settled",
        "tracks",
    )

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        tracks = protocol.tracks
        #: The tracks that there are, as far as it is known.
        self.tracks: tuple[int | str, ...] = tracks.values if tracks else ()
        self._growing = tracks is not None and not tracks.fixed
        #: Whether the ends of all tracks end the stream, since nothing else does.
        self._by_tracks = protocol.by_tracks
        #: Whether a stage has come after which the server may close.
        self.may_close = False
        self._counts: dict[_Key, int] = {}
        self._kept: set[_Key] = set()  # whose `after` is met, for good
        #: Stages that may come any number of times from now on, unless any is `doubtful`.
        self.settled: frozenset[str] = EMPTY
        self._assumed: frozenset[_Key] = EMPTY
        self._credits: dict[str, int] = {}  # chunks of per-track stages, for any track
        self._unknown = 0  # chunks of no known stage
        self._seen_tracks: frozenset[Track] = EMPTY
        self._ended: frozenset[Track] = EMPTY
        self._credited_ends = 0
        #: The tracks (None: the stream) that a chunk of no known stage may have ended.
        self.doubtful: frozenset[Track] = EMPTY
        self.ended = False

    def copy(self) -> StageOrder:
        """The same, to go on from apart."""
        new = StageOrder.__new__(StageOrder)
        for name in StageOrder.__slots__:
            setattr(new, name, getattr(self, name))
        new._counts, new._kept = dict(self._counts), set(self._kept)
        new._credits = dict(self._credits)
        return new

    def content(self) -> Hashable:
        """What tells it from others of the same protocol in which no chunk was a slip."""
        return (
            frozenset(self._counts.items()),
            frozenset(self._kept),
            self.settled,
            self.tracks,
            self._seen_tracks,
            self._ended,
            self.may_close,
            self.ended,
        )

    @property
    def size(self) -> int:
        """How much there is to remember: stages that have come, each on each track, and tracks."""
        return len(self._counts) + len(self._kept) + len(self.tracks)

    def times(self, stage: Stage, track: Track) -> int:
        """How often the stage has been seen (on this track, if it counts by track)."""
        return self._counts.get((stage.name, track if stage.per_track else None), 0)

    def on_all_tracks(self, stage: Stage) -> bool:
        """Whether the stage has been seen on every track there is (if it counts by track)."""
        if stage.per_track:
            for value in self.tracks:  # (`all` takes twice the time, and most chunks ask)
                if (stage.name, value) not in self._counts:
                    return False
        return True

    def knows(self, track: Track) -> bool:
        """Whether there is such a track. Where their number is not fixed, it is known from now on,
        and so are those that are counted before it.
        """
        if track in self.tracks:
            return True
        known = self.protocol.tracks
        if not self._growing or known is None or known.start is None:
            return False
        most = min(known.most or MOST_TRACKS, MOST_TRACKS)
        if type(track) is int and known.start <= track < known.start + most:
            self.tracks = known.numbered(track - known.start + 1)
            return True
        return False

    def track_ended(self, track: Track) -> bool:
        return track in self._ended

    def advance(self, stage: Stage, track: Track) -> bool:
        """Count a chunk that comes as it should: nearly every one. False if there is something to
        say about it; then nothing is counted.
        """
        if track is None and stage.name in self.settled and not self.doubtful:
            return True
        name, per_track = stage.name, stage.per_track
        if per_track and track not in self.tracks:
            return False
        key = (name, track if per_track else None)
        times = self._counts.get(key, 0)
        most = stage.times[1]
        if (most is not None and times >= most) or (per_track and track in self._ended):
            return False
        kept = key if key[1] == track else (name, track)
        if kept not in self._kept:
            if stage.after and not self._all_come(stage, track):
                return False
            if stage.after_all and any(self._lacking(stage)):
                return False
            self._kept.add(kept)
        # More than is asked for is not counted where nothing limits it, so that streams which
        # differ in nothing else stand in the same state.
        if most is not None or times < max(1, stage.times[0]):
            self._counts[key] = times + 1
        if self.doubtful:
            self.doubtful -= {None, track}
        if track is not None:
            if track not in self._seen_tracks:
                self._seen_tracks |= {track}
        elif most is None and not stage.ends and times + 1 >= stage.times[0]:
            self.settled |= {name}
        if stage.ends:
            self._end(stage, track, credit=False)
        return True

    def _lacking(self, stage: Stage) -> Iterator[tuple[tuple[str, ...], Track]]:
        """The groups of `stage.after_all`, and the tracks on which nothing of one has come."""
        by_name = self.protocol.by_name
        for group in stage.after_all:
            stages = [by_name[name] for name in group if name in by_name]
            for track in self.tracks:
                if not any(self._has(each, track) for each in stages):
                    yield group, track

    def unmet_for_all(self, stage: Stage) -> list[tuple[tuple[str, ...], Track]]:
        """What `stage.after_all` lacks by now, once, as `unmet`."""
        found = []
        for group, track in list(self._lacking(stage)):
            first = next((n for n in group if n in self.protocol.by_name), None)
            if first is None or self._take_credit(self.protocol.by_name[first], track):
                continue
            self._assumed |= {(first, track)}
            found.append((group, track))
        return found

    def _all_come(self, stage: Stage, track: Track) -> bool:
        """Whether all that must come before the stage has come, without any credit."""
        counts, by_name = self._counts, self.protocol.by_name
        for group in stage.after:
            for name in group:
                before = by_name.get(name)
                if before is not None and (
                    (name, track if before.per_track else None) in counts
                    or self._has(before, track)
                ):
                    break
            else:
                return False
        return True

    def assumed(self, stage: Stage, track: Track) -> bool:
        """Whether `unmet` has named the stage, so that it comes too late now."""
        return (stage.name, track if stage.per_track else None) in self._assumed

    def unmet(self, stage: Stage, track: Track) -> tuple[tuple[str, ...], ...]:
        """The groups of `stage.after` of which nothing has come yet. Each is named once: it is
        taken for granted from then on. A track that the contract does not know owes nothing.
        """
        key = (stage.name, track)
        if key in self._kept:
            return _NOTHING
        self._kept.add(key)
        if stage.per_track and track not in self.tracks and track is not None:
            return _NOTHING
        return tuple(group for group in stage.after if not self._met(group, track))

    def _met(self, group: tuple[str, ...], track: Track) -> bool:
        by_name = self.protocol.by_name
        stages = [by_name[name] for name in group if name in by_name]
        if any(self._has(stage, track) for stage in stages):
            return True
        if self._take_credit(stages[0], track):
            return True
        self._assumed |= {(stages[0].name, track if stages[0].per_track else None)}
        return False

    def _may_end(self, stage: Stage) -> set[Track]:
        """The tracks that `stage` could end now: all that must come before it has come."""
        by_name = self.protocol.by_name
        groups = [[by_name[name] for name in group if name in by_name] for group in stage.after]
        return {
            track
            for track in self.tracks
            if all(any(self._has(each, track) for each in group) for group in groups)
        }

    def see_unknown(self) -> None:
        """Count a chunk that belongs to no stage, or could not be read."""
        self._unknown += 1
        for stage in self.protocol.ending:
            if stage.ends == "track":
                self.doubtful |= self._may_end(stage) if self._by_tracks else EMPTY
            elif stage.ends == "stream":
                self.doubtful |= {None}
            else:
                self.may_close = True

    def see_sentinel(self) -> None:
        """The text came that ends the stream."""
        if self._by_tracks or not self.protocol.closing:
            self.ended = True
        self._credited_ends = 0

    def see(self, stage: Stage, track: Track, *, slip: bool = False) -> None:
        """Count a chunk. `track` is None where the stage has none or the chunk does not say;
        `slip`: it came too often, or ended its track too early, so it may be another track's.
        """
        if slip and stage.ends == "track":
            slip = bool((self._may_end(stage) & self._open()) - {track})
        key = (stage.name, track if stage.per_track else None)
        new = track is not None and track not in self._seen_tracks
        if new:
            self._seen_tracks |= {track}
        if self.doubtful:
            self.doubtful -= {None, track}
        credit = stage.per_track and (slip or track not in self.tracks)
        if credit:
            self._credits[stage.name] = self._credits.get(stage.name, 0) + 1
        if not credit or key in self._counts or not (slip or track is None):
            self._counts[key] = self._counts.get(key, 0) + 1
        if stage.ends:
            # An unknown track that ends without ever having begun is a slip, too.
            self._end(stage, track, credit=credit and (slip or new or track is None))

    def _end(self, stage: Stage, track: Track, *, credit: bool) -> None:
        if stage.ends == "stream":
            self.ended = True
            return
        if stage.ends == "close":
            self.may_close = True
            return
        if credit:
            self._credited_ends += 1
        else:
            self._ended |= {track}
        if not self._by_tracks:
            return
        many = len(self._ended) + self._credited_ends
        self.ended = many >= len(self.tracks) and len(self._open()) <= self._credited_ends

    def refuse(self) -> None:
        """The API gave up with an error of no stage: nothing more is due."""
        self.ended = True
        self._credited_ends = 0

    def reopened(self) -> bool:
        """Another chunk came after the end: whether it shows that what was taken for the end of a
        track on credit (a chunk that came too often, say) was none. The stream then goes on.
        """
        if not self._credited_ends:
            return False
        self._credited_ends = 0
        self.ended = False
        return True

    def _open(self) -> frozenset[Track]:
        """The tracks that have begun and not ended."""
        return (self._seen_tracks & set(self.tracks)) - self._ended

    def perhaps_ended(self) -> bool:
        """Whether chunks that belong to no stage may have been those that were still due to end
        the stream.
        """
        if None in self.doubtful:
            return True
        lacking = set(self.tracks) - self._ended
        return bool(lacking) and (
            len(lacking) <= self._unknown + self._credited_ends and lacking <= self.doubtful
        )

    def lost_tracks(self) -> list[int | str]:
        """The tracks that never showed although every track that did was brought to its end;
        empty where that does not explain why the stream has not ended.
        """
        if not self._by_tracks:
            return []
        if not self._ended or self._open() or self._credited_ends or self._unknown:
            return []
        return [value for value in self.tracks if value not in self._ended]

    def never_seen(self) -> list[int | str]:
        """The tracks of which no chunk came, where no chunk of no known stage may be theirs."""
        if self._unknown or self._credits or self.doubtful:
            return []
        return [value for value in self.tracks if value not in self._seen_tracks]

    def missing(self) -> Iterator[tuple[Stage, Track, int]]:
        """Stages that came less often than they must, with the track and how often they came."""
        tracks = [value for value in self.tracks if value in self._seen_tracks]
        for stage in self.protocol.stages:
            if not stage.times[0]:
                continue
            for track in tracks if stage.per_track else (None,):
                while (times := self.times(stage, track)) < stage.times[0]:
                    if not self._take_credit(stage, track):
                        yield stage, track, times
                        break

    def due(self) -> list[str]:
        """What is still to come, in words: `uploading (track 2)`."""
        return [
            stage.name if track is None else f"{stage.name} (track {track})"
            for stage in sorted(self.protocol.stages, key=self._depth)
            for track in (self.tracks if stage.per_track else (None,))
            if self.times(stage, track) < stage.times[0]
        ]

    def _depth(self, stage: Stage, seen: frozenset[str] = EMPTY) -> int:
        """How many stages must come before this one, for an order that reads well."""
        seen |= {stage.name}
        before = {name for group in stage.after for name in group} - seen
        before &= self.protocol.by_name.keys()
        depths = (self._depth(self.protocol.by_name[name], seen) for name in sorted(before))
        return 1 + max(depths, default=0)

    def _has(self, stage: Stage, track: Track) -> bool:
        if not stage.per_track:
            key: _Key = (stage.name, None)
            return key in self._counts or key in self._assumed
        if track is not None:
            return (stage.name, track) in self._counts or (stage.name, track) in self._assumed
        return (
            self._credits.get(stage.name, 0) > 0
            or (stage.name, None) in self._assumed
            or any((stage.name, value) in self._counts for value in self.tracks)
        )

    def _take_credit(self, stage: Stage, track: Track) -> bool:
        if stage.per_track and self._credits.get(stage.name):
            self._credits[stage.name] -= 1
        elif self._unknown:
            self._unknown -= 1
            if stage.per_track and track is None:
                # It was of some track; of which, what comes after it will tell.
                self._credits[stage.name] = self._credits.get(stage.name, 0) + 1
                return True
        else:
            return False
        key = (stage.name, track if stage.per_track else None)
        if stage.per_track and track is None:
            self._assumed |= {key}
        else:
            self._counts[key] = self._counts.get(key, 0) + 1
        return True
