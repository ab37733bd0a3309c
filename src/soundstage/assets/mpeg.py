"""How many seconds of music are in the bytes of an MP3 that have come so far.

Frame by frame from the headers, so that a change of bitrate does no harm; nothing is decoded
(ISO/IEC 11172-3, 2.4.2.3, and 13818-3 for the lower sample rates; layer III only).
"""

from __future__ import annotations

import re
from typing import Final

#: kbit/s by the header's four bits: MPEG 1, and MPEG 2 and 2.5.
_BITRATES: Final = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
_RATES: Final = {
    3: (44_100, 48_000, 32_000),
    2: (22_050, 24_000, 16_000),
    0: (11_025, 12_000, 8000),
}
_LAYER_III: Final = 1
_HEADER: Final = 4
_TAG: Final = 10
#: A header of a frame whose rates are known, and a fourth byte. What has none is passed over by the
#: search, and not byte by byte here: a stream of nothing but false beginnings would take minutes.
_FRAME: Final = re.compile(
    rb"(?s:\xff[\xe2\xe3\xf2\xf3\xfa\xfb][%b].)"
    % b"".join(b"\\x%02x" % b for b in range(256) if 0 < b >> 4 < 15 and b >> 2 & 3 != 3)
)
#: Bytes without any frame after which it is no MP3.
_PATIENCE: Final = 64 * 2**10


class Frames:
    """Fed with bytes as they come; `seconds` is the music in the frames that are whole. `hopeless`:
    it is no MP3, or a kind that is not known here.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.hopeless = False
        self._rest = b""
        self._skip = 0
        self._lost = 0
        self._begun = False

    def feed(self, data: bytes) -> float:
        """Take the next bytes; returns the seconds of music that they completed."""
        before = self.seconds
        data = self._rest + data
        at = 0
        while (step := self._step(data, at)) is not None:
            at = step
        self._rest = data[at:]
        self.hopeless = not self.seconds and self._lost > _PATIENCE
        return self.seconds - before

    def _step(self, data: bytes, at: int) -> int | None:
        """Take one thing at this place; where the next begins, None if that needs more bytes."""
        if self._skip:
            taken = min(self._skip, len(data) - at)
            self._skip -= taken
            return at + taken if taken else None
        if len(data) - at < _HEADER:
            return None
        if not self._begun and data.startswith(b"ID3", at):
            if len(data) - at < _TAG:
                return None
            # Four bytes of seven bits each.
            size = 0
            for byte in data[at + 6 : at + 10]:
                size = size << 7 | byte & 0x7F
            self._skip, self._begun = _TAG + size, True
            return at
        self._begun = True
        found = frame_of(data[at : at + _HEADER])
        if found is None:
            # Lost: look for the next beginning. What may still become one is kept.
            header = _FRAME.search(data, at + 1)
            to = header.start() if header else max(at + 1, len(data) - _HEADER + 1)
            self._lost += to - at
            return to
        size, seconds = found
        if len(data) - at < size:
            return None
        self.seconds += seconds
        return at + size


def frame_of(data: bytes) -> tuple[int, float] | None:
    """The (bytes, seconds) of the frame whose header `data` begins with; None if it is none."""
    if data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    version, layer = data[1] >> 3 & 3, data[1] >> 1 & 3
    bits, rate = data[2] >> 4, data[2] >> 2 & 3
    if version not in _RATES or layer != _LAYER_III or not 0 < bits < 15 or rate == 3:
        return None
    first = version == 3
    samples = 1152 if first else 576
    sample_rate = _RATES[version][rate]
    bitrate = _BITRATES[0 if first else 1][bits] * 1000
    size = samples // 8 * bitrate // sample_rate + (data[2] >> 1 & 1)
    return size, samples / sample_rate
