"""The table of `fidelity.py` in words: text for a terminal, Markdown for the docs, JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from soundstage.output import visible
from soundstage.reports.formats.markdown import escaped
from soundstage.reports.words import plain

if TYPE_CHECKING:
    from soundstage.reports.drift.fidelity import (
        EndpointFidelity,
        Fidelity,
        Share,
        StageFidelity,
        TimesFidelity,
    )

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
