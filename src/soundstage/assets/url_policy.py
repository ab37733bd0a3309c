"""Where the URL of a file may lead, and whether it may be fetched. Values only, no look-ups.

A payload is what somebody else wrote: a URL in it must not make us knock at doors inside a network
(server-side request forgery). Only the target itself is ever asked and, where that is the live API,
the hosts that its contract names.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from soundstage.errors import UsageError
from soundstage.output.cutting import head
from soundstage.wire.url import DEFAULT_PORTS, Url, parse_target

#: Names that never leave a machine or a site (RFC 6761, 6762, 8375; "internal" is reserved so).
_INNER_NAMES: Final = re.compile(
    r"(.*\.)?(localhost|local|localdomain|internal|intranet|lan|home\.arpa|corp|private)\.?"
)
#: What C libraries read as an IPv4 address although it is not written as one.
_ODD_ADDRESS: Final = re.compile(r"(0x[0-9a-f]+|[0-9]+)(\.(0x[0-9a-f]+|[0-9]+)){0,3}\.?")


@dataclass(frozen=True, slots=True)
class UrlVerdict:
    """What is known about where a URL leads. `allowed`: it may be fetched. `forbidden`: no URL in
    a payload should lead there; `why` says in words why either is so.
    """

    allowed: bool = False
    forbidden: bool = False
    why: str = ""


def place_of(url: str, own: str, named: Collection[str], *, live: bool) -> UrlVerdict:
    """Where `url` leads, seen from the target `own` (its base URL). `named` are the hosts that
    the contract names; they are asked only if the target is `live`.
    """
    try:
        parts = urlsplit(url)
        scheme = parts.scheme.lower()
    except ValueError:
        return UrlVerdict(why="it is no URL")
    if scheme not in DEFAULT_PORTS:
        known = bool(re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme))
        return UrlVerdict(
            forbidden=known, why=f"its scheme is {head(scheme, 20) or 'none'}, not http(s)"
        )
    if "@" in parts.netloc:
        return UrlVerdict(forbidden=True, why="it carries a user name or password")
    try:
        there, base = parse_target(url), parse_target(own)
    except UsageError as error:
        return UrlVerdict(why=str(error))
    if there.origin == base.origin:
        return UrlVerdict(allowed=True, why="it is the target itself")
    if there.host == base.host:
        return UrlVerdict(forbidden=True, why=f"it leads to port {there.port} of the target's host")
    if (inner := _inner(there.host)) is not None:
        return UrlVerdict(forbidden=True, why=inner)
    if there.host in named and there.port != DEFAULT_PORTS[there.scheme]:
        return UrlVerdict(forbidden=True, why=f"it leads to port {there.port}")
    return _outside(there, named, live=live)


def _outside(there: Url, named: Collection[str], *, live: bool) -> UrlVerdict:
    if there.host not in named:
        return UrlVerdict(why="its host is none that the contract names")
    if not live:
        return UrlVerdict(why="its host is the live API's, which is not the target")
    if there.scheme != "https":
        return UrlVerdict(why="it is plain http on a host of the live API")
    return UrlVerdict(allowed=True, why="its host is one that the contract names")


def _inner(host: str) -> str | None:
    """Why a host cannot be a public one; None if it can."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        if _ODD_ADDRESS.fullmatch(host):
            return "its host is an address in disguise"
        if "." not in host.rstrip(".") or _INNER_NAMES.fullmatch(host):
            return "its host is a name of the inside"
        return None
    mapped = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
    if not (mapped or address).is_global or address.is_multicast:
        return "its host is a loopback, private or link-local address"
    return None
