"""One generation, from its request to its end.

A generation follows its schedule by the clock, whether or not a client still listens: what it has
reached is worked out when somebody asks. It holds no tasks. What others may ask of it, in this
process or another, fits into a record (`Generation.record`).
"""

from __future__ import annotations

import hashlib
import random
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

import orjson

from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.emulator.asked import Asked as AskedFault
from soundstage.emulator.faults import Broken, Faults, Playing, in_step, missed_header, playing
from soundstage.emulator.lyrics import sections, written
from soundstage.emulator.music import song_seconds
from soundstage.emulator.profile import Profile
from soundstage.emulator.requests import Asked, Headers
from soundstage.generation.faults import Chunks
from soundstage.generation.walk import (
    Payload,
    Step,
    Story,
    Track,
    identifier,
    payloads,
    plan,
    song_title,
    sync_result,
)

_FRAMES: Final = {"sse": (b"data: ", b"\n\n"), "lines": (b"", b"\n")}


def tracks_of(contract: Contract) -> tuple[Track, ...]:
    """The contract's tracks; where it has none, the one song counts as track 1."""
    tracks = contract.protocol.tracks
    return tracks.values if tracks else (1,)


def tell_story(contract: Contract, asked: Asked, base_url: str, rng: random.Random) -> Story:
    """What the generation is about; its URLs lie under `base_url`/assets."""
    message_id = identifier(rng)
    base = f"{base_url}/assets/{message_id}"
    song_name = song_title(rng)
    return Story(
        message_id=message_id,
        task_id=str(rng.randrange(10**8, 10**9)),
        song_name=song_name,
        album_art=f"{base}/album_art.webp",
        audio_urls=tuple(f"{base}/song-{value}.mp3" for value in tracks_of(contract)),
        stream_urls=tuple(f"{base}/live-{value}.mp3" for value in tracks_of(contract)),
        lyrics_sections=sections(asked.lyrics or "")
        or written(asked.prompt, song_name, message_id),
        prompt=asked.prompt,
    )


class Generation:
    """One accepted request. Times are those of the event loop's clock, in seconds."""

    __slots__ = (
        "_percentages",
        "_told",
        "chunks",
        "contract",
        "failed",
        "finished",
        "head",
        "notes",
        "pace",
        "playing",
        "schedule",
        "seconds",
        "sent",
        "started",
        "steps",
        "story",
    )

    def __init__(
        self,
        contract: Contract,
        story: Story,
        chunks: Chunks,
        framing: str,
        schedule: list[float],
        started: float,
    ) -> None:
        before, after = _FRAMES[framing]
        self.contract = contract
        self.story = story
        self.steps: Sequence[Step] = [step for step, _ in chunks]
        self.chunks = [before + orjson.dumps(payload) + after for _, payload in chunks]
        self.schedule = schedule
        self.started = started
        self.failed = contract.protocol.by_name[self.steps[-1].stage].failure if chunks else True
        self.sent = 0
        self.finished = False
        #: Status and content type, where a fault changes them; how the answer is sent where a
        #: fault of the wire is in it; headers that name faults without a place.
        self.head: tuple[int, str | None] | None = None
        self.playing: Playing | None = None
        self.notes: Headers = []
        #: How long its songs are, and how many seconds of them are played in one.
        self.seconds = song_seconds(None)
        self.pace = 1.0
        self._percentages = _percentages(contract, chunks)
        self._told: Mapping[str, int] = _told(self.urls, chunks)

    @property
    def charged_with(self) -> int | None:
        """The number of the chunk that bills; the last one if no stage says that it does. None
        if the generation fails before.
        """
        stages = self.contract.protocol.by_name
        for number, step in enumerate(self.steps):
            if stages[step.stage].charges:
                return number
        billing = any(stage.charges for stage in self.contract.protocol.stages)
        return None if billing and self.failed else len(self.steps) - 1

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
        self.schedule = [
            moment * stretch + (wait if number >= first else 0.0)
            for number, moment in enumerate(self.schedule)
        ]

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
        told = (each for each in reversed(self._percentages[:reached]) if each is not None)
        return next(told, 0)

    def record(self) -> dict[str, Any]:
        """All that anybody but the one who tells it may ask of it, for orjson (`from_record`)."""
        return {
            "story": self.story,
            "told": self._told,
            "percentages": self._percentages,
            "seconds": self.seconds,
            "pace": self.pace,
        }

    @classmethod
    def from_record(
        cls,
        contract: Contract,
        record: Mapping[str, Any],
        steps: Iterable[Sequence[Any]],
        schedule: list[float],
        started: float,
    ) -> Generation:
        """The same generation without its chunks: it can be asked about, but not be told."""
        told = dict(record["story"])
        for name in ("audio_urls", "stream_urls"):
            told[name] = tuple(told[name])
        generation = cls(contract, Story(**told), [], "lines", schedule, started)
        generation.steps = [Step(*step) for step in steps]
        if generation.steps:
            generation.failed = contract.protocol.by_name[generation.steps[-1].stage].failure
        generation.seconds, generation.pace = record["seconds"], record["pace"]
        generation._told, generation._percentages = record["told"], record["percentages"]
        return generation

    def result(self) -> Payload:
        """The body of a synchronous answer."""
        return sync_result(self.contract, self.story)

    def put(self, broken: Broken) -> None:
        """Send the answer that faults were put into."""
        if broken.applied:
            self.chunks = in_step(broken.answer.body.frames, len(self.steps))
            self.head = (broken.answer.status, broken.answer.content_type)
        self.playing = playing(broken)
        self.notes = missed_header(broken.missed)


@cache
def _rising(contract: Contract) -> tuple[str, ...]:
    """The fields that tell how far a generation is."""
    fields = contract.protocol.fields
    return tuple(name for name, schema in fields.items() if schema.get("x-role") == "progress")


def _percentages(contract: Contract, chunks: Chunks) -> list[int | None]:
    """How far each chunk says that the generation is; none may say so."""
    told: list[int | None] = [None] * len(chunks)
    for name in _rising(contract):
        for number, (_, payload) in enumerate(chunks):
            # With a fault in it, a payload may be anything.
            value = payload.get(name) if type(payload) is dict else None
            if type(value) is int:
                told[number] = value
    return told


def _told(urls: Sequence[str], chunks: Chunks) -> dict[str, int]:
    """The number of the first chunk that tells of each URL; those that none tells of are absent."""
    told: dict[str, int] = {}
    known = frozenset(urls)
    for number, (_, payload) in enumerate(chunks):
        values = payload.values() if type(payload) is dict else (payload,)
        for value in values:
            if type(value) is str:
                if value in known:
                    told.setdefault(value, number)
            elif type(value) in (dict, list):
                for url in known.intersection(_strings_in(value)):
                    told.setdefault(url, number)
    return told


def _strings_in(value: Any) -> Iterator[str]:
    if type(value) is str:
        yield value
    elif type(value) in (dict, list):
        for each in value.values() if type(value) is dict else value:
            yield from _strings_in(each)


class Factory:
    """Makes generations that depend on nothing but the seed, their number and their request."""

    def __init__(self, seed: int, profile: Profile, speed: float, faults: Faults) -> None:
        self.seed = seed
        self.profile = profile
        self.speed = speed
        self.faults = faults

    def refused(self, api: str, count: Callable[[str], int]) -> str | None:
        """The error that the next request gets because the profile wants so; None if none. `count`
        adds one to the counter of that name and says what it is then.
        """
        course = self.profile.of(api)
        if not course.refusals:
            return None
        return course.refusal(random.Random(f"{self.seed}/{count('asked')}/refusal"))

    def make(
        self,
        contract: Contract,
        endpoint: Endpoint,
        asked: Asked,
        raw: bytes,
        base_url: str,
        framing: str,
        started: float,
        *,
        number: int,
        fails: bool,
        named: tuple[AskedFault, ...] | None = None,
    ) -> Generation:
        """A generation that starts now. The same seed, number and body give the same chunks and
        delays; the URLs in them follow `base_url`. `named` are the faults that the request asks
        for.
        """
        origin = f"{self.seed}/{number}/{contract.api}/".encode() + raw
        digest = hashlib.blake2b(origin, digest_size=16).digest()
        rng = random.Random(digest)
        story = tell_story(contract, asked, base_url, rng)
        course, fails_after = self.profile.of(contract.api), None
        if course.failures:
            fails_after = course.failure(random.Random(digest + b"failure"))
        chunks, schedule = self._course(contract, story, digest, rng, fails, fails_after)
        broken = None
        if endpoint.kind == "stream" and (named is not None or self.faults.asked):

            def redrawn(luck: random.Random) -> Chunks:
                return self._course(contract, story, digest, luck, fails, fails_after)[0]

            luck = random.Random(digest + b"faults")
            broken = self.faults.in_stream(contract, chunks, framing, named, luck, redrawn)
        if broken is not None:
            chunks = broken.chunks
            schedule = self._schedule(contract, [step for step, _ in chunks], digest)
        generation = Generation(contract, story, chunks, framing, schedule, started)
        generation.seconds, generation.pace = song_seconds(asked.seconds), self.speed
        if broken is not None:
            generation.put(broken)
        return generation

    def _course(
        self,
        contract: Contract,
        story: Story,
        digest: bytes,
        rng: random.Random,
        fails: bool,
        fails_after: str | None,
    ) -> tuple[Chunks, list[float]]:
        """The chunks of one course that the generation may take, and when they are due."""
        draws = {stage: many.draw for stage, many in self.profile.of(contract.api).chunks.items()}
        steps = plan(contract, rng, fails=fails, times=draws, fails_after=fails_after)
        schedule = self._schedule(contract, steps, digest)
        percentages = self.profile.percentages(schedule)
        # Every field that a stage lists, as the pages print them, also where none is required.
        filled = payloads(contract, steps, story, rng, optional=1.0, percentages=percentages)
        return list(zip(steps, filled, strict=True)), schedule

    def _schedule(self, contract: Contract, steps: Sequence[Step], digest: bytes) -> list[float]:
        rng = random.Random(digest + b"pacing")
        return self.profile.schedule(contract.api, steps, rng, self.speed)
