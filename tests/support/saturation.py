"""Load runs say themselves when this machine had too much else to do. They then say nothing about
what a test looks at, and a test must not fail by it: it tries again, or looks at the rest.
"""

from __future__ import annotations

from pathlib import Path

from soundstage.results.bundle import Bundle


def saturated(folder: Path) -> bool:
    """Whether the run in `folder` is void because its generator had no time, or had it taken."""
    if not (folder / "run.json").is_file():
        return False
    voids = [void["message"] for void in Bundle.open(folder).run.get("voids", [])]
    return any("saturated" in why or "(steal)" in why for why in voids)


def ended(code: int, folder: Path, wanted: int = 0) -> bool:
    """Whether a load run ended with the exit code that is wanted, or void by this machine's fault.

    For tests of what a run shows or writes. Where the verdict is what is looked at, try again.
    """
    return code == wanted or (code == 6 and saturated(folder))
