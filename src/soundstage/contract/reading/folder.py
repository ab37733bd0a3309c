"""The files of a contract's folder: found without leaving it, read within bounds.

A folder may be a stranger's. What is no regular file, lies elsewhere or is out of all proportion is
refused. Raises ValueError with the reason; who asks says in which file.
"""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from soundstage.errors import ContractDataError, UsageError
from soundstage.output.cutting import head
from soundstage.untrusted.strange_files import read_plain

if TYPE_CHECKING:  # a tenth of the time that a short command takes to start
    from importlib.resources.abc import Traversable

#: The file that makes a folder a contract.
PROTOCOL: Final = "protocol.json"
#: Of a file: bytes, values in it, and how deep they may be nested. Of a folder: files.
MOST_BYTES: Final = 4 * 2**20
MOST_VALUES: Final = 100_000
DEEPEST: Final = 64
MOST_FILES: Final = 1_000
#: Digits of an integer: more than a double can hold, nobody can reckon with.
_MOST_DIGITS: Final = 300


def read_bytes(place: Traversable, root: Traversable) -> bytes:
    """The bytes of a file in the folder `root`."""
    try:
        if isinstance(place, Path) and isinstance(root, Path):
            return read_plain(place, most=MOST_BYTES, within=root)
        return place.read_bytes()  # of an archive that we are installed in
    except UsageError as error:
        raise ValueError(str(error).removeprefix(f"{place}: ")) from error
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error


def parse(data: bytes) -> Any:
    """The JSON value in a file: UTF-8, no key twice, no number that is none, within the bounds."""
    try:
        value = json.loads(
            data.decode("utf-8-sig"),
            object_pairs_hook=_no_key_twice,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_number,
        )
    except UnicodeDecodeError as error:
        wrong = f"byte 0x{data[error.start]:02x} at {error.start:,}"
        raise ValueError(f"must be UTF-8: {wrong} is not; save it so") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    _check(value)
    return value


def is_there(place: Traversable) -> bool:
    """Whether there is anything of that name, be it no file."""
    try:
        return os.path.lexists(place) if isinstance(place, Path) else place.is_file()
    except ValueError:
        return False


def versions(root: Traversable) -> list[str]:
    """The API versions that a folder of contracts holds: its folders with a `protocol.json`.

    Raises ContractDataError for a folder that is not there.
    """
    if not root.is_dir():
        raise ContractDataError(f"{root}: no such folder of contracts")
    return [
        entry.name
        for entry in root.iterdir()
        if entry.is_dir() and is_there(entry.joinpath(PROTOCOL))
    ]


def why_none(root: Path) -> str:
    """Why no contract is found in a folder, and what to name instead of it."""
    if not root.is_dir():
        return f"{root}: no such folder of contracts"
    if is_there(root / PROTOCOL):
        around = Path(os.path.abspath(root)).parent
        return f"{root}: this is one contract: name the folder that it lies in, {around}"
    for entry in sorted(root.iterdir()):
        with suppress(OSError):
            if entry.is_dir() and versions(entry):
                return f"{root}: no contract lies in it: name {entry}, where there are some"
    return f"{root}: no contract lies in it: name a folder that holds VERSION/{PROTOCOL}"


def all_files(place: Traversable, root: Traversable) -> Iterator[tuple[str, bytes]]:
    """(path, bytes) of each JSON file in the folder `place` of `root`, sorted.

    Refuses a folder that holds too much, that holds itself, or that leads out of `root`.
    """
    left = MOST_FILES

    def walk(place: Traversable, name: str, around: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError(f"{name}: more than {MOST_FILES:,} files in one folder")
        if place.is_dir():
            real = os.path.realpath(place) if isinstance(place, Path) else name
            if isinstance(root, Path) and not Path(real).is_relative_to(os.path.realpath(root)):
                raise ValueError(f"{name}: a link that leads out of {root}")
            if real in around:
                raise ValueError(f"{name}: a folder that holds itself")
            for entry in sorted(place.iterdir(), key=lambda entry: entry.name):
                yield from walk(entry, f"{name}/{entry.name}", (*around, real))
        elif name.endswith(".json"):
            try:
                yield name, read_bytes(place, root)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error

    yield from walk(place, place.name, ())


def _check(value: Any) -> None:
    """Refuse what is beyond the bounds, and text that is none."""
    left, deep = MOST_VALUES, [(value, 1)]
    while deep:
        value, depth = deep.pop()
        left -= 1
        if left < 0:
            raise ValueError(f"more than {MOST_VALUES:,} values")
        if depth > DEEPEST:
            raise ValueError(f"nested more than {DEEPEST} deep")
        if isinstance(value, dict):
            for name in value:
                _check_name(name)
            deep += ((each, depth + 1) for each in value.values())
        elif isinstance(value, list):
            deep += ((each, depth + 1) for each in value)
        elif isinstance(value, str):
            _check_text(value)


def _check_name(name: str) -> None:
    """Names stand in the ids of rules, which are one word each."""
    if name and name.isprintable():
        return
    _check_text(name)
    if not name or any(unicodedata.category(each) in ("Cc", "Cf", "Zl", "Zp") for each in name):
        raise ValueError(f"the key {head(name, 60)!r} is empty, or has characters that nobody sees")


def _check_text(text: str) -> None:
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("a lone surrogate, which is no text") from error


def _no_key_twice(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        seen: set[str] = set()
        for key, _ in members:
            if key in seen:
                raise ValueError(f"the key {head(key, 60)!r} comes twice in an object")
            seen.add(key)
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(text):,} digits")
    return int(text)


def _number(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{head(text, 60)} is too large a number")
    return number
