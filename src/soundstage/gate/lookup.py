"""Puts an identifier that an API gave into the path of a URL, as one segment of it and no more.

What somebody else wrote must not choose where a request goes: everything that means something in a
URL is percent-encoded (RFC 3986, section 2.1), and what no encoding makes harmless is refused.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from soundstage.conformance.answers import violation
from soundstage.conformance.fields import shown
from soundstage.conformance.violations import Violation
from soundstage.contract import Contract
from soundstage.contract.field_schemas import pointer
from soundstage.contract.protocol import Endpoint
from soundstage.contract.roles import identifiers

#: A longer path is none that servers need to take (RFC 9110, section 4.1, asks for 8,000 octets).
LONGEST: Final = 2_000
_PLACEHOLDER: Final = re.compile(r"\{[^{}]*\}")
_SEPARATOR: Final = re.compile(r"[/\\]")
#: What an identifier that is none breaks: the rule of its field, by the last step of its id.
_CODES: Final = {"value": "field.value", "type": "field.type"}


class UnusableError(ValueError):
    """An identifier that cannot stand in a URL; the message says why, and quotes nothing."""


def segment(identifier: str) -> str:
    """An identifier as one segment of a path.

    Raises UnusableError for one that is empty or too long, has control characters or line ends, or
    leads elsewhere once a server or proxy has decoded it: `.`, `..` and empty parts between slashes
    (RFC 3986, section 5.2.4, takes them away before anything is looked up).
    """
    if not identifier:
        raise UnusableError("it is empty")
    if not identifier.isprintable():
        raise UnusableError("it has control characters, line ends or others that cannot be printed")
    decoded = identifier
    for _ in range(3):  # as often as proxies in a row may decode it
        if any(part in ("", ".", "..") for part in _SEPARATOR.split(decoded)):
            raise UnusableError("its parts between slashes lead to another place")
        decoded = _decoded(decoded)
        if any(ord(character) < 0x20 or ord(character) == 0x7F for character in decoded):
            raise UnusableError("it has control characters or line ends in percent-encoding")
    text = quote(identifier, safe="")
    if len(text) > LONGEST:
        raise UnusableError(f"it takes {len(text):,} characters in a URL; at most {LONGEST:,} fit")
    return text


def _decoded(text: str) -> str:
    return re.sub(r"%([0-9A-Fa-f]{2})", lambda match: chr(int(match[1], 16)), text)


def path_of(endpoint: Endpoint, identifier: str) -> str:
    """The path of an endpoint that looks something up, with the identifier where the contract has a
    name in braces. Raises UnusableError.
    """
    text = segment(identifier)
    return _PLACEHOLDER.sub(lambda _: text, endpoint.path, count=1)


def unusable(contract: Contract, made_by: Endpoint, identifier: str) -> Violation | None:
    """What is wrong with the identifier of a generation that `made_by` gave, where the contract has
    an endpoint that looks generations up; None if nothing is.
    """
    if contract.endpoint_of_kind("status") is None:
        return None
    try:
        segment(identifier)
    except UnusableError as error:
        for name in identifiers(contract):
            said = f"{name} is {shown(identifier)}: nothing can be looked up by it, as {error}"
            for aspect, code in _CODES.items():
                rule = f"{made_by.name}/field/{name}/{aspect}"
                if f"{contract.api}/{rule}" in contract.rules.rules:
                    return violation(contract, code, rule, said, pointer(name))
    return None
