"""Makes generations: what each is about, its chunks, and when they are due.

Nothing but the seed, the number of the generation and its request decides: they come to a course,
which an answer names, and which a request can ask for again.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from soundstage.contract import Contract
from soundstage.contract.given_values import given_by_body
from soundstage.contract.protocol import Endpoint, Protocol
from soundstage.emulator.faults.choice import RequestFaults
from soundstage.emulator.files.lyrics import sections, written
from soundstage.emulator.files.songs import song_seconds
from soundstage.emulator.generations.generations import Generation, tracks_of
from soundstage.emulator.pace.profile import ApiProfile, Profile
from soundstage.generation.faults.catalogue import Chunks
from soundstage.generation.walk import (
    Draft,
    Drafted,
    Step,
    Story,
    Times,
    Track,
    drafted,
    drawn_tracks,
    headline_times,
    identifier,
    in_order,
    plan,
    song_title,
)


@dataclass(frozen=True, slots=True)
class SongEndpoint:
    """An endpoint that makes songs, and the framing that it streams in."""

    contract: Contract
    endpoint: Endpoint
    framing: str

    @classmethod
    def of(cls, contract: Contract, endpoint: Endpoint, framing: str | None) -> SongEndpoint:
        """`framing` is the wanted one: an endpoint that does not have it streams in its first. The
        contract is seen through the endpoint that tells how its generations go.
        """
        if framing is None or (endpoint.framings and framing not in endpoint.framings):
            framing = next(iter(endpoint.framings), "sse")
        return cls(contract.seen_through(_told_by(contract, endpoint)), endpoint, framing)


def _told_by(contract: Contract, endpoint: Endpoint) -> Endpoint:
    """The endpoint by whose stages the generations of another go: itself if it streams; the stream
    that the same status endpoint looks up; else that status endpoint, by its states.
    """
    tie = endpoint.looked_up_by
    if endpoint.protocol is not None or tie is None:
        return endpoint
    streams = contract.of_kind("stream")
    tied = (each for each in streams if each.looked_up_by is not None)
    same = next(
        (e for e in tied if e.looked_up_by and e.looked_up_by.endpoint == tie.endpoint), None
    )
    return same or contract.endpoints[tie.endpoint]


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What a request asks for, once it is found to be in order. `seconds` is the length of the
    song, None where the contract has no parameter for it. `sections` are its lyrics as the songs
    tell them: all songs that are asked for so share them.
    """

    prompt: str
    lyrics: str | None
    body: Mapping[str, Any]
    seconds: int | float | None = None
    sections: list[dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sections", sections(self.lyrics or ""))


def tell_story(
    tracks: Sequence[Track], asked: GenerationRequest, base_url: str, rng: random.Random
) -> Story:
    """What the generation is about; its URLs, one for each track, lie under `base_url`/assets."""
    message_id = identifier(rng)
    base = f"{base_url}/assets/{message_id}"
    song_name = song_title(rng)
    return Story(
        message_id=message_id,
        task_id=str(rng.randrange(10**8, 10**9)),
        song_name=song_name,
        album_art=f"{base}/album_art.webp",
        audio_urls=tuple(f"{base}/song-{value}.mp3" for value in tracks),
        stream_urls=tuple(f"{base}/live-{value}.mp3" for value in tracks),
        lyrics_sections=asked.sections or written(asked.prompt, song_name, message_id),
        prompt=asked.prompt,
    )


#: What takes time where there is but a result.
_RESULT: Final = Step("result", None)


class _Course(NamedTuple):
    """What decides the courses that one generation may take."""

    contract: Contract
    story: Story
    digest: bytes
    tracks: int
    fails: bool
    fails_after: str | None


def course_of(seed: int, number: int, api: str, raw: bytes) -> bytes:
    """What decides how the generation with this number goes, for this body: 16 bytes."""
    origin = f"{seed}/{number}/{api}/".encode() + raw
    return hashlib.blake2b(origin, digest_size=16).digest()


class Factory:
    """Makes generations that depend on nothing but their course (`course_of`) and request."""

    def __init__(self, seed: int, profile: Profile, speed: float) -> None:
        self.seed = seed
        self.profile = profile
        self.speed = speed
        self._drawn: dict[str, tuple[ApiProfile, Protocol, Mapping[str, Times]]] = {}

    def make(
        self,
        place: SongEndpoint,
        asked: GenerationRequest,
        course: bytes,
        base_url: str,
        started: float,
        *,
        fails: bool,
        faults: RequestFaults | None = None,
    ) -> Generation:
        """A generation that starts now. The same course gives the same chunks and delays; the URLs
        in them follow `base_url`. `faults` are those that a stream may get.
        """
        contract, framing, digest = place.contract, place.framing, course
        if faults is not None:
            asked = replace(asked)  # what a fault breaks in this song stays as it is in others
        rng = random.Random(digest)
        protocol = drawn_tracks(contract.protocol.for_request(asked.body), rng)
        tracks = tracks_of(protocol)
        story = tell_story(tracks, asked, base_url, rng)
        told, fails_after = self.profile.of(contract.api), None
        if told.failures:
            fails_after = told.failure(random.Random(digest + b"failure"))
        decided = _Course(contract, story, digest, len(tracks), fails, fails_after)
        steps, drafts, schedule = self._course(decided, rng)
        broken = None
        if place.endpoint.kind == "stream" and faults is not None:

            def redrawn(luck: random.Random) -> Chunks:
                return _whole(*self._course(decided, luck)[:2])

            luck, chunks = random.Random(digest + b"faults"), _whole(steps, drafts)
            broken = faults.in_stream(place.endpoint.name, chunks, framing, luck, redrawn)
        if broken is not None:
            steps = [step for step, _ in broken.chunks]
            drafts = [Draft((n,), payload) for n, (_, payload) in enumerate(broken.chunks)]
            schedule = self._schedule(contract, steps, digest)
        seconds = song_seconds(asked.seconds)
        generation = Generation(
            contract, story, steps, drafts, framing, schedule, started, seconds, self.speed, tracks
        )
        generation.endpoint = place.endpoint
        if place.endpoint.protocol is not None and place.endpoint.gives:
            said = ((step.stage, payload) for step, payload in _whole(steps, drafts))
            generation.given = given_by_body(place.endpoint, said)
        if broken is not None:
            generation.put(broken)
        return generation

    def _course(self, of: _Course, rng: random.Random) -> tuple[list[Step], Drafted, list[float]]:
        """The chunks of one course that the generation may take, and when they are due."""
        contract, story, digest = of.contract, of.story, of.digest
        steps = plan(
            contract,
            rng,
            fails=of.fails,
            times=self._times(contract),
            fails_after=of.fails_after,
            tracks=of.tracks if contract.protocol.tracks is not None else None,
        )
        schedule = self._schedule(contract, steps, digest)
        percentages = self.profile.percentages(schedule)
        # Every field that a stage lists, as the pages print them, also where none is required.
        drafts = drafted(contract, steps, story, rng, optional=1.0, percentages=percentages)
        return steps, drafts, schedule

    def _times(self, contract: Contract) -> Mapping[str, Times]:
        """What draws how often stages come, put together once for each profile."""
        course, protocol = self.profile.of(contract.api), contract.protocol
        known = self._drawn.get(contract.api)
        if known is None or known[0] is not course or known[1] is not protocol:
            own = {name: each.draw for name, each in course.chunks.items()}
            known = course, protocol, {**headline_times(protocol), **own}
            self._drawn[contract.api] = known
        return known[2]

    def _schedule(self, contract: Contract, steps: Sequence[Step], digest: bytes) -> list[float]:
        rng = random.Random(digest + b"pacing")
        if not contract.protocol.stages:
            steps = [_RESULT]
        return self.profile.schedule(contract.api, steps, rng, self.speed)


def _whole(steps: Sequence[Step], chunks: Drafted) -> Chunks:
    """The chunks as payloads, each with its step."""
    return list(zip(steps, in_order(chunks), strict=True))
