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

from soundstage.contract import available, load
from soundstage.errors import NoDataError, UsageError
from soundstage.output import visible
from soundstage.output.written_files import print_document
from soundstage.reports.compare.fidelity_rows import MAY_DIFFER, FidelityRow, delays, endings
from soundstage.reports.decision.arms import ArmRun, Place, read_run
from soundstage.reports.drift.drift import DriftFinding, drift, observed_of
from soundstage.reports.formats.markdown import escaped
from soundstage.reports.words import between, plain, seconds
from soundstage.results.bundle import Bundle
from soundstage.results.milestone_names import milestone_names

FORMATS = ("text", "markdown", "json")
#: Exit codes by verdict (docs/reference/exit-codes.md): the stand-in has moved away; nothing can
#: be said.
EXIT = {"near": 0, "far": 3, "unclear": 4}

_SAID = {"near": "near", "far": "far off", "unclear": "too little to say"}
_HEAD = ("", "n", "live", "emulated", "ratio", "verdict")


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
        rows = *delays(here, there, names, speeds), *endings(here, there)
        endpoints.append(EndpointFidelity(*place, rows, different))
    return Fidelity(tuple(endpoints), tuple(notes))


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
