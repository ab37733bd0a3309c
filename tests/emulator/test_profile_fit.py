"""Profiles that are fitted to a recorded run: what was put in comes out again."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from recorded_streams import bundle_of, rows
from saturation import saturated

from soundstage.commands import emulate, fit_profile
from soundstage.contract import load_all
from soundstage.emulator.pace.profile import Profile
from soundstage.emulator.pace.profile_fit import RecordedApi, RecordedStream, StageTimes, fit
from soundstage.emulator.pace.profiles import from_data, profile
from soundstage.errors import NoDataError, UsageError
from soundstage.generation.walk import Step
from soundstage.results.bundle import Bundle

CONTRACTS = load_all()
DATA: dict[str, Any] = {
    "description": "to be found again",
    "default": {"median": 3.0, "sigma": 0.35},
    "stages": {
        "validated": {"median": 0.4, "sigma": 0.25},
        "running": {"median": 2.5, "sigma": 0.5},
        "streaming_ready": {"median": 9.0, "sigma": 0.3},
        "progress": {"median": 6.0, "sigma": 0.4},
        "failed": {"median": 1.0, "sigma": 0.2},
    },
    "first": {"median": 0.1, "sigma": 0.2},
    "chunks": {"running": {"4": 1, "7": 3}},
    "failures": {"running": 0.1},
    "refusals": {"rate_limit": 0.05},
}
TRUE = from_data("true", DATA, "test")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 160 streams of each version, of which every fourth was cut off midway."""
    folder = tmp_path_factory.mktemp("recorded") / "2026-11-21-live"
    return bundle_of(folder, rows(TRUE, CONTRACTS, 160, seed=1, cut=0.25), kind="local")


@pytest.fixture(scope="module")
def fitted(recorded: Path) -> dict[str, Any]:
    return fit_profile.fitted_profile(recorded)


def test_the_delays_that_were_put_in_come_out_again(fitted: dict[str, Any]) -> None:
    """Also of the chunks whose times nobody recorded, and although every fourth stream was cut."""
    for api, course in fitted["apis"].items():
        used = fitted["fitted"]["apis"][api]["delays"]
        assert set(course["stages"]) <= {s.name for s in CONTRACTS[api].protocol.stages}
        assert course["first"]["median"] == pytest.approx(0.1, rel=0.1)
        for stage, delay in course["stages"].items():
            true = TRUE.course.stages.get(stage, TRUE.course.default)
            allowed = 0.1 if used[stage] > 100 else 0.4
            assert delay["median"] == pytest.approx(true.median, rel=allowed), (api, stage)
            assert delay["sigma"] == pytest.approx(true.sigma, abs=allowed), (api, stage)


def test_delays_that_a_deadline_cut_off_count_for_what_they_were() -> None:
    """Of delays with a median of 1 s a deadline cuts every third or so: those that are whole have
    a median of about 0.8 s, which is what a fit that leaves the others out would say.
    """
    rng = random.Random(7)
    whole, cut = [], []
    for _ in range(500):
        gap = rng.lognormvariate(0.0, 0.5)
        begin = StageTimes("progress", 0.1, 0.1, 1)
        if gap < 1.2:
            seen = (begin, StageTimes("final", 0.1 + gap, 0.1 + gap, 1))
            whole.append(RecordedStream("v5", seen, "whole", 0.1 + gap))
        else:
            cut.append(RecordedStream("v5", (begin,), "cut", 1.3))

    def median_of(streams: list[RecordedStream]) -> float:
        data = fit({"v5": RecordedApi(streams, len(streams))}, CONTRACTS)
        return float(data["apis"]["v5"]["stages"]["final"]["median"])

    assert len(cut) > 100
    assert median_of(whole) < 0.85
    assert median_of([*whole, *cut]) == pytest.approx(1.0, rel=0.07)


def test_a_first_chunk_that_comes_late_does_not_stand_for_those_that_follow() -> None:
    """Only the delay before it was seen by itself; of the eight that follow their sum was."""
    rng = random.Random(8)
    streams = []
    for _ in range(100):
        ready = 0.1 + rng.lognormvariate(3.0, 0.1)
        last = ready + sum(rng.lognormvariate(0.0, 0.4) for _ in range(8))
        seen = (
            StageTimes("validated", 0.1, 0.1, 1),
            StageTimes("running", ready, last, 9),
            StageTimes("completed", last + 1.0, last + 1.0, 1),
        )
        streams.append(RecordedStream("v6", seen, "whole", last + 1.0))
    data = fit({"v6": RecordedApi(streams, 100)}, CONTRACTS)
    assert data["apis"]["v6"]["stages"]["running"]["median"] == pytest.approx(1.0, rel=0.1)


def test_chunks_that_come_among_hidden_ones_take_their_own_share_of_the_time() -> None:
    """`processing` is seen by itself in half the streams, amid `running` in the others."""
    rng = random.Random(9)
    streams = []
    for number in range(200):
        gaps = [rng.lognormvariate(0.0, 0.3) for _ in range(5)]
        other = rng.lognormvariate(1.5, 0.3)
        amid = number % 2 == 0
        last = 0.1 + sum(gaps) + (other if amid else 0.0)
        at = 0.1 + gaps[0] + other if amid else last + other
        seen = (
            StageTimes("validated", 0.1, 0.1, 1),
            StageTimes("running", 0.1 + gaps[0], last, 5),
            StageTimes("processing", at, at, 1),
        )
        streams.append(RecordedStream("v6", seen, "whole", max(at, last)))
    stages = fit({"v6": RecordedApi(streams, 200)}, CONTRACTS)["apis"]["v6"]["stages"]
    assert stages["processing"]["median"] == pytest.approx(4.48, rel=0.1)
    assert stages["running"]["median"] == pytest.approx(1.0, rel=0.15)


@pytest.mark.parametrize("many", [10**9, 2**62])
def test_numbers_of_chunks_that_nobody_sends_do_not_end_in_a_fault(many: int) -> None:
    seen = (StageTimes("progress", 0.1, 80_000.0, many), StageTimes("final", 86_400.0, 86_400.0, 1))
    streams = [
        RecordedStream("v5", seen, "cut", 86_400.0),
        RecordedStream("v5", seen[1:], "whole", 1),
    ]
    data = fit({"v5": RecordedApi(streams, 2)}, CONTRACTS)
    from_data("odd", {"description": "x", **data}, "test")


def test_numbers_failures_and_refusals_come_out_again(fitted: dict[str, Any]) -> None:
    api = next(api for api, c in CONTRACTS.items() if "running" in c.protocol.by_name)
    course = fitted["apis"][api]
    assert set(course["chunks"]["running"]) == {"4", "7"}
    four, seven = (course["chunks"]["running"][each] for each in ("4", "7"))
    assert seven / (four + seven) == pytest.approx(0.75, abs=0.12)
    assert course["failures"]["running"] == pytest.approx(0.1, abs=0.06)
    for each in fitted["apis"].values():
        assert each["refusals"]["rate_limit"] == pytest.approx(0.05, abs=0.05)
    # Stages whose number the contract fixes need no word.
    assert "streaming_ready" not in course["chunks"]


def test_the_same_run_gives_the_same_profile_which_says_where_it_is_from(
    recorded: Path, fitted: dict[str, Any]
) -> None:
    assert fit_profile.fitted_profile(recorded) == fitted
    assert "160" not in fitted["description"]  # some were refused: those are no streams
    origin = fitted["fitted"]
    assert (origin["run"], origin["kind"]) == (recorded.name, "local")
    for used in origin["apis"].values():
        assert used["whole"] + used["failed"] + used["cut"] == used["streams"]
        assert used["cut"] > 20
    assert "live" not in fitted["description"].replace(recorded.name, "")


def test_the_command_writes_a_profile_that_the_emulator_takes(
    recorded: Path, tmp_path: Path
) -> None:
    file = tmp_path / "fitted.json"
    stdout = io.StringIO()
    args = emulate.parse_args([f"--profile-from={recorded}", f"--profile-to={file}"])
    assert emulate.run(args, stdout, io.StringIO()) == 0
    said = stdout.getvalue()
    assert "says nothing about the live API" in said
    assert "running" in said
    made = profile(str(file))
    assert isinstance(made, Profile)
    assert made.of("v5") is not made.of("v6")
    emulate.parse_args([f"--profile={file}"])


def test_profile_to_needs_something_to_fit(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        emulate.parse_args(["--profile-to", "x.json"])
    assert stopped.value.code == 2
    assert "--profile-from" in capsys.readouterr().err


def test_an_emulator_in_a_hurry_is_told_in_the_times_of_life(tmp_path: Path) -> None:
    found = list(rows(TRUE, CONTRACTS, 30, seed=3))
    for row in found:
        row["stages"] = {k: [a / 20, b / 20, n] for k, (a, b, n) in row["stages"].items()}
        row["ended"] /= 20
    data = fit_profile.fitted_profile(bundle_of(tmp_path / "run", found, speed=20))
    ready = data["apis"]["v6"]["stages"]["streaming_ready"]["median"]
    assert ready == pytest.approx(9.0, rel=0.2)


def test_what_tells_nothing_of_a_stream_is_left_out_and_counted(tmp_path: Path) -> None:
    found = list(rows(TRUE, CONTRACTS, 30, seed=4))
    for number, row in enumerate(found):
        row["warmup"] = number % 3 == 0
        row["probe"] = number % 3 == 1
    found += [{**found[2], "id": "x", "outcome": "dropped", "probe": False, "warmup": False}]
    found += [{**found[2], "id": "y", "endpoint": "sync", "probe": False, "warmup": False}]
    refused = {"outcome": "refused", "http_status": 402, "stages": {}, "reason": "http.402"}
    found += [{**found[2], "id": "z", **refused, "probe": False, "warmup": False}]
    data = fit_profile.fitted_profile(bundle_of(tmp_path / "run", found))
    left = data["fitted"]["left_out"]
    assert (left["warm-up"], left["a probe"]) == (20, 20)
    assert (left["never sent"], left["not a stream"]) == (1, 1)
    assert left["refused for a reason of its own"] == 1


def test_a_run_without_streams_is_no_data(tmp_path: Path) -> None:
    with pytest.raises(NoDataError, match="nothing to fit"):
        fit_profile.fitted_profile(bundle_of(tmp_path / "run", []))
    with pytest.raises(UsageError):
        fit_profile.fitted_profile(tmp_path / "none")


def test_a_run_of_a_version_that_is_not_here_is_refused(tmp_path: Path) -> None:
    row = {**next(rows(TRUE, CONTRACTS, 1, seed=1)), "api": "v99"}
    with pytest.raises(UsageError, match="'v99': there is no contract"):
        fit_profile.fitted_profile(bundle_of(tmp_path / "run", [row]))


def test_delays_without_any_spread_stay_so() -> None:
    contract = CONTRACTS["v5"]
    stream = RecordedStream(
        "v5", (StageTimes("progress", 0.5, 4.5, 9), StageTimes("final", 5.0, 5.0, 1)), "whole", 5.0
    )
    data = fit({"v5": RecordedApi([stream] * 20, 20)}, CONTRACTS)
    assert data["apis"]["v5"]["stages"]["final"] == {"constant": 0.5}
    assert data["apis"]["v5"]["stages"]["progress"] == {"constant": 0.5}
    made = from_data("constant", {"description": "x", **data}, "test")
    steps = [Step("progress", None)] * 9 + [Step("final", None)]
    assert made.schedule("v5", steps, random.Random(1), 1.0)[-1] == pytest.approx(5.0)
    assert contract.protocol.by_name["final"].ends


def test_chunks_that_are_read_together_do_not_spoil_the_rest() -> None:
    rng = random.Random(6)
    streams = []
    for _ in range(300):
        gap = 0.0 if rng.random() < 0.1 else rng.lognormvariate(0.0, 0.3)
        seen = (StageTimes("progress", 0.1, 0.1, 1), StageTimes("final", 0.1 + gap, 0.1 + gap, 1))
        streams.append(RecordedStream("v5", seen, "whole", 0.1 + gap))
    delay = fit({"v5": RecordedApi(streams, 300)}, CONTRACTS)["apis"]["v5"]["stages"]["final"]
    assert delay["median"] == pytest.approx(1.0, rel=0.15)
    assert delay["sigma"] < 0.7  # plain maximum likelihood gives 2.7


@pytest.mark.timing
@pytest.mark.timeout(400)
@pytest.mark.proof
def test_a_run_against_an_emulator_is_fitted_and_played_back_nearly_alike(tmp_path: Path) -> None:
    """The whole way over sockets: emulate, load, fit, emulate what was fitted, compare.

    Delays are as short as what a busy machine adds to them; a run that says of itself that its
    generator had no time is none to compare.
    """
    from soundstage.reports.drift import fidelity_table

    source = tmp_path / "source.json"
    quick = {
        **DATA,
        "default": {"median": 0.06, "sigma": 0.4},
        "stages": {
            "running": {"median": 0.05, "sigma": 0.5},
            "streaming_ready": {"median": 0.15, "sigma": 0.3},
        },
    }
    source.write_text(json.dumps(quick))

    def record(name: str, *arguments: str) -> Path:
        command = [sys.executable, "-m", "soundstage", "load", "--target", "emulator", "--api=v6"]
        command += ["--emulator-args", " ".join(arguments), "--rate=40", "--duration=3s"]
        for number in range(3):
            folder = tmp_path / f"{name}{number}"
            done = subprocess.run([*command, f"--out={folder}"], capture_output=True, text=True)
            verdict = Bundle.open(folder).run["verdict"]
            if verdict == "pass":
                return folder
            assert saturated(folder), done.stderr
        pytest.skip("this machine had too much else to do, three times")

    first = record("first", f"--profile={source}", "--seed=1")
    again = record("again", f"--profile-from={first}", "--seed=2")
    shown = io.StringIO()
    assert fidelity_table.run(first, again, "text", shown) == 0, shown.getvalue()
