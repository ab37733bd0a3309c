"""Paths and URLs as URI references (RFC 3986), for what follows links or reads them by machine."""

from __future__ import annotations

import os
import re
from urllib.parse import quote

#: What may stand in a path as it is. No colon: in the first segment it would end a scheme
#: (section 4.2).
_SAFE = "/!$&'()*+,;=@~"
#: What may stand in a whole URL. No brackets: curl takes them for a range, and only an address of
#: IPv6 has them (section 3.2.2).
_WHOLE = "/:?&=#@!$()*+,;~-._%"
_LITERAL = re.compile(r"https?://\[[0-9A-Fa-f:.]+\]", re.IGNORECASE)
#: A percent sign that begins no octet.
_ALONE = re.compile("%(?![0-9A-Fa-f]{2})")


def of_path(path: str) -> str:
    """A relative path as a reference; bytes of names that are no text stay those bytes."""
    return quote(os.fsencode(path), safe=_SAFE)


def of_url(url: str) -> str:
    """A URL with all escaped that may not stand in one. What is escaped already stays so."""
    literal = _LITERAL.match(url)
    begins = literal[0] if literal else ""
    rest = _ALONE.sub("%25", url[len(begins) :])
    return begins + quote(rest, safe=_WHOLE, errors="surrogatepass")
