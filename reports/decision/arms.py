"""The two arms of a comparison: the runs of each, with the sorted times of every endpoint.

Who counts is as in `summary`: probes, warm-up and requests that were never sent stay out; a
milestone that was not reached, for whatever reason, is +inf.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from soundstage.errors import NoDataError, UsageError
from soundstage.reports.run.rule_results import RuleResult, rule_results
from soundstage.reports.run.stage_time import SAMPLE, spent
from soundstage.reports.run.summary import expected_milestones
from soundstage.reports.words import plain
from soundstage.results import run_history
from soundstage.results.arrivals.exchange_sample import SAMPLE as LEAST_SAMPLE
from soundstage.results.arrivals.exchange_sample import ExchangeSample
from soundstage.results.bundle import RUN, Bundle
from soundstage.results.columns import DROPPED, Columns, Floats
from soundstage.results.intake import take_in
from soundstage.results.listening.playback_columns import PlaybackColumns
from soundstage.results.polling import Resolution

#: (api, endpoint)
Place = tuple[str, str]

#: Outcomes that say nothing bad about the target: the harness ended these itself.
_NOT_ERRORS = frozenset({"ok", "cut", "censored"})
_TIMEOUT = "timeout"
#: A folder with more bundles than this is no set that anybody meant.
SET_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class EndpointSeries:
    """The measured exchanges of one endpoint in one run.

    `times`: by milestone, sorted seconds from the intended start, +inf included; each has `n`
    values, or (where only listening tells) one for each song that was listened to. Of times that
    are known by polling these are the high ends; `low_ends` has the low ones, of the milestones
    that are not exact, and `resolution` how well they are known (None: nothing was polled).
    `outcomes`: how they ended. `spent`: by stage, seconds of whole exchanges that a stage took
    (`stage_time`), in no order, of a `sample` of those that ended well. Of `listened` songs, of
    which it is known, `gapped` were not heard without a gap.
    """

    n: int
    times: Mapping[str, Floats]
    outcomes: Mapping[str, int]
    spent: Mapping[str, Floats]
    low_ends: Mapping[str, Floats] = field(default_factory=dict)
    resolution: Resolution | None = None
    sample: ExchangeSample = field(default_factory=ExchangeSample, compare=False)
    listened: int = 0
    gapped: int = 0

    def lows(self, milestone: str) -> Floats:
        """The low ends of a milestone, which are its times where all are exact."""
        return self.low_ends.get(milestone, self.times[milestone])

    @property
    def errors(self) -> int:
        """Exchanges that ended badly through the target: failed, refused, timeout, transport."""
        return sum(count for name, count in self.outcomes.items() if name not in _NOT_ERRORS)

    @property
    def timeouts(self) -> int:
        return self.outcomes.get(_TIMEOUT, 0)


@dataclass(frozen=True, slots=True)
class ArmRun:
    """One run of an arm. `rate`: arrivals a second that the rows show, nan where they show none.
    `torn`: files of the bundle that ended inside a row.
    """

    path: Path
    facts: Mapping[str, Any]
    series: Mapping[Place, EndpointSeries]
    rules: Mapping[str, RuleResult]
    rate: float
    torn: int

    @property
    def id(self) -> str:
        return str(self.facts["id"])


@dataclass(frozen=True, slots=True)
class Arm:
    """The runs on one side, in the order of their start."""

    runs: tuple[ArmRun, ...]

    @classmethod
    def of(cls, runs: Iterable[ArmRun]) -> Arm:
        """An arm of these runs, whatever their order."""
        return cls(tuple(sorted(runs, key=lambda run: (str(run.facts["created"]), run.id))))

    def series(self, place: Place) -> list[EndpointSeries]:
        """Those of the runs that measured anything at this endpoint."""
        return [run.series[place] for run in self.runs if place in run.series]

    def times(self, place: Place, milestone: str) -> Floats:
        """Those of all its runs together, sorted."""
        return np.sort(np.concatenate([each.times[milestone] for each in self.series(place)]))

    def lows(self, place: Place, milestone: str) -> Floats | None:
        """The low ends of the same; None where all are exact."""
        series = self.series(place)
        if not any(milestone in each.low_ends for each in series):
            return None
        return np.sort(np.concatenate([each.lows(milestone) for each in series]))

    def places(self) -> list[Place]:
        """The endpoints at which each run of the arm measured something, in order."""
        common = set.intersection(*(set(run.series) for run in self.runs))
        return sorted(common)


def resolve(text: str) -> list[Path]:
    """The bundles that a word of the command line names, several parted by commas: the folder of
    a bundle, a folder of such folders, or what `soundstage runs` knows: a pin, an id, `latest`.

    Raises UsageError where there is none.
    """
    found: list[Path] = []
    for word in filter(None, text.split(",")):
        path = Path(word)
        if (path / RUN).is_file():
            found.append(path)
        elif path.is_dir():
            inside = sorted(each.parent for each in path.glob(f"*/{RUN}"))[: SET_LIMIT + 1]
            if not inside or len(inside) > SET_LIMIT:
                how = "no run bundle, nor a folder of some" if not inside else "too many bundles"
                raise UsageError(f"{path}: {how}")
            found.extend(inside)
        else:
            found.append(run_history.resolve(word))
    if not found:
        raise UsageError(f"{text!r} names no run bundle")
    return found


def missing_base(words: Sequence[str]) -> str | None:
    """Why the base that these words name is not there yet, as before a project's first run, and how
    it comes to be, in a line; None if it is there.

    Raises UsageError for what may be the name of another run, misspelt.
    """
    for word in (word for text in words for word in filter(None, text.split(","))):
        try:
            gone = next((each for each in resolve(word) if not each.exists()), None)
        except run_history.NoRunYetError as error:
            why = str(error).partition("; `")[0]
        else:
            if gone is None:
                continue
            why = f"{gone}: no such folder"
        how = "keep a run there to compare the next one with"
        if run_history.is_mark(word):
            pin = f"soundstage runs pin latest --as {word}"
            how = f"`{pin}` makes the newest run the base"
        return f"{plain(why, 300)}; {how}"
    return None


def read_arms(arms: Sequence[Sequence[Path]]) -> list[Arm]:
    """Read the bundles of each arm.

    Raises UsageError for one that is no bundle or is given twice, NoDataError for one that is
    empty.
    """
    bundles = [[Bundle.open(path) for path in arm] for arm in arms]
    known: set[Path] = set()
    for path in (bundle.path for arm in bundles for bundle in arm):
        if path.resolve() in known:
            raise UsageError(f"{path}: given twice; a run counts once")
        known.add(path.resolve())
    # All runs of an arm together keep about as many whole exchanges as one alone.
    samples = [max(LEAST_SAMPLE, SAMPLE // max(1, len(arm))) for arm in bundles]
    return [
        Arm.of(read_run(bundle, sample) for bundle in arm)
        for arm, sample in zip(bundles, samples, strict=True)
    ]


def read_run(bundle: Bundle, sample: int = SAMPLE) -> ArmRun:
    """One bundle as columns, with so many whole exchanges at least. Raises UsageError at a
    damaged row, NoDataError if it holds none.
    """
    stated = list(bundle.rules())
    results = rule_results(stated, bundle.violations())
    # What broke is rebuilt from violations only where the run did not come to say it.
    known = {row["rule"] for row in stated} or {each.id for each in results}
    rules = {each.id: each for each in results if each.id in known}
    expected = expected_milestones(bundle.run, stated)
    try:
        intake = take_in(bundle, sample=sample, times_only=True)
    except UsageError as error:
        if str(bundle.path) in str(error):
            raise
        raise UsageError(f"{bundle.path}: {error}") from error
    if not intake.total and not rules:
        raise NoDataError(f"{bundle.path}: it holds no exchange and no rule")
    return ArmRun(
        path=bundle.path,
        facts=bundle.run,
        series={
            place: series_of(columns, expected.get(place, ()))
            for place, columns in sorted(intake.columns.items())
            if columns.measured
        },
        rules=rules,
        rate=_rate(intake.columns.values()),
        torn=bundle.torn,
    )


def run_before_it_begins(facts: Mapping[str, Any], places: Iterable[Place]) -> ArmRun:
    """A run of which nothing is known but its `facts` (of run.json, as it begins), and where it
    will send.
    """
    known = {
        "created": "",
        **facts,
        "status": "complete",
        "verdict": "pass",
        "voids": [],
    }
    series = {place: EndpointSeries(0, {}, {}, {}) for place in places}
    return ArmRun(Path(str(facts["id"])), known, series, {}, math.nan, 0)


def series_of(columns: Columns, expected: Iterable[str]) -> EndpointSeries:
    """The measured rows of columns; `expected` are milestones that count as never reached, where
    no row did.
    """
    outcomes = columns.outcomes()
    del outcomes[DROPPED]
    names = {*columns.milestones(), *expected}
    times = {name: np.sort(columns.since_intended(name)) for name in names}
    shares = spent(columns.sample)
    low_ends = {
        name: np.sort(columns.since_intended(name, low=True))
        for name in names
        if not columns.is_exact(name)
    }
    known = columns.resolution()
    heard = columns.heard or PlaybackColumns()
    told = heard.continuous + heard.gapped, heard.gapped
    return EndpointSeries(
        columns.measured, times, dict(outcomes), shares, low_ends, known, columns.sample, *told
    )


def _rate(endpoints: Iterable[Columns]) -> float:
    """Arrivals a second, of what was never sent as well; nan of fewer than two moments."""
    due = np.concatenate(
        [np.empty(0), *(part for each in endpoints for part in (each.intended(), each.dropped()))]
    )
    span = float(np.ptp(due)) if len(due) else 0.0
    return (len(due) - 1) / span if span else math.nan
