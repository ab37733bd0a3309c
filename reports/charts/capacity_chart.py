"""What a search for capacity found: each trial's times by the rate that was asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from soundstage.reports.charts.axis import LABEL, Axis, y_axis
from soundstage.reports.charts.chart import AMBER, BLUE, GREEN, GREY, ORANGE, RED, WIDTH, Chart
from soundstage.reports.charts.svg import element, line, number, svg, text
from soundstage.reports.words import between, milestone_label, plain, plural, seconds
from soundstage.results.milestone_names import MilestoneNames, milestone_names

_TRIALS = {
    "pass": (GREEN, "met"),
    "fail": (RED, "missed"),
    "inconclusive": (AMBER, "undecided"),
    "invalid": (GREY, "invalid"),
}
_WORDS = {
    "found": "found",
    "at_least": "at least: no rate that was tried misses them",
    "none": "none: not even the lowest rate meets them",
    "unfinished": "unfinished",
}
_COLOURS = (BLUE, ORANGE, GREEN, RED, GREY)
_SERIES = 4
_LEFT, _TOP, _BOTTOM = 60, 40, 260


def capacity(found: Mapping[str, Any] | None, run: Mapping[str, Any] | None = None) -> Chart | None:
    """p95 of each milestone by rate, each trial marked with its verdict, and the bracket that is
    left; `found` is `capacity` of run.json, and `run` the whole of it, which says what milestones
    are called. Of times that are known by polling the high ends are drawn.
    """
    if not found or not found["trials"]:
        return None
    trials = sorted(found["trials"], key=lambda trial: float(trial["rate"]))
    names = list(dict.fromkeys(name for trial in trials for name in trial["quantiles"]))
    called = {name: _called(run or {}, name) for name in names}
    shown = [name for name in names if _wanted(called[name], found["slos"])]
    shown = shown[:_SERIES] or names[:_SERIES]
    bounds = _bounds(trials)
    rates = Axis.over((trial["rate"] for trial in trials), _LEFT, WIDTH - 24, log=False)
    values = [*(_p95(trial, name) for trial in trials for name in shown), *bounds]
    heights = Axis.over(values, 0, _BOTTOM - _TOP, log=False)
    parts = _frame(rates, heights)
    parts += _bracket(found, rates)
    parts += _objectives(bounds, heights)
    for index, name in enumerate(shown):
        path, colour = _path(trials, name, rates, heights), _COLOURS[index]
        parts.append(element("path", d=path, fill="none", stroke=colour, stroke_width=2))
        x = _LEFT + index * 215
        parts.append(line(x, 12, x + 18, 12, stroke=colour, stroke_width=2))
        parts.append(text(x + 24, 16, f"p95 {_label(called[name])}"[:32]))
    for trial in trials:
        colour, word = _TRIALS[trial["verdict"]]
        x = rates.at(trial["rate"])
        name = element("title", f"{trial['rate']:g} a second: objectives {word}")
        parts.append(element("circle", name, cx=x, cy=float(_BOTTOM), r=6, fill=colour))
    said = capacity_sentence(found)
    return Chart(
        id="capacity",
        title="Capacity",
        note=f"{said} A dot is a trial at that rate: green met the objectives"
        f" ({plain(', '.join(found['slos']), 300)}), red missed one, amber could not tell, grey was"
        " invalid. The shaded bracket holds the answer.",
        svg=svg("capacity", "Capacity", said, WIDTH, _BOTTOM + 44, parts),
        head=(
            "asked a second",
            "delivered",
            "exchanges",
            "objectives",
            *(f"p95 {_label(called[name])}" for name in names),
        ),
        rows=tuple(
            (
                f"{trial['rate']:g}",
                "–" if trial["delivered"] is None else f"{trial['delivered']:.3g}",
                f"{trial['exchanges']:,}",
                _TRIALS[trial["verdict"]][1] + (", stopped early" if trial["stopped"] else ""),
                *(_p95_words(trial, name) for name in names),
            )
            for trial in trials
        ),
    )


def _path(trials: Sequence[Mapping[str, Any]], name: str, rates: Axis, heights: Axis) -> str:
    """Through the trials that measured it."""
    measured = ((trial["rate"], _p95(trial, name)) for trial in trials)
    points = [(rate, value) for rate, value in measured if not math.isnan(value)]
    return "".join(
        f"{'L' if at else 'M'}{number(rates.at(rate))} {number(_BOTTOM - heights.at(value))}"
        for at, (rate, value) in enumerate(points)
    )


def capacity_sentence(found: Mapping[str, Any]) -> str:
    """`12.5 arrivals a second (found; met at 12, missed at 13; 9 trials).`"""
    word = _WORDS[found["verdict"]]
    if found["rate"] is None:
        return f"No rate: {word}."
    bounds = [
        f"{words} {found[key]:.3g}"
        for key, words in (("low", "met at"), ("high", "missed at"))
        if found[key] is not None
    ]
    tried = plural(len(found["trials"]), "trial")
    return f"{found['rate']:.3g} arrivals a second ({word}; {', '.join(bounds)}; {tried})."


@dataclass(frozen=True, slots=True)
class _Called:
    """A name of `quantiles` in parts: the place, the milestone, and how that one is called."""

    place: str
    milestone: str
    names: MilestoneNames


def _called(run: Mapping[str, Any], name: str) -> _Called:
    """The name of a version may hold a dot, that of an endpoint none."""
    place, _, milestone = name.rpartition(".")
    api, _, endpoint = place.rpartition(".")
    return _Called(place, milestone, milestone_names(run, api, endpoint, [milestone]))


def _label(one: _Called) -> str:
    label = plain(milestone_label(one.names, one.milestone), 30)
    return f"{label}, {plain(one.place.replace('.', ' '), 30)}"


def _p95(trial: Mapping[str, Any], name: str) -> float:
    """Seconds; +inf where that share never got there, nan where nothing was measured."""
    quantiles = trial["quantiles"].get(name)
    if quantiles is None or "p95" not in quantiles:
        return math.nan
    value = quantiles["p95"]
    return math.inf if value is None else float(value)


def _p95_words(trial: Mapping[str, Any], name: str) -> str:
    low = _p95({"quantiles": trial.get("quantiles_low", {})}, name)
    high = seconds(_p95(trial, name))
    return high if math.isnan(low) else between(seconds(low), high)


def _wanted(one: _Called, slos: Sequence[str]) -> bool:
    """Whether a milestone is one that a run is known by, or that an objective speaks of."""
    return one.milestone in one.names.headline or any(one.milestone in slo for slo in slos)


def _bounds(trials: Sequence[Mapping[str, Any]]) -> list[float]:
    """The bounds of the objectives on quantiles, in seconds."""
    slos = (slo for trial in trials for slo in trial["slos"] if slo["kind"] == "quantile")
    return sorted({float(slo["bound"]) for slo in slos})[:_SERIES]


def _objectives(bounds: Sequence[float], heights: Axis) -> list[Markup]:
    parts: list[Markup] = []
    for bound in bounds:
        y = _BOTTOM - heights.at(bound)
        parts.append(line(_LEFT, y, WIDTH - 24, y, stroke=RED, stroke_dasharray="4 4"))
        parts.append(text(_LEFT + 6, y - 5, f"objective {seconds(bound)}", font_size=11))
    return parts


def _frame(rates: Axis, heights: Axis) -> list[Markup]:
    marks = [
        (_BOTTOM - heights.at(tick), seconds(tick) if tick else "0") for tick in heights.ticks()
    ]
    parts = y_axis(_LEFT, WIDTH - 24, marks)
    for tick in rates.ticks():
        words = f"{tick:g}/s"
        parts.append(text(rates.at(tick), _BOTTOM + 24, words, text_anchor="middle", **LABEL))
    parts.append(
        text(WIDTH - 24, _BOTTOM + 40, "arrivals asked for", text_anchor="end", opacity=".7")
    )
    return parts


def _bracket(found: Mapping[str, Any], rates: Axis) -> list[Markup]:
    low, high = found["low"], found["high"]
    if low is None:
        return []
    left, right = rates.at(low), rates.right if high is None else rates.at(high)
    frame = {"x": left, "y": _TOP, "width": max(right - left, 1.0), "height": _BOTTOM - _TOP}
    return [element("rect", **frame, fill=BLUE, fill_opacity=".12")]
