"""The golden accuracy of the stimulus: requests start when they should, as their process says.

A machine that is too busy shows in the generator's own measurements; such a run is invalid, and
says nothing here either.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from shlex import split

import numpy as np
import pytest

from soundstage.exchange.spawn import spawned_emulator

from .conftest import Ran, load

_RATE, _SECONDS = 40.0, 4.0


@pytest.fixture(scope="module")
def instant() -> Iterator[str]:
    """An emulator that answers at once, so that it takes little of the machine."""
    with spawned_emulator(["--profile", "instant"]) as url:
        yield url


def starts(ran: Ran) -> np.ndarray:
    """Seconds at which requests actually started; skips the test if the run is invalid."""
    assert ran.folder.is_dir(), ran.err
    if any(void["kind"] == "generator" for void in ran.bundle.run["voids"]):
        pytest.skip(f"this machine is too busy to tell: {ran.bundle.run['reason']}")
    assert ran.code == 0, ran.err
    return np.array(sorted(row["started_ns"] for row in ran.rows)) / 1e9


def sent(instant: str, tmp_path_factory: pytest.TempPathFactory, process: str) -> Ran:
    options = f"--rate {_RATE} --duration {_SECONDS}s --arrivals {process} --api v5 --endpoint sync"
    folder = tmp_path_factory.mktemp(process)
    return load(folder, "--target", instant, *split(options), "--seed", "12")


def test_constant_arrivals_start_evenly_without_drift(
    instant: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    moments = starts(sent(instant, tmp_path_factory, "constant"))
    assert len(moments) == _RATE * _SECONDS
    late = moments - np.arange(len(moments)) / _RATE
    assert late.min() >= 0.0, "nothing starts early"
    assert np.median(late) < 0.2 / _RATE, "jitter is small beside the gaps"
    # Drift is what lateness gains from one half of the run to the other.
    halves = [np.median(half) for half in np.array_split(late, 2)]
    assert abs(halves[1] - halves[0]) < 0.2 / _RATE


def test_poisson_arrivals_start_as_a_poisson_process_does(
    instant: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    moments = starts(sent(instant, tmp_path_factory, "poisson"))
    n, expected = len(moments), _RATE * _SECONDS
    assert abs(n - expected) < 3.3 * math.sqrt(expected)
    gaps = np.sort([b - a for a, b in pairwise(moments)])
    cdf = 1 - np.exp(-_RATE * gaps)
    ranks = np.arange(len(gaps))
    distance = max(
        (np.abs((ranks + 1) / len(gaps) - cdf)).max(), np.abs(cdf - ranks / len(gaps)).max()
    )
    assert distance < 1.95 / math.sqrt(len(gaps)), "Kolmogorov-Smirnov at 0.1%"
    assert gaps.std() > 0.7 / _RATE, "they are not even"
