"""One generation, from its request to its end, and the store of those that can be looked up.

A generation follows its schedule by the clock, whether or not a client still listens: what it has
reached is worked out when somebody asks. It holds no tasks.
"""

from __future__ import annotations

import hashlib
import random
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

import orjson

from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.emulator.faults import Broken, Faults, in_step, inject
from soundstage.emulator.pacing import Profile
from soundstage.emulator.requests import Asked
from soundstage.generation.faults import Chunks, Fault
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

#: A generation keeps to itself what an evicted one cannot answer any more: beyond this many the
#: oldest finished ones are forgotten.
REMEMBERED: Final = 10_000
#: How many courses of a generation are drawn until a fault has a place in one.
_REDRAWN: Final = 50

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
        lyrics_sections=_sections(asked.lyrics or _written(asked.prompt, song_name)),
        prompt=asked.prompt,
    )


def _sections(lyrics: str) -> list[dict[str, Any]]:
    """Lyrics as sections with a name and lines; blank lines part them."""
    stanzas: list[list[str]] = [[]]
    for line in lyrics.splitlines():
        if line.strip():
            stanzas[-1].append(line.strip())
        elif stanzas[-1]:
            stanzas.append([])
    return [
        {"name": f"Verse {number}", "lines": lines}
        for number, lines in enumerate((lines for lines in stanzas if lines), start=1)
    ]


def _written(prompt: str, song_name: str) -> str:
    subject = " ".join(prompt.split())[:80]
    return (
        f"They asked me for {subject}\nI wrote it down tonight\n\n"
        f"Oh, {song_name}\nStay until the light"
    )


class Generation:
    """One accepted request. Times are those of the event loop's clock, in seconds."""

    __slots__ = (
        "_last",
        "chunks",
        "contract",
        "failed",
        "finished",
        "head",
        "hold",
        "schedule",
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
        self.hold: int | None = None
        #: Status and content type, where a fault changes them.
        self.head: tuple[int, str | None] | None = None
        self._last = framing

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
    def end(self) -> float:
        """When the last chunk is due."""
        return self.started + (self.schedule[-1] if self.schedule else 0.0)

    def reached(self, now: float) -> int:
        """How many chunks have come."""
        return max(self.sent, bisect_right(self.schedule, now - self.started))

    def finish(self) -> None:
        """Let go of what only a running generation needs."""
        self.sent = len(self.steps)
        self.finished = True
        if not self.failed:
            self.chunks = self.chunks[-1:]
            self.steps = self.steps[-1:]
            self.schedule = self.schedule[-1:]
            self.sent = len(self.steps)

    def offers(self, url: str, now: float) -> bool:
        """Whether the file behind a URL exists yet: it does from the moment it is told of, and
        all of them do at the end.
        """
        reached = self.reached(now)
        if reached >= len(self.steps) and not self.failed:
            return True
        told = url.encode()
        return any(told in chunk for chunk in self.chunks[:reached])

    def status(self, now: float) -> Payload:
        """What the status endpoint tells."""
        reached = self.reached(now)
        whole = reached >= len(self.steps)
        status = self.steps[reached - 1].stage if reached else "queued"
        return {
            "message_id": self.story.message_id,
            "status": status,
            "progress": 100 if whole and not self.failed else self._progress(reached),
            "isComplete": whole,
            "song_name": self.story.song_name,
            "tracks": [
                {
                    "track": value,
                    "stream_url": stream if self.offers(stream, now) else None,
                    "audio_url": audio if self.offers(audio, now) else None,
                }
                for value, stream, audio in zip(
                    tracks_of(self.contract),
                    self.story.stream_urls,
                    self.story.audio_urls,
                    strict=False,
                )
            ],
        }

    def _progress(self, reached: int) -> int:
        """The last percentage that a chunk told; the share of chunks where none does."""
        fields = self.contract.protocol.fields
        rising = [name for name, schema in fields.items() if schema.get("x-role") == "progress"]
        if not rising:
            return 100 * reached // max(1, len(self.steps))
        before, _ = _FRAMES[self._last]
        for chunk in reversed(self.chunks[:reached]):
            try:
                payload = orjson.loads(chunk.removeprefix(before))
            except orjson.JSONDecodeError:
                continue  # a fault is in it
            for name in rising:
                if isinstance(payload, dict) and isinstance(payload.get(name), int):
                    return int(payload[name])
        return 0

    def result(self) -> Payload:
        """The body of a synchronous answer."""
        return sync_result(self.contract, self.story)

    def put(self, broken: Broken) -> None:
        """Send the frames of an answer that faults were put into."""
        self.chunks = in_step(broken.answer.body.frames, len(self.steps))
        self.head = (broken.answer.status, broken.answer.content_type)


class Factory:
    """Makes generations that depend on nothing but the seed, their number and their request."""

    def __init__(self, seed: int, profile: Profile, speed: float, faults: Faults) -> None:
        self.seed = seed
        self.profile = profile
        self.speed = speed
        self.faults = faults
        self.made = 0

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
        fails: bool,
        named: Fault | None = None,
    ) -> Generation:
        """A generation that starts now. The same seed, number and body give the same chunks and
        delays; the URLs in them follow `base_url`. `named` is the fault that the request asks for.
        """
        self.made += 1
        origin = f"{self.seed}/{self.made}/{contract.api}/".encode() + raw
        digest = hashlib.blake2b(origin, digest_size=16).digest()
        rng = random.Random(digest)
        story = tell_story(contract, asked, base_url, rng)
        steps = plan(contract, rng, fails=fails)
        # Every field that a stage lists, as the pages print them, also where none is required.
        filled = payloads(contract, steps, story, rng, optional=1.0)
        schedule = self.profile.schedule(steps, random.Random(digest + b"pacing"), self.speed)
        chunks = list(zip(steps, filled, strict=True))
        broken = None
        if endpoint.kind == "stream" and (named is not None or self.faults.asked):
            luck = random.Random(digest + b"faults")
            chosen = self.faults.chosen(contract, "stream", named, luck)
            for _ in range(_REDRAWN if chosen else 0):
                broken = inject(chosen, chunks, 200, framing, luck)
                if not broken.missed or any(fault.of_failure is not fails for fault in chosen):
                    break
                # Another course of the same generation may have a place for the fault.
                steps = plan(contract, luck, fails=fails)
                chunks = list(
                    zip(steps, payloads(contract, steps, story, luck, optional=1.0), strict=True)
                )
        if broken is not None:
            self.faults.tally(broken)
            chunks = broken.chunks
            steps = [step for step, _ in chunks]
            schedule = self.profile.schedule(steps, random.Random(digest + b"pacing"), self.speed)
        generation = Generation(contract, story, chunks, framing, schedule, started)
        if broken is not None and broken.applied:
            generation.put(broken)
        return generation


class Store:
    """Generations by message id: all that run, and the latest finished ones."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._all: OrderedDict[str, Generation] = OrderedDict()

    def add(self, generation: Generation) -> None:
        self._all[generation.story.message_id] = generation
        while len(self._all) > self._remembered:
            oldest = next(iter(self._all.values()))
            if not oldest.finished:
                break
            self._all.popitem(last=False)

    def get(self, message_id: str) -> Generation | None:
        return self._all.get(message_id)

    def __len__(self) -> int:
        return len(self._all)
