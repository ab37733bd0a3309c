"""How near an emulator is to the live API: rows and bundles in, a table out."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Iterable
from itertools import chain, count
from pathlib import Path
from typing import Any

import pytest
from recorded_streams import bundle_of, rows

from observations import Change, observed_run, unchanged
from soundstage.commands.fit_profile import fitted_profile
from soundstage.contract import load_all
from soundstage.emulator.pace import profile
from soundstage.emulator.pace.profile import Profile
from soundstage.emulator.pace.profiles import from_data, profiles
from soundstage.errors import NoDataError, UsageError
from soundstage.reports.compare import fidelity
from soundstage.reports.compare.fidelity_rows import FEWEST
from soundstage.reports.decision.arms import ArmRun, read_run
from soundstage.reports.drift.drift import DriftFinding, drift
from soundstage.results.bundle import Bundle

CONTRACTS = load_all()
V6 = CONTRACTS["v6"]
REALISTIC = profiles()["realistic"]


def like_realistic(**words: Any) -> Profile:
    """The realistic profile with other words."""
    place = Path(profile.__file__).with_name("profiles.json")
    data = json.loads(place.read_text())["realistic"]
    stages = {**data["stages"], **words.pop("stages", {})}
    return from_data("other", {**data, "stages": stages, **words}, "test")


@pytest.fixture
def arm(tmp_path: Path) -> Callable[[Iterable[dict[str, Any]]], ArmRun]:
    """Makes an arm of rows."""
    number = count()

    def made(found: Iterable[dict[str, Any]], **target: Any) -> ArmRun:
        return read_run(Bundle.open(bundle_of(tmp_path / str(next(number)), found, **target)))

    return made


Make = Callable[[Iterable[dict[str, Any]]], ArmRun]


def held(arm: Make, live: Profile, emulated: Profile, many: int = 150) -> fidelity.Fidelity:
    """Two runs of so many streams of each API version."""
    arms = rows(live, CONTRACTS, many, seed=1), rows(emulated, CONTRACTS, many, seed=2)
    return fidelity.fidelity(*map(arm, arms))


def far(result: fidelity.Fidelity) -> dict[str, set[str]]:
    """What is far, by API version."""
    return {
        each.api: {row.what.partition(" ")[0] for row in each.rows if row.verdict == "far"}
        for each in result.endpoints
    }


def row_of(result: fidelity.Fidelity, what: str) -> fidelity.FidelityRow:
    (found,) = (row for row in result.endpoints[-1].rows if row.what == what)
    return found


def test_the_same_behaviour_is_near_in_every_stage(arm: Make) -> None:
    result = held(arm, REALISTIC, REALISTIC)
    assert result.verdict == "near"
    assert far(result) == {"v5": set(), "v6": set()}
    for endpoint in result.endpoints:
        names = {stage.name for stage in CONTRACTS[endpoint.api].protocol.stages}
        told = [row.what for row in endpoint.rows]
        assert {what.partition(" ")[0] for what in told} <= {*names, "TTC", "ok"}
        assert told[:2] == ["TTC p50", "TTC p95"]  # told in the order in which they come
        assert told[-3:] == ["final p50", "final p95", "ok"]


def test_chance_does_not_make_the_same_behaviour_far(arm: Make) -> None:
    """Thirty pairs of small runs, each with over ten quantities that could err."""
    runs = {n: arm(rows(REALISTIC, CONTRACTS, 25, seed=n)) for n in range(-30, 31)}
    pairs = [fidelity.fidelity(runs[seed], runs[-seed]) for seed in range(1, 31)]
    assert sum(each.verdict == "far" for each in pairs) <= 1


def test_a_slower_stage_is_named_and_no_other(arm: Make) -> None:
    slower = like_realistic(stages={"uploading": {"median": 9.0, "sigma": 0.35}})
    result = held(arm, REALISTIC, slower)
    assert result.verdict == "far"
    assert far(result) == {"v5": set(), "v6": {"uploading"}}
    assert row_of(result, "uploading p50").ratio == pytest.approx(1.64, abs=0.1)


def test_failures_that_only_one_side_has_are_far(arm: Make) -> None:
    result = held(arm, REALISTIC, like_realistic(failures={"running": 0.4}))
    assert "failed" in far(result)["v6"]
    failed = row_of(result, "failed")
    assert failed.live == 0
    assert failed.emulated == pytest.approx(0.4, abs=0.12)


def test_a_stage_that_takes_no_time_in_one_run_is_far(arm: Make) -> None:
    result = held(arm, REALISTIC, like_realistic(chunks={"processing": {"0": 1}}))
    assert far(result) == {"v5": set(), "v6": {"processing"}}


def findings(change: Change) -> list[DriftFinding]:
    """The drift from 40 streams of v6 to 40 others, each changed."""
    base, other = (observed_run(V6, 40, seed, how) for seed, how in ((1, unchanged), (2, change)))
    return drift(base, other, {"v6": V6})


def swapped(chunks: list[dict[str, Any]], rng: random.Random) -> list[dict[str, Any]]:
    chunks[0]["status"], chunks[1]["status"] = chunks[1]["status"], chunks[0]["status"]
    return chunks


def shorter(chunks: list[dict[str, Any]], rng: random.Random) -> list[dict[str, Any]]:
    kept = [chunk for chunk in chunks if chunk.get("status") != "processing"]
    return [{**chunk, "chunkIndex": number} for number, chunk in enumerate(kept)]


def silent(chunks: list[dict[str, Any]], rng: random.Random) -> list[dict[str, Any]]:
    return [{k: v for k, v in chunk.items() if k != "audio_url"} for chunk in chunks]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (swapped, "validated comes before initializing: in 40 of 40 exchanges, was in 0 of 40"),
        (silent, "audio_url of completed is gone"),
        (shorter, "the stage processing is gone: in 0 of 40 exchanges"),
    ],
)
def test_another_order_shape_or_stage_is_far_and_told(arm: Make, change: Change, said: str) -> None:
    arms = [arm(rows(REALISTIC, CONTRACTS, 60, seed=seed)) for seed in (1, 2)]
    of_v6 = fidelity.fidelity(*arms, findings(change)).endpoints[1]
    assert (of_v6.api, of_v6.verdict) == ("v6", "far")
    assert said in "\n".join(of_v6.drift or ())


def test_payloads_that_are_alike_are_near_and_those_without_a_record_are_said(arm: Make) -> None:
    arms = [arm(rows(REALISTIC, CONTRACTS, 60, seed=seed)) for seed in (1, 2)]
    same = fidelity.fidelity(*arms, findings(unchanged))
    assert (same.verdict, [each.drift for each in same.endpoints]) == ("near", [(), ()])
    unknown = fidelity.fidelity(*arms)
    assert (unknown.verdict, [each.drift for each in unknown.endpoints]) == ("near", [None, None])
    assert "order were not compared" in " ".join(unknown.notes)


def test_moments_that_lie_this_close_together_count_as_the_same(arm: Make) -> None:
    """8 ms in one run and none in the other are nobody's business but the sockets'."""

    def took(seconds: float) -> ArmRun:
        stages = {"validated": [0.1, 0.1, 1], "final": [0.1 + seconds, 0.1 + seconds, 1]}
        found = rows(REALISTIC, {"v6": V6}, 60, seed=1)
        return arm({**row, "stages": stages} for row in found)

    none, quick, slow = map(took, (0.0, 0.008, 0.03))
    assert far(fidelity.fidelity(quick, none)) == {"v6": set()}
    assert far(fidelity.fidelity(slow, quick)) == {"v6": {"final"}}
    assert far(fidelity.fidelity(slow, none)) == {"v6": {"final"}}


def test_too_few_exchanges_say_nothing(arm: Make) -> None:
    result = held(arm, REALISTIC, profiles()["instant"], many=FEWEST - 1)
    assert result.verdict == "unclear"


def test_probes_and_warm_up_and_what_was_not_sent_stay_out(arm: Make) -> None:
    live = arm(rows(REALISTIC, CONTRACTS, 40, seed=1))
    other = profiles()["instant"]
    noise = chain(
        ({**row, "warmup": True} for row in rows(other, CONTRACTS, 40, seed=2)),
        ({**row, "probe": True} for row in rows(other, CONTRACTS, 40, seed=3)),
        ({**row, "outcome": "dropped"} for row in rows(other, CONTRACTS, 40, seed=4)),
    )
    same = list(rows(REALISTIC, CONTRACTS, 40, seed=5))
    with_noise = fidelity.fidelity(live, arm([*same, *noise]))
    assert with_noise == fidelity.fidelity(live, arm(same))


def test_endpoints_that_only_one_run_has_are_said_and_none_in_common_is_no_data(
    arm: Make,
) -> None:
    both = list(rows(REALISTIC, CONTRACTS, 30, seed=1))
    v5, v6 = (arm([row for row in both if row["api"] == api]) for api in ("v5", "v6"))
    result = fidelity.fidelity(arm(both), v6)
    assert [each.api for each in result.endpoints] == ["v6"]
    assert any("v5 stream" in note for note in result.notes)
    with pytest.raises(NoDataError):
        fidelity.fidelity(v5, v6)


def test_what_was_fitted_is_near_to_what_it_was_fitted_to_and_another_profile_far(
    tmp_path: Path,
) -> None:
    true = like_realistic(failures={"running": 0.08}, refusals={"rate_limit": 0.05})
    live = bundle_of(tmp_path / "live", rows(true, CONTRACTS, 120, seed=1), kind="live")
    fitted = from_data("fitted", fitted_profile(live), "test")
    near = bundle_of(tmp_path / "near", rows(fitted, CONTRACTS, 120, seed=2))
    far = bundle_of(tmp_path / "far", rows(profiles()["slow"], CONTRACTS, 120, seed=2))
    shown = io.StringIO()
    assert fidelity.run(live, near, "text", shown) == 0, shown.getvalue()
    assert shown.getvalue().startswith("fidelity: near")
    shown = io.StringIO()
    assert fidelity.run(live, far, "markdown", shown) == 3
    assert shown.getvalue().startswith("**fidelity: far off")
    assert "| uploading p50 |" in shown.getvalue()
    shown = io.StringIO()
    assert fidelity.run(live, far, "json", shown) == 3
    table = json.loads(shown.getvalue())
    assert table["verdict"] == "far"
    assert {each["api"] for each in table["endpoints"]} == {*CONTRACTS}


def test_an_emulator_in_a_hurry_is_compared_in_the_times_of_life(tmp_path: Path) -> None:
    live = bundle_of(tmp_path / "live", rows(REALISTIC, CONTRACTS, 60, seed=1), kind="live")
    quick = [
        {
            **row,
            "stages": {k: [a / 20, b / 20, n] for k, (a, b, n) in row["stages"].items()},
            "milestones": {k: at / 20 for k, at in row["milestones"].items()},
        }
        for row in rows(REALISTIC, CONTRACTS, 60, seed=2)
    ]
    emulated = bundle_of(tmp_path / "quick", quick, speed=20)
    shown = io.StringIO()
    assert fidelity.run(live, emulated, "text", shown) == 0, shown.getvalue()
    assert "20 times faster than life" in shown.getvalue()


def test_a_first_arm_that_is_not_live_is_said(tmp_path: Path) -> None:
    one = bundle_of(tmp_path / "one", rows(REALISTIC, CONTRACTS, 25, seed=1))
    shown = io.StringIO()
    fidelity.run(one, one, "text", shown)
    assert "the live arm is none" in shown.getvalue()
    with pytest.raises(UsageError, match="no format 'html'"):
        fidelity.run(one, one, "html", shown)


def test_names_from_outside_stay_text(tmp_path: Path) -> None:
    evil = "<script>|\x1b[31m\u202e"
    found = [
        {**row, "stages": {**row["stages"], evil: [1.0, 1.0, 1]}}
        for row in rows(REALISTIC, CONTRACTS, 25, seed=1)
    ]
    for format in ("text", "markdown"):
        shown = io.StringIO()
        folder = bundle_of(tmp_path / format, found)
        fidelity.run(folder, folder, format, shown)
        assert "\x1b" not in shown.getvalue()
        assert "\u202e" not in shown.getvalue()
        if format == "markdown":
            assert "<script" not in shown.getvalue()
