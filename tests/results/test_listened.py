"""What a row says of a listener: never a fault where nobody can know, never a pass either."""

from __future__ import annotations

from typing import Any

import pytest
from listened_rows import GONE, UNHEARD, playback, track

from soundstage.results import slo, verdicts
from soundstage.results.listening.listened import first_sound, is_continuous
from soundstage.results.objective_tally import ObjectiveTally

PLACES = {("v6", "stream"): ["complete", "first_sound"]}


def row(*tracks: dict[str, Any], outcome: str = "ok", heard: bool = True) -> dict[str, Any]:
    told = playback(*tracks)
    sounds = first_sound(told) if heard else {}
    return {
        "api": "v6",
        "endpoint": "stream",
        "intended_ns": 0,
        "started_ns": 0,
        "outcome": outcome,
        "verdict": "conforms",
        "milestones": {"complete": 1.0, **sounds},
        **({"playback": told} if heard else {}),
    }


def judged(text: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    (objective,) = slo.resolve([text], PLACES)
    tally = ObjectiveTally(objective)
    for each in rows:
        tally.add(each)
    return verdicts.result(tally)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (row(track(), track()), True),
        (row(track(), track(1, 0.5)), False),
        (row(GONE, track()), False),
        (row(UNHEARD, track()), None),
        (row(UNHEARD, track(1, 0.5)), False),
        (row(), False),
        (row(track(), outcome="failed"), False),
        (row(track(), outcome="timeout"), False),
        (row(outcome="refused"), False),
        (row(track(), outcome="censored"), None),
        (row(track(2, 1.0), outcome="cut"), False),
        (row(heard=False), None),
        (row(heard=False, outcome="failed"), False),
    ],
)
def test_a_song_is_continuous_if_all_its_tracks_are_and_a_failed_one_never(
    made: dict[str, Any], expected: bool | None
) -> None:
    assert is_continuous(made) is expected


def test_the_first_sound_is_that_of_the_track_that_is_heard_first() -> None:
    assert first_sound(playback(track(sound_s=2.0), track(sound_s=1.0))) == {"first_sound": 1.0}
    assert first_sound(playback(GONE, track(sound_s=3.0))) == {"first_sound": 3.0}
    assert first_sound(playback(GONE)) == {"first_sound": None}, "it never came"
    assert first_sound(playback()) == {"first_sound": None}
    assert first_sound(playback(UNHEARD)) == {}, "nobody knows"


def test_continuity_is_an_objective_and_the_same_as_a_goodput_of_it() -> None:
    for text in ("continuity>=90%", "v6.stream.continuity>=90%", "goodput(continuous)>=90%"):
        assert judged(text, [row(track(), track())] * 100)["verdict"] == "pass"
        entry = judged(text, [row(track(), track(1, 2.0))] * 100)
        assert (entry["verdict"], entry["value"]) == ("fail", 0.0)
    both = "goodput(continuous, complete<=2s)>=90%"
    assert judged(both, [row(track())] * 100)["verdict"] == "pass"
    assert judged("continuity==100%", [row(track())] * 9)["verdict"] == "pass"
    assert judged("continuity==100%", [row(track())] * 9 + [row(GONE)])["verdict"] == "fail"


@pytest.mark.parametrize("rows", [[row(heard=False)], [row(UNHEARD)]], ids=["unheard", "elsewhere"])
@pytest.mark.parametrize("text", ["continuity>=90%", "first_sound.p50<2s"])
def test_what_nobody_heard_is_no_pass_and_no_fail(text: str, rows: list[dict[str, Any]]) -> None:
    entry = judged(text, rows * 100)
    assert entry["verdict"] == "inconclusive"
    assert entry["unknown"] == 100
    assert "--probe-playback" in entry["reason"]


def test_a_first_sound_that_never_comes_is_missed() -> None:
    rows = [row(track(sound_s=1.0))] * 30 + [row(GONE)] * 70
    assert judged("first_sound.p50<2s", rows)["verdict"] == "fail"
    assert judged("first_sound.p20<2s", rows)["verdict"] == "pass"


@pytest.mark.parametrize("text", ["continuity<90%", "continuity>100%", "continuity==50%"])
def test_continuity_asks_for_much_and_not_for_little(text: str) -> None:
    with pytest.raises(slo.UsageError, match="continuity takes > or >="):
        slo.parse(text)
