"""Text files that people give to a command, in whatever encoding their tool wrote them."""

from __future__ import annotations

from pathlib import Path

from soundstage.errors import UsageError
from soundstage.saved import compression
from soundstage.saved.encodings import UTF8_BOM, to_utf8
from soundstage.saved.kinds_of_file import kind_of_file
from soundstage.untrusted.strange_files import read_named


def read_text(path: Path, limit: int, *, instead: str) -> tuple[str, bytes]:
    """The text of a file without its byte order mark, and its bytes as they lie there.

    `limit` is in bytes; `instead` says what to give, for files that are no text. Raises UsageError
    with the file, the reason and what to do.
    """
    try:
        raw = read_named(path, most=limit)
    except OSError as error:
        raise UsageError(f"{path}: cannot read: {error.strerror}") from error
    if (what := _no_text(raw, path)) is not None:
        raise UsageError(f"{path}: {what}: {instead}")
    data, _ = to_utf8(raw)
    try:
        return data.removeprefix(UTF8_BOM).decode(), raw
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}:{line}: not UTF-8: {error.reason}; save it as UTF-8") from error


def _no_text(raw: bytes, path: Path) -> str | None:
    """What a file is that holds no text; None if it may hold one."""
    if raw.startswith(b"PK\x03\x04") and (b"xl/" in raw or b"mimetypeapplication/vnd.oasis" in raw):
        return "a spreadsheet"
    kind = kind_of_file(raw)
    if kind is not None:
        return kind[0]
    try:
        packed = compression.unpacked(raw, str(path), 0)
    except UsageError:
        return "a compressed file"
    return None if packed is None else f"a file compressed with {packed.coding}"
