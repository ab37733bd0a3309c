"""The arguments of a command: argparse, whose complaints are one line, and which knows what of them
may not be shown.
"""

from __future__ import annotations

import argparse
import math
import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import zip_longest
from typing import Any, NoReturn
from urllib.parse import urlsplit

from soundstage.errors import UsageError
from soundstage.near_names import did_you_mean, sayable
from soundstage.output import outgoing, visible
from soundstage.output.cutting import head
from soundstage.output.redact import MARK, Redactor

#: What an option of another program has in its name whose value is a secret; but not a file of it.
_TELLTALES = ("auth", "header", "key", "passw", "secret", "token")
_NO_SECRETS = ("file", "keep", "keyword", "path")


#: argparse makes one for each option that is added: one that knows its width need not load `shutil`
#: to ask for the terminal's, which takes a fiftieth of the time of a short command.
_formatter = partial(argparse.RawDescriptionHelpFormatter, width=78)


class Parser(argparse.ArgumentParser):
    """Keeps the line ends of description and epilog. A wrong word ends the program with code 2 and
    one line that says where help is: the usage of a command with forty options would hide it.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        kwargs.setdefault("formatter_class", _formatter)
        # What is short for one option today is short for two tomorrow, in somebody's pipeline.
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        # Since Python 3.14 it colours help by itself, with sequences that no screen knows.
        self.color = False

    def format_help(self) -> str:
        """As wide as the terminal."""
        import shutil

        columns = shutil.get_terminal_size().columns
        self.formatter_class = partial(argparse.RawDescriptionHelpFormatter, width=columns - 2)
        return super().format_help()

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """As argparse does; what it does not know is named without what may be its value: that may
        be a key that somebody gave in good faith.
        """
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self._chosen(found)._refuse(_names(unknown))
        return found

    def _chosen(self, found: argparse.Namespace) -> Parser:
        """The parser of the subcommand that was chosen; itself where there are none."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                chosen = action.choices.get(str(getattr(found, action.dest, None)))
                return chosen if isinstance(chosen, Parser) else self
        return self

    def _refuse(self, names: list[str]) -> NoReturn:
        options = [each for each in names if each.startswith("--")]
        meant = (did_you_mean(each, self._option_string_actions) for each in options)
        self.error(f"unrecognized arguments: {' '.join(names)}{next(filter(None, meant), '')}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """As argparse does, with what may have been meant."""
        if action.choices is None or value in action.choices:
            return
        known = [str(each) for each in action.choices]
        near = did_you_mean(str(value), known)
        said = str(value) if near else sayable(str(value))
        text = f"invalid choice: {said!r} (choose from {', '.join(known)}){near}"
        raise argparse.ArgumentError(action, text)

    def error(self, message: str) -> NoReturn:
        # argparse names the function that refused a value, which is nobody's business. Those that
        # say nothing of their own are of numbers.
        message = re.sub(r"invalid [\w.]+ value: (.*)$", r"\1 is not a number", message, count=1)
        said = visible.line(f"{self.prog}: error: {message}")
        self.exit(2, f"{said} (`{self.prog} --help` shows what there is)\n")


class Hidden(argparse.Action):
    """The action of an option whose values are secrets, given any number of times: the namespace
    gets a list of them, and `shown` knows them again, however the option was written.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        del parser, option_string
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), values])
        namespace.hidden = {*getattr(namespace, "hidden", ()), values}


def shown(argv: Iterable[str], args: argparse.Namespace) -> list[str]:
    """The arguments as they may be shown: without the values of options that are `Hidden`, and
    without user information and the values of queries in URLs.
    """
    return _shown(argv, getattr(args, "hidden", frozenset()))


def shown_of_another(argv: Iterable[str]) -> list[str]:
    """The same for a program whose parser is not ours: an option with a telling name hides its
    value.
    """
    words, hidden = list(argv), set()
    for word, following in zip_longest(words, words[1:], fillvalue=""):
        name, equals, value = word.partition("=")
        name = name.lower()
        telling = name.startswith("-") and any(each in name for each in _TELLTALES)
        if telling and not any(each in name for each in _NO_SECRETS):
            hidden.add(value if equals else following)
    return _shown(words, hidden)


def _shown(argv: Iterable[str], hidden: Iterable[str]) -> list[str]:
    hidden, redactor = frozenset(hidden), Redactor()
    kept = []
    for word in argv:
        name, equals, value = word.partition("=")
        if word in hidden:
            kept.append(MARK)
        elif equals and name.startswith("-") and value in hidden:
            kept.append(f"{name}={MARK}")
        else:
            kept.append(outgoing.text(redactor.links(word)))
    return kept


#: What of a word is the name of an option: `--name`, or a letter, whose value may follow at once.
_OPTION = re.compile(r"--[\w-]*|-\w?|")


def _names(unknown: Iterable[str]) -> list[str]:
    """Arguments without what follows an option that nobody knows."""
    kept, after = [], False
    for word in unknown:
        option = word.startswith("-")
        if option:
            kept.append(_OPTION.match(word)[0])  # type: ignore[index]  # it may be empty
        elif not after:
            kept.append(sayable(word))
        elif kept[-1] != "…":
            kept.append("…")
        after = option or after
    return kept


def base_url(text: str) -> str:
    """The type of an option: where an API is. A user in it is refused before anybody shows it."""
    try:
        user = "@" in urlsplit(text).netloc
    except ValueError:
        user = "@" in text
    if user:
        outgoing.hide(outgoing.in_url(text))
        raise argparse.ArgumentTypeError(
            "a base URL has no user, query or fragment: give credentials as a header"
        )
    return text


def header(text: str) -> tuple[str, str]:
    """Name and value of a header field, `NAME: VALUE`. Raises UsageError, which never shows it:
    what has no colon may be a key.
    """
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise UsageError("--header: expected 'NAME: VALUE'")
    return name.strip(), value.strip()


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
        raise argparse.ArgumentTypeError(f"{head(text, _DIGITS)} is too large")
    return int(text)


def at_most(most: int) -> Callable[[str], int]:
    """As `count`, with an upper bound."""

    def bounded(text: str) -> int:
        if (number := count(text)) > most:
            raise argparse.ArgumentTypeError(f"{number} is too many: at most {most}")
        return number

    return bounded


def from_one(most: int) -> Callable[[str], int]:
    """As `at_most`, and no less than one."""

    def bounded(text: str) -> int:
        if (number := at_most(most)(text)) < 1:
            raise argparse.ArgumentTypeError(f"{number} is too few: at least 1")
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
            bounds = f"from {least:,.15g} to {most:,.15g}"
            raise argparse.ArgumentTypeError(f"{text!r} is not a number {bounds}")
        return number

    return bounded


def whole(text: str) -> int:
    """The type of an option: a whole number, as of a seed."""
    digits = text.removeprefix("-")
    return -count(digits) if digits != text else count(digits)


#: Numbers that JSON and every file format keep exactly have no more digits.
_DIGITS = 15
