"""MP3 with constant frames, so that the size of a file follows from the length of its song.

At 48 kHz and 64 kbit/s every frame of MPEG-1 Layer III holds 1,152 samples in 192 bytes, without
padding. The first frame of a file is a header frame (Xing's layout, with LAME's extension) that
says how many frames there are and how many samples at both ends belong to the coder: who heeds it
decodes exactly the samples of the song, who does not gets at most 0.08 s more.
"""

from __future__ import annotations

import struct
from typing import Final

#: Samples a second, of one channel.
RATE: Final = 48_000
FRAME_SAMPLES: Final = 1_152
FRAME_BYTES: Final = 192
_KBITS: Final = 64
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
