"""The files that payloads point to: short MP3s that differ by track, and a WebP.

NumPy, Pillow and the MP3 encoder are loaded when the first file is asked for.
"""

from __future__ import annotations

import asyncio
import io
import re
from functools import cache
from typing import Final

from starlette.types import Receive, Scope, Send

from soundstage.contract import Contract
from soundstage.emulator.asgi import respond
from soundstage.emulator.generations import Store, tracks_of
from soundstage.emulator.requests import Answer, header, refusal

#: Media types by the ending of a file's name.
MEDIA_TYPES: Final = {"mp3": "audio/mpeg", "webp": "image/webp"}

_SECONDS: Final = 2.0
_RATE: Final = 44_100
_SCALE: Final = (0, 4, 7, 12, 7, 4, 2, 5)  # semitones over the track's key note


@cache
def song(place: int) -> bytes:
    """An MP3 of about two seconds. `place` is the track's place in the contract's list: each
    track has its own key and tempo.
    """
    import lameenc
    import numpy as np

    root = 220.0 * 2 ** ((place * 5 % 12) / 12)
    length = (0.25, 0.2, 0.125)[place % 3]
    moments = np.arange(round(_SECONDS * _RATE)) / _RATE
    notes = np.array(_SCALE)[(moments / length).astype(int) % len(_SCALE)]
    phase = 2 * np.pi * np.cumsum(root * 2 ** (notes / 12)) / _RATE
    decay = np.exp(-4 * (moments % length) / length)
    tone = (np.sin(phase) + 0.4 * np.sin(2 * phase)) * decay
    samples = (tone / np.abs(tone).max() * 0.7 * 32767).astype("<i2")
    encoder = lameenc.Encoder()
    encoder.set_bit_rate(64)
    encoder.set_in_sample_rate(_RATE)
    encoder.set_channels(1)
    encoder.set_quality(7)
    encoder.silence()
    return bytes(encoder.encode(samples.tobytes())) + bytes(encoder.flush())


@cache
def cover() -> bytes:
    """A WebP, 256 by 256."""
    from PIL import Image, ImageDraw

    image = Image.linear_gradient("L").convert("RGB").resize((256, 256))
    draw = ImageDraw.Draw(image)
    for ring in range(5):
        inset = 24 + 22 * ring
        colour = (40 + 40 * ring, 60, 200 - 30 * ring)
        draw.ellipse((inset, inset, 256 - inset, 256 - inset), outline=colour, width=8)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=70)
    return file.getvalue()


_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)")


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


class Assets:
    """The handler of the files; `contract` is whose words a file that is not there gets."""

    def __init__(self, store: Store, contract: Contract) -> None:
        self._store = store
        self._first = contract

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        generation = self._store.get(scope["path_params"]["message_id"])
        name = scope["path_params"]["name"]
        content = None
        if generation is not None:
            story, now = generation.story, asyncio.get_running_loop().time()
            if story.album_art.endswith(f"/{name}"):
                content = await asyncio.to_thread(cover)
            for place in range(len(tracks_of(generation.contract))):
                for url in (story.audio_urls[place], story.stream_urls[place]):
                    if url.endswith(f"/{name}") and generation.offers(url, now):
                        content = await asyncio.to_thread(song, place)
        if content is None:
            await respond(scope, send, refusal(self._first, "not_found"))
            return
        media_type = MEDIA_TYPES[name.rpartition(".")[2]]
        size = len(content)
        asked = (header(scope["headers"], b"range") or b"").decode("latin-1")
        part = byte_range(asked, size)
        headers = [(b"accept-ranges", b"bytes")]
        if part is None or scope["method"] == "HEAD":
            answer = Answer(200, content, media_type, headers)
        elif part:
            place_in = f"bytes {part.start}-{part.stop - 1}/{size}"
            headers.append((b"content-range", place_in.encode()))
            answer = Answer(206, content[part.start : part.stop], media_type, headers)
        else:
            headers.append((b"content-range", f"bytes */{size}".encode()))
            answer = Answer(416, b"", media_type, headers)
        await respond(scope, send, answer)
