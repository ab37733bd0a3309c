"""Where a key may go: to a contract's own host, to this machine, and to where the user says.

The user says so by an option or a variable of the environment. A file that lies in the current
folder may have come with a clone of somebody's repository: what it alone names is asked about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from soundstage.contract import Contract, load_sound
from soundstage.errors import UsageError
from soundstage.exchange import consent
from soundstage.exchange.budget import is_loopback
from soundstage.exchange.target import read_key
from soundstage.output.cutting import head
from soundstage.wire.url import parse_target

#: On loopback our emulator takes any key; this one is sent where none was given. Nobody's secret.
EMULATOR_KEY = "soundstage-emulator-key"


def is_trusted(url: str, contracts: Iterable[Contract]) -> bool:
    """Whether a key may go to `url` whoever names it: the same scheme, host and port as the
    `base_url` of a contract, or this machine. Hosts are compared as they are connected to: lower
    case, in Punycode, as a whole.
    """
    target = parse_target(url)
    if is_loopback(target.url):
        return True
    return any(parse_target(each.base_url).origin == target.origin for each in contracts)


def confirm(
    url: str,
    named_by: Path | str,
    *,
    option: str,
    key_file: str | None,
    secrets: Sequence[object] = (),
    stderr: TextIO | None,
) -> None:
    """Ask whether a secret of the user's may go to a target that nothing but the file `named_by`
    names. `secrets`: headers and certificates that go there beside the key. `stderr`: where to ask;
    None where nobody can be asked. No question where there is no secret, or the target is trusted.

    Raises UsageError, with the option to give, where the answer is no or nobody can answer.
    """
    if read_key(key_file) in (None, EMULATOR_KEY) and not secrets:
        return
    try:
        shown = parse_target(url).url
    except UsageError as error:
        raise UsageError(f"{named_by}: {head(url, 200)!r}: {error}") from error
    if not is_trusted(url, load_sound()[0].values()):
        consent.ask_where(shown, str(named_by), option, stderr)


def says(words: Iterable[str], *options: str) -> bool:
    """Whether an option is among the words of a command line: `--target URL`, `--target=URL`, or
    short with its value (`-HURL`).
    """
    return any(
        word == option
        or word.startswith(f"{option}=")
        or (len(option) == 2 and word.startswith(option) and not word.startswith("--"))
        for word in words
        for option in options
    )
