"""What a run bundle consists of: its files, its schemas, its name. Reads and writes nothing but
schemas; `writer` and `bundle` do the rest.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson

FORMAT = 1

RUN = "run.json"
EXCHANGES = "exchanges.ndjson.gz"
VIOLATIONS = "violations.ndjson"
RULES = "rules.ndjson"
OBSERVED = "observed.json"
HEALTH = "health.ndjson"
TRANSCRIPTS = "transcripts"

#: The names that transcripts may have.
TRANSCRIPT_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,120}")

Row = dict[str, Any]


@cache
def _validator(definition: str | None) -> jsonschema_rs.Validator:
    """The check for run.json (None) or for one of the row kinds of `$defs`."""
    text = resources.files(__package__).joinpath("run.schema.json").read_text("utf-8")
    schema = orjson.loads(text)
    if definition is not None:
        schema = {
            "$schema": schema["$schema"],
            "$ref": f"#/$defs/{definition}",
            "$defs": schema["$defs"],
        }
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


def why_invalid(definition: str | None, value: object) -> str | None:
    """None if `value` meets the schema, else "/pointer: reason" of the first fault."""
    validator = _validator(definition)
    try:
        if validator.is_valid(value):
            return None
    except UnicodeEncodeError:
        return why_invalid(definition, portable(value))
    for error in validator.iter_errors(value):
        pointer = "".join(f"/{step}" for step in error.instance_path)
        reason = str(error.message)
        return f"{pointer or '(whole)'}: {reason if len(reason) < 300 else reason[:300] + '…'}"
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


@cache
def _observed_validator() -> jsonschema_rs.Validator:
    text = resources.files(__package__).joinpath("observed.schema.json").read_text("utf-8")
    return jsonschema_rs.validator_for(orjson.loads(text))


def why_not_observed(document: object) -> str | None:
    """None if `document` is what `observed.json` may hold, else "/pointer: reason"."""
    for error in _observed_validator().iter_errors(document):
        pointer = "".join(f"/{step}" for step in error.instance_path)
        return f"{pointer or '(whole)'}: {str(error.message)[:300]}"
    return None
