"""Which fields of a contract point to files, of what kind each is, and what is asked of the files.

Found by role (the shared definition that a field refers to), so that an API may call them what it
likes. Values only: nothing here fetches anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from soundstage.contract.json_schema.field_schemas import Schema, pointer
from soundstage.contract.json_schema.keywords import inner
from soundstage.contract.role_names import role_of

#: The role of a field -> what its URL leads to.
KINDS: Final[Mapping[str, str]] = {
    "audio_url": "audio",
    "stream_url": "audio",
    "album_art": "image",
}
#: The role whose audio is the whole song, as long as it was asked to be.
WHOLE: Final = "audio_url"
#: The role of the parameter that says how long a song is to be, in seconds.
DURATION: Final = "duration"


class Aspect(NamedTuple):
    """One thing that is asked of a file. `of_the_page`: it rests on what the field does; else it is
    inferred, with `severity` if that is not a warning. `text` says what is asked.
    """

    of_the_page: bool
    text: str
    severity: str | None = None


#: The rules `API/ENDPOINT/asset/ASPECT/FIELD`.
ASPECTS: Final[Mapping[str, Aspect]] = {
    "address": Aspect(
        True, "{field} leads over http(s) to a public place: no other port, no inner host."
    ),
    "answer": Aspect(True, "What {field} points to is there: it answers with 200."),
    "key": Aspect(False, "What {field} points to can be had without a key.", "info"),
    "media": Aspect(False, "What {field} points to is sent as {kind}/*."),
    "content": Aspect(True, "What {field} points to is {kind}: it decodes, and is not empty."),
}
_DEEPEST: Final = 32


@dataclass(frozen=True, slots=True)
class AssetField:
    """A documented field that holds the URL of a file. `basis` and `source` are the field's."""

    name: str
    role: str
    basis: str
    source: str

    @property
    def kind(self) -> str:
        """ "audio" or "image"."""
        return KINDS[self.role]


@dataclass(frozen=True, slots=True)
class AssetUrl:
    """A URL in a payload: the field that holds it, and the JSON pointer to it."""

    field: AssetField
    url: str
    path: str


def asset_fields(schemas: Iterable[Schema]) -> dict[str, AssetField]:
    """The fields of objects, at any depth, that point to files: by name, the first of a name."""
    found: dict[str, AssetField] = {}
    for schema in schemas:
        for name, field in properties_in(schema):
            if (role := role_of(field)) in KINDS:
                grounds = field.get("x-basis", "inferred"), field.get("x-source", "")
                found.setdefault(name, AssetField(name, role, *grounds))
    return found


def properties_in(schema: Schema, depth: int = 0) -> Iterator[tuple[str, Schema]]:
    """(name, schema) of the properties of objects, at any depth."""
    if depth > _DEEPEST:
        return
    for each in inner(schema):
        if each.way[0] == "properties":
            yield each.at[0], each.schema
        yield from properties_in(each.schema, depth + 1)


def found_in(fields: Mapping[str, AssetField], value: Any) -> Iterator[AssetUrl]:
    """Every URL of a file in a chunk or a result, in order."""
    yield from _look(fields, value, (), 0)


def _look(
    fields: Mapping[str, AssetField], value: Any, path: tuple[str | int, ...], depth: int
) -> Iterator[AssetUrl]:
    if depth > _DEEPEST:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in fields and isinstance(inner, str):
                yield AssetUrl(fields[name], inner, pointer(*path, name))
            else:
                yield from _look(fields, inner, (*path, name), depth + 1)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _look(fields, inner, (*path, number), depth + 1)


def duration_of(request: Schema | None) -> tuple[str, Schema] | None:
    """The parameter (name, schema) that says how long a song is to be; None if there is none."""
    for name, field in (request or {}).get("properties", {}).items():
        if role_of(field) == DURATION:
            return name, field
    return None
