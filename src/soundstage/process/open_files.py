"""How many files and sockets this process may have open: the limit is raised as far as the system
lets anybody.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

#: What stands for no limit at all.
UNLIMITED: Final = 2**31


def raise_limit(wanted: int = UNLIMITED) -> int:
    """Raise the soft limit of open files (getrlimit(2), RLIMIT_NOFILE) to `wanted`, or to the hard
    one if that is lower; returns what it is now. Never lowers it, never fails.
    """
    try:
        import resource
    except ImportError:  # not on Windows
        return UNLIMITED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = UNLIMITED if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < min(wanted, most):
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, most), hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return UNLIMITED if soft == resource.RLIM_INFINITY else soft
