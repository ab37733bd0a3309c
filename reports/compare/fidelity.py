"""How near an emulator is to the live API: two runs held against each other. Two bundles in, a
table out, as text, Markdown or JSON (`soundstage compare --fidelity`).

Delays by stage are compared as quantiles, endings as shares; what payloads are like, which stages
come, how often and in which order, as the drift between what both runs were seen to send. This is
no regression test: neither arm is better, and a difference that is proved but small is no fault of
a stand-in. A quantity is *far* if it is off by more than a stand-in may be, and not by chance.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from soundstage.contract import available, load
from soundstage.errors import NoDataError, UsageError
from soundstage.output import visible
from soundstage.output.written_files import print_document
from soundstage.reports.compare import interval
from soundstage.reports.compare.arms import ArmRun, EndpointSeries, Place, read_run
from soundstage.reports.drift.drift import DriftFinding, drift, observed_of
from soundstage.reports.formats.markdown import escaped
from soundstage.reports.words import HEADLINE_MILESTONES, milestone_label, plain, seconds
from soundstage.results.bundle import Bundle
from soundstage.results.columns import Floats
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
_PAIRS = "Each pair is live, emulated; a ratio is emulated to live, of p50 and of p95."


@dataclass(frozen=True, slots=True)
class DelayFidelity:
    """The seconds of a milestone, or that a stage took, in `n` exchanges of each arm that had it:
    p50 and p95, and their ratios. None where an arm never had it, or where there is no ratio.
    """

    what: str
    n: tuple[int, int]
    live: tuple[float, ...] | None
    emulated: tuple[float, ...] | None
    ratio: tuple[float | None, ...] | None
    verdict: str


@dataclass(frozen=True, slots=True)
class EndingFidelity:
    """How often exchanges ended in one way: in `k` of `n`."""

    what: str
    live: tuple[int, int]
    emulated: tuple[int, int]
    verdict: str


@dataclass(frozen=True, slots=True)
class EndpointFidelity:
    """An endpoint of an API version. `drift` is what it sends otherwise, each in a sentence; None
    where a run has no record of it.
    """

    api: str
    endpoint: str
    n: tuple[int, int]
    delays: tuple[DelayFidelity, ...]
    endings: tuple[EndingFidelity, ...]
    drift: tuple[str, ...] | None

    @property
    def verdict(self) -> str:
        """The worst of what was compared."""
        if self.drift:
            return "far"
        return _worst(each.verdict for each in (*self.delays, *self.endings))


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
        pairs = _times(here, there)
        endpoints.append(
            EndpointFidelity(
                *place,
                (here.n, there.n),
                tuple(
                    _delay(what, a * speeds[0], b * speeds[1], max(speeds)) for what, a, b in pairs
                ),
                tuple(_endings(here, there)),
                None if findings is None else _different(place, findings),
            )
        )
    return Fidelity(tuple(endpoints), tuple(notes))


def _times(live: EndpointSeries, emulated: EndpointSeries) -> Iterable[tuple[str, Floats, Floats]]:
    """The milestones that both arms reached, then all stages in their order, with the seconds of
    the exchanges that have them.
    """
    for name in HEADLINE_MILESTONES:
        reached = [arm.times.get(name, np.empty(0)) for arm in (live, emulated)]
        reached = [each[np.isfinite(each)] for each in reached]
        if all(map(len, reached)):
            yield milestone_label(name), reached[0], reached[1]
    for name in dict.fromkeys([*live.spent, *emulated.spent]):
        took = [arm.spent.get(name, np.empty(0)) for arm in (live, emulated)]
        yield name, took[0][took[0] > 0], took[1][took[1] > 0]


def _delay(what: str, live: Floats, emulated: Floats, speed: float) -> DelayFidelity:
    n = len(live), len(emulated)
    mine, theirs = (
        tuple(quantile(arm, q) for q in QUANTILES) if len(arm) else None for arm in (live, emulated)
    )
    # Where times are scaled, so is what sockets and schedulers have to do with them.
    short = TOO_SHORT_S * max(1.0, speed)
    if mine is None or theirs is None:
        # Whether the stage comes at all is the drift's business: here it took no time in one arm.
        took = mine or theirs or (0.0,)
        verdict = "far" if max(n) >= FEWEST and took[0] > short else "unclear"
        return DelayFidelity(what, n, mine, theirs, None, verdict)
    here, there = np.sort(live) + short, np.sort(emulated) + short
    far = False
    for q in QUANTILES:
        log, low, high = interval.of_samples(here, there, q, LEVEL)
        far |= abs(log) > math.log(MAY_BE_TIMES) and not low <= 0 <= high
    ratio = tuple(b / a if a else None for a, b in zip(mine, theirs, strict=True))
    return DelayFidelity(what, n, mine, theirs, ratio, _verdict(n, far))


def _endings(live: EndpointSeries, emulated: EndpointSeries) -> Iterable[EndingFidelity]:
    for what in sorted({*live.outcomes, *emulated.outcomes}):
        mine, theirs = ((arm.outcomes.get(what, 0), arm.n) for arm in (live, emulated))
        apart, low, high = interval.rate_change(mine, theirs, LEVEL)
        far = abs(apart) > MAY_DIFFER and not low <= 0 <= high
        yield EndingFidelity(what, mine, theirs, _verdict((live.n, emulated.n), far))


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

_DELAYS = ("", "n", "p50", "p95", "ratio", "verdict")
_ENDINGS = ("ending", "share", "verdict")


def _json(result: Fidelity) -> str:
    document = {
        "fidelity": 2,
        "verdict": result.verdict,
        "notes": result.notes,
        "endpoints": [{**asdict(each), "verdict": each.verdict} for each in result.endpoints],
    }
    return visible.in_json(json.dumps(document, indent=2)) + "\n"


def _text(result: Fidelity) -> str:
    lines = [f"fidelity: {_SAID[result.verdict]}", *(f"note: {plain(n)}" for n in result.notes)]
    for each in result.endpoints:
        lines += ["", _title(each), *visible.table([_DELAYS, *_rows(each)]), ""]
        lines += visible.table([_ENDINGS, *_shares(each)])
        lines += [f"  {plain(text)}" for text in each.drift or ()]
    return visible.lines([*lines, "", _PAIRS]) + "\n"


def _markdown(result: Fidelity) -> str:
    lines = [f"**fidelity: {_SAID[result.verdict]}**", ""]
    lines += [f"- {escaped(plain(note))}" for note in result.notes]
    for each in result.endpoints:
        lines += ["", f"### {escaped(_title(each))}", "", *_grid([_DELAYS, *_rows(each)])]
        lines += ["", *_grid([_ENDINGS, *_shares(each)]), ""]
        lines += [f"- {escaped(plain(text))}" for text in each.drift or ()]
    return visible.in_markup("\n".join([*lines, "", _PAIRS])) + "\n"


def _grid(rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(map(escaped, row))} |" for row in rows]
    return [lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]]


def _title(each: EndpointFidelity) -> str:
    counts = f"{each.n[0]:,} live, {each.n[1]:,} emulated exchanges"
    return f"{plain(each.api, 60)} {plain(each.endpoint, 60)}: {each.verdict} ({counts})"


def _rows(endpoint: EndpointFidelity) -> list[tuple[str, ...]]:
    rows = []
    for each in endpoint.delays:
        pairs, ratios = ["-", "-"], "-"
        if each.live and each.emulated and each.ratio:
            pairs = [
                f"{seconds(a)}, {seconds(b)}" for a, b in zip(each.live, each.emulated, strict=True)
            ]
            ratios = ", ".join("-" if ratio is None else f"×{ratio:.2f}" for ratio in each.ratio)
        counts = f"{each.n[0]:,}, {each.n[1]:,}"
        rows.append((plain(each.what, 60), counts, *pairs, ratios, each.verdict))
    return rows


def _shares(endpoint: EndpointFidelity) -> list[tuple[str, ...]]:
    rows = []
    for each in endpoint.endings:
        shares = ", ".join(f"{100 * k / n:.0f}%" for k, n in (each.live, each.emulated))
        rows.append((plain(each.what), shares, each.verdict))
    return rows
