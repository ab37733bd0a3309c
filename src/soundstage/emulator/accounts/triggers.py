"""What makes the emulator refuse or fail on purpose: keys and words, from `triggers.json` and from
a file of the user's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import jsonschema_rs

from soundstage.errors import UsageError
from soundstage.output.cutting import head
from soundstage.untrusted import json_text

_LARGEST: Final = 4 * 2**20
_TOKEN: Final = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True)
class Trigger:
    """What a documented key or word does: gives an error (with a `Retry-After` of so many
    seconds), sets an opening balance, or makes the generation fail midway.
    """

    says: str = ""
    error: str | None = None
    balance: int | None = None
    fails: bool = False
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class Triggers:
    """All keys and words that do something. Words are in lower case, as `casefold` has it."""

    default_key: str
    default_balance: int
    price: int
    keys: Mapping[str, Trigger]
    words: Mapping[str, Trigger]
    _phrases: tuple[str, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        phrases = tuple(word for word in self.words if not _TOKEN.fullmatch(word))
        object.__setattr__(self, "_phrases", phrases)

    def words_in(self, text: str) -> list[Trigger]:
        """The triggers of the words that stand in a text, whole and in any case."""
        if not text:
            return []
        lowered = text.casefold()
        # One pass over the text, however many words there are.
        found = self.words.keys() & set(_TOKEN.findall(lowered))
        found |= {
            phrase
            for phrase in self._phrases
            if phrase in lowered and re.search(rf"(?<![\w-]){re.escape(phrase)}(?![\w-])", lowered)
        }
        return [trigger for word, trigger in self.words.items() if word in found]


@cache
def triggers() -> Triggers:
    """The keys and words that come with the emulator."""
    data = json.loads(_packaged("triggers.json"))
    return Triggers(
        default_key=data["default_key"],
        default_balance=data["default_balance"],
        price=data["price"],
        keys=_read(data["keys"]),
        words=_read(data["words"]),
    )


def with_file(path: Path | None) -> Triggers:
    """Those of `triggers.json` with a user's own beside them; the user's win.

    Raises UsageError, one line with the place, for a file that is not what
    `triggers.schema.json` asks for.
    """
    known = triggers()
    if path is None:
        return known
    data = _own(path)
    return replace(
        known,
        default_key=data.get("default_key", known.default_key),
        price=data.get("price", known.price),
        default_balance=data.get("default_balance", known.default_balance),
        keys={**known.keys, **_read(data.get("keys", {}))},
        words={**known.words, **_read(data.get("words", {}), str.casefold)},
    )


def _own(path: Path) -> dict[str, Any]:
    where = f"--triggers {path}"
    try:
        if path.stat().st_size > _LARGEST:
            raise UsageError(f"{where}: larger than {_LARGEST} bytes")
        parsed = json_text.parse(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{where}: {error.strerror or error}") from error
    for problem in parsed.problems:
        place = problem.path or "not JSON"
        raise UsageError(f"{where}: {place}: {head(problem.message, 200)}")
    data = parsed.value
    schema = json.loads(_packaged("triggers.schema.json"))
    # A message would repeat the value, and the value may be a key.
    for wrong in jsonschema_rs.validator_for(schema, mask="the value").iter_errors(data):
        place = "/".join(str(each) for each in wrong.instance_path)
        raise UsageError(f"{where}: /{place}: {head(wrong.message, 200)} (triggers.schema.json)")
    assert isinstance(data, dict)
    return data


def _read(entries: Mapping[str, Mapping[str, Any]], spelled: Any = str) -> dict[str, Trigger]:
    return {spelled(name): Trigger(**entry) for name, entry in entries.items()}


def _packaged(name: str) -> bytes:
    return files(__package__).joinpath(name).read_bytes()
