"""Counts, rates and quantiles from rows."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from late_import import LateModule
from listened_rows import UNHEARD, playback, track

from soundstage.errors import UsageError
from soundstage.reports.run.milestone_times import quantiles
from soundstage.reports.run.summary import Group, expected_milestones, summarise

stats = LateModule("scipy.stats")


def row(outcome: str = "ok", complete: float | None = 1.0, **changes: Any) -> dict[str, Any]:
    reached = {} if complete is None else {"complete": complete}
    return {
        "id": "e1",
        "api": "v6",
        "endpoint": "stream",
        "intended_ns": 0,
        "started_ns": 0,
        "outcome": outcome,
        "verdict": "conforms" if outcome == "ok" else "inconclusive",
        "milestones": reached,
        "stages": {},
        "codes": {},
        **changes,
    }


def only_group(rows: Iterable[dict[str, Any]], **how: Any) -> Group:
    (group,) = summarise(rows, **how).groups
    return group


def complete(group: Group) -> list[float]:
    one = group.milestone("complete")
    assert one is not None
    return [quantile.value for quantile in one.intended]


def test_quantiles_are_values_that_occurred_hyndman_fan_1() -> None:
    rng = random.Random(1)
    for n in (1, 2, 3, 10, 19, 20, 21, 99, 100, 101, 1000):
        values = np.sort(np.array([rng.random() for _ in range(n)]))
        for found in quantiles(values):
            expected = np.quantile(values, found.order, method="inverted_cdf")
            assert found.value == expected, (n, found.order)


@pytest.mark.parametrize("order", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", [1, 2, 5, 6, 20, 72, 368, 1000, 4999])
def test_intervals_are_those_of_scipy(order: float, n: int) -> None:
    values = np.arange(1.0, n + 1)
    low, high = stats.quantile_test(values, p=order).confidence_interval(0.95)
    (found,) = quantiles(values, [order])
    assert (found.low, found.high) == pytest.approx((low, high), nan_ok=True)


def test_whoever_did_not_get_there_counts_as_infinitely_late() -> None:
    bad = [row(outcome, None) for outcome in ("failed", "refused", "timeout", "transport")] * 2
    group = only_group([row(complete=n / 10) for n in range(1, 13)] + bad)
    assert group.measured == 20
    assert complete(group) == [1.0, math.inf, math.inf, math.inf]
    one = group.milestone("complete")
    assert one is not None
    assert (one.n, one.reached) == (20, 12)


def test_a_quantile_that_reaches_into_exchanges_that_were_cut_is_estimated_and_says_so() -> None:
    rows = [row(complete=n / 10) for n in range(1, 91)]
    rows += [row("censored", None, ended=4.55) for _ in range(10)]
    one = only_group(rows).milestone("complete")
    assert one is not None
    assert (one.n, one.reached) == (100, 90)
    p50, p90, *_ = one.intended
    # 45 of 100 were done at 4.5 s; of the 55 that went on, 10 were cut: the others stand for them.
    assert (p50.value, p50.estimated) == (pytest.approx(5.0), True)
    assert (p90.value, p90.estimated) == (pytest.approx(8.2), True)
    assert p90.low < 8.2 < p90.high


def test_a_failed_exchange_counts_for_the_milestones_that_it_reached() -> None:
    cut = row("cut", None, milestones={"validated": 0.5})
    group = only_group([cut, row(milestones={"validated": 0.25, "complete": 1.0})])
    validated, done = group.milestone("validated"), group.milestone("complete")
    assert validated is not None
    assert done is not None
    assert list(validated.times) == [0.25, 0.5]
    assert list(done.times) == [1.0, math.inf]


def test_an_ok_exchange_without_a_milestone_is_not_absent_from_it() -> None:
    group = only_group([row(milestones={"audio": 1.0}), row(milestones={"audio": None}), row()])
    audio = group.milestone("audio")
    assert audio is not None
    assert list(audio.times) == [1.0, math.inf, math.inf]


def test_times_from_the_intended_start_hold_the_lateness_of_the_generator() -> None:
    group = only_group([row(complete=1.0, intended_ns=10**9, started_ns=3 * 10**9)])
    one = group.milestone("complete")
    assert one is not None
    assert (one.intended[0].value, one.actual[0].value) == (3.0, 1.0)


def test_warmup_probes_and_dropped_stay_out_of_times_and_are_counted() -> None:
    rows = [
        row(complete=1.0),
        row(complete=9.0, warmup=True),
        row("failed", None, probe=True),
        row("failed", None, verdict="conforms", http_status=401),
        row("dropped", None),
    ]
    group = only_group(rows)
    assert complete(group) == [1.0] * 4
    assert (group.exchanges, group.measured, group.warmup, group.probes) == (5, 1, 1, 2)
    assert group.outcomes == {"ok": 1, "dropped": 1}


def test_a_promised_milestone_that_nobody_reached_is_shown() -> None:
    promised = {("v6", "stream"): {"streaming_ready", "complete"}}
    group = only_group([row("timeout", None)], expected=promised)
    assert [(one.name, one.intended[0].value) for one in group.milestones] == [
        ("streaming_ready", math.inf),
        ("complete", math.inf),
    ]


def test_promised_milestones_come_from_the_contract_or_its_rules() -> None:
    rules = [
        {"rule": "v6/stream/streaming_ready/field/x", "api": "v6", "endpoint": "stream"},
        {"rule": "v5/stream/progress/field/x", "api": "v5", "endpoint": "stream"},
        {"rule": "v6/status/field/x", "api": "v6", "endpoint": "status"},
    ]
    assert expected_milestones({"contracts": {}}, rules) == {
        ("v6", "stream"): {"streaming_ready", "complete"},
        ("v5", "stream"): {"complete"},
    }
    stated = {"contracts": {"v6": {"milestones": {"stream": ["audio"]}}}}
    assert expected_milestones(stated, rules)["v6", "stream"] == {"audio"}


def test_stages_stand_in_the_order_in_which_they_come_however_late_one_is_first_seen() -> None:
    whole = {"first": [9, 9, 1], "a": [9, 9, 1], "b": [0.5, 1, 1], "c": [9, 9, 1]}
    rows = [row(stages={"a": [0.2, 1, 1], "c": [0.1, 1, 1]}), *[row(stages=whole)] * 3]
    assert [stage.name for stage in only_group(rows).stages] == ["first", "a", "b", "c"]


def test_an_optional_stage_is_held_against_those_only_who_died_before_it() -> None:
    rows = [
        row(stages={"processing": [0.5, 0.6, 2], "final": [1, 1, 1]}),
        row(stages={"final": [2, 2, 1]}),
        row("cut", None, stages={}),
    ]
    stages = {stage.name: stage for stage in only_group(rows).stages}
    assert (stages["processing"].n, stages["processing"].reached) == (2, 1)
    assert (stages["final"].n, stages["final"].reached) == (3, 2)
    assert stages["final"].p50 == 2
    assert math.isinf(stages["final"].p95)


def test_codes_are_counted_by_violation_and_by_exchange() -> None:
    rows = [row(codes={"field.missing": 3}), row(codes={"field.missing": 1, "index.gap": 1})]
    found = summarise(rows).codes
    assert (found["field.missing"].violations, found["field.missing"].exchanges) == (4, 2)
    assert (found["index.gap"].violations, found["index.gap"].exchanges) == (1, 1)


def test_endless_different_codes_do_not_fill_the_memory() -> None:
    found = summarise(row(codes={f"code.{n}": 1}) for n in range(1000)).codes
    assert len(found) == 201
    assert found["(others)"].violations == 800


def test_coarse_timing_is_weighed_by_events() -> None:
    rows = [row(events=30, coarse=1.0), row(events=10, coarse=0.0)]
    assert summarise(rows).coarse == 0.75


def test_the_timeline_counts_every_arrival_once() -> None:
    rows = [row(intended_ns=n * 10**8, started_ns=n * 10**8, complete=0.35) for n in range(50)]
    rows.append(row("dropped", None, intended_ns=10**9))
    line = summarise(rows).timeline
    assert line is not None
    assert (sum(line.asked), sum(line.started)) == (51, 50)
    assert max(line.in_flight) == 4
    assert line.width == 0.1


def test_no_rows_give_an_empty_summary() -> None:
    empty = summarise([])
    assert (empty.exchanges, empty.groups, empty.timeline, empty.lateness) == (0, (), None, ())


@pytest.mark.parametrize(
    "damage",
    [
        {"milestones": None},
        {"milestones": {"complete": "soon"}},
        {"stages": {"final": []}},
        {"started_ns": "x"},
        {"codes": [1]},
    ],
)
def test_a_row_of_another_format_is_named(damage: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="exchange e1: not a row of format 1"):
        summarise([row(**damage)])


def _listened(*tracks: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A row of a song that somebody listened to."""
    return row(playback=playback(*tracks), **changes)


def test_what_listeners_met_is_counted_and_said() -> None:
    broken = track(None, continuous=False, reason="\x1b[31m404")
    group = only_group(
        [
            _listened(track(), track()),
            _listened(track(), track(3, 1.5)),
            _listened(broken, track()),
            _listened(UNHEARD, track()),
            _listened(outcome="failed"),
            row(),
        ]
    )
    heard = group.playback
    assert heard is not None
    of = heard.continuity
    assert (of.heard, of.continuous, of.gapped, of.unknown) == (5, 1, 3, 1)
    first, second = heard.tracks
    assert (first.continuity.heard, first.continuity.continuous, first.continuity.gapped) == (
        4,
        2,
        1,
    )
    assert math.isinf(first.sound.most), "what never sounded is never left out"
    assert first.sound.n == 3, "but nobody knows of what was not fetched"
    assert (second.stalls, second.underrun.most, second.stalled.most) == (3, 0.5, 1.5)
    ((asked, factor),) = heard.factors
    assert (asked, factor.n, factor.p50) == (30, 6, 0.5)
    assert heard.of_share, "one of six was not listened to"
    assert "20.0% of 5 songs without a gap (0.505% to 85.3%, 1 not known)" in heard.words
    assert "real-time factor p50 0.5 of 30 s asked for" in heard.words
    assert "\\x1b[31m404 (1)" in heard.words
    assert only_group([row()]).playback is None, "nobody listened: not measured, and no zero"


def test_whole_songs_that_were_read_for_their_length_say_nothing_of_gaps() -> None:
    unheard = track(None, continuous=None, played_s=20.0)
    read = row(playback=playback(unheard, streamed=False, asked_s=20))
    group = only_group([read, read, row()])
    assert group.playback is not None
    assert group.playback.continuity.heard == 0
    assert group.playback.tracks == ()
    ((asked, factor),) = group.playback.factors
    assert (asked, factor.n, factor.p50) == (20, 2, 0.25)
    assert "gap" not in group.playback.words


def test_a_bundle_of_before_tracks_were_heard_apart_is_read() -> None:
    def heard(stalls: int | None, silent: float = 0.0, **changes: Any) -> dict[str, Any]:
        played = {"stalls": stalls, "stalled_s": silent, "first_byte_s": 0.5, "played_s": 9.0}
        return row(playback={**played, "reason": None, **changes})

    group = only_group([heard(0), heard(0), heard(3, 1.5), heard(None, reason="404"), row()])
    assert group.playback is not None
    of = group.playback.continuity
    assert (of.heard, of.continuous, of.gapped) == (4, 2, 2)


def test_the_first_sound_is_a_milestone_of_those_that_somebody_listened_to() -> None:
    def sounds(at: float | None, **changes: Any) -> dict[str, Any]:
        made = _listened(track(), **changes)
        made["milestones"] = {**made["milestones"], "first_sound": at}
        return made

    group = only_group([sounds(1.0), sounds(2.0), sounds(None, outcome="failed"), row(), row()])
    one = group.milestone("first_sound")
    assert one is not None
    assert (one.n, one.reached) == (3, 2)
    assert one.intended[0].value == pytest.approx(2.0, abs=0.01)
    assert math.isinf(one.intended[2].value)
    whole = group.milestone("complete")
    assert whole is not None
    assert whole.n == 5
