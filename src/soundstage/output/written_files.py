"""Files and documents that a command writes where its user says."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from soundstage.errors import UsageError, not_written
from soundstage.output import outgoing, streams

#: A file that can be written, though nothing can be put in its place: its folder is not ours, or it
#: was mounted there by itself.
_FIXED = frozenset({errno.EBUSY, errno.EACCES, errno.EPERM, errno.EXDEV, errno.EROFS})
#: A new file: not there before, and nothing in its place that leads elsewhere.
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
#: One that is there: it is looked at before anything in it is touched, and never waited for.
_FILL = os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def check_place(path: Path, what: str) -> None:
    """Find out before the work whether `path` can be a file at all. Raises UsageError, which
    begins with `what` (the option), if it is a folder or in none.
    """
    if path.is_dir():
        raise UsageError(f"{what} {path}: cannot write: that is a folder")
    if not path.parent.is_dir():
        raise UsageError(f"{what} {path}: cannot write: there is no folder {path.parent}")


def put(path: Path, text: str) -> None:
    """Put `text` (as UTF-8) in place of `path`, which the user named, at once, so that nobody reads
    half of it. What is there and no plain file (a pipe, a terminal, /dev/stdout) is written to, and
    a link stays a link: both are the user's choice. For a file in a folder that others may have
    prepared there is `put_within`.

    Raises UsageError if `path` can be no file, TargetError if the system refuses to write it.
    """
    data = text.encode("utf-8", "backslashreplace")
    try:
        if _is_special(path):
            with path.open("wb", buffering=0) as file:
                rest = memoryview(outgoing.data(data))
                while rest:
                    rest = rest[file.write(rest) or 0 :]
            return
        _replace_or_fill(Path(os.path.realpath(path)), data, links=True)
    except BrokenPipeError:
        pass  # whoever reads it has had enough
    except OSError as error:
        raise not_written(path, error) from error


def put_within(folder: Path, name: str, text: str) -> None:
    """Put `text` (as UTF-8) in place of the file `name` in `folder`, at once. Whoever prepared the
    folder does not choose where it goes: a link, a pipe or a device of that name is replaced.

    Raises UsageError if there can be no such file, TargetError if the system refuses to write it.
    """
    path = folder / name
    try:
        _replace_or_fill(path, text.encode("utf-8", "backslashreplace"), links=False)
    except OSError as error:
        raise not_written(path, error) from error


def replace(path: Path, data: bytes, *, sync: bool = False) -> None:
    """Put `data` in place of `path` at once: a reader sees the old file or the new one, never a
    part. A link at `path` is replaced, not followed. `sync`: it is on the disk when this returns.
    Raises OSError.

    It is written under a name that nobody can guess and that was not there before, so that nobody
    can have put a link there.
    """
    temporary = path.with_name(f".soundstage-{secrets.token_hex(8)}.tmp")
    try:
        with os.fdopen(os.open(temporary, _NEW, 0o666), "wb") as file:
            with suppress(OSError):
                there = path.lstat()
                if stat.S_ISREG(there.st_mode):
                    os.fchmod(file.fileno(), stat.S_IMODE(there.st_mode) & 0o777)
            file.write(outgoing.data(data))
            if sync:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        # One of that name which was there before is not ours to delete.
        if not isinstance(error, FileExistsError):
            with suppress(OSError):
                temporary.unlink()
        raise


def create(path: Path, data: bytes) -> None:
    """Write a file that is not there yet, not even as a link. Raises OSError; nothing is left."""
    file = os.open(path, _NEW, 0o666)
    try:
        with os.fdopen(file, "wb") as opened:
            opened.write(outgoing.data(data))
    except BaseException:
        with suppress(OSError):
            path.unlink()  # half a file would only confuse
        raise


def _replace_or_fill(path: Path, data: bytes, *, links: bool) -> None:
    """Replace a file; where nothing can be put in its place, write into it, unless it has other
    names (hard `links`) that somebody else may have given it.
    """
    try:
        replace(path, data)
    except OSError as error:
        if error.errno not in _FIXED:
            raise
        try:
            file = os.open(path, _FILL)
        except OSError:
            raise error from None
        with os.fdopen(file, "wb") as opened:
            found = os.fstat(opened.fileno())
            if not stat.S_ISREG(found.st_mode) or (found.st_nlink > 1 and not links):
                raise
            opened.truncate(0)
            opened.write(outgoing.data(data))


def _is_special(path: Path) -> bool:
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def print_document(text: str, stdout: TextIO, *, orders: bool = False) -> None:
    """Print a document for programs: in UTF-8 whatever the locale, as it says of itself. With
    `orders` those to a service of continuous integration that it holds are our own.
    """
    screen: Any = streams.screen(stdout)
    screen.document(text, orders=orders)
