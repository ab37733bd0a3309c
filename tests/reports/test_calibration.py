"""The noise between runs of the same thing, measured, shown and used."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest
from compare_calls import Make, as_json, compare

from soundstage.reports.decision import arms


def test_calibration_measures_the_noise_and_a_comparison_shows_and_uses_it(
    load: Make, tmp_path: Path
):
    same = [
        load(f"same{n}", seed=n, n=200, slower={"running": factor})
        for n, factor in enumerate((1.0, 3.5, 1.2, 3.0, 2.0))
    ]
    kept = tmp_path / "noise.json"
    gate = ("--gate", "complete.p50")
    code, out, _ = compare("--calibrate", *same, *gate, "--out", kept)
    assert code == 0
    assert "v6.stream.complete.p50: two runs of the same thing differ by" in out
    (noise,) = json.loads(kept.read_text())["gates"]
    assert noise["noise"] > 0.02
    assert sum(noise["verdicts"].values()) == 10
    found = noise["detectable"]
    assert found["1"] > found["10"] > 0.10
    words = load("x", seed=21), load("y", seed=22, slower={"running": 3.0})
    bare, aware = as_json(*words, *gate), as_json(*words, *gate, "--calibration", kept)
    assert bare["gates"][0]["verdict"] == "fail"
    assert aware["gates"][0]["verdict"] == "inconclusive"
    assert aware["calibration"]["gates"][0]["noise"] == noise["noise"]
    text = compare(*words, *gate, "--calibration", kept)[1]
    assert "noise of this environment, from A/A runs:" in text


def test_a_calibration_finds_the_noise_that_was_put_in(load: Make, runs: ModuleType):
    import numpy as np

    from soundstage.reports.compare.calibration import calibrate
    from soundstage.reports.compare.comparison import CompareOptions, gates_of

    (arm,) = arms.read_arms([[load(f"r{n}", seed=n, n=60) for n in range(3)]])
    rng = np.random.default_rng(3)
    gates = gates_of(arm, CompareOptions(("complete.p50",)))
    found = []
    for _ in range(20):
        made = arms.Arm(
            tuple(
                arms.ArmRun(
                    run.path,
                    run.facts,
                    {
                        ("v6", "stream"): arms.EndpointSeries(
                            400,
                            {"complete": np.sort(rng.lognormal(rng.normal(0, 0.05), 0.3, 400))},
                            {"ok": 400},
                            {},
                        )
                    },
                    {},
                    5.0,
                    0,
                )
                for run in arm.runs * 4
            )
        )
        (one,) = calibrate(made, gates, 0.10, 0.05).gates
        found.append((one.noise, one.sampling))
    noise, sampling = np.mean(found, axis=0)
    assert noise == pytest.approx(0.05, abs=0.01)
    assert sampling == pytest.approx(1.2533 * 0.3 / 20, rel=0.15)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 2}', '{"format": 1, "runs": 3}'])
def test_a_damaged_calibration_is_refused(load: Make, tmp_path: Path, text: str):
    place = tmp_path / "noise.json"
    place.write_text(text)
    code, _, err = compare(load("a", seed=1), load("b", seed=2), "--calibration", place)
    assert code == 2
    assert str(place) in err
