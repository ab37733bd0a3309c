"""Bodies of requests that the contract allows, made from its request schemas by type and role.

Prompts vary with the generator of random numbers, so that no cache makes a service look faster
than it is. Names no API version.
"""

from __future__ import annotations

from functools import cache, partial
from random import Random
from typing import Any

import jsonschema_rs

from soundstage.contract import Contract
from soundstage.contract.json_schema import patterns
from soundstage.contract.json_schema.field_schemas import Schema
from soundstage.contract.paths import meant_for
from soundstage.contract.protocol import Endpoint
from soundstage.contract.roles import role_of
from soundstage.errors import UsageError
from soundstage.generation.least_filled import NOBODYS_URL, LeastFilled
from soundstage.generation.sampler import Unmet, sampler_of
from soundstage.untrusted import json_text

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


def request_body(contract: Contract, endpoint: Endpoint, rng: Random) -> dict[str, Any]:
    """The required parameters of an endpoint with values that its schema allows; the same for
    the same state of `rng`. {} for an endpoint that takes no body.

    Raises UsageError if the schema asks for a value that is not known how to make.
    """
    if endpoint.request is None:
        return {}
    schema = endpoint.request
    properties = schema.get("properties", {})
    required = schema.get("required", ())
    try:
        body = {name: _value(properties.get(name, {}), rng) for name in required}
    except (KeyError, TypeError):
        body = {}
    if not fits(contract, endpoint, body):
        body = _drawn(contract, endpoint, rng)
    return body


#: Draws of a body until it is for its endpoint, and not for another at the same place.
_TRIES = 50


def _drawn(contract: Contract, endpoint: Endpoint, rng: Random) -> dict[str, Any]:
    """A body that is drawn from the schema, and meets what tells the endpoint from others."""
    asked = [each for each in (endpoint.request, endpoint.when) if each is not None]
    sampler = sampler_of({"type": "object", "allOf": asked})
    by_role = {role: partial(_string, {"x-role": role}, rng) for role in ("prompt", "lyrics")}
    least = LeastFilled(sampler, by_role)
    for _ in range(_TRIES):
        try:
            body = sampler.draw(rng, least)
        except Unmet as error:
            raise UsageError(
                f"{contract.api} {endpoint.name}: no request can be made up: {error}"
            ) from error
        if isinstance(body, dict) and fits(contract, endpoint, body):
            return body
    raise UsageError(
        f"{contract.api} {endpoint.name}: no request can be made up that is not for "
        "another endpoint at the same path"
    )


def fits(contract: Contract, endpoint: Endpoint, body: Any) -> bool:
    """Whether a body meets an endpoint's schema, and goes to no other endpoint."""
    meets = _validator(contract, endpoint.name).is_valid(body)
    return bool(meets) and endpoint_of(contract, endpoint, body) is endpoint


def endpoint_of(contract: Contract, endpoint: Endpoint, body: Any) -> Endpoint:
    """The endpoint that a request is for, of those at the method and path of `endpoint`."""
    if isinstance(body, bytes):
        body = json_text.parse(body).value
    sharing = [
        each
        for each in contract.endpoints.values()
        if (each.method, each.path) == (endpoint.method, endpoint.path)
    ]
    return meant_for(sharing, body) or endpoint


def sent_body(endpoint: Endpoint, body: Any) -> Any:
    """What is sent as the body of a request: nothing, where the endpoint takes none."""
    return None if endpoint.request is None else body


def own_values(contract: Contract, endpoint: Endpoint, seed: int) -> dict[str, str]:
    """Values of the parameters that an endpoint describes itself, by name."""
    rng = Random(f"{seed}/{contract.api}/{endpoint.name}/parameters")
    return {name: str(sampler_of(each).draw(rng)) for name, each in endpoint.parameters.items()}


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
    return NOBODYS_URL
