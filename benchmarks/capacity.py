"""The capacity that `soundstage load --find-capacity` finds, beside what queueing theory says.

The emulator's profile `mmc` is an M/M/4 queue, whose times are known exactly; the rate at which
the 95th percentile is six service times is looked for by loading it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.support.queueing import capacity

from benchmarks.result import Row
from soundstage.results.bundle import Bundle

#: Of the profile: how long a generation takes at speed 1, in the mean, and how many run at once.
_SERVICE_S, _SLOTS = 2.0, 4
_ORDER, _SERVICES = 0.95, 6


def measure(searches: int = 1, speed: float = 20.0, exchanges: int = 1000) -> list[Row]:
    """`searches` one after another, each on an emulator that is `speed` times as fast as life, with
    so many `exchanges` a trial.
    """
    service = _SERVICE_S / speed
    bound = _SERVICES * service
    theory = capacity(_ORDER, bound, service, _SLOTS)
    rows = []
    for seed in range(1, searches + 1):
        began = time.monotonic()
        found = _found(
            seed, speed, f"complete.p95<{bound * 1000:g}ms", _SLOTS / service / 4, exchanges
        )
        seconds = time.monotonic() - began
        rate, low, high = found["rate"], found["low"], found["high"]
        shown = " to ".join("?" if each is None else f"{each:.1f}" for each in (low, high))
        rows.append(
            Row(
                f"capacity of M/M/{_SLOTS}, p95 < {_SERVICES} services of {service * 1000:g} ms, "
                f"{len(found['trials'])} trials in {seconds:.0f} s",
                "none" if rate is None else f"{rate:.1f}/s ({shown})",
                f"theory: {theory:.1f}/s",
                "" if rate is None else f"{rate / theory:.2f}x",
                "within 10%",
            )
        )
    return rows


def _found(seed: int, speed: float, slo: str, first: float, exchanges: int) -> dict[str, Any]:
    """`capacity` of the run.json of a search."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "run"
        emulator = f"--profile mmc --speed {speed:g} --seed {seed}"
        words = ["--target", "emulator", "--emulator-args", emulator, "--api", "v6"]
        words += ["--endpoint", "sync", "--find-capacity", "--slo", slo, "--rate", f"{first:.3g}"]
        words += ["--exchanges", str(exchanges), "--seed", str(1000 * seed), "--out", str(bundle)]
        done = subprocess.run(
            [sys.executable, "-P", "-m", "soundstage", "load", *words],
            capture_output=True,
            text=True,
            check=False,
        )
        if not bundle.is_dir():
            raise RuntimeError(done.stderr[-2000:])
        found: dict[str, Any] = Bundle.open(bundle).run["capacity"]
        return found
