"""Misuse of the harness, or an environment that stops it. Never a fault of the API: those are
values (`soundstage.conformance.violations`).

Each class carries the exit code that the command line gives for it (README, "Exit codes").
"""


class SoundstageError(Exception):
    """Base of all; its text is one clear line for the user."""

    exit_code = 2


class UsageError(SoundstageError):
    """A wrong argument, file or configuration."""


class ContractDataError(SoundstageError):
    """A file of a contract that the loader does not fully understand: file, pointer and reason."""


class NoDataError(SoundstageError):
    """There is nothing to judge: an empty run, a bundle without exchanges."""

    exit_code = 5


class TargetError(SoundstageError):
    """The target or the environment failed: unreachable, no key, an outage."""

    exit_code = 6


class EmulatorOptionsError(TargetError):
    """An emulator was to be started with options that it does not know."""

    exit_code = 2


class BudgetError(TargetError):
    """A billable request was about to be sent without a budget that covers it. `missing`: there
    never was any; else it was used up on the way.
    """

    def __init__(self, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing
