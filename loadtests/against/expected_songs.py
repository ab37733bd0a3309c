"""About how many songs a comparison by looks will take, for candidates that are so much slower.

Runs are drawn (a bootstrap) from the songs of the base, or, where there are none yet, from an
assumption that is said; each is judged by the looks and gates that were asked for, as the run will
be. Estimates: they hold if the candidate is the base times a factor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from soundstage.loadtests.against.asked_comparison import AskedComparison
from soundstage.reports.decision.arms import EndpointSeries, Place
from soundstage.reports.decision.first_songs import RecordedSongs
from soundstage.reports.decision.gates import Gate
from soundstage.reports.decision.looks import FAIL, PASS, Looking
from soundstage.results.bundle import Bundle
from soundstage.results.row_facts import lateness, since_intended

Floats = npt.NDArray[np.float64]

#: What a song is taken for where nobody knows: median seconds, and sigma of its logarithm.
ASSUMED_S, ASSUMED_SIGMA = 60.0, 0.3
#: Candidates that are looked at: so much slower than the base.
SHIFTS = (0.0, 0.2, 0.5)
#: Runs that are drawn for each shift, fewer of them where they are long: a plan comes at once.
_RUNS, _LEAST_RUNS, _DRAWN = 60, 8, 60_000
_BASE_SONGS = 5_000
_SEED = 16


@dataclass(frozen=True, slots=True)
class SongPool:
    """Songs to draw from. By song: its endpoint (a number), seconds until each milestone of a gate
    (+inf: never), whether it ended badly, and seconds that it was in flight.
    """

    places: tuple[Place, ...]
    place: npt.NDArray[np.int64]
    times: Mapping[str, Floats]
    bad: npt.NDArray[np.bool_]
    lasted: Floats


class ExpectedSongs(NamedTuple):
    """Of a candidate that is `shift` slower: the shares of runs that fail and pass, and songs an
    arm, with those in flight, on average and in 95% of the runs.
    """

    shift: float
    fails: float
    passes: float
    songs: float
    sent: float
    sent_95: float


def pool_of(asked: AskedComparison) -> SongPool:
    """Songs of the base, or assumed ones."""
    places = tuple(dict.fromkeys(gate.pairing.place for gate in asked.gates))
    names = {gate.what for gate in asked.gates if gate.order is not None}
    if asked.base is None:
        rng = np.random.default_rng(_SEED)
        drawn = rng.lognormal(np.log(ASSUMED_S), ASSUMED_SIGMA, _BASE_SONGS)
        each = rng.integers(0, len(places), _BASE_SONGS)
        good = np.zeros(_BASE_SONGS, dtype=np.bool_)
        return SongPool(places, each, dict.fromkeys(names, drawn), good, drawn)
    path = asked.base.runs[0].path
    songs = RecordedSongs(Bundle.open(path).exchanges(), _BASE_SONGS).rows
    rows = [row for row in songs if (row["api"], row["endpoint"]) in places]
    return SongPool(
        places=places,
        place=np.array([places.index((row["api"], row["endpoint"])) for row in rows]),
        times={name: np.array([_inf(since_intended(row, name)) for row in rows]) for name in names},
        bad=np.array([row["outcome"] not in ("ok", "cut", "censored") for row in rows]),
        lasted=np.array([(row.get("ended") or 0.0) + lateness(row) for row in rows]),
    )


def _inf(value: float | None) -> float:
    return np.inf if value is None else value


def expected(
    asked: AskedComparison, rate: float, shifts: Sequence[float] = SHIFTS
) -> list[ExpectedSongs]:
    """For each of these shifts; `rate` in songs a second."""
    pool = pool_of(asked)
    rng = np.random.default_rng(_SEED)
    runs = max(_LEAST_RUNS, min(_RUNS, _DRAWN // asked.plan.most))
    return [_expected(asked, pool, rate, shift, runs, rng) for shift in shifts]


def _expected(
    asked: AskedComparison,
    pool: SongPool,
    rate: float,
    shift: float,
    runs: int,
    rng: np.random.Generator,
) -> ExpectedSongs:
    plan = asked.plan
    whole = None
    if asked.base is not None:
        whole = {place: asked.base.series(place) for place in asked.base.places()}
    songs, sent, said = [], [], []
    for _ in range(runs):
        drawn = rng.integers(0, len(pool.lasted), plan.most)
        other = rng.integers(0, len(pool.lasted), plan.most)
        looking = Looking(asked.gates, plan)
        while (size := looking.next_size) is not None:
            base = whole or _series(pool, asked.gates, other[:size], 1.0)
            looking.take(base, _series(pool, asked.gates, drawn[:size], 1 + shift))
        last = looking.looks[-1].n
        ends = np.arange(last) / rate + pool.lasted[drawn[:last]] * (1 + shift)
        # What is due until the last of them has ended.
        more = last if asked.pause else int(ends.max() * rate) + 1
        songs.append(last)
        sent.append(max(last, min(plan.most, more)))
        said.append(looking.verdict)
    return ExpectedSongs(
        shift,
        said.count(FAIL) / runs,
        said.count(PASS) / runs,
        float(np.mean(songs)),
        float(np.mean(sent)),
        float(np.quantile(sent, 0.95)),
    )


def _series(
    pool: SongPool, gates: Sequence[Gate], drawn: npt.NDArray[np.int64], factor: float
) -> dict[Place, list[EndpointSeries]]:
    found = {}
    for number, place in enumerate(pool.places):
        mine = drawn[pool.place[drawn] == number]
        names = {each.what for each in gates if each.order and each.pairing.place == place}
        times = {name: np.sort(pool.times[name][mine]) * factor for name in names}
        bad = int(pool.bad[mine].sum())
        outcomes = {"ok": len(mine) - bad, "failed": bad}
        found[place] = [EndpointSeries(len(mine), times, outcomes, {})]
    return found
