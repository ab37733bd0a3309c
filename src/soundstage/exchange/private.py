"""What of a request is somebody's own: the texts that are taken out of all that is kept of its
exchange, wherever they come back.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from soundstage.contract import Contract
from soundstage.contract.roles import role_of
from soundstage.output.redact import PRIVATE_FIELDS

#: Roles of parameters in which people write what they like.
_ROLES: Final = frozenset({"prompt", "lyrics", "lyrics_sections"})
_DEEPEST: Final = 32


def private_texts(contract: Contract, endpoint: str, body: Any) -> list[str]:
    """The texts, and the numbers as such, that stand in private parameters of the body of a request
    to `endpoint`, at any depth.
    """
    if not isinstance(body, dict):
        return []
    return list(_texts(body, _names(contract, endpoint), False, 0))


@cache
def _names(contract: Contract, endpoint: str) -> frozenset[str]:
    properties = (contract.endpoints[endpoint].request or {}).get("properties", {})
    own = (name for name, schema in properties.items() if role_of(schema) in _ROLES)
    return frozenset((*PRIVATE_FIELDS, *own))


def _texts(value: Any, names: frozenset[str], private: bool, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(inner, names, private or name in names, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, names, private, depth + 1)
    elif private and value is not None and not isinstance(value, bool):
        yield str(value)
