"""The files that payloads point to, over HTTP: songs that are whole, songs that still grow, covers.

A whole song is a file like any other: Content-Length, single ranges, ETag, HEAD. One that is still
being generated is read as it grows, from the moment a chunk named its URL: at playing pace (times
the emulator's speed) and a second of the clock ahead of it, so that who plays it hears no gap; the
rest at once when all of it is there.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from math import inf
from typing import Final

from starlette.types import Receive, Scope, Send

from soundstage.contract import Contract
from soundstage.emulator.files.cover import cover
from soundstage.emulator.files.mp3 import RATE, size_at, size_of
from soundstage.emulator.files.songs import Song, song
from soundstage.emulator.generations.generations import Generation
from soundstage.emulator.generations.store import Store
from soundstage.emulator.http.asgi import FarEnd, header, open_response
from soundstage.emulator.http.explained import refuse
from soundstage.emulator.http.replies import Headers, refusal

_AUDIO: Final = "audio/mpeg"
_IMAGE: Final = "image/webp"
#: Seconds between two looks at a song that grows, and how far it is ahead of being played: what is
#: late on a busy machine is then heard by nobody, at any speed.
_TICK: Final = 0.1
AHEAD_S: Final = 1.0
#: The most that is handed to the server at once, in bytes: it sends no more before that is gone.
_PIECE: Final = 32 * 2**10

_NO_GENERATION: Final = "no song of this id is kept: another emulator made it, or it is too old"
_NO_FILE: Final = "no chunk of this song has named this file yet"

_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def byte_range(header: str, size: int) -> range | None:
    """Which bytes a `Range` header asks for (RFC 9110, section 14.1.2): an empty range if none
    of them exist; None, the whole file, for an empty header or one that is not understood
    (several ranges, another unit).
    """
    match = _RANGE.fullmatch(header)
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    end = min(int(last) + 1, size) if last else size
    return range(int(first), max(int(first), end)) if int(first) < size else range(0)


@dataclass(frozen=True, slots=True)
class Growth:
    """How a song grows. `ready` and `whole` are moments of the event loop's clock: its stream was
    told of, all of it is there. `pace`: seconds of music that are played in a second. Where the
    generation fails, `whole` never comes, and from `ends` on it grows no more: no second ahead.
    `second_half`: the share of the pace at which that grows where a fault slows it down, whatever
    the generation does.
    """

    samples: int
    ready: float
    whole: float
    pace: float
    ends: float
    second_half: float = 1.0

    def grown(self, now: float) -> int:
        """How many samples there are for a listener: what could have been played since it was
        ready, and what is played in the next moment.
        """
        if (now := min(now, self.ends)) < self.ready:
            return 0
        played = (now - self.ready) * self.pace * RATE
        first = self.samples
        if self.second_half != 1:
            first //= 2
            if played > first:
                return round(min(first + (played - first) * self.second_half, self.samples))
        elif now >= self.whole:
            return self.samples
        ahead = AHEAD_S if self.whole < inf else 0.0
        return round(min(played + ahead * self.pace * RATE, first))

    def bytes(self, now: float) -> int:
        """How much of the file there is, in bytes."""
        grown = self.grown(now)
        return size_of(self.samples) if grown == self.samples else size_at(grown)

    def ended(self, now: float) -> bool:
        """Whether it will grow no more."""
        return now >= self.ends or self.grown(now) == self.samples


def growth(generation: Generation, place: int, now: float) -> Growth | None:
    """How the song of a track grows; None if it is whole. The track is at `place` in the contract's
    list, and its stream has been told of.

    It is whole when its audio is told of, at the latest at the end of the generation.
    """
    story, slow = generation.story, generation.second_half != 1
    audio = generation.told_at(story.audio_urls[place])
    end = generation.end
    whole = end if audio is None else audio
    if not generation.failed and not slow and now >= whole:
        return None
    ready = generation.told_at(story.stream_urls[place])
    if ready is None or (generation.failed and audio is not None and now >= audio):
        return None
    ends = inf
    if generation.failed and audio is None:
        # Nobody knows when it would have been whole: it grew at the pace at which it is played.
        whole, ends = inf, end
    samples = round(generation.seconds * RATE)
    grows = Growth(samples, ready, whole, generation.pace, ends, generation.second_half)
    return None if slow and grows.grown(now) == samples else grows


class Assets:
    """The handler of the files; `contract` is whose words a file that is not there gets."""

    def __init__(self, store: Store, contract: Contract) -> None:
        self._store = store
        self._first = contract
        self._listeners: set[FarEnd] = set()

    def stop(self) -> None:
        """Cut every file that is being sent; the server is about to close."""
        for listener in list(self._listeners):
            listener.leave()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path_params"]["name"]
        generation = self._store.get(scope["path_params"]["message_id"])
        now = asyncio.get_running_loop().time()
        if generation is not None:
            story = generation.story
            if story.album_art.endswith(f"/{name}"):
                await self._cover(generation, scope, send)
                return
            for place in range(len(generation.tracks)):
                for url in (story.audio_urls[place], story.stream_urls[place]):
                    if url.endswith(f"/{name}") and generation.offers(url, now):
                        live = url == story.stream_urls[place]
                        await self._song(generation, place, live, scope, receive, send)
                        return
        why = _NO_GENERATION if generation is None else _NO_FILE
        answer = refusal(self._first, "not_found")
        await refuse(scope, send, [self._first], answer, "not_found", why)

    async def _cover(self, generation: Generation, scope: Scope, send: Send) -> None:
        story = generation.story
        file = await asyncio.to_thread(cover, story.message_id, story.prompt)
        head = _head(scope, len(file), f'"{story.message_id}-cover"', _IMAGE)
        await open_response(scope, send, head.status, head.headers)
        body = b"" if scope["method"] == "HEAD" else file[head.part.start : head.part.stop]
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _song(
        self,
        generation: Generation,
        place: int,
        live: bool,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        now = asyncio.get_running_loop().time()
        grows = growth(generation, place, now) if live else None
        samples = round(generation.seconds * RATE)
        size = size_of(samples)
        if grows is not None and now >= grows.ends:
            # The generation failed: what had grown by then is all there will ever be.
            size, grows = grows.bytes(now), None
        message_id, prompt = generation.story.message_id, generation.story.prompt
        head = None
        if grows is None:
            head = _head(scope, size, f'"{message_id}-{place}-{size:x}"', _AUDIO)
        status, headers = (200, _GROWING) if head is None else (head.status, head.headers)
        await open_response(scope, send, status, headers)
        if scope["method"] == "HEAD" or (head is not None and not head.part):
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        made = song(message_id, prompt, place, samples)
        listener = FarEnd(receive, scope)
        self._listeners.add(listener)
        try:
            if grows is not None:
                await _growing(made, grows, listener, send)
            elif head is not None:
                await _send(made, head.part.start, head.part.stop, listener, send, last=True)
        finally:
            self._listeners.discard(listener)
            listener.close()


@dataclass(frozen=True, slots=True)
class _FileHead:
    """What is answered about a whole file; `part` are the bytes that go with it."""

    status: int
    part: range
    headers: Headers


def _head(scope: Scope, size: int, etag: str, media_type: str) -> _FileHead:
    """Status and headers for a whole file (RFC 9110, sections 13 and 14): ranges of GET, unless
    If-Range names another file; If-None-Match.
    """
    asked = {
        name: (header(scope["headers"], name) or b"").decode("latin-1").strip()
        for name in (b"range", b"if-range", b"if-none-match")
    }
    common = [
        (b"accept-ranges", b"bytes"),
        (b"etag", etag.encode()),
        (b"cache-control", b"no-cache"),
    ]
    known = {each.strip().removeprefix("W/") for each in asked[b"if-none-match"].split(",")}
    if known & {"*", etag}:
        return _FileHead(304, range(0), common)
    status, part, place = 200, byte_range(asked[b"range"], size), ""
    if part is None or scope["method"] == "HEAD" or asked[b"if-range"] not in ("", etag):
        part = range(size)
    elif part:
        status, place = 206, f"bytes {part.start}-{part.stop - 1}/{size}"
    else:
        status, place = 416, f"bytes */{size}"
    headers = [
        (b"content-type", media_type.encode()),
        (b"content-length", str(len(part)).encode()),
        *common,
    ]
    if place:
        headers.append((b"content-range", place.encode()))
    return _FileHead(status, part, headers)


#: The headers of a file whose length nobody knows yet.
_GROWING: Final[Headers] = [
    (b"content-type", _AUDIO.encode()),
    (b"accept-ranges", b"none"),
    (b"cache-control", b"no-store"),
]


async def _growing(song: Song, grows: Growth, listener: FarEnd, send: Send) -> None:
    """Send a song as it grows: at once what there is, then the rest at its pace."""
    loop = asyncio.get_running_loop()
    sent, ended = 0, False
    while not ended:
        now = loop.time()
        ended = grows.ended(now)
        there = min(grows.bytes(now), song.size)
        await _send(song, sent, there, listener, send, last=ended)
        sent = max(sent, there)
        if not ended and not await listener.until(now + _TICK, loop):
            return


async def _send(
    song: Song, start: int, stop: int, listener: FarEnd, send: Send, *, last: bool
) -> None:
    """Send bytes of a song in pieces, each when the one before has left, until the far end is
    gone; behind the `last` of them the end of the answer.
    """
    while start < stop and not listener.gone:
        end = min(start + _PIECE, stop)
        piece = song.piece(start, end)
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        start = end
    if last and not listener.gone:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
