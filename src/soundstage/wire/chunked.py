"""The chunked transfer coding (RFC 9112, section 7.1), read by hand. No I/O.

httptools refuses what the grammar allows, such as blanks in chunk extensions; and of thousands of
streams each would keep a parser of a kilobyte for what nearly always is one whole chunk a read.
"""

from __future__ import annotations

import re
from typing import Final

from soundstage.output.cutting import beginning

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_QUOTED: Final = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
_EXTENSION: Final = rb"[ \t]*+;[ \t]*+%b(?:[ \t]*+=[ \t]*+(?:%b|%b)?)?" % (_TOKEN, _TOKEN, _QUOTED)
_SIZE: Final = re.compile(rb"0*+([0-9A-Fa-f]*+)(?:%b)*" % _EXTENSION)
_TRAILER: Final = re.compile(rb"(%b):[ \t]*+([\t -~\x80-\xff]*)" % _TOKEN)
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")
#: More hexadecimal digits than this are no size of anything.
_DIGITS: Final = 15


class FramingError(Exception):
    """The bytes are not a valid HTTP/1.1 response; its text is one clear line."""


class Chunks:
    """Feed it the bytes of a body; what they carry is added to `pieces`. `complete`: the last chunk
    and the trailers have come. `surplus`: bytes followed them.
    """

    __slots__ = (
        "_after_data",
        "_last",
        "_left",
        "_line",
        "complete",
        "pieces",
        "surplus",
        "trailers",
    )

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces
        self.complete = self.surplus = False
        self.trailers: tuple[tuple[str, str], ...] = ()
        self._left = 0
        self._line = b""
        # What the next line is: the end of a chunk's data, a trailer, else the size of a chunk.
        self._after_data = self._last = False

    @property
    def between(self) -> bool:
        """Whether the next byte is the first of a chunk."""
        return not (self._left or self._line or self._after_data or self._last)

    def one(self, data: bytes) -> bytes:
        """What a read carries that is one whole chunk, its size written as nearly everybody does;
        b"" of any other, which is to be fed.
        """
        at = data.find(b"\r\n", 0, _DIGITS)
        carried = data[at + 2 : -2]
        if (
            at > 0
            and data.startswith(b"%x\r\n" % len(carried))
            and data.endswith(b"\r\n")
            and self.between
        ):
            return carried
        return b""

    def feed(self, data: bytes) -> None:
        """Read on. Raises FramingError; what came before that is in `pieces`."""
        at, end = 0, len(data)
        while at < end and not self.complete:
            if self._left:
                piece = data[at : at + self._left]
                at += len(piece)
                self._left -= len(piece)
                self._after_data = not self._left
                self.pieces.append(piece)
                continue
            until = data.find(b"\n", at) + 1 or end
            self._line += data[at:until]
            at = until
            self._look()
        # Line ends after a message are nothing (RFC 9112, section 2.2).
        self.surplus = self.surplus or bool(data[at:].strip(b"\r\n"))

    def _look(self) -> None:
        """Take the line that is held, if it is whole."""
        line = self._line
        if self._after_data and not b"\r\n".startswith(line):
            raise FramingError("invalid body: a chunk is longer than its size says")
        if not (self._after_data or self._last) and line[0] not in _HEX:
            raise FramingError("invalid body: a chunk does not begin with its size")
        if not line.endswith(b"\n"):
            return
        if not line.endswith(b"\r\n"):
            raise FramingError("invalid body: a line ends without CR")
        self._line = b""
        if self._after_data:
            self._after_data = False
        elif not self._last:
            self._take_size(line[:-2])
        elif line == b"\r\n":
            self.complete = True
        else:
            self._take_trailer(line[:-2])

    def _take_size(self, line: bytes) -> None:
        size = _SIZE.fullmatch(line)
        if size is None or len(size[1]) > _DIGITS:
            raise FramingError(
                f"invalid body: no size of a chunk: {beginning(line, 40).decode('latin-1')!r}"
            )
        self._left = int(size[1] or b"0", 16)
        self._last = not self._left

    def _take_trailer(self, line: bytes) -> None:
        field = _TRAILER.fullmatch(line)
        if field is None or field[1].lower() == b"content-length":  # RFC 9110, section 6.5.1
            raise FramingError(
                f"invalid body: no trailer: {beginning(line, 40).decode('latin-1')!r}"
            )
        value = field[2].decode("latin-1").strip(" \t")
        self.trailers += ((field[1].decode("latin-1").lower(), value),)
