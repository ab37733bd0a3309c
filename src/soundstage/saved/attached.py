"""Bodies that an archive keeps in files of their own: beside it in its folder, or in the same zip.

Playwright writes them (`content._file`). Only what lies within that folder or zip is read, and
never more than a limit: the names come out of a file that somebody else wrote.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from soundstage.errors import UsageError
from soundstage.untrusted.strange_files import open_plain

if TYPE_CHECKING:
    import zipfile

ZIP = b"PK\x03\x04"


def beside(archive: Path, limit: int) -> Callable[[str], bytes | None]:
    """Reads files in the folder of `archive`, at most `limit` + 1 bytes of each; None for what is
    not there, or not within that folder once links are followed.
    """

    def read(name: str) -> bytes | None:
        if not _is_plain(name):
            return None
        try:
            with open_plain(archive.parent / name, within=archive.parent) as opened:
                return opened.read(limit + 1)
        except (OSError, ValueError, UsageError):
            return None

    return read


def in_zip(raw: bytes, name: str, limit: int) -> tuple[bytes, Callable[[str], bytes | None]] | None:
    """The one HAR file in a zip, and what reads the other files in it; None if it holds none.

    Raises UsageError for a zip that is broken, locked, or holds several. `name` stands in messages.
    """
    import zipfile  # here: it is slow to load, and rarely needed

    try:
        packed = zipfile.ZipFile(BytesIO(raw))
        archives = [each for each in packed.namelist() if each.lower().endswith(".har")]
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError) as error:
        raise UsageError(f"{name}: a broken zip archive: {error}") from error
    if not archives:
        return None
    if len(archives) > 1:
        raise UsageError(f"{name}: a zip archive with {len(archives)} HAR files: unpack it first")
    folder = PurePosixPath(archives[0]).parent

    def read(file: str) -> bytes | None:
        if not _is_plain(file):
            return None
        try:
            return _member(packed, str(folder / file), limit)
        except (KeyError, UsageError):
            return None

    return _member(packed, archives[0], limit), read


def _member(packed: zipfile.ZipFile, file: str, limit: int) -> bytes:
    try:
        with packed.open(file) as opened:
            return opened.read(limit + 1)
    except KeyError:
        raise
    except (
        Exception
    ) as error:  # zipfile raises those of each compressor, and RuntimeError if locked
        raise UsageError(f"a zip archive that cannot be unpacked: {file}: {error}") from error


def _is_plain(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return not (os.path.isabs(name) or name.startswith(("/", "\\")) or ":" in name or ".." in parts)
