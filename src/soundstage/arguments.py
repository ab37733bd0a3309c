"""The arguments of a command: argparse, whose complaints are one line."""

from __future__ import annotations

import argparse
import math
import shlex
from collections.abc import Callable
from typing import NoReturn

from soundstage import visible


class Parser(argparse.ArgumentParser):
    """Keeps the line ends of description and epilog. A wrong word ends the program with code 2 and
    one line that says where help is: the usage of a command with forty options would hide it.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        # Since Python 3.14 it colours help by itself, with sequences that no screen knows.
        self.color = False

    def error(self, message: str) -> NoReturn:
        said = visible.line(f"{self.prog}: error: {message}")
        self.exit(2, f"{said} (`{self.prog} --help` shows what there is)\n")


def words(text: str) -> list[str]:
    """The type of an option that holds options of another program: split as a shell would."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None


def count(text: str) -> int:
    """The type of an option: a whole number of 0 or more, in decimal digits."""
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    if len(text) > _DIGITS:
        raise argparse.ArgumentTypeError(f"{text[:_DIGITS]}… is too large")
    return int(text)


def at_most(most: int) -> Callable[[str], int]:
    """As `count`, with an upper bound."""

    def bounded(text: str) -> int:
        if (number := count(text)) > most:
            raise argparse.ArgumentTypeError(f"{number} is too many: at most {most}")
        return number

    return bounded


def between(least: float, most: float) -> Callable[[str], float]:
    """The type of an option: a number within bounds, both included."""

    def bounded(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not least <= number <= most:  # what is no number is neither
            raise argparse.ArgumentTypeError(f"{text!r} is not from {least:g} to {most:g}")
        return number

    return bounded


def whole(text: str) -> int:
    """The type of an option: a whole number, as of a seed."""
    digits = text.removeprefix("-")
    return -count(digits) if digits != text else count(digits)


#: Numbers that JSON and every file format keep exactly have no more digits.
_DIGITS = 15
