"""What a file really is: audio that decodes, and how long it is; or an image that opens.

Bytes in, facts out. The decoders are miniaudio's (of another family than the encoder of our
emulator) and Pillow's; they are loaded when the first file comes. What they cannot read although it
may well be audio is not called broken: see `Unreadable`.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: Samples a second that audio is decoded to, those decoded at a time, and the most seconds at all.
_RATE: Final = 48_000
_BLOCK: Final = 65_536
MOST_SECONDS: Final = 3_600.0
#: Pixels of the largest picture that is opened.
_MOST_PIXELS: Final = 64_000_000
_IMAGES: Final = ("WEBP", "JPEG", "PNG", "GIF", "AVIF")
#: How files begin that are audio, but for which there is no decoder here: (offset, bytes) -> name.
_OTHERS: Final[Mapping[tuple[int, bytes], str]] = {
    (4, b"ftyp"): "MP4 or M4A",
    (0, b"\x1a\x45\xdf\xa3"): "WebM or Matroska",
    (0, b"#EXTM3U"): "an HLS playlist",
    (0, b"ADIF"): "AAC",
    (28, b"OpusHead"): "Opus",
    (0, b"FORM"): "AIFF",
}


class Broken(Exception):
    """The file is not what it should be; the message says what is wrong."""


class Unreadable(Exception):
    """The file may be in order, but nothing here can tell; the message says why."""


@dataclass(frozen=True, slots=True)
class Audio:
    """What a decoder made of a file. `loud`: not every sample is silence."""

    seconds: float
    loud: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """What opened as an image; pixels."""

    format: str
    width: int
    height: int


def audio(data: bytes, *, most_seconds: float = MOST_SECONDS) -> Audio:
    """Decode a file of MP3, WAV, FLAC or Vorbis to its end, without keeping the sound.

    Raises Broken if it does not decode or holds no sound at all, Unreadable for other kinds of
    audio and for more than `most_seconds`.
    """
    import miniaudio  # type: ignore[import-untyped]  # ships no types

    known_to_be_other(data)
    samples, loud = 0, False
    try:
        for block in miniaudio.stream_memory(
            data, nchannels=1, sample_rate=_RATE, frames_to_read=_BLOCK
        ):
            samples += len(block)
            loud = loud or any(block)
            if samples > most_seconds * _RATE:
                raise Unreadable(f"it is longer than {most_seconds:g} s")
    except miniaudio.MiniaudioError as error:
        raise Broken(f"it does not decode as audio; it begins with {_beginning(data)}") from error
    if samples == 0:
        raise Broken("it holds no sound")
    return Audio(samples / _RATE, loud)


def image(data: bytes) -> Picture:
    """Open a picture and decode all of it. Raises Broken if that fails, Unreadable if it is too
    large.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Size is looked at here, before a pixel is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=_IMAGES) as picture:
                width, height = picture.size
                if width * height > _MOST_PIXELS:
                    raise Unreadable(f"it is {width} by {height} pixels large")
                picture.load()
                return Picture(picture.format or "", width, height)
    except Image.DecompressionBombError as error:
        raise Unreadable("it is larger than what is opened") from error
    except (OSError, ValueError, SyntaxError, EOFError, struct.error) as error:
        raise Broken(f"it does not open as an image; it begins with {_beginning(data)}") from error


def known_to_be_other(data: bytes) -> None:
    """Raises Unreadable if a file that begins so is audio of a kind that is not decoded here."""
    for (offset, mark), name in _OTHERS.items():
        if data[offset : offset + len(mark)] == mark:
            raise Unreadable(f"it is {name}, which is not decoded here")


def _beginning(data: bytes) -> str:
    return repr(data[:12])[1:] if data else "nothing"
