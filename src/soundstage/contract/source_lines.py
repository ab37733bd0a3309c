"""Where a rule is written down: the file of the contract's data and the line in it.

For readers of findings (SARIF, annotations). A rule's id says which data it follows from; what
cannot be told more precisely is put at the nearest data that contains it.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Sequence
from functools import cache
from importlib.resources.abc import Traversable
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, NamedTuple, cast

from soundstage.contract.contract import folder_of, load

_SPACE = " \t\r\n"
_DECODER = json.JSONDecoder()

Steps = tuple[str | int, ...]


class SourceLine(NamedTuple):
    """`file` within the folder of contracts (`v6/protocol.json`), where that is on this machine,
    and the number of a line, from 1.
    """

    file: str
    at: Traversable
    line: int


def place_of(rule_id: str) -> SourceLine:
    """The place of a rule, by its id (`v6/stream/index/start`).

    Raises UsageError if there is no contract for its API version, ContractDataError if it is not
    understood.
    """
    api, _, path = rule_id.partition("/")
    load(api)  # or it is refused: from here on every file is as it should be
    folder = folder_of(api)
    protocol = _read(folder.joinpath("protocol.json"))
    name, steps = _data(protocol, folder, path.split("/"))
    file = folder.joinpath(name)
    return SourceLine(f"{api}/{name}", file, line_of(_text(cast(Hashable, file)), steps))


def line_of(text: str, steps: Steps) -> int:
    """The line of a JSON text on which the member or item that `steps` lead to begins; where they
    lead nowhere, that of the last that is there. `text` is valid JSON.
    """
    at = where = _skip(text, 0)
    for step in steps:
        found = next((pair for pair in _members(text, at) if pair[0] == step), None)
        if found is None:
            break
        _, where, at = found
    return text.count("\n", 0, where) + 1


def _members(text: str, at: int) -> Iterator[tuple[str | int, int, int]]:
    """(name or index, its place, the place of its value) of what the value at `at` holds."""
    if text[at] not in "{[":
        return
    is_object, close = text[at] == "{", "}" if text[at] == "{" else "]"
    at = _skip(text, at + 1)
    number = 0
    while text[at] != close:
        name: str | int = number
        where = at
        if is_object:
            name, at = scanstring(text, at + 1)
            at = _skip(text, _skip(text, at) + 1)
        yield name, where, at
        _, at = _DECODER.raw_decode(text, at)
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
        number += 1


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _read(file: Traversable) -> Any:
    # A folder of this machine or one in an archive: both are hashable, which their type cannot say.
    return _parsed(cast(Hashable, file))


@cache
def _parsed(file: Any) -> Any:
    return json.loads(_text(file))


@cache
def _text(file: Any) -> str:
    text: str = file.read_bytes().decode("utf-8-sig")
    return text


def _data(protocol: Any, folder: Traversable, path: Sequence[str]) -> tuple[str, Steps]:
    """The file that a rule follows from, and the way to its data there."""
    endpoint, *rest = path
    numbers = {entry["name"]: n for n, entry in enumerate(protocol["endpoints"])}
    if endpoint == "error":
        return "errors.json", _of_error(_read(folder.joinpath("errors.json")), rest)
    entry: dict[str, Any] = protocol["endpoints"][numbers[endpoint]] if endpoint in numbers else {}
    if endpoint == "request":
        entry = next((each for each in protocol["endpoints"] if "request" in each), {})
        return entry.get("request", "protocol.json"), _of_field(rest)
    if entry.get("kind") != "stream" and rest[:1] == ["field"]:
        return entry.get("response", "protocol.json"), _of_field(rest)
    stages = {stage["name"]: n for n, stage in enumerate(protocol["stages"])}
    if rest and rest[0] in stages and rest[1:2] == ["field"]:
        return protocol["stages"][stages[rest[0]]]["chunk"], _of_field(rest[1:])
    if rest[:1] in (["times"], ["order"]) and len(rest) > 1 and rest[1] in stages:
        word = "times" if rest[0] == "times" else "after"
        return "protocol.json", ("stages", stages[rest[1]], word)
    if rest[:1] in (["field"], ["asset"]) and len(rest) > 1:
        return "protocol.json", ("fields", rest[-1 if rest[0] == "asset" else 1].partition(".")[0])
    if rest and rest[0] in ("constant", "never_decrease") and len(rest) > 1:
        fields = [each["field"] for each in protocol.get(rest[0], ())]
        number = fields.index(rest[1]) if rest[1] in fields else 0
        return "protocol.json", (rest[0], number)
    if rest and rest[0] in protocol:
        return "protocol.json", (rest[0],)
    return "protocol.json", ("endpoints", numbers.get(endpoint, 0))


def _of_field(rest: Sequence[str]) -> Steps:
    """The way to a field of a schema: `field/a.b/…`."""
    names = rest[1].split(".") if len(rest) > 1 and rest[0] == "field" else []
    steps: list[str | int] = []
    for name in names:
        steps += ["items"] if name in ("*", "[]") else ["properties", name]
    return tuple(steps)


def _of_error(errors: Any, rest: Sequence[str]) -> Steps:
    for key, value in errors.items():
        if isinstance(value, list):
            names = [each.get("name") for each in value if isinstance(each, dict)]
            if rest and rest[0] in names:
                return (key, names.index(rest[0]))
    return ()
