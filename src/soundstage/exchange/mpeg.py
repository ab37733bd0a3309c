"""How many seconds of music are in the bytes of an MP3 that have come so far.

Frame by frame from the headers, so that a change of bitrate does no harm; nothing is decoded
(ISO/IEC 11172-3, 2.4.2.3, and 13818-3 for the lower sample rates; layer III only).
"""

from __future__ import annotations

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
        self._rest += data
        while self._step():
            pass
        self.hopeless = not self.seconds and self._lost > _PATIENCE
        return self.seconds - before

    def _step(self) -> bool:
        """Take one thing off the beginning; False if more bytes are needed for that."""
        if self._skip:
            taken = min(self._skip, len(self._rest))
            self._rest, self._skip = self._rest[taken:], self._skip - taken
            return self._skip == 0 and bool(self._rest)
        if len(self._rest) < _HEADER:
            return False
        if not self._begun and self._rest.startswith(b"ID3"):
            if len(self._rest) < _TAG:
                return False
            # Four bytes of seven bits each.
            size = 0
            for byte in self._rest[6:10]:
                size = size << 7 | byte & 0x7F
            self._skip, self._begun = _TAG + size, True
            return True
        self._begun = True
        found = frame_of(self._rest)
        if found is None:
            # Lost: look for the next beginning.
            at = self._rest.find(b"\xff", 1)
            gone = len(self._rest) if at < 0 else at
            self._rest, self._lost = self._rest[gone:], self._lost + gone
            return bool(self._rest)
        size, seconds = found
        if len(self._rest) < size:
            return False
        self._rest = self._rest[size:]
        self.seconds += seconds
        return True


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
