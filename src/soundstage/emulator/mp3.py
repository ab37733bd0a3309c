"""MP3 with constant frames, so that the size of a file is known before any of it is encoded.

At 48 kHz and 64 kbit/s every frame of MPEG-1 Layer III holds 1,152 samples in 192 bytes, without
padding. The encoder is LAME's; it is loaded with the first song. The first frame of a file is a
header frame (Xing's layout, with LAME's extension) that says how many frames there are and how many
samples at both ends belong to the coder: who heeds it decodes exactly the samples that were put
in, who does not gets at most 0.08 s more.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np

#: Samples a second, of one channel.
RATE: Final = 48_000
FRAME_SAMPLES: Final = 1_152
FRAME_BYTES: Final = 192
_KBITS: Final = 64
#: LAME's quality from 0 (best) to 9 (fastest); 7 takes a third of the time of 5.
_QUALITY: Final = 7
#: Sync word, MPEG-1 Layer III without CRC; 64 kbit/s, 48 kHz, no padding; one channel, original.
_FRAME_HEADER: Final = bytes((0xFF, 0xFB, 0x54, 0xC4))
#: Side information of a frame with one channel; all zero it means silence.
_SIDE_BYTES: Final = 17
#: What the encoder puts before the first sample, and what a decoder loses on top of it.
_ENCODER_DELAY: Final = 576
_DECODER_DELAY: Final = 529


def frames_of(samples: int) -> int:
    """How many frames carry so many samples, coder delays included (without the header frame)."""
    return -(-(samples + _ENCODER_DELAY + _DECODER_DELAY) // FRAME_SAMPLES)


def size_of(samples: int) -> int:
    """The bytes of a whole file."""
    return (1 + frames_of(samples)) * FRAME_BYTES


def size_at(samples: int) -> int:
    """How much of a file there is when so many samples of its song are made: the header frame and
    every frame that is full.
    """
    return (1 + samples // FRAME_SAMPLES) * FRAME_BYTES


def header_frame(samples: int) -> bytes:
    """The first frame of a file. Fields and their order are those of the Xing header and of the
    extension that LAME writes behind it.
    """
    frames = frames_of(samples)
    size = size_of(samples)
    padding = frames * FRAME_SAMPLES - samples - _ENCODER_DELAY
    frame = bytearray(_FRAME_HEADER + bytes(_SIDE_BYTES))
    # All four parts follow: frames, bytes, table of contents, quality.
    frame += b"Info" + struct.pack(">III", 0x0F, frames, size)
    frame += bytes(256 * part // 100 for part in range(100)) + struct.pack(">I", 50)
    method, lowpass = 1, 0  # constant bit rate; unknown
    frame += b"LAME3.100" + bytes((method, lowpass)) + bytes(4 + 2 + 2)  # no peak, no gains
    frame += bytes((0, _KBITS))
    frame += (_ENCODER_DELAY << 12 | padding).to_bytes(3, "big")
    frame += bytes(1 + 1 + 2) + struct.pack(">IH", size, 0)  # the music's own CRC is not known yet
    frame += struct.pack(">H", _crc(frame))
    return bytes(frame).ljust(FRAME_BYTES, b"\0")


def _crc(data: bytes | bytearray) -> int:
    """CRC-16 with the polynomial 0x8005, reflected, from 0."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


class Encoding:
    """One file in the making. Feed it all samples of a song in order; what it gives back, put
    together, is `size_of(samples)` bytes: the header frame first, the rest in pieces of any size,
    up to some frames behind what was fed. Not to be used from two threads at once.
    """

    __slots__ = ("_encoder", "_fed", "_given", "_samples")

    def __init__(self, samples: int) -> None:
        import lameenc

        encoder = lameenc.Encoder()
        encoder.set_bit_rate(_KBITS)
        encoder.set_in_sample_rate(RATE)
        encoder.set_out_sample_rate(RATE)
        encoder.set_channels(1)
        encoder.set_quality(_QUALITY)
        encoder.silence()
        self._encoder = encoder
        self._samples = samples
        self._fed = 0
        self._given = 0

    def feed(self, samples: np.ndarray) -> bytes:
        """The next int16 samples; gives the bytes that they complete. With the last of them comes
        the rest of the file.
        """
        part = b"" if self._given else header_frame(self._samples)
        part += bytes(self._encoder.encode(samples.astype("<i2", copy=False).tobytes()))
        self._fed += len(samples)
        whole = size_of(self._samples)
        if self._fed >= self._samples:
            # The encoder holds samples and bytes back until more come: silence pushes them out,
            # and what it adds of its own is cut off.
            silence = bytes(2 * 4 * FRAME_SAMPLES)
            part += bytes(self._encoder.encode(silence)) + bytes(self._encoder.flush())
            part = part[: whole - self._given]
        self._given += len(part)
        return part
