"""What requests ask for: lines of a corpus file, or prompts made up, each of them another one.

A corpus is a text file with a prompt a line; or JSON Lines, a JSON array or CSV with an object a
request (`corpus_file` reads them): what its fields hold, by their role in the contract (`prompt`,
`lyrics`) or, where several fields have one role, by name. Nothing here knows an API version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema_rs
import orjson

from soundstage.contract import Contract
from soundstage.contract.json_schema import patterns
from soundstage.contract.protocol import Endpoint
from soundstage.contract.roles import role_of
from soundstage.errors import UsageError
from soundstage.loadtests.schedule.corpus_file import PROMPT, SHEETS, named, read_entries
from soundstage.near_names import did_you_mean
from soundstage.output.cutting import head

Place = tuple[Contract, Endpoint]


@dataclass(frozen=True, slots=True)
class Corpus:
    """The entries of a file, in its order: values by role or by name of field."""

    path: str
    sha256: str
    entries: Sequence[Mapping[str, Any]]

    def fields(self, endpoint: Endpoint, number: int) -> dict[str, Any]:
        """What the entry for request `number` (from 0, round and round) says of the fields that
        this endpoint has.
        """
        entry = self.entries[number % len(self.entries)]
        named = ((field_for(endpoint, key), value) for key, value in entry.items())
        return {name: value for name, value in named if name is not None}

    def facts(self) -> dict[str, Any]:
        """What run.json says of it: nothing of what is in it."""
        return {"file": Path(self.path).name, "entries": len(self.entries), "sha256": self.sha256}


def field_for(endpoint: Endpoint, key: str) -> str | None:
    """The field of a request that `key` speaks of: the one of that name, else the first of that
    role; None if there is none.
    """
    properties = (endpoint.request or {}).get("properties", {})
    if key in properties:
        return key
    return next((name for name, schema in properties.items() if role_of(schema) == key), None)


def read_corpus(file: str, places: Iterable[Place]) -> Corpus:
    """The corpus in a file, for requests to these endpoints.

    Raises UsageError with file, line and reason: not to be read, not of a known form, a key that no
    endpoint knows, a value that a request schema refuses, or no entry at all.
    """
    path = Path(file)
    check = _Check(list(places))
    placed, data = read_entries(path, check.keys())
    typed = path.suffix.lower() in SHEETS
    entries = []
    for place, entry in placed:
        entry = check.typed(entry) if typed else entry
        check(place, entry)
        entries.append(entry)
    return Corpus(str(path), hashlib.sha256(data).hexdigest(), entries)


class _Field(NamedTuple):
    """A field of a request, by the name that the contract gives it; `of` says which request."""

    of: str
    name: str
    validator: jsonschema_rs.Draft202012Validator


class _Check:
    """Holds entries against the request schemas of all endpoints. What is wrong is said of fields
    by the names that their contracts give them, whatever an entry calls them.
    """

    def __init__(self, places: list[Place]) -> None:
        self._places = places
        self._fields: dict[str, list[_Field]] = {}

    def __call__(self, place: str, entry: Mapping[str, Any]) -> None:
        taken: dict[tuple[str, str], str] = {}
        for key, value in entry.items():
            fields = self._known(key)
            if not fields:
                raise UsageError(f"{place}: {self._unknown(key)}")
            for field in fields:
                if (other := taken.setdefault((field.of, field.name), key)) != key:
                    raise UsageError(
                        f"{place}: {other!r} and {key!r} are both for {field.name} of {field.of}"
                    )
                if not field.validator.is_valid(value):
                    wrong = next(iter(field.validator.iter_errors(value))).message
                    said = field.name if key == field.name else f"{field.name} (here {key!r})"
                    raise UsageError(f"{place}: {said}: {field.of} refuses it: {head(wrong, 200)}")

    def typed(self, entry: Mapping[str, str]) -> dict[str, Any]:
        """An entry whose values were cells of a table: what no field takes as text becomes the
        number, boolean or object that it is written as.
        """
        return {key: self._typed(key, cell) for key, cell in entry.items()}

    def _typed(self, key: str, cell: str) -> Any:
        if all(field.validator.is_valid(cell) for field in self._known(key)):
            return cell
        try:
            return orjson.loads(cell.strip())
        except orjson.JSONDecodeError:
            return cell

    def _known(self, key: str) -> list[_Field]:
        if key not in self._fields:
            self._fields[key] = [
                _Field(
                    f"{contract.api} {endpoint.name}",
                    name,
                    patterns.validator(endpoint.request["properties"][name]),
                )
                for contract, endpoint in self._places
                if endpoint.request is not None and (name := field_for(endpoint, key)) is not None
            ]
        return self._fields[key]

    def _unknown(self, key: str) -> str:
        """Why no entry may have this key."""
        there = named(self.keys())
        if key == PROMPT:
            # Nobody may have written it: a line of text is one.
            return (
                f"no request has a field for a prompt; there are {', '.join(there)}: give .jsonl, "
                ".json or .csv with fields that are called so"
            )
        meant = did_you_mean(key, there)
        return f"no request has a field for {head(key, 60)!r}; there are {', '.join(there)}{meant}"

    def keys(self) -> dict[str, list[str]]:
        """Every key that an entry may have, the roles and names of the fields of requests, with
        the names of the fields that it speaks of.
        """
        properties = [(e.request or {}).get("properties", {}) for _, e in self._places]
        roles = [role_of(schema) or name for each in properties for name, schema in each.items()]
        names = [name for each in properties for name in each]
        found = {key: [field.name for field in self._known(key)] for key in (*names, *roles)}
        return {key: list(dict.fromkeys(fields)) for key, fields in found.items()}


def distinct(endpoint: Endpoint, body: dict[str, Any], number: int) -> dict[str, Any]:
    """A body whose prompt is that of no other request of the run: it says which take it is."""
    name = field_for(endpoint, PROMPT)
    if name is None or not isinstance(body.get(name), str):
        return body
    return {**body, name: f"{body[name]}, take {number + 1}"}
