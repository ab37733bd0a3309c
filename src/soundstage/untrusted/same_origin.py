"""Who may call a server of ours that is open to this machine: programs, and the pages that it
serves itself. No page of anybody else, though the browser that shows it runs on this machine too.

Values in, a reason out; no I/O. What a browser says of a request stands in `Host`, `Origin` (RFC
6454; Fetch Standard, "Origin header"), `Sec-Fetch-*` (W3C Fetch Metadata) and `Referer`. A header
that comes twice, or that a proxy has joined with a comma, counts as the worse of both.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

#: A name or an IPv4 address, or an IPv6 address without a zone; and a port (RFC 3986, section
#: 3.2.2, without user info). A name may end in a dot.
_AUTHORITY: Final = re.compile(
    r"(?P<name>[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
_URL: Final = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<rest>[/?#].*)?")
_PORTS: Final = {"http": 80, "https": 443}
#: Methods that change nothing (RFC 9110, section 9.2.1).
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_SAME_SITE: Final = frozenset({"same-origin", "none"})


def authority(text: str) -> tuple[str, int | None] | None:
    """(name in lower case, port) of a `Host`; None if it is none. An IPv6 address is without its
    brackets.
    """
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        return None
    name, port = match["name"].lower(), match["port"]
    if name.startswith("["):
        name = name[1:-1]
        try:
            name = ipaddress.IPv6Address(name).compressed
        except ValueError:
            return None
    if port is not None and not 0 < int(port) < 65536:
        return None
    return name, None if port is None else int(port)


def is_address(name: str) -> bool:
    """Whether a name is an IP address, as it is written in full: no `127.1`, no `2130706433`."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether what listens at `host` can be reached from this machine only. `host` is what a socket
    is bound to: a name, an address, or `127.1` as inet_aton(3) takes it.
    """
    if host == "localhost":
        return True
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:
            found = ipaddress.ip_address(socket.inet_aton(host))
        except (OSError, ValueError):
            return False
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)


@dataclass(frozen=True, slots=True)
class Callers:
    """Who may call one server. `names` are those by which it may be called beside `localhost` and
    any address (a name can be made to point here, an address cannot); `any_name`: by all.
    `links`: a page of another site may link to a page here (a request that navigates the whole
    window, which the other page cannot read).
    """

    names: frozenset[str] = frozenset()
    any_name: bool = False
    links: bool = False

    def refusal(self, method: str, headers: Iterable[tuple[str, str]]) -> str | None:
        """Why a request is not answered, a sentence; None if it is. Names of headers are in lower
        case; headers that do not matter here may be left out.
        """
        found: dict[str, list[str]] = {}
        for name, value in headers:
            found.setdefault(name, []).append(value.strip(" \t"))
        hosts = found.get("host", [])
        if len(hosts) != 1 and not (self.any_name and not hosts):
            return "A request names one Host"
        here = authority(hosts[0]) if hosts else None
        if not self.any_name and (here is None or not self.knows(here[0])):
            return "Name this host by its address or as localhost"
        origins, sites = found.get("origin", []), found.get("sec-fetch-site", [])
        if any(not self._is_ours(origin, here, page=False) for origin in origins):
            return "Requests from other origins are not answered here"
        if any(site not in _SAME_SITE for site in sites) and not (
            self.links
            and method in ("GET", "HEAD")
            and found.get("sec-fetch-mode") == ["navigate"]
            and found.get("sec-fetch-dest") == ["document"]
        ):
            return "Requests from other sites are not answered here"
        if method not in _SAFE and any(
            not self._is_ours(page, here, page=True) for page in found.get("referer", [])
        ):
            return "Requests from pages of others are not answered here"
        return None

    def knows(self, name: str) -> bool:
        """Whether this server is called so."""
        return name == "localhost" or is_address(name) or name in self.names

    def _is_ours(self, url: str, here: tuple[str, int | None] | None, *, page: bool) -> bool:
        """Whether an `Origin`, or with `page` a `Referer`, is of this server, called by the name
        that it is called by now. Behind a proxy, which may have put in another, by one of `names`.
        """
        match = _URL.fullmatch(url)
        if match is None or (match["rest"] and not page):
            return False
        said = authority(match["authority"])
        if said is None:
            return False
        if said[0] in self.names:
            return True
        default = _PORTS[match["scheme"]]
        return here is not None and (said[0], said[1] or default) == (here[0], here[1] or default)
