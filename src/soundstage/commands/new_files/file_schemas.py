"""The JSON Schemas of the files that people write and commands leave, by the word for each."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

#: Where each lies. Those of rows are in the `$defs` of that of run.json.
_PLACES: Final = {
    "config": ("soundstage", "config"),
    "scenario": ("soundstage.loadtests", "scenario"),
    "profile": ("soundstage.emulator.pace", "profile"),
    "accounts": ("soundstage.emulator.accounts", "accounts"),
    "triggers": ("soundstage.emulator.accounts", "triggers"),
    "run": ("soundstage.results", "run"),
    "observed": ("soundstage.results", "observed"),
    "transcript": ("soundstage.results", "transcript"),
    "doctor": ("soundstage.doctor", "doctor"),
}
FILE_SCHEMAS: Final = tuple(_PLACES)


def file_schema(name: str) -> str:
    """The text of one of them, a JSON document."""
    room, file = _PLACES[name]
    return files(room).joinpath(f"{file}.schema.json").read_text("utf-8")
