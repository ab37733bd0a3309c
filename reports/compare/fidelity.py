"""How near an emulator is to the live API: two runs held against each other. Two bundles in, a
table out, as text, Markdown or JSON (`soundstage compare --fidelity`).

Delays by stage are compared as quantiles, endings as shares; what payloads are like, which stages
come, how often and in which order, as the drift between what both runs were seen to send. This is
no regression test: neither arm is better, and a difference that is proved but small is no fault of
a stand-in. A quantity is *far* if it is off by more than a stand-in may be, and not by chance.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from soundstage.contract import available, load
from soundstage.errors import NoDataError, UsageError
from soundstage.output import visible
from soundstage.output.written_files import print_document
from soundstage.reports.compare import interval
from soundstage.reports.compare.arms import ArmRun, EndpointSeries, Place, read_run
from soundstage.reports.drift.drift import DriftFinding, drift, observed_of
from soundstage.reports.formats.markdown import escaped
from soundstage.reports.words import between, milestone_label, plain, seconds
from soundstage.results.bundle import Bundle
from soundstage.results.columns import Floats
from soundstage.results.milestone_names import MilestoneNames, milestone_names
from soundstage.results.quantiles import quantile

#: A share of a stand-in may be off by this much, and the quantiles of its delays by this factor.
MAY_DIFFER, MAY_BE_TIMES = 0.1, 1.25
#: What takes this long more or less is the business of sockets and schedulers, not of an API.
TOO_SHORT_S = 0.01
#: With fewer exchanges than this in either arm nothing is said.
FEWEST = 20
#: Of the interval of a ratio, or of a difference, which must leave out that there is none.
LEVEL = 0.999
QUANTILES = (0.5, 0.95)
FORMATS = ("text", "markdown", "json")
#: Exit codes by verdict (docs/exit-codes.md): the stand-in has moved away; nothing can be said.
EXIT = {"near": 0, "far": 3, "unclear": 4}

_SAID = {"near": "near", "far": "far off", "unclear": "too little to say"}
_HEAD = ("", "n", "live", "emulated", "ratio", "verdict")


@dataclass(frozen=True, slots=True)
class FidelityRow:
    """One quantity of both arms, in `n` exchanges of each: in seconds ("s"), with the `ratio` of
    emulated to live (None: of nothing at all), or a "share" of the exchanges. Of times that are
    known by polling `live` and `emulated` are the high ends, `ratio` is the greatest that it may
    be, and the others are the low ends and the least; None where all are exact.
    """

    what: str
    unit: str
    n: tuple[int, int]
    live: float
    emulated: float
    ratio: float | None
    verdict: str
    live_low: float | None = None
    emulated_low: float | None = None
    ratio_low: float | None = None


@dataclass(frozen=True, slots=True)
class EndpointFidelity:
    """An endpoint of an API version. `drift` is what it sends otherwise, each in a sentence; None
    where a run has no record of it.
    """

    api: str
    endpoint: str
    rows: tuple[FidelityRow, ...]
    drift: tuple[str, ...] | None

    @property
    def verdict(self) -> str:
        """The worst of what was compared."""
        return "far" if self.drift else _worst(each.verdict for each in self.rows)


@dataclass(frozen=True, slots=True)
class Fidelity:
    """The whole: its `verdict` is the worst of the endpoints'. `notes` are what a reader must know
    before trusting it.
    """

    endpoints: tuple[EndpointFidelity, ...]
    notes: tuple[str, ...]

    @property
    def verdict(self) -> str:
        return _worst(each.verdict for each in self.endpoints)


def run(live: Path, emulated: Path, format: str, stdout: TextIO) -> int:
    """Compare two bundles and print the table in one of `FORMATS`. Returns 0 if the second is near
    the first, 3 if it is far, 4 if there is too little to say.

    Raises UsageError for what is no bundle and for another format, NoDataError where there is
    nothing to compare.
    """
    if format not in FORMATS:
        known = ", ".join(FORMATS)
        raise UsageError(f"--fidelity has no format {format!r}: there are {known}")
    arms = [read_run(Bundle.open(path)) for path in (live, emulated)]
    result = fidelity(arms[0], arms[1], _findings(live, emulated))
    if format == "text":
        stdout.write(_text(result))
    else:
        print_document(_markdown(result) if format == "markdown" else _json(result), stdout)
    return EXIT[result.verdict]


def _findings(live: Path, emulated: Path) -> list[DriftFinding] | None:
    """What the emulator sends otherwise; None if a run has no record of what it saw."""
    try:
        mine, theirs = observed_of([live]), observed_of([emulated])
    except NoDataError:
        return None
    apis = [api for api in mine.apis if api in theirs.apis and api in available()]
    found: list[DriftFinding] = drift(mine, theirs, {api: load(api) for api in apis})
    return found


# --- two runs into a table ------------------------------------------------------------------------


def fidelity(
    live: ArmRun, emulated: ArmRun, findings: Sequence[DriftFinding] | None = None
) -> Fidelity:
    """The table of two runs; `findings` as `_findings` gives them. Times of a run that was faster
    than life are scaled. Raises NoDataError if the two have no endpoint in common.
    """
    places = sorted({*live.series} & {*emulated.series})
    if not places:
        raise NoDataError("the two runs have no endpoint in common: there is nothing to compare")
    notes, speeds = [], []
    for role, arm in (("the live arm", live), ("the emulated arm", emulated)):
        speeds.append(float(arm.facts["target"].get("speed") or 1.0))
        if speeds[-1] != 1.0:
            notes.append(f"{role} ran {speeds[-1]:g} times faster than life; its times are scaled")
        if arm.facts["status"] != "complete":
            notes.append(f"{role} is incomplete")
    if (kind := live.facts["target"]["kind"]) != "live":
        notes.append(f"the live arm is none: its target is of the kind {kind}")
    if findings is None:
        notes.append("a run has no record of payloads: shapes, stages and order were not compared")
    for api, endpoint in sorted({*live.series} ^ {*emulated.series}):
        notes.append(f"{api} {endpoint}: in one of the runs only")
    endpoints = []
    for place in places:
        here, there = live.series[place], emulated.series[place]
        different = None if findings is None else _different(place, findings)
        names = milestone_names(live.facts, *place, {*here.times, *there.times})
        rows = *_delays(here, there, names, speeds), *_endings(here, there)
        endpoints.append(EndpointFidelity(*place, rows, different))
    return Fidelity(tuple(endpoints), tuple(notes))


#: Sorted times, and their low ends, which are the same where all are exact.
_Ends = tuple[Floats, Floats]


def _delays(
    live: EndpointSeries, emulated: EndpointSeries, names: MilestoneNames, speeds: Sequence[float]
) -> Iterator[FidelityRow]:
    # Where times are scaled, so is what sockets and schedulers have to do with them.
    short = TOO_SHORT_S * max(1.0, *speeds)
    for name, *taken in _times(live, emulated, names):
        mine, theirs = (
            (np.sort(high) * speed, np.sort(low) * speed)
            for (high, low), speed in zip(taken, speeds, strict=True)
        )
        if len(mine[0]) and len(theirs[0]):
            for q in QUANTILES:
                yield _delay(f"{name} p{100 * q:g}", mine, theirs, q, short)


def _delay(what: str, mine: _Ends, theirs: _Ends, q: float, short: float) -> FidelityRow:
    """One quantile of both arms. Of times that are known by polling it is far, or near, only if it
    is so in the most favourable and in the most unfavourable case.
    """
    n = len(mine[0]), len(theirs[0])
    a, a_low, b, b_low = (quantile(each, q) for each in (*mine, *theirs))
    if (a, b) == (a_low, b_low):
        far = _apart(mine[0], theirs[0], q, short) != 0
        return FidelityRow(what, "s", n, a, b, b / a if a else None, _verdict(n, far))
    cases = {_apart(mine[0], theirs[1], q, short), _apart(mine[1], theirs[0], q, short)}
    said = _verdict(n, cases != {0}) if len(cases) == 1 else "unclear"
    ratios = b / a_low if a_low else None, b_low / a if a else None
    return FidelityRow(what, "s", n, a, b, ratios[0], said, a_low, b_low, ratios[1])


def _apart(mine: Floats, theirs: Floats, q: float, short: float) -> int:
    """Whether the second is far above the first (1), far below (-1), or near it (0)."""
    a, b = quantile(mine, q), quantile(theirs, q)
    _, low, high = interval.of_samples(mine, theirs, q, LEVEL)
    far = max(a, b) > MAY_BE_TIMES * min(a, b) + short and not low <= 0 <= high
    return (1 if b > a else -1) if far else 0


def _times(
    live: EndpointSeries, emulated: EndpointSeries, names: MilestoneNames
) -> Iterator[tuple[str, _Ends, _Ends]]:
    """Seconds to the milestones in the exchanges that got there, then those of each stage."""
    arms = live, emulated
    for name in names.headline:
        mine, theirs = (_milestone(arm, name) for arm in arms)
        yield milestone_label(names, name), mine, theirs
    for name in dict.fromkeys([*live.spent, *emulated.spent]):
        mine, theirs = ((took := _spent(arm, name), took) for arm in arms)
        yield name, mine, theirs


def _milestone(arm: EndpointSeries, name: str) -> _Ends:
    if name not in arm.times:
        return np.empty(0), np.empty(0)
    high, low = arm.times[name], arm.lows(name)
    return high[np.isfinite(high)], low[np.isfinite(low)]


def _spent(arm: EndpointSeries, name: str) -> Floats:
    """What a stage took in the exchanges that have it; nothing in each if it never comes."""
    took = arm.spent.get(name, np.zeros(max(map(len, arm.spent.values()), default=0)))
    return took[took > 0] if took.any() else took


def _endings(live: EndpointSeries, emulated: EndpointSeries) -> Iterator[FidelityRow]:
    n = live.n, emulated.n
    for what in sorted({*live.outcomes, *emulated.outcomes}):
        k = [arm.outcomes.get(what, 0) for arm in (live, emulated)]
        apart, low, high = interval.rate_change([(k[0], n[0])], [(k[1], n[1])], LEVEL)
        far = abs(apart) > MAY_DIFFER and not low <= 0 <= high
        shares = k[0] / n[0], k[1] / n[1]
        yield FidelityRow(what, "share", n, *shares, None, _verdict(n, far))


def _different(place: Place, findings: Iterable[DriftFinding]) -> tuple[str, ...]:
    """What is surely otherwise and matters: fields that the contract asks for, and stages and their
    order by more than a stand-in may be off. Values and sizes of a stand-in are its own.
    """
    found = []
    for each in findings:
        seen = each.evidence
        moved = abs(seen.base / seen.base_n - seen.candidate / seen.candidate_n)
        if each.kind.startswith("stage."):
            matters = moved > MAY_DIFFER
        else:
            matters = each.kind.startswith("field.") and each.effect != "info"
        if matters and each.verdict == "drift" and (each.api, each.endpoint) == place:
            found.append(f"{each.text}: {seen.text}")
    return tuple(found)


def _verdict(n: tuple[int, int], far: bool) -> str:
    if min(n) < FEWEST:
        return "unclear"
    return "far" if far else "near"


def _worst(verdicts: Iterable[str]) -> str:
    """far if one is; near if the rest are, and something could be said at all."""
    found = set(verdicts)
    return "far" if "far" in found else "near" if "near" in found else "unclear"


# --- the table in words ---------------------------------------------------------------------------


def _json(result: Fidelity) -> str:
    document = {
        "fidelity": 2,
        "verdict": result.verdict,
        "notes": result.notes,
        "endpoints": [
            {
                **asdict(each),
                "rows": [_row_json(row) for row in each.rows],
                "verdict": each.verdict,
            }
            for each in result.endpoints
        ],
    }
    return visible.in_json(json.dumps(document, indent=2)) + "\n"


def _row_json(row: FidelityRow) -> dict[str, Any]:
    """Low ends only where there are some."""
    lows = ("live_low", "emulated_low", "ratio_low")
    return {
        name: value for name, value in asdict(row).items() if name not in lows or value is not None
    }


def _text(result: Fidelity) -> str:
    lines = [f"fidelity: {_SAID[result.verdict]}", *(f"note: {plain(n)}" for n in result.notes)]
    for each in result.endpoints:
        lines += ["", _title(each), *visible.table(_cells(each))]
        lines += [f"  {plain(text)}" for text in each.drift or ()]
    return visible.lines(lines) + "\n"


def _markdown(result: Fidelity) -> str:
    lines = [f"**fidelity: {_SAID[result.verdict]}**", ""]
    lines += [f"- {escaped(plain(note))}" for note in result.notes]
    for each in result.endpoints:
        head, *rows = (f"| {' | '.join(map(escaped, row))} |" for row in _cells(each))
        lines += [
            "",
            f"### {escaped(_title(each))}",
            "",
            head,
            "|" + " --- |" * len(_HEAD),
            *rows,
            "",
        ]
        lines += [f"- {escaped(plain(text))}" for text in each.drift or ()]
    return visible.in_markup("\n".join(lines)) + "\n"


def _title(each: EndpointFidelity) -> str:
    return f"{plain(each.api, 60)} {plain(each.endpoint, 60)}: {each.verdict}"


def _cells(endpoint: EndpointFidelity) -> Iterator[tuple[str, ...]]:
    yield _HEAD
    for row in endpoint.rows:
        values = [
            _shown(each, low, row.unit)
            for each, low in ((row.live, row.live_low), (row.emulated, row.emulated_low))
        ]
        ratio = "" if row.ratio is None else f"×{row.ratio:.2f}"
        if row.ratio is not None and row.ratio_low is not None:
            ratio = between(f"×{row.ratio_low:.2f}", ratio)
        yield plain(row.what, 60), f"{row.n[0]:,}, {row.n[1]:,}", *values, ratio, row.verdict


def _shown(value: float, low: float | None, unit: str) -> str:
    if unit != "s":
        return f"{100 * value:.1f}%"
    return seconds(value) if low is None else between(seconds(low), seconds(value))
