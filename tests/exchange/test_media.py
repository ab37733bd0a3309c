"""What files are: songs and pictures of several makers, and what only says that it is one."""

from __future__ import annotations

import io
import math
import struct
import wave
import zlib

import pytest
from PIL import Image

from soundstage.emulator import mp3, songs
from soundstage.exchange.media import Broken, Unreadable, audio, image


def song(seconds: float) -> bytes:
    return songs.song("a song", "", 0, round(seconds * mp3.RATE)).piece(0, 10**7)


def wav(seconds: float, rate: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((2, 2, rate, 0, "NONE", ""))
        tone = (round(9_000 * math.sin(n / 20)) for n in range(round(seconds * rate)))
        out.writeframes(b"".join(struct.pack("<hh", each, each) for each in tone))
    return file.getvalue()


def test_a_song_of_another_makers_encoder_has_its_length_to_the_sample() -> None:
    found = audio(song(2.5))
    assert (found.seconds, found.loud) == (2.5, True)


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_a_wave_file_of_any_rate_has_its_length(rate: int) -> None:
    assert audio(wav(1.5, rate)).seconds == pytest.approx(1.5, abs=0.005)


def test_silence_is_no_fault_but_no_sound_at_all_is() -> None:
    found = audio(wav(1, 8_000)[:44] + bytes(32_000))
    assert (round(found.seconds, 2), found.loud) == (1, False)
    with pytest.raises(Broken):
        audio(wav(0, 8_000))


@pytest.mark.parametrize(
    "data",
    [b"", b"<html><h1>502</h1></html>" * 99, b"\xff" * 5_000, bytes(5_000), b"RIFF\0\0\0\0WAVE"],
    ids=["nothing", "a page", "ones", "zeros", "a head"],
)
def test_what_is_no_audio_is_broken(data: bytes) -> None:
    with pytest.raises(Broken, match=r"decode|sound"):
        audio(data)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\0\0\0\x20ftypM4A ", "M4A"),
        (b"\x1a\x45\xdf\xa3rest", "WebM"),
        (b"#EXTM3U\n#EXT-X-VERSION:3", "playlist"),
        (b"OggS" + bytes(24) + b"OpusHead", "Opus"),
    ],
)
def test_audio_for_which_there_is_no_decoder_is_not_called_broken(data: bytes, name: str) -> None:
    with pytest.raises(Unreadable, match=name):
        audio(data + bytes(100))


def test_decoding_stops_at_its_bound() -> None:
    with pytest.raises(Unreadable, match="longer than 2 s"):
        audio(wav(6, 8_000), most_seconds=2)


@pytest.mark.parametrize("kind", ["WEBP", "PNG", "JPEG"])
def test_a_picture_opens(kind: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(file, kind)
    found = image(file.getvalue())
    assert (found.format, found.width, found.height) == (kind, 40, 30)
    if kind != "JPEG":
        with pytest.raises(Broken):
            image(file.getvalue()[:60])


def test_what_is_no_picture_is_broken() -> None:
    for data in (b"", b"<svg xmlns='x'/>", song(0.1)):
        with pytest.raises(Broken):
            image(data)


def test_a_picture_that_would_fill_the_memory_is_not_opened() -> None:
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)), (b"IDAT", b"x")]
    data = b"\x89PNG\r\n\x1a\n"
    for name, inside in parts:
        data += struct.pack(">I", len(inside)) + name + inside
        data += struct.pack(">I", zlib.crc32(name + inside))
    with pytest.raises(Unreadable):
        image(data)
    with pytest.raises(Broken):
        image(data.replace(struct.pack(">II", 60_000, 60_000), struct.pack(">II", 60, 60)))
