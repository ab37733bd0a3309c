"""Compressed files and bodies, told by their first bytes and undone within bounds. No I/O.

gzip (RFC 1952, several members too), zlib (RFC 1950), bzip2 and xz. Output never passes a limit: of
a file that unpacks to more, so much is given that the caller sees that it is too much.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, Final, Protocol

from soundstage.errors import UsageError

#: The file breaks off inside its compressed data: the fault of who saved it.
CUT: Final = "file.truncated"
_GZIP: Final = b"\x1f\x8b\x08"
_BZIP2: Final = b"BZh"
_XZ: Final = b"\xfd7zXZ\x00"
_MEMORY: Final = 256 * 2**20
#: Compressed with what the standard library does not undo: first bytes, name, and what undoes it.
_OTHERS: Final = (
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd -d"),
    (b"\x04\x22\x4d\x18", "LZ4", "lz4 -d"),
    (b"\x1f\x9d", "compress", "uncompress"),
    (b"\xff\x06\x00\x00sNaPpY", "Snappy", "snzip -d"),
    (b"LZIP", "lzip", "lzip -d"),
)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What a compressed file holds: `coding` is its name, `cut` whether it breaks off."""

    data: bytes
    coding: str
    cut: bool


class _FileDecompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


def unpacked(raw: bytes, name: str, limit: int) -> Unpacked | None:
    """What is in `raw`, at most `limit` + 1 bytes of it; None if it is not compressed.

    Raises UsageError for corrupt data and for compression that is not read here. `name` stands in
    the message.
    """
    for mark, coding, command in _OTHERS:
        if raw.startswith(mark):
            raise UsageError(
                f"{name}: compressed with {coding}, which is not read here: `{command}` it first"
            )
    told = _coding(raw)
    if told is None:
        return None
    corrupt: tuple[type[Exception], ...] = (zlib.error, OSError, ValueError, EOFError, _Corrupt)
    if told == "xz":
        import lzma

        corrupt = (*corrupt, lzma.LZMAError, MemoryError)  # a window that may not be had
    try:
        return _unpack(raw, told, limit)
    except corrupt as error:
        raise UsageError(f"{name}: corrupt {told} data ({error}): save it again") from error


def undone(body: bytes, content_encoding: str, limit: int) -> Unpacked | None:
    """A saved body whose head says `content_encoding`: unpacked if it is still packed, None if the
    tool that saved it has undone that already, or nothing can tell.

    Raises UsageError as `unpacked` does, and for brotli, which has no first bytes of its own.
    """
    coding = content_encoding.strip().lower()
    if coding == "deflate" and (inner := _raw_deflate(body, limit)) is not None:
        return inner
    if coding in ("br", "zstd", "compress") and _is_binary(body[:512]):
        raise UsageError(
            f"the body is still compressed ({coding}), which is not read here: "
            "save it with `curl --compressed`"
        )
    return None


class _Corrupt(Exception):
    pass


def _coding(raw: bytes) -> str | None:
    if raw.startswith(_GZIP):
        return "gzip"
    if raw.startswith(_BZIP2) and raw[4:10] in (b"1AY&SY", b"\x17rE8P\x90"):
        return "bzip2"
    if raw.startswith(_XZ):
        return "xz"
    # RFC 1950, section 2.2: deflate with a window of 32 KiB, and a checksum over both bytes. Text
    # may begin so ("x^"), hence the second look.
    if raw[:1] == b"\x78" and len(raw) > 2 and int.from_bytes(raw[:2], "big") % 31 == 0:
        return "zlib" if _is_binary(raw[:64]) else None
    return None


def _unpack(raw: bytes, coding: str, limit: int) -> Unpacked:
    produced = bytearray()
    rest = raw
    while True:
        current = _decompressor(coding)
        try:
            produced += current.decompress(rest, limit + 1 - len(produced))
        except EOFError:
            break
        if not current.eof:
            # Either there is more than fits, or the data breaks off.
            return Unpacked(bytes(produced), coding, len(produced) <= limit)
        rest = current.unused_data.lstrip(b"\0")  # padding, as tapes and some tools write it
        if not rest:
            break
        if len(produced) > limit:
            break
        if coding == "zlib" or not _again(rest, coding):
            if rest.strip(b"\r\n"):
                raise _Corrupt("other bytes follow its end")
            break
    return Unpacked(bytes(produced), coding, False)


def _again(rest: bytes, coding: str) -> bool:
    """Whether another member of the same file begins here, or the beginning of one."""
    mark = {"gzip": _GZIP, "bzip2": _BZIP2, "xz": _XZ}[coding]
    return rest.startswith(mark) or mark.startswith(rest)


def _decompressor(coding: str) -> _FileDecompressor:
    if coding == "gzip":
        return zlib.decompressobj(16 + zlib.MAX_WBITS)
    if coding == "zlib":
        return zlib.decompressobj()
    made: Any
    if coding == "bzip2":
        import bz2

        made = bz2.BZ2Decompressor()
    else:
        import lzma

        made = lzma.LZMADecompressor(memlimit=_MEMORY)
    decompressor: _FileDecompressor = made
    return decompressor


def _raw_deflate(body: bytes, limit: int) -> Unpacked | None:
    """Deflate without the wrapping of zlib, as some servers mean "deflate"."""
    if not _is_binary(body[:512]):
        return None
    plain = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = plain.decompress(body, limit + 1)
    except zlib.error:
        return None
    return Unpacked(data, "deflate", not plain.eof and len(data) <= limit)


def _is_binary(head: bytes) -> bool:
    """Whether these are not the first bytes of any text in UTF-8 that may be cut at its end."""
    if any(byte < 9 or (13 < byte < 32 and byte != 27) for byte in head):
        return True
    try:
        head[: max(0, len(head) - 3)].decode()
    except UnicodeDecodeError as error:
        return error.start < len(head) - 4
    return False
