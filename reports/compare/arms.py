"""The two arms of a comparison: runs read into columns of numbers, one set for each endpoint.

Rows are streamed and never held, so that a million exchanges an arm fit. Who counts is as in
`summary`: probes, warm-up and requests that were never sent stay out; a milestone that was not
reached, for whatever reason, is +inf.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from soundstage.errors import NoDataError, UsageError
from soundstage.reports.run.columns import Columns, Floats
from soundstage.reports.run.intake import ENDPOINTS_LIMIT
from soundstage.reports.run.stage_time import StageSample
from soundstage.reports.run.summary import expected_milestones, is_probe
from soundstage.results import history
from soundstage.results.bundle import EXCHANGES, RUN, Bundle

#: (api, endpoint)
Place = tuple[str, str]

#: Outcomes that say nothing bad about the target: the harness ended these itself.
_NOT_ERRORS = frozenset({"ok", "cut", "censored"})
_TIMEOUT = "timeout"
#: A folder with more bundles than this is no set that anybody meant.
SET_LIMIT = 1000
#: Bundles whose rows take more bytes than this are read by processes of their own.
LARGE = 16 * 2**20
_PROCESSES = 2


@dataclass(frozen=True, slots=True)
class EndpointSeries:
    """The measured exchanges of one endpoint in one run.

    `times`: by milestone, sorted seconds from the intended start, +inf included; each has `n`
    values. `outcomes`: how they ended. `spent`: by stage, seconds of whole exchanges that a stage
    took (`stage_time`), in no order, of a sample.
    """

    n: int
    times: Mapping[str, Floats]
    outcomes: Mapping[str, int]
    spent: Mapping[str, Floats]

    @property
    def errors(self) -> int:
        """Exchanges that ended badly through the target: failed, refused, timeout, transport."""
        return sum(count for name, count in self.outcomes.items() if name not in _NOT_ERRORS)

    @property
    def timeouts(self) -> int:
        return self.outcomes.get(_TIMEOUT, 0)


@dataclass(frozen=True, slots=True)
class RuleState:
    """A rule in one run: its outcome, and in how many of the endpoint's exchanges it was broken."""

    id: str
    api: str
    endpoint: str
    outcome: str
    broken_in: int
    exchanges: int
    text: str
    example: str


@dataclass(frozen=True, slots=True)
class ArmRun:
    """One run of an arm. `rate`: arrivals a second that the rows show, nan where they show none.
    `torn`: files of the bundle that ended inside a row.
    """

    path: Path
    facts: Mapping[str, Any]
    series: Mapping[Place, EndpointSeries]
    rules: Mapping[str, RuleState]
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
            found.append(history.resolve(word))
    if not found:
        raise UsageError(f"{text!r} names no run bundle")
    return found


def read_arms(arms: Sequence[Sequence[Path]]) -> list[Arm]:
    """Read the bundles of each arm; large ones in two processes of their own.

    Raises UsageError for one that is no bundle or is given twice, NoDataError for one that is
    empty.
    """
    bundles = [[Bundle.open(path) for path in arm] for arm in arms]
    paths = [bundle.path for arm in bundles for bundle in arm]
    known: set[Path] = set()
    for path in paths:
        if path.resolve() in known:
            raise UsageError(f"{path}: given twice; a run counts once")
        known.add(path.resolve())
    rows = [path / EXCHANGES for path in paths]
    if len(paths) > 1 and sum(path.stat().st_size for path in rows if path.is_file()) > LARGE:
        with ProcessPoolExecutor(_PROCESSES, mp_context=get_context("spawn")) as pool:
            runs = dict(zip(paths, pool.map(_read, paths), strict=True))
    else:
        runs = {path: _read(path) for path in paths}
    return [Arm.of(runs[bundle.path] for bundle in arm) for arm in bundles]


def _read(path: Path) -> ArmRun:
    return read_run(Bundle.open(path))


def read_run(bundle: Bundle) -> ArmRun:
    """One bundle as columns. Raises UsageError at a damaged row, NoDataError if it holds none."""
    rules = list(bundle.rules())
    expected = expected_milestones(bundle.run, rules)
    columns: dict[Place, _ArmColumns] = {}
    first, last, arrivals = math.inf, -math.inf, 0
    total = 0
    try:
        for row in bundle.exchanges():
            total += 1
            place = (row["api"], row["endpoint"])
            column = columns.get(place)
            if column is None:
                if len(columns) >= ENDPOINTS_LIMIT:
                    raise ValueError(f"more than {ENDPOINTS_LIMIT:,} endpoints")
                column = columns[place] = _ArmColumns()
            column.rows.add(row)
            if row.get("warmup") or is_probe(row):
                continue
            if row["outcome"] == "ok" and row["stages"]:
                column.sample.add(row["stages"])
            intended = row["intended_ns"]
            arrivals += 1
            first = min(first, intended)
            last = max(last, intended)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        place_of = f"{bundle.path}: exchange number {total}"
        raise UsageError(f"{place_of}: not a row of format 1: {error!r}") from error
    states = _rule_states(bundle, rules)
    if not total and not states:
        raise NoDataError(f"{bundle.path}: it holds no exchange and no rule")
    return ArmRun(
        path=bundle.path,
        facts=bundle.run,
        series={
            place: column.series(expected.get(place, ()))
            for place, column in sorted(columns.items())
            if column.rows.measured
        },
        rules=states,
        rate=(arrivals - 1) * 1e9 / (last - first) if last > first else math.nan,
        torn=bundle.torn,
    )


class _ArmColumns:
    """The rows of one endpoint, and the stages of a sample of those that went well."""

    def __init__(self) -> None:
        self.rows = Columns()
        self.sample = StageSample()

    def series(self, expected: Iterable[str]) -> EndpointSeries:
        late, outcomes = self.rows.late(), Counter[str]()
        for (outcome, *_, warmup, probe), number in self.rows.kinds():
            if not (warmup or probe or outcome == "dropped"):
                outcomes[outcome] += number
        times = {}
        for name in {*self.rows.milestones(), *expected}:
            times[name] = self.rows.times(name) + late
            times[name].sort()
        return EndpointSeries(len(late), times, dict(outcomes), self.sample.spent())


def _rule_states(bundle: Bundle, rules: Iterable[Mapping[str, Any]]) -> dict[str, RuleState]:
    """What became of each rule; from the violations alone where the run did not come to say."""
    broken: Counter[str] = Counter()
    last: dict[str, str] = {}
    seen: dict[str, Mapping[str, Any]] = {}
    for violation in bundle.violations():
        rule, exchange = str(violation.get("rule", "")), str(violation.get("exchange", ""))
        # The violations of an exchange are written together.
        if last.get(rule) != exchange:
            last[rule] = exchange
            broken[rule] += 1
        if violation.get("severity") == "error":
            seen.setdefault(rule, violation)
    states = {}
    for row in rules:
        evidence = row.get("evidence") or ()
        states[row["rule"]] = RuleState(
            id=row["rule"],
            api=row["api"],
            endpoint=row["endpoint"],
            outcome=row["outcome"],
            broken_in=broken.get(row["rule"], 0),
            exchanges=row.get("exchanges", 0),
            text=row.get("text") or "",
            example=evidence[0]["message"] if evidence else "",
        )
    if not states:
        for rule, example in seen.items():
            steps = [*rule.split("/"), "", ""]
            states[rule] = RuleState(
                id=rule,
                api=str(example.get("api") or steps[0]),
                endpoint=str(example.get("endpoint") or steps[1]),
                outcome="failed",
                broken_in=broken[rule],
                exchanges=0,
                text="",
                example=str(example.get("message", "")),
            )
    return states
