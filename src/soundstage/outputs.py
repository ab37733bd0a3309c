"""Files and documents that a command writes where its user says."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from soundstage import streams
from soundstage.errors import UsageError, not_written

#: A file that can be written, though nothing can be put in its place: its folder is not ours, or it
#: was mounted there by itself.
_FIXED = frozenset({errno.EBUSY, errno.EACCES, errno.EPERM, errno.EXDEV, errno.EROFS})


def check_place(path: Path, what: str) -> None:
    """Find out before the work whether `path` can be a file at all. Raises UsageError, which
    begins with `what` (the option), if it is a folder or in none.
    """
    if path.is_dir():
        raise UsageError(f"{what} {path}: cannot write: that is a folder")
    if not path.parent.is_dir():
        raise UsageError(f"{what} {path}: cannot write: there is no folder {path.parent}")


def put(path: Path, text: str) -> None:
    """Put `text` (as UTF-8) in place of `path` at once, so that nobody reads half of it. What is
    there and no plain file (a pipe, a terminal, /dev/stdout) is written to.

    Raises UsageError if `path` can be no file, TargetError if the system refuses to write it.
    """
    data = text.encode("utf-8", "backslashreplace")
    try:
        if _is_special(path):
            with path.open("wb", buffering=0) as file:
                rest = memoryview(data)
                while rest:
                    rest = rest[file.write(rest) or 0 :]
            return
        try:
            _replace(Path(os.path.realpath(path)), data)  # a link stays a link
        except OSError as error:
            if error.errno not in _FIXED or not path.is_file():
                raise
            path.write_bytes(data)
    except BrokenPipeError:
        pass  # whoever reads it has had enough
    except OSError as error:
        raise not_written(path, error) from error


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".soundstage-{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        with suppress(OSError):
            os.chmod(temporary, stat.S_IMODE(path.stat().st_mode))
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


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
