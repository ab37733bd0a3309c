"""What of a request is the user's own and must not come back in what is kept: whether a key can be
told from other text, the secrets in header fields, and the texts of private parameters.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Container, Iterable, Iterator
from functools import cache
from typing import Any, Final

from soundstage.contract import Contract
from soundstage.contract.roles import role_of
from soundstage.contract.vocabulary import is_word
from soundstage.errors import UsageError
from soundstage.exchange.budget import is_loopback
from soundstage.output.outgoing import SHORTEST
from soundstage.output.redact import PRIVATE_FIELDS

_SHORTEST_KEY: Final = 8


def doubts_about(key: str, place: str, url: str, words: Iterable[str]) -> tuple[str, ...]:
    """What speaks against a key that was found at `place`, for a target on this machine at `url`.

    A key that is short, or a word of the contract, stands in good answers too: it stays where it
    does, and so it is not kept out of bundles. Raises UsageError where the target is another
    machine. The key is never part of a message.
    """
    if len(key) < _SHORTEST_KEY:
        what = f"has fewer than {_SHORTEST_KEY} characters"
    elif is_word(key, words):
        what = "is a word of the contract"
    else:
        return ()
    doubt = f"{place}: the key {what}, and cannot be told from other text in what is recorded"
    if is_loopback(url):
        return (doubt,)
    raise UsageError(f"{doubt}; only a target on this machine may have such a key")


#: A header with one of these in its name carries a secret, however short.
_TELLTALES: Final = ("auth", "key", "token", "secret", "cookie", "password", "session")
#: Headers that say what everybody may know (RFC 9110; W3C Trace Context), and our emulator's.
_PUBLIC: Final = re.compile(
    r"accept(-.*)?|cache-control|connection|content-.*|date|dnt|expect|from|host|if-.*|origin"
    r"|pragma|prefer|priority|range|referer|sec-.*|te|traceparent|tracestate|user-agent|via"
    r"|x-(request|correlation|trace)-id|soundstage-.*",
    re.IGNORECASE,
)
_PART: Final = re.compile(r"[^\s;,]+")


def secrets_in(name: str, value: str, target: str, words: Container[str]) -> Iterator[str]:
    """The secrets in a header field: its value, each of its parts that could be one (a scheme's
    credentials, the value of a cookie), and the password that `Basic` holds. A value that is a word
    of `words`, or stands in `target`, the URL that everybody may see, is none, unless the name of
    the header says that it is.
    """
    telling = any(word in name.lower() for word in _TELLTALES)
    if not telling and (_PUBLIC.fullmatch(name) or len(value) < SHORTEST or value in target):
        return
    if not telling and value in words:
        return
    yield value
    parts = _PART.findall(value)
    for part in [*parts, *(part.partition("=")[2] for part in parts)]:
        if len(part) >= SHORTEST and part not in words and part not in target:
            yield part
    if parts and parts[0].lower() == "basic":
        yield from _basic(parts[-1])


def _basic(credentials: str) -> Iterator[str]:
    """User and password, and the password (RFC 7617)."""
    try:
        pair = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, ValueError):
        return
    yield pair
    password = pair.partition(":")[2]
    if len(password) >= SHORTEST:
        yield password


#: Roles of parameters in which people write what they like.
_PRIVATE_ROLES: Final = frozenset({"prompt", "lyrics", "lyrics_sections"})
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
    own = (name for name, schema in properties.items() if role_of(schema) in _PRIVATE_ROLES)
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
