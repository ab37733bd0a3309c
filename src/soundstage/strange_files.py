"""Opens files that others put where we look: never a link that leads out, never a device.

For files that are found in folders or named by other files. What the user names on the command line
is the user's own choice, and may be a pipe.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from soundstage.errors import UsageError

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_plain(path: Path, *, within: Path | None = None) -> BinaryIO:
    """A regular file, opened for reading without waiting for anybody. `within`: links on the way
    may not lead out of this folder (which may be a link itself).

    Raises UsageError for what is no regular file or lies elsewhere, OSError for what is not there.
    """
    place = Path(os.path.realpath(path))
    if within is not None and not place.is_relative_to(os.path.realpath(within)):
        raise UsageError(f"{path}: a link that leads out of {within}")
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    if within is not None:
        flags |= os.O_NOFOLLOW  # every link has been followed, unless one was put there since
    try:
        number = os.open(place, flags)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise UsageError(f"{path}: is a socket, not a file") from error
        error.filename = str(path)
        raise
    try:
        mode = os.fstat(number).st_mode
        if not stat.S_ISREG(mode):
            kind = next((name for test, name in _KINDS if test(mode)), "no regular file")
            raise UsageError(f"{path}: is {kind}, not a file")
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def read_named(path: Path, *, most: int) -> bytes:
    """The bytes of what the user named, which may be a pipe: at most `most` of them. Raises
    UsageError for more, OSError for what is not there.
    """
    with open(path, "rb", buffering=0) as file:
        parts: list[bytes] = []
        left = most + 1
        while left and (part := file.read(left)):
            parts.append(part)
            left -= len(part)
    if not left:
        raise UsageError(f"{path}: larger than {most:,} bytes")
    return b"".join(parts)


def check_plain(path: Path, *, place: str) -> None:
    """Refuse a file that another file names at `place` where it is there and is no regular one.
    One that is not there is said to be so by who opens it. Raises UsageError.
    """
    try:
        open_plain(path).close()
    except (UsageError, ValueError) as error:  # ValueError: a name that no file can have
        raise UsageError(f"{place}: {error}") from error
    except OSError:
        pass


def read_plain(path: Path, *, most: int, within: Path | None = None) -> bytes:
    """The bytes of a regular file of at most `most` bytes. Raises as `open_plain` does, and
    UsageError for a larger one.
    """
    with open_plain(path, within=within) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise UsageError(f"{path}: larger than {most:,} bytes")
    return data
