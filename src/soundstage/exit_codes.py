"""The exit codes of every command, and which of several is given (docs/reference/exit-codes.md)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """What a command says to the shell or pipeline that ran it."""

    PASS = 0
    BROKEN = 1
    USAGE = 2
    SLOW = 3
    INCONCLUSIVE = 4
    NO_DATA = 5
    ENVIRONMENT = 6
    BUG = 70
    HANGUP = 129
    INTERRUPTED = 130
    TERMINATED = 143


#: What ends a command at once comes first, then what weighs most (docs/reference/exit-codes.md).
_ORDER = (
    ExitCode.INTERRUPTED,
    ExitCode.TERMINATED,
    ExitCode.HANGUP,
    ExitCode.BUG,
    ExitCode.USAGE,
    ExitCode.BROKEN,
    ExitCode.ENVIRONMENT,
    ExitCode.NO_DATA,
    ExitCode.SLOW,
    ExitCode.INCONCLUSIVE,
    ExitCode.PASS,
)


def worst(codes: Iterable[int]) -> int:
    """The code that is given where several apply; PASS where none does. One that is none of ours
    outranks all others: nobody knows what it means.
    """
    given = set(codes)
    if strange := given - set(_ORDER):
        return min(strange)
    return int(next((code for code in _ORDER if code in given), ExitCode.PASS))


def with_report(verdict: int, reported: int) -> int:
    """The code of a command that has its verdict and then wrote its report, which ended with
    `reported`: a report that could not be written does not make a broken contract anything else,
    and hides every other verdict.
    """
    if verdict == ExitCode.BROKEN or reported in (ExitCode.PASS, ExitCode.NO_DATA):
        return verdict
    # Where a report goes was chosen by the command, not by its user.
    return worst((verdict, ExitCode.ENVIRONMENT if reported == ExitCode.USAGE else reported))
