"""What this machine sets limits to: files that may be open at once, and stamps of the kernel."""

from __future__ import annotations

import sys
from typing import Final

from soundstage.doctor.health import HealthCheck, ok, problem
from soundstage.wire.stamps import switch_on

#: Fewer open files than that are too few for a check with its report.
_FEWEST: Final = 64
#: What a process has open beside its streams.
_OWN: Final = 32


def machine() -> HealthCheck:
    """The check of this machine's limits."""
    stamps = "the kernel stamps what arrives" if switch_on() else "no stamps of the kernel: times "
    if not switch_on():
        stamps += "are those of this process"
    if sys.platform == "win32":
        return ok("machine", stamps)
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # A load run raises the limit itself, as far as it may.
    most = max(soft, hard) if hard != resource.RLIM_INFINITY else None
    if most is not None and most < _FEWEST:
        said = f"only {most} files may be open at once"
        return problem("machine", "machine.open_files", said)
    streams = "any number of" if most is None else f"{most - _OWN:,}"
    return ok("machine", f"room for {streams} streams at once; {stamps}")
