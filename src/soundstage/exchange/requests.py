"""Bodies of requests that the contract allows, made from its request schemas by type and role.

Prompts vary with the generator of random numbers, so that no cache makes a service look faster
than it is. Names no API version.
"""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any

import jsonschema_rs

from soundstage.contract import Contract, patterns
from soundstage.contract.field_schemas import Schema
from soundstage.contract.protocol import Endpoint
from soundstage.contract.roles import role_of
from soundstage.errors import UsageError

_MOODS = ("calm", "bright", "wistful", "restless", "warm", "bold", "dreamy", "playful")
_STYLES = ("waltz", "folk song", "synth ballad", "bossa nova", "march", "lullaby", "rock anthem")
_SUBJECTS = (
    "a lighthouse in autumn",
    "two friends on a night train",
    "rain on a tin roof",
    "the first morning of a journey",
    "an old café by the sea",
    "letters that were never sent",
    "a city that wakes up",
    "counting stars over a field",
)
_INSTRUMENTS = ("piano", "acoustic guitar", "strings", "brass", "hand drums", "a small choir")
#: Only ever named, never fetched by us: a host that cannot exist (RFC 2606).
_URL = "https://example.invalid/audio.mp3"


def request_body(contract: Contract, endpoint: Endpoint, rng: Random) -> dict[str, Any]:
    """The required parameters of an endpoint with values that its schema allows; the same for
    the same state of `rng`. {} for an endpoint that takes no body.

    Raises UsageError if the schema asks for a value that is not known how to make.
    """
    if endpoint.request is None:
        return {}
    schema = endpoint.request
    properties = schema.get("properties", {})
    body = {name: _value(properties.get(name, {}), rng) for name in schema.get("required", ())}
    if not _validator(contract, endpoint.name).is_valid(body):
        raise UsageError(
            f"{contract.api} {endpoint.name}: no request can be made up from its schema alone: "
            f"tried {sorted(body)}"
        )
    return body


def valid_body(contract: Contract, endpoint: Endpoint, seed: int) -> dict[str, Any]:
    """The request of a contract check to an endpoint; the same for the same seed."""
    return request_body(contract, endpoint, Random(f"{seed}/{contract.api}/{endpoint.name}"))


def prompt(rng: Random) -> str:
    """A prompt for a song, one of some thousands; the tempo makes most of them differ."""
    mood, style, subject = rng.choice(_MOODS), rng.choice(_STYLES), rng.choice(_SUBJECTS)
    tempo = rng.randrange(60, 180)
    instrument = rng.choice(_INSTRUMENTS)
    return f"A {mood} {style} about {subject}, with {instrument}, {tempo} beats per minute"


@cache
def _validator(contract: Contract, endpoint: str) -> jsonschema_rs.Draft202012Validator:
    return patterns.validator(contract.endpoints[endpoint].request or {})


def _value(schema: Schema, rng: Random) -> Any:
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return rng.choice(schema["enum"])
    if "default" in schema:
        return schema["default"]
    kinds = schema.get("type", "string")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    if kind == "string":
        return _string(schema, rng)
    if kind in ("integer", "number"):
        parts = [schema, *schema.get("allOf", ())]
        return max((part["minimum"] for part in parts if "minimum" in part), default=1)
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: _value(properties.get(name, {}), rng) for name in schema.get("required", ())}
    empty: dict[str, Any] = {"boolean": False, "array": [], "null": None}
    return empty[kind]


def _string(schema: Schema, rng: Random) -> str:
    role = role_of(schema)
    if role == "prompt":
        return prompt(rng)
    if role == "lyrics":
        return f"{rng.choice(_SUBJECTS).capitalize()},\n{rng.choice(_SUBJECTS)}"
    asked = [part["pattern"] for part in [schema, *schema.get("allOf", ())] if "pattern" in part]
    text = f"soundstage-{rng.randrange(16**6):06x}"
    if all(patterns.found_in(pattern, text) for pattern in asked):
        return text
    return _URL
