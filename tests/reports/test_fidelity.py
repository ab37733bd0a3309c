"""How near an emulator is to the live API: rows and bundles in, a table out."""

from __future__ import annotations

import io
import json
import math
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from late_import import LateModule
from recorded_streams import bundle_of, rows

from soundstage.commands.fit_profile import fitted_profile
from soundstage.contract import load_all
from soundstage.emulator.pace.profile import Profile
from soundstage.emulator.pace.profiles import from_data, profiles
from soundstage.errors import NoDataError, UsageError
from soundstage.reports.drift import fidelity, fidelity_table
from soundstage.reports.drift.drift import DriftEvidence, DriftFinding

stats = LateModule("scipy.stats")

CONTRACTS = load_all()
REALISTIC = profiles()["realistic"]


def like_realistic(**words: Any) -> Profile:
    """The realistic profile with other words."""
    place = Path(fidelity.__file__).parents[2] / "src/soundstage/emulator/pace/profiles.json"
    data = json.loads(place.read_text())["realistic"]
    stages = {**data["stages"], **words.pop("stages", {})}
    return from_data("other", {**data, "stages": stages, **words}, "test")


def held(live: Profile, emulated: Profile, many: int = 150) -> fidelity.Fidelity:
    return fidelity.fidelity(
        rows(live, CONTRACTS, many, seed=1), rows(emulated, CONTRACTS, many, seed=2)
    )


def stage_of(result: fidelity.Fidelity, api: str, name: str) -> fidelity.StageFidelity:
    endpoint = next(each for each in result.endpoints if each.api == api)
    return next(each for each in endpoint.stages if each.name == name)


def test_the_same_behaviour_is_near_in_every_stage() -> None:
    result = held(REALISTIC, REALISTIC)
    assert result.verdict == "near"
    assert result.score > 0.85
    for endpoint in result.endpoints:
        names = {stage.name for stage in CONTRACTS[endpoint.api].protocol.stages}
        assert {stage.name for stage in endpoint.stages} <= names
        assert all(stage.verdict == "near" for stage in endpoint.stages)
        reached = [stage.times[0].live[0] for stage in endpoint.stages]
        assert reached == sorted(reached)  # told in the order in which they come


def test_chance_does_not_make_the_same_behaviour_far() -> None:
    """Thirty pairs of small runs, each with over twenty quantities that could err."""
    wrong = sum(
        fidelity.fidelity(
            rows(REALISTIC, CONTRACTS, 25, seed=seed), rows(REALISTIC, CONTRACTS, 25, seed=-seed)
        ).verdict
        == "far"
        for seed in range(1, 31)
    )
    assert wrong <= 1


def test_a_slower_stage_is_named_and_no_stage_before_it() -> None:
    result = held(REALISTIC, like_realistic(stages={"uploading": {"median": 9.0, "sigma": 0.35}}))
    assert result.verdict == "far"
    uploading = stage_of(result, "v6", "uploading")
    assert uploading.verdict == "far"
    assert "spent" in uploading.reasons
    assert stage_of(result, "v6", "streaming_ready").verdict == "near"
    assert next(each for each in result.endpoints if each.api == "v5").verdict == "near"
    assert uploading.score < stage_of(result, "v6", "streaming").score


def test_failures_that_only_one_side_has_are_far() -> None:
    result = held(REALISTIC, like_realistic(failures={"running": 0.4}))
    endpoint = next(each for each in result.endpoints if each.api == "v6")
    failed = next(each for each in endpoint.outcomes if "stream.failed" in each.what)
    assert failed.verdict == "far"
    assert failed.live[0] == 0
    assert failed.emulated[0] / failed.emulated[1] == pytest.approx(0.4, abs=0.12)


def test_a_stage_that_never_comes_is_far() -> None:
    result = held(REALISTIC, like_realistic(chunks={"processing": {"0": 1}}))
    stage = stage_of(result, "v6", "processing")
    assert stage.verdict == "far"
    assert stage.reasons == ["presence"]
    assert math.isnan(stage.chunks[1])


def test_another_order_is_far() -> None:
    def swapped(row: dict[str, Any]) -> dict[str, Any]:
        found = dict(row["stages"])
        if {"validated", "streaming"} <= found.keys():
            found["validated"], found["streaming"] = found["streaming"], found["validated"]
        return {**row, "stages": found}

    live = list(rows(REALISTIC, CONTRACTS, 60, seed=1))
    result = fidelity.fidelity(live, map(swapped, rows(REALISTIC, CONTRACTS, 60, seed=2)))
    stage = stage_of(result, "v6", "validated")
    assert stage.order is not None
    assert (stage.order.what, stage.order.distance) == ("before streaming", 1.0)
    assert stage.reasons[0] == "before streaming"


def test_payloads_of_another_shape_are_far_and_told_with_their_stage() -> None:
    finding = DriftFinding(
        kind="field.gone",
        effect="breaking",
        verdict="drift",
        api="v6",
        endpoint="stream",
        stage="completed",
        path="/audio_url",
        text="audio_url is gone",
        evidence=DriftEvidence(60, 60, 0, 60, None, ""),
        fingerprint="0" * 12,
    )
    arms = [list(rows(REALISTIC, CONTRACTS, 60, seed=seed)) for seed in (1, 2)]
    assert stage_of(fidelity.fidelity(*arms, []), "v6", "completed").shapes == ()
    assert stage_of(fidelity.fidelity(*arms), "v6", "completed").shapes is None
    result = fidelity.fidelity(*arms, [finding])
    assert stage_of(result, "v6", "completed").reasons == ["shapes"]
    assert stage_of(result, "v6", "completed").shapes == ("audio_url is gone",)
    assert stage_of(result, "v6", "final").verdict == "near"
    assert result.verdict == "far"


def test_the_distance_is_that_of_kolmogorov_and_smirnov() -> None:
    rng = np.random.default_rng(3)
    live, emulated = rng.lognormal(0.0, 0.5, 200), rng.lognormal(0.3, 0.5, 150)
    expected = stats.ks_2samp(live, emulated).statistic
    assert fidelity.kolmogorov(live, emulated, 0.0) == pytest.approx(expected)
    # Moments that lie this close together count as the same.
    assert fidelity.kolmogorov(live, live + 0.009, 0.01) == 0.0
    assert fidelity.kolmogorov(live, live - 0.009, 0.01) == 0.0
    assert fidelity.kolmogorov(live, live + 50.0, 0.01) == 1.0


def test_too_few_exchanges_say_nothing() -> None:
    result = held(REALISTIC, profiles()["instant"], many=fidelity.FEWEST - 1)
    assert result.verdict == "unclear"


def test_probes_and_warm_up_and_what_was_not_sent_stay_out() -> None:
    live = list(rows(REALISTIC, CONTRACTS, 40, seed=1))
    other = profiles()["instant"]
    noise = chain(
        ({**row, "warmup": True} for row in rows(other, CONTRACTS, 40, seed=2)),
        ({**row, "probe": True} for row in rows(other, CONTRACTS, 40, seed=3)),
        ({**row, "outcome": "dropped"} for row in rows(other, CONTRACTS, 40, seed=4)),
    )
    same = list(rows(REALISTIC, CONTRACTS, 40, seed=5))
    assert fidelity.fidelity(live, [*same, *noise]) == fidelity.fidelity(live, same)


def test_endpoints_that_only_one_run_has_are_said_and_none_in_common_is_no_data() -> None:
    both = list(rows(REALISTIC, CONTRACTS, 30, seed=1))
    one = [row for row in both if row["api"] == "v6"]
    result = fidelity.fidelity(both, one)
    assert [each.api for each in result.endpoints] == ["v6"]
    assert any("v5 stream" in note for note in result.notes)
    with pytest.raises(NoDataError):
        fidelity.fidelity(one, [row for row in both if row["api"] == "v5"])


def test_what_was_fitted_is_near_to_what_it_was_fitted_to_and_another_profile_far(
    tmp_path: Path,
) -> None:
    true = like_realistic(failures={"running": 0.08}, refusals={"rate_limit": 0.05})
    live = bundle_of(tmp_path / "live", rows(true, CONTRACTS, 120, seed=1), kind="live")
    fitted = from_data("fitted", fitted_profile(live), "test")
    near = bundle_of(tmp_path / "near", rows(fitted, CONTRACTS, 120, seed=2))
    far = bundle_of(tmp_path / "far", rows(profiles()["slow"], CONTRACTS, 120, seed=2))
    shown = io.StringIO()
    assert fidelity_table.run(live, near, "text", shown) == 0, shown.getvalue()
    assert shown.getvalue().startswith("fidelity: near")
    shown = io.StringIO()
    assert fidelity_table.run(live, far, "markdown", shown) == 3
    assert shown.getvalue().startswith("**fidelity: far off")
    assert "| uploading |" in shown.getvalue()
    shown = io.StringIO()
    assert fidelity_table.run(live, far, "json", shown) == 3
    table = json.loads(shown.getvalue())
    assert table["verdict"] == "far"
    assert {each["api"] for each in table["endpoints"]} == {*CONTRACTS}


def test_an_emulator_in_a_hurry_is_compared_in_the_times_of_life(tmp_path: Path) -> None:
    live = bundle_of(tmp_path / "live", rows(REALISTIC, CONTRACTS, 60, seed=1), kind="live")
    quick = [
        {**row, "stages": {k: [a / 20, b / 20, n] for k, (a, b, n) in row["stages"].items()}}
        for row in rows(REALISTIC, CONTRACTS, 60, seed=2)
    ]
    emulated = bundle_of(tmp_path / "quick", quick, speed=20)
    shown = io.StringIO()
    assert fidelity_table.run(live, emulated, "text", shown) == 0, shown.getvalue()
    assert "20 times faster than life" in shown.getvalue()


def test_a_first_arm_that_is_not_live_is_said(tmp_path: Path) -> None:
    one = bundle_of(tmp_path / "one", rows(REALISTIC, CONTRACTS, 25, seed=1))
    shown = io.StringIO()
    fidelity_table.run(one, one, "text", shown)
    assert "the live arm is none" in shown.getvalue()
    with pytest.raises(UsageError, match="no format 'html'"):
        fidelity_table.run(one, one, "html", shown)


def test_names_from_outside_stay_text(tmp_path: Path) -> None:
    evil = "<script>|\x1b[31m\u202e"
    found = [
        {**row, "stages": {**row["stages"], evil: [1.0, 1.0, 1]}}
        for row in rows(REALISTIC, CONTRACTS, 25, seed=1)
    ]
    for format in ("text", "markdown"):
        shown = io.StringIO()
        folder = bundle_of(tmp_path / format, found)
        fidelity_table.run(folder, folder, format, shown)
        assert "\x1b" not in shown.getvalue()
        assert "\u202e" not in shown.getvalue()
        if format == "markdown":
            assert "<script" not in shown.getvalue()
