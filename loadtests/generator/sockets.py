"""How many exchanges this process can have in flight at all: each takes a socket."""

from __future__ import annotations

from functools import cache
from typing import Final

from soundstage.process.open_files import raise_limit

#: Files, pipes and sockets of our own that are open beside the exchanges, with room to spare.
_OURS: Final = 128
#: More than this no process follows in time; about 10 KB each.
_MOST: Final = 50_000


@cache
def most_sockets() -> int:
    """How many sockets exchanges may take. Raises the soft limit of open files as far as the system
    lets anybody.
    """
    return max(1, min(_MOST, raise_limit(_MOST + _OURS) - _OURS))


def too_few(wanted: int, processes: int = 1) -> str | None:
    """What to say, and to do, where so many exchanges at once are more than `processes` may have;
    None where they are not.
    """
    each = most_sockets()
    if wanted <= each * processes:
        return None
    here = "this process" if processes == 1 else f"each of {processes} processes"
    return (
        f"{wanted:,} songs at once are more than the {each:,} sockets that {here} may have: the "
        "others will fail; raise the hard limit of open files (`ulimit -Hn`, LimitNOFILE= of "
        "systemd, --ulimit nofile= of docker), or use more --processes"
    )
