"""The table of `fidelity` in words (text for a terminal, Markdown for docs, JSON), and
`soundstage compare --fidelity`, which reads two bundles and prints it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from soundstage.contract import available, load
from soundstage.errors import NoDataError, UsageError
from soundstage.output import visible
from soundstage.output.written_files import print_document
from soundstage.reports.drift import drift
from soundstage.reports.drift.fidelity import (
    EndpointFidelity,
    Fidelity,
    Share,
    StageFidelity,
    TimesFidelity,
    fidelity,
)
from soundstage.reports.formats.markdown import escaped
from soundstage.reports.words import plain
from soundstage.results.bundle import Bundle

#: Exit codes by verdict (docs/exit-codes.md): the stand-in has moved away; nothing can be said.
EXIT = {"near": 0, "far": 3, "unclear": 4}


_HEAD = ("stage", "seen", "chunks", "reached p50", "p95", "spent p50", "p95", "order", "score", "")
_NOTHING = "-"


def as_json(result: Fidelity) -> str:
    """The table as JSON; what has no number is null."""
    return visible.in_json(json.dumps(_finite(result.to_json()), indent=2)) + "\n"


def as_text(result: Fidelity) -> str:
    """The table for a terminal; each pair of figures is live and emulated."""
    lines = [_headline(result), *(f"note: {plain(note)}" for note in result.notes)]
    for endpoint in result.endpoints:
        lines += ["", _title(endpoint)]
        table = [_HEAD, *(_cells(stage) for stage in endpoint.stages)]
        wide = [max(len(row[n]) for row in table) for n in range(len(_HEAD))]
        for row in table:
            lines.append("  ".join(f"{cell:<{wide[n]}}" for n, cell in enumerate(row)).rstrip())
        lines += [
            f"{plain(each.what)}: {_percents(each)}  {each.verdict}" for each in endpoint.outcomes
        ]
        lines += [f"  {plain(s.name)}: {plain(t)}" for s in endpoint.stages for t in s.shapes or ()]
    return visible.lines([*lines, "", "each pair: live, emulated; seconds"]) + "\n"


def as_markdown(result: Fidelity) -> str:
    """The table for a page of docs or a job summary."""
    lines = [f"**{_headline(result)}**", ""]
    lines += [f"- {escaped(plain(note))}" for note in result.notes]
    for endpoint in result.endpoints:
        lines += [
            "",
            f"### {escaped(_title(endpoint))}",
            "",
            _row(_HEAD),
            _row(["---"] * len(_HEAD)),
        ]
        lines += [_row([escaped(cell) for cell in _cells(stage)]) for stage in endpoint.stages]
        lines += ["", _row(["ending", "live, emulated", ""]), _row(["---"] * 3)]
        lines += [
            _row([escaped(plain(each.what)), _percents(each), each.verdict])
            for each in endpoint.outcomes
        ]
        shapes = [(s.name, text) for s in endpoint.stages for text in s.shapes or ()]
        lines += ["", *(f"- {escaped(plain(s))}: {escaped(plain(text))}" for s, text in shapes)]
    text = "\n".join([*lines, "", "Each pair is live, emulated; times in seconds."])
    return visible.in_markup(text) + "\n"


RENDER: Mapping[str, Callable[[Fidelity], str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "json": as_json,
}


def _headline(result: Fidelity) -> str:
    said = {"near": "near", "far": "far off", "unclear": "too little to say"}[result.verdict]
    return f"fidelity: {said}, score {_percent(result.score)}"


def _title(endpoint: EndpointFidelity) -> str:
    counts = f"{endpoint.n[0]:,} live, {endpoint.n[1]:,} emulated exchanges"
    return (
        f"{plain(endpoint.api, 60)} {plain(endpoint.endpoint, 60)}: {endpoint.verdict}, "
        f"score {_percent(endpoint.score)} ({counts})"
    )


def _cells(stage: StageFidelity) -> tuple[str, ...]:
    times = {each.what: each for each in stage.times}
    said = stage.verdict
    if stage.reasons:
        said += f": {', '.join(stage.reasons)}"
    return (
        plain(stage.name, 60),
        _percents(stage.presence),
        ", ".join("-" if math.isnan(each) else f"{each:.1f}" for each in stage.chunks),
        *_quantiles(times.get("reached")),
        *_quantiles(times.get("spent")),
        f"{_percents(stage.order)} {plain(stage.order.what)}" if stage.order else _NOTHING,
        _percent(stage.score),
        plain(said),
    )


def _quantiles(times: TimesFidelity | None) -> tuple[str, str]:
    if times is None:
        return _NOTHING, _NOTHING
    pairs = zip(times.live, times.emulated, strict=True)
    first, second = (f"{_seconds(a)}, {_seconds(b)}" for a, b in pairs)
    return first, second


def _seconds(value: float) -> str:
    return f"{value:.4f}" if value < 0.1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def _percents(share: Share) -> str:
    return ", ".join(_percent(k / n) if n else "-" for k, n in (share.live, share.emulated))


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.0f}%"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value


# --- the command ----------------------------------------------------------------------------------


def run(live: Path, emulated: Path, format: str, stdout: TextIO) -> int:
    """Compare two bundles and print the table as "text", "markdown" or "json". Returns 0 if the
    second is near the first, 3 if it is far, 4 if there is too little to say.

    Raises UsageError for what is no bundle and for another format, NoDataError where there is
    nothing to compare.
    """
    if format not in RENDER:
        known = ", ".join(RENDER)
        raise UsageError(f"--fidelity has no format {format!r}: there are {known}")
    bundles = Bundle.open(live), Bundle.open(emulated)
    notes = []
    speeds = []
    for role, bundle in zip(("the live arm", "the emulated arm"), bundles, strict=True):
        target = bundle.run["target"]
        speeds.append(target.get("speed") or 1.0)
        if speeds[-1] != 1.0:
            notes.append(f"{role} ran {speeds[-1]:g} times faster than life; its times are scaled")
        if not bundle.complete:
            notes.append(f"{role} is incomplete")
    if bundles[0].run["target"]["kind"] != "live":
        kind = bundles[0].run["target"]["kind"]
        notes.append(f"the live arm is none: its target is of the kind {kind}")
    findings = _findings(live, emulated)
    if findings is None:
        notes.append("a run has no record of payloads: shapes were not compared")
    result = fidelity(
        bundles[0].exchanges(),
        bundles[1].exchanges(),
        findings,
        speeds=(speeds[0], speeds[1]),
        notes=notes,
    )
    shown = RENDER[format](result)
    if format == "text":
        stdout.write(shown)
    else:
        print_document(shown, stdout)
    return EXIT[result.verdict]


def _findings(live: Path, emulated: Path) -> list[drift.DriftFinding] | None:
    """The differences of payloads between the two runs; None if one has none on record."""
    try:
        mine, theirs = drift.observed_of([live]), drift.observed_of([emulated])
    except NoDataError:
        return None
    apis = [api for api in mine.apis if api in theirs.apis and api in available()]
    found: list[drift.DriftFinding] = drift.drift(mine, theirs, {api: load(api) for api in apis})
    return found
