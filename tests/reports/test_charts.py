"""Axes and pictures, at their edges."""

from __future__ import annotations

import itertools
import math
from xml.etree import ElementTree as ET

import pytest

from soundstage.reports import charts
from soundstage.reports.summary import summarise
from soundstage.reports.svg import Axis, element


@pytest.mark.parametrize("high", [1e-4, 0.07, 0.999, 1, 3.23, 4.99, 9.7, 61, 700, 12345])
def test_linear_ticks_are_even_round_and_few(high: float) -> None:
    axis = Axis.over([high / 3, high], 0, 100)
    ticks = axis.ticks()
    assert 3 <= len(ticks) <= 8
    steps = {round(b - a, 9) for a, b in itertools.pairwise(ticks)}
    assert len(steps) == 1
    assert ticks[0] == 0
    assert ticks[-1] >= high * (1 - 1e-9)
    assert axis.at(ticks[-1]) == 100


def test_wide_spreads_are_drawn_by_decades() -> None:
    axis = Axis.over([0.002, 30], 0, 100)
    assert axis.log
    assert axis.ticks() == pytest.approx([0.001, 0.01, 0.1, 1, 10])
    assert 0 < axis.at(0.002) < axis.at(0.2) < axis.at(30) < 100


@pytest.mark.parametrize("values", [[], [0.0], [math.inf], [math.inf, 0.0], [-1.0]])
def test_axes_over_nothing_still_draw(values: list[float]) -> None:
    axis = Axis.over(values, 10, 90)
    assert axis.at(math.inf) == 90
    assert axis.at(-5) == 10
    assert len(axis.ticks()) > 2


def test_elements_escape_what_they_hold() -> None:
    written = element("text", "<&", font_size=1.25, class_='"x"', fill=None)
    assert written == '<text font-size="1.2" class="&#34;x&#34;">&lt;&amp;</text>'


def row(complete: float | None, **stages: list[float]) -> dict[str, object]:
    return {
        "api": "v6",
        "endpoint": "stream",
        "intended_ns": 0,
        "started_ns": 0,
        "outcome": "ok" if complete else "timeout",
        "verdict": "conforms",
        "milestones": {"complete": complete},
        "stages": stages,
        "codes": {},
    }


@pytest.mark.parametrize(
    "times",
    [[1.0], [0.0], [None], [None, 1.0], [1.0] * 5, [0.001, 500.0], [float(n) for n in range(999)]],
)
def test_distribution_and_waterfall_are_well_formed(times: list[float | None]) -> None:
    rows = [row(time, final=[time or 0.5, time or 0.5, 1]) for time in times]
    (group,) = summarise(rows, {("v6", "stream"): {"complete"}}).groups
    for chart in (charts.distribution(group), charts.waterfall(group)):
        assert chart is not None
        root = ET.fromstring(str(chart.svg))
        assert root.get("role") == "img"
        assert "nan" not in str(chart.svg).lower()
        assert "inf" not in str(chart.svg).lower().replace("∞", "")
        assert all(len(one) == len(chart.head) for one in chart.rows)
        assert len(str(chart.svg)) < 20_000


def test_nothing_gives_no_chart() -> None:
    assert charts.matrix([]) is None
    (group,) = summarise([{**row(None), "outcome": "dropped"}]).groups
    assert charts.distribution(group) is None
    assert charts.waterfall(group) is None
