"""Content codings undone as a stream: gzip (RFC 1952) and deflate (RFC 1950, 1951). No I/O.

Output is bounded on every call, and what was decoded before a corrupt byte is not lost.
"""

from __future__ import annotations

import zlib
from typing import Protocol

from soundstage.output.cutting import head

_GZIP_WBITS = 16 + zlib.MAX_WBITS


class DecodingError(Exception):
    """The body is not what its Content-Encoding says; its text is one clear line."""


class _Decompressor(Protocol):
    """What zlib's decompression objects offer (their class has no public name)."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /, max_length: int = 0) -> bytes: ...
    def copy(self) -> _Decompressor: ...


class ContentDecoder:
    """One response body in one content coding, fed piece by piece.

    `error` is set once the data is corrupt; everything before that has been returned.
    """

    __slots__ = ("_coding", "_current", "_inside", "error")

    def __init__(self, coding: str) -> None:
        """`coding`: "gzip" or "deflate"."""
        self._coding = coding
        self._current: _Decompressor = self._fresh()
        self._inside = False
        self.error: DecodingError | None = None

    def _fresh(self) -> _Decompressor:
        return zlib.decompressobj(_GZIP_WBITS if self._coding == "gzip" else zlib.MAX_WBITS)

    def feed(self, data: bytes, room: int) -> bytes:
        """Decode `data` to at most `room` (>= 1) bytes.

        When exactly `room` bytes come back there may be more, which is dropped: give one more than
        you accept. After corrupt data `error` is set and what came before it is returned.
        """
        pieces: list[bytes] = []  # one, as a rule, which is then given back without a copy
        while data and self.error is None and room > 0:
            if self._current.eof:
                # RFC 1952 section 2.2: members simply follow each other, nothing between them.
                if self._coding != "gzip" or data[0] != 0x1F:
                    self.error = DecodingError(f"bytes follow the end of the {self._coding} data")
                    break
                self._current = self._fresh()
            self._inside = True
            before = self._current.copy()
            try:
                piece = self._current.decompress(data, room)
            except zlib.error as error:
                # zlib drops what this call had decoded so far: decode it again, bytewise.
                pieces.append(_until_corrupt(before, data, room))
                self.error = DecodingError(f"corrupt {self._coding} data: {error}")
                break
            pieces.append(piece)
            room -= len(piece)
            data = self._current.unused_data if self._current.eof else b""
        return b"".join(pieces)

    def finish(self) -> None:
        """The body is over. Raises DecodingError when the compressed data is not."""
        if self.error is not None:
            raise self.error
        if self._inside and not self._current.eof:
            raise DecodingError(f"the {self._coding} data is cut short")


def _until_corrupt(state: _Decompressor, data: bytes, room: int) -> bytes:
    kept = bytearray()
    for number in range(len(data)):
        if len(kept) >= room:
            break
        try:
            kept += state.decompress(data[number : number + 1], room - len(kept))
        except zlib.error:
            break
    return bytes(kept)


def decoder_for(content_encoding: str | None) -> ContentDecoder | None:
    """A decoder for the value of a Content-Encoding field, None when nothing is to be undone.

    Raises DecodingError for a coding that we do not know, or several at once.
    """
    codings = [part.strip().lower() for part in (content_encoding or "").split(",")]
    applied = [coding for coding in codings if coding and coding != "identity"]
    if not applied:
        return None
    if len(applied) > 1:
        raise DecodingError("several content codings at once are not supported")
    coding = {"x-gzip": "gzip"}.get(applied[0], applied[0])
    if coding not in ("gzip", "deflate"):
        raise DecodingError(
            f"content coding {head(coding, 40)!r} was not asked for and is not known"
        )
    return ContentDecoder(coding)
