"""Axes and pictures, at their edges."""

from __future__ import annotations

import itertools
import math
import re
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest

from soundstage.errors import UsageError
from soundstage.reports.charts.axis import Axis, x_axis
from soundstage.reports.charts.capacity_chart import capacity_charts
from soundstage.reports.charts.chart import Chart
from soundstage.reports.charts.chart_legend import LegendEntry, legend
from soundstage.reports.charts.contract_matrix import matrix
from soundstage.reports.charts.distribution import distribution
from soundstage.reports.charts.survival_chart import survival
from soundstage.reports.charts.svg import both, element, svg
from soundstage.reports.charts.time_charts import courses, generator_chart, over_time
from soundstage.reports.charts.waterfall import waterfall
from soundstage.reports.run.capacity_found import capacity_found
from soundstage.reports.run.summary import summarise
from soundstage.reports.run.timeline import generator
from soundstage.reports.run.wall_clock import WallClock

#: A run that began just before midnight.
CLOCK = WallClock(datetime(2026, 11, 21, 23, 59, 58, 500_000, UTC))


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
    for chart in (distribution(group), waterfall(group)):
        assert chart is not None
        root = ET.fromstring(str(chart.svg))
        assert root.get("role") == "img"
        assert "nan" not in str(chart.svg).lower()
        assert "inf" not in str(chart.svg).lower().replace("∞", "")
        assert all(len(one) == len(chart.head) for one in chart.rows)
        assert len(str(chart.svg)) < 20_000


def test_nothing_gives_no_chart() -> None:
    assert matrix([]) is None
    (group,) = summarise([{**row(None), "outcome": "dropped"}]).groups
    assert distribution(group) is None
    assert waterfall(group) is None


def well_formed(chart: Chart | None) -> Chart:
    """The chart, with its picture held against what any picture must be."""
    assert chart is not None
    root = ET.fromstring(str(chart.svg))
    assert root.get("role") == "img"
    assert [each.tag for each in list(root)[:2]] == ["title", "desc"]
    drawn = str(chart.svg).lower()
    assert "nan" not in drawn
    assert not re.search(r'[="(, -]inf', drawn)
    assert "style" not in drawn
    assert all(len(one) == len(chart.head) for one in chart.rows)
    assert chart.rows
    return chart


@pytest.mark.parametrize(
    ("ends", "left"),
    [
        ({("a", "timeout"): 1}, ["3", "2", "2"]),
        ({("", "transport"): 3}, ["0", "0", "0"]),
        ({("b", "odd"): 1, ("a", "cut"): 1, ("", "censored"): 1}, ["2", "1", "0"]),
    ],
)
def test_survival_loses_each_exchange_after_its_last_stage(
    ends: dict[tuple[str, str], int], left: list[str]
) -> None:
    rows = []
    for (last, outcome), number in ends.items():
        passed = {"": [], "a": ["a"], "b": ["a", "b"]}[last]
        rows += [{**row(None), "outcome": outcome, "stages": stages(passed)}] * number
    while len(rows) < 3:
        rows.append(row(2.0, **stages(["a", "b"])))
    (group,) = summarise(rows).groups
    known = [stage.name for stage in group.stages]
    chart = well_formed(survival(group))
    assert [each[0] for each in chart.rows] == ["(before any stage)", *known]
    assert [each[-2] for each in chart.rows] == left[: len(chart.rows)]


def stages(names: list[str]) -> dict[str, list[float]]:
    return {name: [n + 1.0, n + 1.0, 1] for n, name in enumerate(names)}


def test_survival_has_nothing_to_show_where_all_went_well() -> None:
    (group,) = summarise([row(2.0, **stages(["a"]))]).groups
    assert survival(group) is None


@pytest.mark.parametrize("seconds", [0.05, 3.0, 100.0, 90_000.0])
def test_charts_over_time_hold_short_and_long_runs(seconds: float) -> None:
    rows = [
        {**row(1.0 if n % 3 else None), "intended_ns": int(n * seconds / 40 * 1e9)}
        for n in range(41)
    ]
    rows = [{**each, "started_ns": each["intended_ns"]} for each in rows]
    summary = summarise(rows)
    assert summary.timeline is not None
    chart = well_formed(over_time(summary.timeline, CLOCK, summary.failures))
    assert len(chart.rows) <= 62
    assert chart.rows[0][:2] in (("0 s", "23:59:58"), ("0 s", "23:59:58.5"))
    assert chart.narrow is not None
    assert ">23:59:58" in chart.narrow
    assert "41 asked, 41 started" in chart.note
    moved = courses(summary.groups[0], CLOCK)
    if len({each["intended_ns"] // int(summary.timeline.width * 1e9) for each in rows}) >= 3:
        well_formed(moved)


def test_what_is_in_flight_at_most_is_counted_at_every_start() -> None:
    # Three at once for a moment in the middle of a slice, none at any edge of one.
    rows = [
        {
            **row(None),
            "intended_ns": int(at * 1e9),
            "started_ns": int(at * 1e9),
            "ended": 0.02,
        }
        for at in (0.41, 0.415, 0.42, 9.0)
    ]
    line = summarise(rows).timeline
    assert line is not None
    assert max(line.in_flight) == 3


def test_the_generator_is_drawn_by_its_worst_process() -> None:
    rows = [
        {"t": second + 0.9, "lag_max_s": lag, "cpu": cpu, "worker": worker}
        for second in (0, 1, 9)
        for worker, lag, cpu in (("a", 0.001, 0.1), ("b", 0.25, 0.9))
    ]
    seen = generator(rows)
    assert seen is not None
    assert seen.processes == 2
    chart = well_formed(generator_chart(seen, CLOCK))
    assert "250 ms late and 90% of a core (the worst of 2 processes)" in chart.note
    assert chart.rows[1] == ("2 s", "11-22 00:00:00", "–", "–")
    assert generator([]) is None
    with pytest.raises(UsageError, match=r"health\.ndjson:2: not a row"):
        generator([rows[0], {"t": 1}])


def found(*trials: tuple[float, str, float | None], **changes: object) -> dict[str, object]:
    made = [
        {
            "rate": rate,
            "delivered": None,
            "exchanges": 10,
            "verdict": verdict,
            "reason": "the machine was busy" if verdict == "invalid" else None,
            "stopped": p95 is None,
            "slos": [objective(p95, verdict)],
            "quantiles": {"v6.stream.complete": {"p95": p95}},
        }
        for rate, verdict, p95 in trials
    ]
    answer = {"rate": 20.0, "low": 20.0, "high": 40.0, "verdict": "found"}
    facts = {"slos": ["complete.p95<2s"], "precision": 0.05, "reason": None, "trials": made}
    return {**facts, **answer, **changes}


def objective(value: float | None, verdict: str, **changes: object) -> dict[str, object]:
    entry = {
        "slo": "complete.p95<2s",
        "kind": "quantile",
        "api": "v6",
        "endpoint": "stream",
        "op": "<",
        "bound": 2.0,
        "unit": "s",
        "n": 10,
        "unknown": 0,
        "value": value,
        "low": None,
        "high": None,
        "verdict": "fail" if verdict == "fail" else "pass",
        "reason": None,
        "more": None,
    }
    return {**entry, **changes}


@pytest.mark.parametrize(
    ("search", "answer", "bracket"),
    [
        (
            found((40, "fail", None), (10, "pass", 1.0), (20, "pass", 1.5)),
            "holds 20 arrivals a second, fails at 40",
            "between 20 and 40 a second",
        ),
        (
            found((40, "fail", 9.0), (20, "pass", 1.5), (30, "inconclusive", 2.0), low=10.0),
            "holds 20 arrivals a second, fails at 30",
            "between 20 and 30 a second; shown to hold at 10; shown to fail at 40",
        ),
        (
            found(
                (4, "fail", 3.0), (1, "fail", None), rate=None, low=None, high=1.0, verdict="none"
            ),
            "no rate holds: the lowest that was tried, 1 a second, fails",
            "below 1 a second",
        ),
        (
            found((9, "pass", 1.0), rate=9.0, low=9.0, high=None, verdict="at_least"),
            "holds at least 9 arrivals a second, and no rate that was tried fails",
            "9 a second or more",
        ),
        (
            found((9, "invalid", 1.0), rate=None, low=None, high=None, verdict="unfinished"),
            "not known: no rate was shown to hold",
            "",
        ),
    ],
)
def test_what_a_search_found_is_said_with_its_bracket(
    search: dict[str, object], answer: str, bracket: str
) -> None:
    told = capacity_found(search)
    assert told is not None
    assert told.answer == answer
    assert told.bracket == bracket
    assert told.sentence.startswith(f"{answer} (complete.p95<2s; ")
    (chart,) = capacity_charts(search)
    well_formed(chart)
    assert "asked: &lt; 2.00 s" in str(chart.svg)
    assert [trial.number for trial in told.trials] == list(range(1, len(told.trials) + 1))


def test_marks_of_a_search_go_by_rate_and_their_line_never_turns_back() -> None:
    tried = [(16, "pass", 1.0), (64, "fail", 9.0), (32, "pass", 1.5), (48, "fail", 4.0)]
    tried += [(32, "fail", 2.5), (40, "invalid", 3.0)]
    (chart,) = capacity_charts(found(*tried))
    assert [row[0] for row in chart.rows] == ["16", "32", "32", "40", "48", "64"]
    assert [row[2] for row in chart.rows] == ["1", "3", "5", "6", "4", "2"]
    for drawn in (chart.svg, chart.narrow):
        (path,) = re.findall(r'd="(M[^"]*)"[^>]* stroke-opacity=".3"', str(drawn))
        xs = [float(point.split()[0]) for point in re.split("[ML]", path)[1:]]
        assert len(xs) == 4, "one point a rate, the invalid trial left out"
        assert xs == sorted(xs)


def test_each_verdict_of_a_trial_has_a_shape_and_a_colour_and_only_those_are_in_the_legend() -> (
    None
):
    every = [(10, "pass", 1.0), (20, "fail", 3.0), (15, "inconclusive", 2.0), (12, "invalid", 1.0)]
    (chart,) = capacity_charts(found(*every))
    for word in ("held", "failed", "cannot tell", "invalid"):
        assert f">{word}<" in str(chart.svg)
    shapes = re.findall(r"<title>trial \d+, [^<]*</title><(\w+) ", str(chart.svg))
    assert sorted(shapes) == ["circle", "path", "path", "rect"]
    (chart,) = capacity_charts(found((10, "pass", 1.0), (20, "fail", 3.0)))
    assert ">invalid<" not in str(chart.svg)


def test_repeated_trials_that_measured_the_same_stand_side_by_side() -> None:
    (chart,) = capacity_charts(found((10, "pass", 1.0), (20, "pass", 1.5), (20, "fail", 1.5)))
    at = re.findall(r"</title><(?:circle cx=\"([\d.]+)\"|path d=\"M([\d.]+))", str(chart.svg))
    xs = [float(one or other) for one, other in at]
    assert len(xs) == len(set(xs)) == 3


def test_each_objective_has_a_chart_of_its_own_in_its_own_unit() -> None:
    search = found((10, "pass", 1.0), (20, "fail", 3.0))
    share = {"slo": "ok_rate>=95%", "kind": "rate", "unit": "share", "op": ">=", "bound": 0.95}
    for trial, value in zip(search["trials"], (0.99, 0.5), strict=True):
        trial["slos"].append(objective(value, "pass", **share))
    one, other = capacity_charts(search)
    assert (one.id, other.id) == ("capacity-chart", "capacity-chart-2")
    assert "asked: &gt;= 95%" in str(well_formed(other).svg)
    assert [row[4] for row in other.rows] == ["99%", "50%"]


def test_a_search_without_a_trial_has_no_chart() -> None:
    assert capacity_charts(None) == capacity_charts(found()) == []


def test_objectives_stand_in_the_distribution_as_corners() -> None:
    (group,) = summarise([row(float(n)) for n in range(1, 40)]).groups
    goal = {
        "slo": "complete.p95<30s",
        "kind": "quantile",
        "api": "v6",
        "endpoint": "stream",
        "milestone": "complete",
        "order": 0.95,
        "op": "<",
        "bound": 30.0,
        "verdict": "fail",
    }
    other = {**goal, "endpoint": "sync", "slo": "elsewhere"}
    chart = well_formed(distribution(group, [goal, other]))
    assert "complete.p95<30s: missed" in chart.note
    assert "elsewhere" not in chart.note
    assert "&lt; 30.0 s missed" in str(chart.svg)


def test_a_picture_for_a_narrow_screen_is_hidden_where_no_style_sheet_shows_it() -> None:
    wide, narrow = both(lambda width: svg("it", "It", "It.", width, 10, ()), 920)
    assert 'id="it"' in wide
    assert "display" not in wide
    assert 'id="it-narrow" class="narrow" display="none"' in narrow
    assert 'aria-labelledby="it-narrow-t it-narrow-d"' in narrow


def test_labels_that_would_run_into_each_other_are_left_out_and_their_lines_stay() -> None:
    axis = Axis.until(100, 0, 60)
    drawn = [str(each) for each in x_axis(axis, 0, 10)]
    assert drawn[0].count("M") == len(axis.ticks()) == 6
    assert [re.sub("<[^>]*>", "", each) for each in drawn[1:]] == ["0", "40 s", "100 s"]
    assert len(x_axis(Axis.until(100, 0, 600), 0, 10)) == 7


def test_a_legend_takes_as_many_lines_as_its_width_asks_for() -> None:
    entries = [LegendEntry("asked", "#111"), LegendEntry("started", "#222", None)]
    assert legend(entries, 0, 400)[1] == 22
    parts, below = legend(entries, 0, 90)
    assert below == 40
    assert len(parts) == 4


@pytest.mark.parametrize(("op", "drawn"), [("<", "&lt;"), ("<=", "≤")])
def test_the_sign_of_an_objective_is_drawn_as_it_was_asked(op: str, drawn: str) -> None:
    (group,) = summarise([row(float(n)) for n in range(1, 40)]).groups
    goal = {
        "slo": f"complete.p95{op}30s",
        "kind": "quantile",
        "api": "v6",
        "endpoint": "stream",
        "milestone": "complete",
        "order": 0.95,
        "op": op,
        "bound": 30.0,
        "verdict": "fail",
    }
    assert f"{drawn} 30.0 s missed" in str(well_formed(distribution(group, [goal])).svg)
