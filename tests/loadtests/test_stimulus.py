"""The golden accuracy of the stimulus: requests start when they should, as their process says.

A machine that is busy with other things delays now and then. So a run that the generator itself
calls invalid says nothing here, and one that is off is tried again: what is wrong with the
schedule is wrong each time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from shlex import split

import numpy as np
import pytest

from soundstage.exchange.spawn import spawned_emulator

from .conftest import load

pytestmark = pytest.mark.timing

_RATE, _SECONDS = 40.0, 3.0
_TRIES = 3


@pytest.fixture(scope="module")
def instant() -> Iterator[str]:
    """An emulator that answers at once, so that it takes little of the machine."""
    with spawned_emulator(["--profile", "instant"]) as url:
        yield url


def starts(url: str, folder: Path, process: str) -> np.ndarray | None:
    """Seconds at which the requests of a run actually started; None if the run is invalid."""
    options = f"--rate {_RATE} --duration {_SECONDS}s --arrivals {process} --api v5 --endpoint sync"
    ran = load(folder, "--target", url, *split(options), "--seed", "12")
    assert ran.folder.is_dir(), ran.err
    if any(void["kind"] == "generator" for void in ran.bundle.run["voids"]):
        return None
    assert ran.code == 0, ran.err
    return np.array(sorted(row["started_ns"] for row in ran.rows)) / 1e9


def hold(url: str, folder: Path, process: str, check: Callable[[np.ndarray], None]) -> None:
    """Hold the starts of a run against `check`, of several runs if the machine is busy."""
    wrong: AssertionError | None = None
    for number in range(_TRIES):
        moments = starts(url, folder / str(number), process)
        if moments is None:
            continue
        try:
            check(moments)
        except AssertionError as error:
            wrong = error
        else:
            return
    if wrong is None:
        pytest.skip("this machine is too busy to tell: every run is invalid")
    raise wrong


def test_constant_arrivals_start_evenly_without_drift(instant: str, tmp_path: Path) -> None:
    def even(moments: np.ndarray) -> None:
        assert len(moments) == _RATE * _SECONDS
        late = moments - np.arange(len(moments)) / _RATE
        assert late.min() >= 0.0, "nothing starts early"
        assert np.median(late) < 0.2 / _RATE, "jitter is small beside the gaps"
        # Drift is what lateness gains from one half of the run to the other.
        halves = [np.median(half) for half in np.array_split(late, 2)]
        assert abs(halves[1] - halves[0]) < 0.2 / _RATE

    hold(instant, tmp_path, "constant", even)


def test_poisson_arrivals_start_as_a_poisson_process_does(instant: str, tmp_path: Path) -> None:
    def poisson(moments: np.ndarray) -> None:
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

    hold(instant, tmp_path, "poisson", poisson)
