"""Which format a file has, by how it begins; nothing of it is decoded.

A table of magic bytes that code walks. Four formats are decoded here (`DECODED`), by a process of
its own; all others are only recognised, so that a file of them is not called broken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

#: What is decoded, by its name.
DECODED: Final = frozenset({"MP3", "WebP", "PNG", "JPEG"})
#: So much of the beginning of a file is looked at, behind the tags that may come first.
LOOKED_AT: Final = 4096


@dataclass(frozen=True, slots=True)
class Format:
    """A format of files by its `name` in words; `kind` is "audio" or "image"."""

    name: str
    kind: str

    @property
    def decoded(self) -> bool:
        """Whether it is one of those that are decoded here."""
        return self.name in DECODED


def _audio(name: str) -> Format:
    return Format(name, "audio")


def _image(name: str) -> Format:
    return Format(name, "image")


#: All of these bytes at these places -> the format. The first that fits is it.
_MARKS: Final[tuple[tuple[dict[int, bytes], Format], ...]] = (
    ({0: b"\x89PNG\r\n\x1a\n"}, _image("PNG")),
    ({0: b"\xff\xd8\xff"}, _image("JPEG")),
    ({0: b"RIFF", 8: b"WEBP"}, _image("WebP")),
    ({0: b"GIF87a"}, _image("GIF")),
    ({0: b"GIF89a"}, _image("GIF")),
    ({0: b"II*\0"}, _image("TIFF")),
    ({0: b"MM\0*"}, _image("TIFF")),
    ({0: b"II+\0"}, _image("TIFF")),
    ({0: b"MM\0+"}, _image("TIFF")),
    ({0: b"8BPS\0"}, _image("PSD")),
    ({0: b"\0\0\0\x0cJXL \r\n\x87\n"}, _image("JPEG XL")),
    ({0: b"\xff\x0a"}, _image("JPEG XL")),
    ({0: b"\0\0\0\x0cjP  \r\n\x87\n"}, _image("JPEG 2000")),
    ({0: b"\xff\x4f\xff\x51"}, _image("JPEG 2000")),
    ({0: b"qoif"}, _image("QOI")),
    ({0: b"v/1\x01"}, _image("OpenEXR")),
    ({0: b"DDS \x7c\0\0\0"}, _image("DDS")),
    ({0: b"RIFF", 8: b"WAVE"}, _audio("WAV")),
    ({0: b"RIFX", 8: b"WAVE"}, _audio("WAV")),
    ({0: b"RF64", 8: b"WAVE"}, _audio("WAV")),
    ({0: b"BW64", 8: b"WAVE"}, _audio("WAV")),
    ({0: b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb"}, _audio("Wave64")),
    ({0: b"RIFF", 8: b"RMID"}, _audio("MIDI")),
    ({0: b"MThd\0\0\0\x06"}, _audio("MIDI")),
    ({0: b"fLaC"}, _audio("FLAC")),
    ({0: b"OggS", 28: b"OpusHead"}, _audio("Ogg Opus")),
    ({0: b"OggS", 28: b"\x01vorbis"}, _audio("Ogg Vorbis")),
    ({0: b"OggS", 28: b"\x7fFLAC"}, _audio("Ogg FLAC")),
    ({0: b"OggS", 28: b"Speex   "}, _audio("Ogg Speex")),
    ({0: b"OggS"}, _audio("Ogg")),
    ({0: b"\x1a\x45\xdf\xa3"}, _audio("WebM or Matroska")),
    ({0: b"FORM", 8: b"AIFF"}, _audio("AIFF")),
    ({0: b"FORM", 8: b"AIFC"}, _audio("AIFF")),
    ({0: b"#!AMR"}, _audio("AMR")),
    ({0: b"#EXTM3U"}, _audio("an HLS playlist")),
    ({0: b"ADIF"}, _audio("AAC (ADIF)")),
    ({0: b"caff\0\x01"}, _audio("CAF")),
    ({0: b".snd\0\0\0"}, _audio("AU")),
    ({0: b"wvpk"}, _audio("WavPack")),
    ({0: b"MAC "}, _audio("Monkey's Audio")),
    ({0: b"TTA1"}, _audio("True Audio")),
    ({0: b"MPCK"}, _audio("Musepack")),
    ({0: b"MP+"}, _audio("Musepack")),
    ({0: b"DSD \x1c\0\0\0"}, _audio("DSF")),
    ({0: b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"}, _audio("WMA or ASF")),
    ({0: b"FLV\x01"}, _audio("FLV")),
)  # fmt: skip
#: Brands of ISO files (ISO/IEC 14496-12, 4.3) that are pictures; all others may hold sound.
_PICTURES: Final = {
    b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"heim": "HEIC",
    b"heis": "HEIC", b"hevc": "HEIC", b"hevx": "HEIC", b"mif1": "HEIF", b"msf1": "HEIF",
}  # fmt: skip
_SVG: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]{0,200}\?>\s*)?"
    rb"(?:(?:<!--(?:[^-]|-(?!->))*-->|<!DOCTYPE\s+svg[^>\[]{0,400}>)\s*){0,8}"
    rb"<(?:svg:)?svg[\s>/]"
)
#: Sizes of the header that follows in a bitmap (BITMAPCOREHEADER to BITMAPV5HEADER).
_BITMAP_HEADERS: Final = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_ID3_HEAD: Final = 10
#: Tags that may stand before each other; no program writes more than one.
_MOST_TAGS: Final = 16


def recognised(data: bytes) -> Format | None:
    """The format of a file that begins so, None if that is not known. MP3 has no magic bytes of its
    own: what begins with a frame of MPEG audio, or with an ID3 tag and nothing else that is known
    behind it, is taken for it.
    """
    start = _behind_tags(data)
    head = bytes(data[start : start + LOOKED_AT])
    found = _by_marks(head) or _iso(head) or _by_shape(head)
    if start and (found is None or found.kind != "audio"):
        return _audio("MP3")  # nothing but sound has such tags
    if found is None and head[:1] == b"\xff" and _mpeg_frame(head):
        return _audio("MP3")
    return found


def _by_marks(head: bytes) -> Format | None:
    for marks, found in _MARKS:
        if all(head.startswith(mark, at) for at, mark in marks.items()):
            return found
    return None


def _behind_tags(data: bytes) -> int:
    """Where the file begins behind the ID3 tags before it (ID3v2.4, 3.1), which FLAC and AAC may
    have as well as MP3. Beyond the end if they claim to be longer than all of it.
    """
    at = 0
    for _ in range(_MOST_TAGS):
        tag = data[at : at + _ID3_HEAD]
        if len(tag) < _ID3_HEAD or tag[:3] != b"ID3" or max(tag[6:10]) > 0x7F:
            break
        size = tag[6] << 21 | tag[7] << 14 | tag[8] << 7 | tag[9]
        footer = _ID3_HEAD if tag[5] & 0x10 else 0
        at += _ID3_HEAD + size + footer
    return at


def _iso(head: bytes) -> Format | None:
    """Files of the ISO base format: pictures and sound alike begin with their brands."""
    if head[4:8] == b"styp":
        return _audio("MP4 or M4A")
    if head[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(head[:4], "big"), 256)
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))]
    for brand in brands[:1] if brands[0] not in (b"mif1", b"msf1") else brands[::-1]:
        if brand in _PICTURES:
            return _image(_PICTURES[brand])
    if brands[0][:3] in (b"3gp", b"3g2"):
        return _audio("3GP")
    if brands[0] == b"qt  ":
        return _audio("QuickTime")
    return _audio("MP4 or M4A")


def _by_shape(head: bytes) -> Format | None:
    """Formats whose magic bytes are too few to be taken at their word."""
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        if int.from_bytes(head[14:18], "little") in _BITMAP_HEADERS:
            return _image("BMP")
    elif head[:4] in (b"\0\0\1\0", b"\0\0\2\0") and len(head) > 9:
        if 0 < int.from_bytes(head[4:6], "little") < 256 and head[9] == 0:
            return _image("ICO")
    elif head[:1] == b"G" and head[188:189] == b"G" and head[376:377] == b"G":
        return _audio("an MPEG transport stream")
    elif _SVG.match(head):
        return _image("SVG")
    elif _adts(head):
        return _audio("AAC")
    return None


def _adts(head: bytes) -> bool:
    """Whether a frame of AAC begins here, and another where that one ends (ISO/IEC 13818-7, 6.2):
    the sync word alone stands in damaged MP3, too.
    """
    if len(head) < 7 or not _adts_header(head, 0):
        return False
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    if size < 7:
        return False
    return len(head) <= size + 1 or _adts_header(head, size)


def _adts_header(head: bytes, at: int) -> bool:
    rate = head[at + 2] >> 2 & 15 if len(head) > at + 2 else 0
    return head[at] == 0xFF and head[at + 1] & 0xF6 == 0xF0 and rate < 13


def _mpeg_frame(head: bytes) -> bool:
    """Whether the header of a frame of MPEG audio, any layer, begins here."""
    if len(head) < 4:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    return head[1] & 0xE0 == 0xE0 and version != 1 and layer != 0 and head[2] >> 4 != 15
