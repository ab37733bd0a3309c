"""What a run bundle consists of: its files, its schemas, its name. Reads and writes nothing but
schemas; `writer` and `bundle` do the rest.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson

from soundstage.errors import UsageError
from soundstage.output.cutting import head

FORMAT = 1

RUN = "run.json"
EXCHANGES = "exchanges.ndjson.gz"
VIOLATIONS = "violations.ndjson"
RULES = "rules.ndjson"
OBSERVED = "observed.json"
HEALTH = "health.ndjson"
TRANSCRIPTS = "transcripts"
#: Keeps room on the disk for the last word, while a bundle is written.
RESERVE = ".reserve"
#: What the reports of a bundle are called that lie in it.
REPORTS = ("junit.xml", "summary.md", "report.html")

#: The names that transcripts may have.
TRANSCRIPT_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,120}")

Row = dict[str, Any]


@cache
def _schema() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("run.schema.json").read_text("utf-8")
    schema: dict[str, Any] = orjson.loads(text)
    return schema


@cache
def _validator(definition: str | None, *, reading: bool = False) -> jsonschema_rs.Validator:
    """The check for run.json (None) or for one of the row kinds of `$defs`."""
    schema = _schema()
    if definition is not None:
        row = schema["$defs"][definition]
        if reading:
            # A later version may say more in a row; nothing here looks at that.
            row = {key: value for key, value in row.items() if key != "additionalProperties"}
        schema = {**row, "$schema": schema["$schema"], "$defs": schema["$defs"]}
    return jsonschema_rs.validator_for(schema)


@cache
def fixed_words() -> frozenset[str]:
    """The names and values that the formats of a bundle fix: no secret is one of them."""
    found: set[str] = set()
    for name in ("run.schema.json", "observed.schema.json"):
        _collect(
            orjson.loads(resources.files(__package__).joinpath(name).read_text("utf-8")), found
        )
    return frozenset(found)


def _collect(schema: Any, found: set[str]) -> None:
    if isinstance(schema, list):
        for each in schema:
            _collect(each, found)
    elif isinstance(schema, dict):
        found.update(schema.get("properties", ()))
        values = [*schema.get("enum", ()), schema.get("const")]
        found.update(each for each in values if isinstance(each, str))
        _collect(list(schema.values()), found)


def valid(definition: str) -> Callable[[object], bool]:
    """What tells at once whether a row that was read is one of this kind: there may be millions.
    `why_unreadable` says why it is not.
    """
    return _validator(definition, reading=True).is_valid


@cache
def row_decoder(
    definition: str,
) -> tuple[Callable[[bytes], Row], tuple[type[Exception], ...]] | None:
    """What decodes the lines of rows of this kind that are plain, and what it raises at any other
    (`row_decoder`); None of kinds of which there are few rows.
    """
    if definition != "exchange":
        return None
    # Only who reads exchanges loads msgspec.
    from soundstage.results.row_decoder import REFUSED, decoder

    return decoder(_schema()["$defs"][definition], _schema()["$defs"]), REFUSED


def why_unreadable(definition: str | None, value: object) -> str | None:
    """None if `value`, which was read, is a row of this kind (None: run.json), else
    "/pointer: reason" of the first fault. Members that are not known do no harm in a row.
    """
    return _why(_validator(definition, reading=True), value)


def why_invalid(definition: str | None, value: object) -> str | None:
    """None if `value`, which is to be written, meets the schema, else "/pointer: reason"."""
    return _why(_validator(definition), value)


def _why(validator: jsonschema_rs.Validator, value: object) -> str | None:
    try:
        if validator.is_valid(value):
            return None
        for error in validator.iter_errors(value):
            steps = (f"/{head(str(step), 100)}" for step in error.instance_path)
            pointer = head("".join(steps), 300)
            return f"{pointer or '(whole)'}: {head(str(error.message), 300)}"
    except UnicodeEncodeError:
        return _why(validator, portable(value))
    except (RecursionError, ValueError):
        return "(whole): nested too deep"
    return "(whole): not valid"


def portable(value: object) -> object:
    """`value` with what JSON in UTF-8 cannot carry (lone surrogates, huge integers) as text."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)
    if isinstance(value, Mapping):
        return {str(portable(key)): portable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [portable(item) for item in value]
    return value


def new_folder(kind: str, parent: Path = Path("runs"), now: datetime | None = None) -> Path:
    """A folder name for a new run, not yet made: `runs/2026-11-21T08-36-15-check-3f2a` (UTC)."""
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    return parent / f"{moment:%Y-%m-%dT%H-%M-%S}-{kind}-{secrets.token_hex(2)}"


#: What `new_folder` calls a folder.
_NEW_FOLDER = re.compile(r"[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(-[0-9]{2}){2}-[a-z]+-[0-9a-f]{4}")
#: What may lie in a bundle: its files, its reports, its comparisons, and what a program that was
#: killed was writing.
_OURS = frozenset(
    (RUN, EXCHANGES, VIOLATIONS, RULES, OBSERVED, HEALTH, TRANSCRIPTS, RESERVE, *REPORTS)
)
_ALSO_OURS = re.compile(r"\.soundstage-[0-9a-f]{16}\.tmp|compare-[^/]+\.html")


def why_not_a_bundle(folder: Path) -> str | None:
    """Why a folder with a run.json that cannot be read may be none of our bundles; None if it
    surely is one: nothing else lies in it, and it has a name or rows that only bundles have. Other
    programs keep a run.json, too. Raises OSError.
    """
    names = sorted(each.name for each in folder.iterdir())
    other = [each for each in names if each not in _OURS and not _ALSO_OURS.fullmatch(each)]
    if other:
        return f"{head(other[0], 100)} lies in it, which is none of a bundle's files"
    if EXCHANGES in names or _NEW_FOLDER.fullmatch(folder.name):
        return None
    return "nothing in it says that it is one"


def free_folder(path: Path) -> None:
    """Raises UsageError for a folder that a bundle cannot be put into, since there is something in
    it. One that is not there yet is made by who writes the bundle.
    """
    if path.is_dir() and any(path.iterdir()):
        raise UsageError(f"{path}: not empty; a run bundle needs a folder of its own")


@cache
def _observed_validator() -> jsonschema_rs.Validator:
    text = resources.files(__package__).joinpath("observed.schema.json").read_text("utf-8")
    return jsonschema_rs.validator_for(orjson.loads(text))


def why_not_observed(document: object) -> str | None:
    """None if `document` is what `observed.json` may hold, else "/pointer: reason"."""
    return _why(_observed_validator(), document)
