"""The forms that a corpus may have: lines of text, JSON Lines, a JSON array, CSV.

Gives entries with the place that each stands at; whether they can be sent is `corpus`'s to say. A
form that is none of these is refused: what is sent by mistake is billed all the same.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from soundstage.errors import UsageError
from soundstage.output.cutting import head
from soundstage.saved.text_files import read_text

#: The role of the field that a plain line of text is for.
PROMPT: Final = "prompt"
#: What to give, for files of any other form.
FORMS: Final = "give .txt (a prompt a line), .jsonl, .json (an array) or .csv (with a header row)"
_JSON_LINES: Final = (".jsonl", ".ndjson")
SHEETS: Final = (".csv", ".tsv", ".tab")
_OTHERS: Final = (".yaml", ".yml", ".toml", ".xml", ".html", ".xls", ".xlsx", ".ods", ".parquet")
_LONGEST: Final = 256 * 1024 * 1024
#: How a JSON document begins; "[Verse] a sad song" does not.
_JSON: Final = re.compile(r"\s*(?:\{\s*[\"}]|\[\s*(?:[\"{\[\]]|\n|$))")
_DELIMITERS: Final = (",", ";", "\t")

#: Where an entry stands ("prompts.csv:3"), and what it asks for, by role or by name of field.
Placed = tuple[str, dict[str, Any]]
#: The keys that an entry may have, each with the fields that it speaks of.
Keys = Mapping[str, Sequence[str]]


def read_entries(path: Path, known: Keys) -> tuple[list[Placed], bytes]:
    """The entries of a file, and its bytes. `known` are the keys that an entry may have.

    Raises UsageError with file, line and reason for what cannot be read, and for what is not of the
    form that its name says.
    """
    suffix = path.suffix.lower()
    if suffix in _OTHERS and path.is_file():
        raise UsageError(f"{path}: a corpus in {suffix[1:].upper()} is not read: {FORMS}")
    text, raw = read_text(path, _LONGEST, instead=FORMS)
    if suffix in _JSON_LINES:
        entries = list(_json_lines(path, text))
    elif suffix == ".json":
        entries = list(_json_array(path, text))
    elif suffix in SHEETS:
        entries = list(_sheet(path, text, known))
    else:
        _check_plain(path, text, known)
        entries = [(place, {PROMPT: line}) for place, line in _lines(path, text)]
    if not entries:
        raise UsageError(f"{path}: no entry in it: {FORMS}")
    return entries, raw


def _lines(path: Path, text: str) -> Iterator[tuple[str, str]]:
    # Not splitlines(): U+2028 may be part of a prompt, and is one character of a JSON string.
    for number, line in enumerate(text.split("\n"), start=1):
        if line := line.strip("\r \t"):
            yield f"{path}:{number}", line


def _check_plain(path: Path, text: str, known: Keys) -> None:
    """Raise UsageError where a text file is one of the other forms under a wrong name."""
    first = next((line for _, line in _lines(path, text)), "")
    if _JSON.match(text):
        name = path.with_suffix(".json" if text.lstrip()[0] == "[" else ".jsonl").name
        raise UsageError(f"{path}: JSON, not a prompt a line: name it {name}")
    if _delimiter(first, known) is not None:
        name = path.with_suffix(".tsv" if "\t" in first else ".csv").name
        raise UsageError(
            f"{path}:1: the header row of a table, not a prompt: name it {name}, or leave it out"
        )


# --- JSON -----------------------------------------------------------------------------------------


def _json_lines(path: Path, text: str) -> Iterator[Placed]:
    for place, line in _lines(path, text):
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise UsageError(f"{place}:{error.colno}: no JSON: {error.msg}") from error
        if not isinstance(value, dict):
            raise UsageError(f"{place}: no JSON object")
        yield place, value


def _json_array(path: Path, text: str) -> Iterator[Placed]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        hint = ""
        if error.lineno > 1 and text.lstrip().startswith("{"):
            hint = f"; an object a line? name it {path.with_suffix('.jsonl').name}"
        raise UsageError(f"{path}:{error.lineno}: no JSON: {error.msg}{hint}") from error
    if not isinstance(value, list):
        what = "an object" if isinstance(value, dict) else "no array"
        raise UsageError(f"{path}: {what}: give an array of prompts, or of objects with fields")
    for number, each in enumerate(value):
        place = f"{path}: [{number}]"
        if isinstance(each, str):
            if each.strip():
                yield place, {PROMPT: each}
        elif isinstance(each, dict):
            yield place, each
        else:
            raise UsageError(f"{place}: neither a prompt nor an object")


# --- CSV ------------------------------------------------------------------------------------------


def _sheet(path: Path, text: str, known: Keys) -> Iterator[Placed]:
    """The rows of a table by its columns' names (RFC 4180); empty cells are left out."""
    start = 0
    if said := re.match(r"sep=(.)\r?\n", text):  # Excel's own first line
        text, start = text[said.end() :], 1
    first = text.lstrip("\r\n").partition("\n")[0]
    delimiter = _delimiter(first, known) or ("\t" if path.suffix.lower() != ".csv" else ",")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    keys: list[str] = []
    line = 1 + start
    try:
        for row in rows:
            place, line = f"{path}:{line}", rows.line_num + 1 + start
            if not any(cell.strip() for cell in row):
                continue
            if not keys:
                keys = _keys(place, row, known)
                continue
            if any(cell.strip() for cell in row[len(keys) :]):
                raise UsageError(f"{place}: {len(row)} cells under {len(keys)} columns")
            cells = zip(keys, row, strict=False)
            yield place, {key: cell for key, cell in cells if cell.strip()}
    except csv.Error as error:
        raise UsageError(f"{path}:{line}: no CSV: {error}") from error


def _keys(place: str, row: list[str], known: Keys) -> list[str]:
    """The key that each column of the header row names."""
    while row and not row[-1].strip():
        row = row[:-1]
    keys = []
    for number, cell in enumerate(row, start=1):
        key = _key(cell, known)
        if key is None:
            what = repr(head(cell.strip(), 60)) if cell.strip() else "nothing"
            raise UsageError(
                f"{place}: the first row must name the columns, and column {number} says {what}; "
                f"there are {', '.join(named(known))}"
            )
        if key in keys:
            raise UsageError(f"{place}: two columns are called {key!r}")
        keys.append(key)
    return keys


def named(known: Keys) -> list[str]:
    """The fields that there are, by the names that the contracts give them."""
    return list(dict.fromkeys(name for names in known.values() for name in names))


def _key(cell: str, known: Keys) -> str | None:
    """The key that a column's name means, in any case; None if it is none."""
    name = cell.strip()
    if name in known:
        return name
    return next((key for key in known if key.lower() == name.lower()), None) if name else None


def _delimiter(header: str, known: Keys) -> str | None:
    """What stands between the columns of a header row; None if the line is none."""
    for delimiter in _DELIMITERS:
        cells = next(csv.reader([header], delimiter=delimiter), [])
        while cells and not cells[-1].strip():
            cells.pop()
        if cells and all(_key(cell, known) for cell in cells):
            return delimiter
    return None
