"""Puts values that an API gave into the path and the query of a URL, each as one part of it and no
more.

What somebody else wrote must not choose where a request goes: everything that means something in a
URL is percent-encoded (RFC 3986, section 2.1), and what no encoding makes harmless is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from soundstage.contract.placeholders import PLACEHOLDER, filled_in
from soundstage.contract.protocol import Endpoint

#: A longer path is none that servers need to take (RFC 9110, section 4.1, asks for 8,000 octets).
LONGEST: Final = 2_000
_SEPARATOR: Final = re.compile(r"[/\\]")


class UnusableError(ValueError):
    """A value that cannot stand in a URL; the message says why, and quotes nothing."""


def segment(value: str) -> str:
    """A value as one segment of a path.

    Raises UnusableError for one that is empty or too long, has control characters or line ends, or
    leads elsewhere once a server or proxy has decoded it: `.`, `..` and empty parts between slashes
    (RFC 3986, section 5.2.4, takes them away before anything is looked up).
    """
    if not value:
        raise UnusableError("it is empty")
    if not value.isprintable():
        raise UnusableError("it has control characters, line ends or others that cannot be printed")
    decoded = value
    for _ in range(3):  # as often as proxies in a row may decode it
        if any(part in ("", ".", "..") for part in _SEPARATOR.split(decoded)):
            raise UnusableError("its parts between slashes lead to another place")
        decoded = _decoded(decoded)
        if any(ord(character) < 0x20 or ord(character) == 0x7F for character in decoded):
            raise UnusableError("it has control characters or line ends in percent-encoding")
    text = quote(value, safe="")
    if len(text) > LONGEST:
        raise UnusableError(f"it takes {len(text):,} characters in a URL; at most {LONGEST:,} fit")
    return text


def _decoded(text: str) -> str:
    return re.sub(r"%([0-9A-Fa-f]{2})", lambda match: chr(int(match[1], 16)), text)


def names_in(endpoint: Endpoint) -> set[str]:
    """The names that are filled into the path and the query of an endpoint."""
    return set(filled_in(endpoint.path, dict(endpoint.query)))


def path_of(endpoint: Endpoint) -> str:
    """The path of an endpoint with its query, where nothing is to be filled in; else the path as
    the contract has it.
    """
    if not endpoint.query or names_in(endpoint):
        return endpoint.path
    return filled(endpoint, {})


def filled(endpoint: Endpoint, values: Mapping[str, str]) -> str:
    """The path and the query of an endpoint with these values where the contract has names in
    braces. Where there is but one such name and one value, that is meant, whatever its name.

    Raises UnusableError for a value that cannot stand there, or is not given.
    """
    names = filled_in(endpoint.path, dict(endpoint.query))
    if len(names) == 1 and len(values) == 1:
        values = dict.fromkeys(names, next(iter(values.values())))
    if missing := [name for name in names if name not in values]:
        raise UnusableError(f"nothing was given for {missing[0]!r}")
    path = PLACEHOLDER.sub(lambda match: segment(values[match[1]]), endpoint.path)
    if not endpoint.query:
        return path
    parts = []
    for name, text in endpoint.query:
        said = PLACEHOLDER.sub(lambda match: segment(values[match[1]]), text)
        fixed = text == said
        parts.append(f"{quote(name, safe='')}={quote(said, safe='') if fixed else said}")
    return f"{path}?{'&'.join(parts)}"
