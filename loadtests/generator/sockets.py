"""How many exchanges this process can have in flight at all: each takes a socket."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import Final

#: Files, pipes and sockets of our own that are open beside the exchanges, with room to spare.
_OURS: Final = 128
#: More than this no process follows in time; about 20 KB each.
_MOST: Final = 50_000


@cache
def most_sockets() -> int:
    """How many sockets exchanges may take. Raises the soft limit of open files as far as the system
    lets anybody.
    """
    try:
        import resource
    except ImportError:  # not on Windows
        return _MOST
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST + _OURS if hard == resource.RLIM_INFINITY else min(hard, _MOST + _OURS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST
    return max(1, min(_MOST, soft - _OURS))
