"""The words of contracts: names and values that they fix. They are no secrets, whatever a key is,
and a key that is one of them would be found in every good answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from soundstage.contract.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.output.redact import WIRE_WORDS

#: What is said about values, not what they must be.
_ABOUT: Final = frozenset({"title", "description", "default", "examples", "pattern", "$comment"})
_PART: Final = re.compile(r"[A-Za-z0-9]+")


def words_of(contracts: Iterable[Contract]) -> frozenset[str]:
    """Names of properties, endpoints and stages, segments of paths, hosts, and the texts that a
    value must be: constants, members of enumerations, bodies of printed errors.
    """
    return frozenset(word for contract in contracts for word in _of_contract(contract))


def is_word(key: str, words: Iterable[str]) -> bool:
    """Whether a key is one of `words`, or a part of one that is put together (`event` of
    `text/event-stream`), in any case.
    """
    key = key.lower()
    known = (each.lower() for each in (*words, *WIRE_WORDS))
    return any(key in (each, *each.split("/"), *_PART.findall(each)) for each in known)


def _of_contract(contract: Contract) -> Iterator[str]:
    yield contract.api
    yield from contract.hosts.values
    for endpoint in contract.endpoints.values():
        yield from _of_endpoint(endpoint)
    protocol = contract.protocol
    for stage in contract.stages:
        yield stage.name
        yield from _of_schema(stage.schema)
        yield from _of_schema(stage.when)
        yield from (milestone.name for milestone in stage.milestones)
        if stage.event is not None and stage.event.name:
            yield stage.event.name
    for name, schema in protocol.fields.items():
        yield name
        yield from _of_schema(schema)
    for endpoint in contract.endpoints.values():
        if (own := endpoint.protocol) is not None:
            fields = (own.tracks, own.index, own.completion, *own.constant, *own.never_decrease)
            yield from (part for each in fields if each is not None for part in each.field.parts)
    for error in contract.errors.known:
        yield error.name
        if error.printed:
            yield from _texts(error.body)


def _of_endpoint(endpoint: Endpoint) -> Iterator[str]:
    yield from (endpoint.name, endpoint.kind, endpoint.method, *endpoint.framings)
    yield from (part for part in endpoint.path.split("/") if part and not part.startswith("{"))
    yield from (given.name for given in endpoint.gives)
    yield from (name for name, _ in endpoint.query)
    for schema in (endpoint.request, endpoint.response):
        if schema is not None:
            yield from _of_schema(schema)


def _of_schema(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for each in schema:
            yield from _of_schema(each)
    elif isinstance(schema, dict):
        for keyword, inner in schema.items():
            if keyword in ("const", "enum"):
                yield from _texts(inner)
            elif keyword == "required":
                yield from inner
            elif keyword == "properties":
                yield from inner
                yield from _of_schema(list(inner.values()))
            elif keyword not in _ABOUT and not keyword.startswith("x-"):
                yield from _of_schema(inner)


def _texts(value: Any) -> Iterator[str]:
    """All texts and names in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        yield from (text for inner in value.values() for text in _texts(inner))
    elif isinstance(value, list):
        yield from (text for inner in value for text in _texts(inner))
