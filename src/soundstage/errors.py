"""Misuse of the harness, or an environment that stops it. Never a fault of the API: those are
values (`soundstage.conformance.violations`).

Each class carries the exit code that the command line gives for it (docs/reference/exit-codes.md).
"""

from __future__ import annotations

import errno

from soundstage.exit_codes import ExitCode


class SoundstageError(Exception):
    """Base of all; its text is one clear line for the user."""

    exit_code: int = ExitCode.USAGE


class UsageError(SoundstageError):
    """A wrong argument, file or configuration."""


class ContractDataError(SoundstageError):
    """A file of a contract that the loader does not fully understand: file, pointer and reason."""


class NoDataError(SoundstageError):
    """There is nothing to judge: an empty run, a bundle without exchanges."""

    exit_code = ExitCode.NO_DATA


class TargetError(SoundstageError):
    """The target or the environment failed: unreachable, no key, an outage, a full disk."""

    exit_code = ExitCode.ENVIRONMENT


class EmulatorOptionsError(TargetError):
    """An emulator was to be started with options that it does not know."""

    exit_code = ExitCode.USAGE


class BudgetError(TargetError):
    """A billable request was about to be sent without a budget that covers it. `missing`: there
    never was any; else it was used up on the way.
    """

    def __init__(self, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


#: The name is wrong: there is nothing there, or something else than was meant.
_WRONG_NAME = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.ENOTEMPTY,
        errno.ENAMETOOLONG,
        errno.ELOOP,
        errno.EINVAL,
    }
)


def not_written(
    place: object, error: OSError, what: str = "cannot write"
) -> UsageError | TargetError:
    """What to raise where a file that the user named cannot be written: UsageError if the name is
    wrong, TargetError if the system refuses (full, read-only, not permitted, too many files).
    """
    text = f"{place}: {what}: {error.strerror or error}"
    return TargetError(text) if refused(error) else UsageError(text)


def refused(error: BaseException | None) -> bool:
    """Whether the system refuses to do what it was rightly asked for."""
    return isinstance(error, OSError) and error.errno not in _WRONG_NAME


#: Errors of the operating system that only wrong code gets.
_OURS = frozenset({errno.EBADF, errno.EFAULT, errno.ENOTSOCK, errno.EINVAL})
#: What those say of it who know no MemoryError: the loader of modules, starters of threads, orjson,
#: and CPython where it notices too late that an allocation failed.
_SHORT_OF_MEMORY = (
    "Cannot allocate memory",
    "failed to map segment",
    "can't start new thread",
    "Not enough memory",
    "error return without exception set",
    "returned NULL without setting an exception",
)


def environment_reason(error: BaseException) -> str | None:
    """Why the environment is to blame for an exception that is none of ours, in one line: no
    memory, or an operating system that refuses. None if it is not.
    """
    if isinstance(error, MemoryError):
        return f"out of memory: {error}" if str(error) else "out of memory"
    if isinstance(error, OSError) and error.errno is not None and error.errno not in _OURS:
        place = "" if error.filename is None else f"{_name(error.filename)}: "
        return f"{place}{error.strerror or error}"
    if isinstance(error, ImportError | RuntimeError | SystemError | ValueError):
        said = str(error).strip()
        if any(words in said for words in _SHORT_OF_MEMORY):
            return f"out of memory: {said.splitlines()[-1]}"
        if isinstance(error.__cause__ or error.__context__, MemoryError):
            return "out of memory"
    return None


def _name(file: object) -> str:
    return file.decode(errors="backslashreplace") if isinstance(file, bytes) else str(file)
