"""What files are: songs and pictures of several makers, and what only says that it is one."""

from __future__ import annotations

import io
import math
import re
import struct
import wave
import zlib
from collections.abc import Callable

import pytest
from PIL import Image

from soundstage.assets.decoder_process import Bounds, FileDecoder
from soundstage.assets.media import BrokenMedia, CannotDecode, NotDecoded, Unreadable, audio, image
from soundstage.emulator.files import mp3, songs


def song(seconds: float) -> bytes:
    return songs.song("a song", "", 0, round(seconds * mp3.RATE)).piece(0, 10**7)


def wav(seconds: float, rate: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((2, 2, rate, 0, "NONE", ""))
        tone = (round(9_000 * math.sin(n / 20)) for n in range(round(seconds * rate)))
        out.writeframes(b"".join(struct.pack("<hh", each, each) for each in tone))
    return file.getvalue()


def ogg(first: bytes) -> bytes:
    return b"OggS\0\x02" + bytes(21) + b"\x1e" + first + bytes(100)


def iso(brand: bytes, *others: bytes) -> bytes:
    inside = brand + bytes(4) + b"".join(others)
    return (8 + len(inside)).to_bytes(4, "big") + b"ftyp" + inside + bytes(99)


def saved(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(file, kind)
    return file.getvalue()


def adts(frames: int) -> bytes:
    return (b"\xff\xf1\x50\x80\x04\x1f\xfc" + bytes(25)) * frames


AUDIO = {
    "Ogg Vorbis": ogg(b"\x01vorbis"),
    "Ogg Opus": ogg(b"OpusHead"),
    "Ogg FLAC": ogg(b"\x7fFLAC"),
    "Ogg": b"OggS" + bytes(124),
    "FLAC": b"fLaC\0\0\0\x22" + bytes(34),
    "WAV": wav(0.1, 8_000),
    "MP4 or M4A": iso(b"M4A "),
    "3GP": iso(b"3gp5"),
    "QuickTime": iso(b"qt  "),
    "WebM or Matroska": b"\x1a\x45\xdf\xa3" + bytes(99),
    "AAC": adts(3),
    "AAC (ADIF)": b"ADIF" + bytes(99),
    "AIFF": b"FORM\0\0\1\0AIFFCOMM" + bytes(99),
    "AMR": b"#!AMR\n" + bytes(99),
    "MIDI": b"MThd\0\0\0\6\0\1\0\1\0\x60MTrk" + bytes(99),
    "an HLS playlist": b"#EXTM3U\n#EXT-X-VERSION:3",
    "an MPEG transport stream": (b"G" + bytes(187)) * 4,
    "WMA or ASF": b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(99),
    "CAF": b"caff\0\1\0\0desc" + bytes(99),
    "AU": b".snd\0\0\0\x18" + bytes(99),
}
IMAGES = {
    **{kind: saved(kind) for kind in ("GIF", "AVIF", "BMP", "TIFF", "ICO")},
    "HEIC": iso(b"heic", b"mif1"),
    "HEIF": iso(b"mif1", b"miaf"),
    "SVG": b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- a -- cover -->\n<svg xmlns="x"/>',
    "JPEG XL": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99),
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99),
    "PSD": b"8BPS\0\1" + bytes(99),
    "QOI": b"qoif" + bytes(99),
}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("FLAC", b"fLaC" + bytes(99)), ("AAC", adts(9)), ("WAV", wav(0.1, 8_000)),
        ("Ogg Vorbis", ogg(b"\x01vorbis")),
    ],
)  # fmt: skip
def test_a_tag_in_front_of_another_format_hides_it_from_nobody(name: str, data: bytes) -> None:
    for tag in (b"ID3\4\0\0\0\0\0\7" + bytes(7), b"ID3\4\0\x10\0\0\0\0" + bytes(10)):
        for tags in (tag, tag * 2):
            with pytest.raises(NotDecoded, match=f"it is {name}"):
                audio(tags + data)


def test_a_song_of_another_makers_encoder_has_its_length_to_the_sample() -> None:
    found = audio(song(2.5))
    assert (found.seconds, found.loud) == (2.5, True)


def test_silence_is_no_fault_but_no_sound_at_all_is() -> None:
    # A frame whose side information is all zero (ISO/IEC 11172-3, 2.4.1.7).
    silent = mp3.header_frame(48_000)[:4].ljust(mp3.FRAME_BYTES, b"\0")
    silence = mp3.header_frame(48_000) + silent * mp3.frames_of(48_000)
    found = audio(silence)
    assert (found.seconds, found.loud) == (1, False)
    with pytest.raises(BrokenMedia, match="no sound"):
        audio(wav(0, 8_000))


@pytest.mark.parametrize(
    ("change", "seconds"),
    [
        (lambda data: b"ID3\x04\0\0\0\0\x07\x68" + bytes(1_000) + data, 2.5),
        (lambda data: b"ID3\x03\0\0\0\0\0\x0a" + bytes(10) + b"ID3\x04\0\0\0\0\0\0" + data, 2.5),
        (lambda data: data + b"TAG" + bytes(125), 2.5),
        (lambda data: data + b"APETAGEX" + bytes(24) + bytes(500), 2.5),
        (lambda data: b"a beginning that is no frame" + data, 2.5),
        (lambda data: data[: len(data) // 2], 1.25),
        (lambda data: data[:-100], 2.5),
    ],
    ids=["ID3v2", "two tags", "ID3v1", "APE", "junk first", "half", "in a frame"],
)
def test_what_players_play_has_its_length(change: Callable[[bytes], bytes], seconds: float) -> None:
    assert audio(change(song(2.5))).seconds == pytest.approx(seconds, abs=0.1)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"x", b"<html><h1>502</h1></html>" * 99, b"\xff" * 5_000, bytes(5_000),
        b"RIFF\0\0\0\0WAVE", b'{"error": "not there"}' * 50, b"\xff\xfb\x94\xc4" + bytes(9),
        b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(900), b"\xff\xf1" + b"\xff" * 5_000,
        b"RIFF\0\0\0\0AVI LIST", b"Ogg", b"MThe song",
    ],
    ids=[
        "nothing", "a byte", "a page", "ones", "zeros", "a head", "JSON", "half a frame",
        "a tag of 256 MB", "a frame of AAC alone", "a video", "half a mark", "a mark with a slip",
    ],
)  # fmt: skip
def test_what_is_no_audio_is_broken(data: bytes) -> None:
    with pytest.raises(BrokenMedia, match=r"decode|sound"):
        audio(data)


@pytest.mark.parametrize(("name", "data"), AUDIO.items())
def test_audio_of_other_formats_is_recognised_and_not_called_broken(name: str, data: bytes) -> None:
    with pytest.raises(NotDecoded, match=f"^it is {re.escape(name)}, which is not decoded here$"):
        audio(data)
    with pytest.raises(BrokenMedia, match=re.escape(f"it is {name}")):
        image(data)


@pytest.mark.parametrize(("name", "data"), IMAGES.items())
def test_pictures_of_other_formats_are_recognised_and_not_called_broken(
    name: str, data: bytes
) -> None:
    with pytest.raises(NotDecoded, match=f"^it is {re.escape(name)}, which is not decoded here$"):
        image(data)
    with pytest.raises(BrokenMedia, match=re.escape(f"it is {name}")):
        audio(data)


def test_decoding_stops_at_its_bound() -> None:
    with pytest.raises(Unreadable, match="longer than 2 s"):
        audio(song(6), most_seconds=2)


@pytest.mark.parametrize("kind", ["WEBP", "PNG", "JPEG"])
def test_a_picture_opens(kind: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(file, kind)
    found = image(file.getvalue())
    assert (found.format, found.width, found.height) == (kind, 40, 30)
    if kind != "JPEG":
        with pytest.raises(BrokenMedia):
            image(file.getvalue()[:60])


def test_what_is_no_picture_is_broken() -> None:
    for data in (b"", b"<html><svg/></html>", song(0.1), b"BM" + bytes(60), b"II", b"\0\0\1\0"):
        with pytest.raises(BrokenMedia):
            image(data)


def headed(kind: str, width: int, height: int) -> bytes:
    """The beginning of a picture that says that it is so large, and nothing more."""
    w, h = width.to_bytes(4, "big"), height.to_bytes(4, "big")
    lossless = ((width - 1) | (height - 1) << 14).to_bytes(4, "little")
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    frame = b"\xff\xd8" + b"\xff\xe0\0\4ab" + b"\xff" * 9 + b"\xc2\0\x0b\x08" + h[2:] + w[2:]
    body = {
        "WebP lossless": b"VP8L\x0a\0\0\0\x2f" + lossless,
        "WebP lossy": b"VP8 \x0a\0\0\0\0\0\0\x9d\x01\x2a" + w[:1:-1] + h[:1:-1],
        "WebP canvas": b"VP8X\x0a\0\0\0\x02\0\0\0" + canvas,
    }
    if kind == "JPEG":
        return frame + b"\1\x11\0\0\0\0"
    if kind == "PNG":
        head = b"IHDR" + w + h + b"\x08\2\0\0\0"
        return b"\x89PNG\r\n\x1a\n\0\0\0\x0d" + head + zlib.crc32(head).to_bytes(4, "big")
    return b"RIFF\x1a\0\0\0WEBP" + body[kind] + bytes(9)


@pytest.mark.parametrize("kind", ["WebP lossless", "WebP lossy", "WebP canvas", "JPEG", "PNG"])
def test_a_picture_that_claims_too_much_is_not_even_handed_over(kind: str) -> None:
    decoder = FileDecoder()
    with pytest.raises(Unreadable, match="16383 by 16000"):
        image(headed(kind, 16_383, 16_000), decoder=decoder)
    with pytest.raises(Unreadable, match=r"claims 5999 by 6001 pixels in \d+ bytes"):
        image(headed(kind, 5_999, 6_001), decoder=decoder)
    assert decoder.pid is None
    with pytest.raises(BrokenMedia):
        image(headed(kind, 40, 30), decoder=decoder)
    assert decoder.pid is not None
    decoder.close()


def test_damage_that_claims_too_much_is_still_damage() -> None:
    data = bytearray(saved("PNG"))
    data[16] = 0x7F
    with pytest.raises(BrokenMedia):
        image(bytes(data))


def test_a_large_cover_is_opened_also_if_it_is_blank() -> None:
    file = io.BytesIO()
    Image.effect_noise((500, 500), 99).resize((5_000, 5_000)).save(file, "JPEG", quality=1)
    assert image(file.getvalue()).width == 5_000
    file = io.BytesIO()
    Image.new("RGB", (4_096, 4_096)).save(file, "WEBP", method=0, lossless=True)
    assert len(file.getvalue()) < 100
    assert image(file.getvalue()).height == 4_096


def test_who_has_no_decoder_says_nothing_about_a_file() -> None:
    with pytest.raises(CannotDecode, match="did not start"):
        audio(song(0.1), decoder=FileDecoder(Bounds(memory=2**20)))


def test_a_picture_that_would_fill_the_memory_is_not_opened() -> None:
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)), (b"IDAT", b"x")]
    data = b"\x89PNG\r\n\x1a\n"
    for name, inside in parts:
        data += struct.pack(">I", len(inside)) + name + inside
        data += struct.pack(">I", zlib.crc32(name + inside))
    with pytest.raises(Unreadable):
        image(data)
    with pytest.raises(BrokenMedia):
        image(data.replace(struct.pack(">II", 60_000, 60_000), struct.pack(">II", 60, 60)))
