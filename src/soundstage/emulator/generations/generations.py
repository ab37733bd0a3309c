"""One generation, from its request to its end.

A generation follows its schedule by the clock, whether or not a client still listens: what it has
reached is worked out when somebody asks. It holds no tasks.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import repeat
from typing import Any

from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint, Protocol
from soundstage.emulator.accounts.charges import billing_chunk
from soundstage.emulator.faults.choice import (
    InjectedAnswer,
    Playing,
    RequestFaults,
    in_step,
    missed_header,
    playing,
)
from soundstage.emulator.generations.told_chunks import ToldChunks, first_that_say
from soundstage.emulator.http.replies import Headers
from soundstage.generation.faults.catalogue import Chunks
from soundstage.generation.walk import Drafted, Payload, Step, Story, Track, sync_result


def tracks_of(protocol: Protocol) -> tuple[Track, ...]:
    """The tracks of a stream; where it has none, the one song counts as track 1."""
    return protocol.tracks.values if protocol.tracks is not None else (1,)


class Generation:
    """One accepted request. Times are those of the event loop's clock, in seconds."""

    __slots__ = (
        "_percentages",
        "_told",
        "chunks",
        "contract",
        "endpoint",
        "failed",
        "faults",
        "given",
        "head",
        "kept",
        "notes",
        "pace",
        "playing",
        "schedule",
        "second_half",
        "seconds",
        "sent",
        "shown",
        "size",
        "started",
        "steps",
        "story",
        "tracks",
    )

    def __init__(
        self,
        contract: Contract,
        story: Story,
        steps: Sequence[Step],
        chunks: Drafted,
        framing: str,
        schedule: list[float],
        started: float,
        seconds: float,
        pace: float = 1.0,
        tracks: Sequence[Track] = (1,),
    ) -> None:
        self.contract = contract
        self.story = story
        self.tracks = tracks
        self.steps = steps
        told = ToldChunks(contract.protocol, steps, chunks, framing)
        self.chunks: Sequence[bytes] = told
        #: Bytes of the chunks that are still to be told.
        self.size = told.size
        #: The endpoint that was asked, what it gave to be asked for by, the faults of its request.
        self.endpoint: Endpoint | None = None
        self.given: Mapping[str, str] = {}
        self.faults: RequestFaults | None = None
        #: The looks at its state so far, and the values in them that stay (`states.py`).
        self.shown: Chunks = []
        self.kept: dict[tuple[str, Track | None], Any] = {}
        self.schedule: Sequence[float] = array("d", schedule)
        self.started = started
        stages = contract.protocol.by_name
        # Where nothing is told in order, there is nothing that could fail either.
        self.failed = stages[self.steps[-1].stage].failure if chunks else bool(stages)
        self.sent = 0
        #: Status and content type, where a fault changes them; how the answer is sent where a
        #: fault of the wire is in it; headers that name faults without a place.
        self.head: tuple[int, str | None] | None = None
        self.playing: Playing | None = None
        self.notes: Headers = []
        #: How long its songs are, and how many seconds of them are played in one.
        self.seconds = seconds
        self.pace = pace
        #: How fast the second half of their streams comes, as a share of that, where a fault says.
        self.second_half = 1.0
        self._percentages = _percentages(contract, chunks, len(steps))
        self._told: Mapping[str, int] = first_that_say(chunks, self.urls)

    @property
    def billed_with(self) -> int | None:
        """The number of the chunk that bills (`charges.billing_chunk`)."""
        return billing_chunk(self.contract.protocol, self.steps, failed=self.failed)

    @property
    def billed_at(self) -> float | None:
        """When it is charged for; None if it fails before."""
        number = self.billed_with
        if number is None:
            return None
        return (
            self.started + self.schedule[number] if 0 <= number < len(self.schedule) else self.end
        )

    @property
    def service(self) -> float:
        """How long it takes from its start to its last chunk, in seconds."""
        return self.schedule[-1] if self.schedule else 0.0

    def put_off(self, wait: float, stretch: float) -> None:
        """Let it wait for a slot, in seconds, and then take `stretch` times as long. What comes up
        to the chunk that bills is answered before the wait.
        """
        if wait <= 0 and stretch == 1:
            return
        stages = self.contract.protocol.by_name
        billed = (n for n, step in enumerate(self.steps) if stages[step.stage].charges)
        first = min(next(billed, 0) + 1, len(self.steps) - 1)
        moments = (
            moment * stretch + (wait if number >= first else 0.0)
            for number, moment in enumerate(self.schedule)
        )
        self.schedule = array("d", moments)

    @property
    def end(self) -> float:
        """When the last chunk is due."""
        return self.started + (self.schedule[-1] if self.schedule else 0.0)

    def reached(self, now: float) -> int:
        """How many chunks have come."""
        started = self.started
        # The same sums as those that say when a chunk is due: the last digit must agree.
        come = bisect_right(self.schedule, now, key=lambda due: started + due)
        return max(self.sent, come)

    @property
    def urls(self) -> tuple[str, ...]:
        """Where its files are."""
        return (*self.story.audio_urls, *self.story.stream_urls, self.story.album_art)

    def offers(self, url: str, now: float) -> bool:
        """Whether the file behind a URL exists yet: it does from the moment it is told of, and
        all of them do at the end.
        """
        reached = self.reached(now)
        if reached >= len(self.steps) and not self.failed:
            return True
        told = self._told.get(url)
        return told is not None and told < reached

    def told_at(self, url: str) -> float | None:
        """When the first chunk that tells of a URL is due; None if none does."""
        told = self._told.get(url)
        if told is None or told >= len(self.schedule):
            return None
        return self.started + self.schedule[told]

    def progress(self, now: float) -> int:
        """How far it is, 0 to 100: the last percentage that a chunk told; the share of chunks
        where the contract has no percentages.
        """
        reached = self.reached(now)
        if reached >= len(self.steps) and not self.failed:
            return 100
        if not _rising(self.contract):
            # The chunk that reports a failure is no step forward.
            songs = reached - (self.failed and reached == len(self.steps))
            return 100 * songs // max(1, len(self.steps))
        return self._percentages[reached - 1] if reached else 0

    def drop_chunks(self) -> None:
        """Whoever asked for it has heard it, or has gone: nobody is told its chunks any more."""
        self.chunks = ()
        self.size = 0
        self.playing = None
        if self.endpoint is None or self.endpoint.looked_up_by is None:
            # Half of what is left, and nobody can be shown it any more.
            self.story = replace(self.story, lyrics_sections=[])

    def result(self) -> Payload:
        """The body of a synchronous answer."""
        name = self.endpoint.name if self.endpoint is not None else None
        return sync_result(self.contract, self.story, name)

    def put(self, broken: InjectedAnswer) -> None:
        """Send the answer that faults were put into."""
        if broken.applied:
            frames = in_step(broken.answer.body.frames, len(self.steps))
            self.chunks, self.size = frames, sum(map(len, frames))
            self.head = (broken.answer.status, broken.answer.content_type)
        self.playing = playing(broken)
        if broken.script is not None:
            self.second_half = broken.script.second_half
        self.notes = missed_header(broken.missed)


def status_of(generation: Generation, now: float) -> Payload:
    """What the status endpoint tells of a generation at `now` (seconds of the event loop's clock),
    whether or not anybody still listens to it. The page prints no payload
    (docs/explanation/reading-the-documentation.md), so the names are ours; the stages are the
    contract's.
    """
    reached = generation.reached(now)

    def told(url: str) -> str | None:
        return url if generation.offers(url, now) else None

    story = generation.story
    tracks = zip(generation.tracks, story.stream_urls, story.audio_urls, strict=False)
    return {
        "message_id": story.message_id,
        "status": generation.steps[reached - 1].stage if reached else "queued",
        "progress": generation.progress(now),
        "isComplete": reached >= len(generation.steps),
        "song_name": story.song_name,
        "tracks": [
            {"track": value, "stream_url": told(stream), "audio_url": told(audio)}
            for value, stream, audio in tracks
        ],
    }


@cache
def _rising(contract: Contract) -> tuple[str, ...]:
    """The fields that tell how far a generation is."""
    fields = contract.protocol.fields
    return tuple(name for name, schema in fields.items() if schema.get("x-role") == "progress")


def _percentages(contract: Contract, chunks: Drafted, many: int) -> Sequence[int]:
    """How far the generation is with each chunk: the last percentage that one told by then."""
    rising = _rising(contract)
    if not rising:
        return b""
    told: list[int | None] = [None] * many
    for draft in chunks:
        # With a fault in it, a payload may be anything.
        for name in rising if type(draft.first) is dict else ():
            values: Iterable[Any] = ()
            if name in draft.live:
                values = draft.columns[draft.live.index(name)]
            elif name in draft.first:
                values = repeat(draft.first[name], len(draft.numbers))
            for number, value in zip(draft.numbers, values, strict=False):
                if type(value) is int:
                    told[number] = value
    last = 0
    filled = [last := (last if value is None else value) for value in told]
    try:
        return bytes(filled)  # an eighth of the memory, if they are percentages
    except ValueError:
        return filled
