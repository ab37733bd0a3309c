"""Opens files that others prepared: what lies in their folders, or is named by their files.

A FIFO would wait for a writer for ever, a device may never end or may act on being opened, and a
link may lead to a file that its author cannot read but we can. None of them is opened. What a user
names on the command line is the user's own choice and is opened as anything else.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

from soundstage.errors import UsageError

#: What a file is that is none, by the type bits of its mode.
_KINDS: Final = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
#: Never wait, never follow (the path is resolved before), never become the controlling terminal.
_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


def open_plain(path: Path, *, within: Path | None = None) -> BinaryIO:
    """`path`, open for reading, if it is a regular file, and (with `within`) lies in that folder
    once links are followed. Nothing else is opened even for a moment.

    Raises UsageError for what is no regular file or lies elsewhere, OSError as `open` does.
    """
    # The real path is opened without following: a link that is put in place meanwhile fails.
    real = _real(path, within)
    file = os.open(real, _FLAGS)
    try:
        _check_kind(path, os.fstat(file).st_mode)
        return os.fdopen(file, "rb")
    except BaseException:
        os.close(file)
        raise


def read_plain(path: Path, *, most: int, within: Path | None = None) -> bytes:
    """The content of a regular file of at most `most` bytes. Raises as `open_plain` does, and
    UsageError for a larger one.
    """
    with open_plain(path, within=within) as file:
        # As much as there is: a buffer of `most` bytes would be made first, for a file of ten.
        piece = min(os.fstat(file.fileno()).st_size, most) + 1
        data = b""
        while len(data) <= most and (more := file.read(min(piece, most + 1 - len(data)))):
            data += more
    if len(data) > most:
        raise UsageError(f"{path}: larger than {_size(most)}")
    return data


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
        raise UsageError(f"{path}: larger than {_size(most)}")
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


def is_plain(path: Path, *, within: Path | None = None) -> bool:
    """Whether `open_plain` would open it, as far as can be told without doing so."""
    try:
        _real(path, within)
    except (OSError, UsageError, ValueError):
        return False
    return True


def leads_out(path: Path, within: Path) -> bool:
    """Whether `path` lies elsewhere than in the folder `within` once links are followed."""
    return _lies_outside(os.path.realpath(path), within)


def _lies_outside(real: str, within: Path) -> bool:
    folder = os.path.realpath(within)
    return real != folder and not real.startswith(folder.rstrip(os.sep) + os.sep)


def _real(path: Path, within: Path | None) -> str:
    real = os.path.realpath(path)
    if within is not None and _lies_outside(real, within):
        raise UsageError(f"{path}: a link that leads out of {within}")
    _check_kind(path, os.lstat(real).st_mode)
    return real


def _check_kind(path: Path, mode: int) -> None:
    # A link that is left is one to itself: opening it says so.
    if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise UsageError(f"{path}: is {kind}, not a file")


def _size(many: int) -> str:
    return f"{many // 2**20} MiB" if many >= 2**20 else f"{many} bytes"
