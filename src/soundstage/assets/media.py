"""What a file really is: audio that decodes, and how long it is; or an image that opens.

Bytes in, facts out. MP3, WebP, PNG and JPEG are decoded, by another process (`decoder_process.py`)
since the bytes are a stranger's; the decoders are miniaudio's (of another family than the encoder
of our emulator) and Pillow's. Other formats are recognised and left alone: see `NotDecoded`. What
cannot be decoded within bounds is not called broken either: see `Unreadable`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from soundstage.assets import decoder as program
from soundstage.assets import decoder_process, pictures
from soundstage.assets.decoder_process import SHARED, Crashed, DecodedFile, FileDecoder, OverLimit
from soundstage.assets.formats import Format, recognised
from soundstage.output.cutting import beginning

#: The most seconds of sound that are decoded.
MOST_SECONDS: Final = 3_600.0
#: Pixels that any file may claim, and those for each of its bytes beyond that: a few bytes can
#: claim to be a picture that takes a gigabyte, and only a blank one would be so small.
_ALWAYS_PIXELS: Final = 4096 * 4096
_PIXELS_A_BYTE: Final = 2_000
#: A WAV file of so many bytes is a head without sound.
_WAV_HEAD: Final = 44


class BrokenMedia(Exception):
    """The file is not what it should be; the message says what is wrong."""


class Unreadable(Exception):
    """The file may be in order, but nothing here can tell; the message says why."""


class NotDecoded(Unreadable):
    """The file has a format that is recognised and not decoded here; the message names it."""


class CannotDecode(Unreadable):
    """Nothing here can decode; the message says why. That is no fault of the file."""


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


def audio(
    data: bytes, *, most_seconds: float = MOST_SECONDS, decoder: FileDecoder = SHARED
) -> Audio:
    """Decode a file of MP3 to its end, without keeping the sound.

    Raises Broken if it is no audio, does not decode or holds no sound at all; NotDecoded for audio
    of other formats; Unreadable for more than `most_seconds` and what goes beyond other bounds;
    NoDecoder if nothing can be decoded.
    """
    if len(data) <= _WAV_HEAD and data[8:12] == b"WAVE":
        raise BrokenMedia("it holds no sound")
    found = known_to_be_other(data)
    if found is not None and found.kind != "audio":
        raise BrokenMedia(f"it does not decode as audio: it is {found.name}")
    answer = _asked(decoder, "MP3", data, most_seconds)
    if answer.word == program.LONG:
        raise Unreadable(f"it is longer than {most_seconds:g} s")
    if answer.word == program.EMPTY:
        raise BrokenMedia("it holds no sound")
    if answer.word != "audio":
        raise BrokenMedia(f"it does not decode as audio; it begins with {_beginning(data)}")
    return Audio(answer.seconds, answer.loud)


def image(data: bytes, *, decoder: FileDecoder = SHARED) -> Picture:
    """Open a picture in WebP, PNG or JPEG and decode all of it.

    Raises Broken if that fails, NotDecoded for pictures of other formats; Unreadable if it is too
    large or goes beyond other bounds; NoDecoder if nothing can be decoded.
    """
    found = recognised(data)
    if found is None or found.name == "MP3":
        raise BrokenMedia(f"it does not open as an image; it begins with {_beginning(data)}")
    if found.kind != "image":
        raise BrokenMedia(f"it does not open as an image: it is {found.name}")
    if not found.decoded:
        raise _not_decoded(found)
    if size := pictures.size_of(found.name, data):
        _within_bounds(found.name, *size, len(data))
    answer = _asked(decoder, found.name, data)
    if answer.word == program.LARGE:
        raise Unreadable("it is larger than what is opened")
    if answer.word != "image":
        raise BrokenMedia(f"it does not open as an image; it begins with {_beginning(data)}")
    return Picture(found.name.upper(), answer.width, answer.height)


def known_to_be_other(data: bytes) -> Format | None:
    """The format of what begins so, None if it is not known. Raises NotDecoded if that is audio
    of a format that is not decoded here.
    """
    found = recognised(data)
    if found is None or found.kind != "audio" or found.decoded:
        return found
    raise _not_decoded(found)


def _not_decoded(found: Format) -> NotDecoded:
    return NotDecoded(f"it is {found.name}, which is not decoded here")


def _within_bounds(name: str, width: int, height: int, size: int) -> None:
    pixels = width * height
    if pixels > program.MOST_PIXELS[name]:
        raise Unreadable(f"it is {width} by {height} pixels large")
    if pixels > max(_ALWAYS_PIXELS, size * _PIXELS_A_BYTE):
        raise Unreadable(f"it claims {width} by {height} pixels in {size} bytes")


def _asked(
    decoder: FileDecoder, name: str, data: bytes, most_seconds: float = MOST_SECONDS
) -> DecodedFile:
    """What the decoder makes of a file."""
    try:
        return decoder.ask(name, data, most_seconds=most_seconds)
    except Crashed as error:
        raise BrokenMedia(f"it makes a decoder of {name} crash ({error})") from error
    except OverLimit as error:
        raise Unreadable(f"to decode it takes {error}") from error
    except decoder_process.NoDecoder as error:
        raise CannotDecode(f"there is no decoder: {error}") from error


def _beginning(data: bytes) -> str:
    return repr(beginning(bytes(data), 12))[1:] if data else "nothing"
