"""How large a picture says that it is, from its header alone: what would fill the memory is not
decoded at all.
"""

from __future__ import annotations

import re
import zlib
from typing import Final

#: Markers of JPEG without a length (ITU T.81, B.1.1.3): TEM, RST0 to RST7, SOI.
_BARE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
#: SOF0 to SOF15 but for DHT, JPG and DAC: they say how large the picture is.
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_NO_FILL: Final = re.compile(rb"[^\xff]")
#: Segments that are looked at before the first frame; no file has half as many.
_MOST_SEGMENTS: Final = 4096


def size_of(name: str, data: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels of a picture in the format `name` (PNG, WebP or JPEG); None where
    the header does not say.
    """
    return {"PNG": _png, "WebP": _webp, "JPEG": _jpeg}[name](data)


def _png(data: bytes) -> tuple[int, int] | None:
    """PNG, 11.2.1; 5.5 for the checksum, without which it is damage that speaks."""
    head = data[12:29]
    if head[:4] != b"IHDR" or zlib.crc32(head) != int.from_bytes(data[29:33], "big"):
        return None
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _webp(data: bytes) -> tuple[int, int] | None:
    """RFC 9649, 2.5 to 2.7: the canvas, or the only frame."""
    chunk = data[12:16]
    if len(data) < 30 and not (chunk == b"VP8L" and len(data) >= 25):
        return None
    if chunk == b"VP8X":
        width, height = data[24:27], data[27:30]
        return int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1
    if chunk == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = data[26:28], data[28:30]
        return int.from_bytes(width, "little") & 0x3FFF, int.from_bytes(height, "little") & 0x3FFF
    return None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    """ITU T.81, B.2.2."""
    at = 2
    for _ in range(_MOST_SEGMENTS):
        at = data.find(b"\xff", at)
        if at < 0:
            return None
        # Any number of fill bytes may stand before a marker.
        found = _NO_FILL.search(data, at)
        if found is None:
            return None
        marker, at = found[0][0], found.end()
        if marker in _BARE or marker == 0:
            continue
        if marker in _FRAMES:
            sides = data[at + 3 : at + 7]
            if len(sides) < 4:
                return None
            return int.from_bytes(sides[2:], "big"), int.from_bytes(sides[:2], "big")
        at += max(2, int.from_bytes(data[at : at + 2], "big"))
    return None
