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


def course_of(
    folder: Path, api: str, streams: list[dict[str, tuple[float, float, int]]]
) -> dict[str, Any]:
    """How generations go that were recorded with these stages: (first, last, how many)."""
    whole = next(row for row in rows(TRUE, CONTRACTS, 20, seed=1) if row["outcome"] == "ok")
    found = [
        {**whole, "id": f"s{number}", "api": api, "stages": {k: list(v) for k, v in each.items()}}
        for number, each in enumerate(streams)
    ]
    data = fit_profile.fitted_profile(bundle_of(folder / "run", found))
    from_data("fitted", data, "test")
    course: dict[str, Any] = data["apis"][api]
    return course


def test_chunks_whose_times_nobody_recorded_are_fitted_from_their_sum(tmp_path: Path) -> None:
    """A median of 1 s and a sigma of 0.6: the mean of eight of them is 1.2 s, with much less."""
    rng = random.Random(8)
    streams = []
    for _ in range(400):
        gaps = [rng.lognormvariate(0.0, 0.6) for _ in range(9)]
        streams.append({"validated": (0.0, 0.0, 1), "running": (gaps[0], sum(gaps), 9)})
    running = course_of(tmp_path, "v6", streams)["stages"]["running"]
    assert running["median"] == pytest.approx(1.0, rel=0.1)
    assert running["sigma"] == pytest.approx(0.6, abs=0.06)


def test_a_first_chunk_that_comes_late_does_not_stand_for_those_that_follow(
    tmp_path: Path,
) -> None:
    """Only the delay before it was seen by itself; of the eight that follow their sum was."""
    rng = random.Random(8)
    streams = []
    for _ in range(100):
        ready = 0.1 + rng.lognormvariate(3.0, 0.1)
        last = ready + sum(rng.lognormvariate(0.0, 0.4) for _ in range(8))
        done = last + 1.0
        streams.append(
            {
                "validated": (0.1, 0.1, 1),
                "running": (ready, last, 9),
                "completed": (done, done, 1),
            }
        )
    running = course_of(tmp_path, "v6", streams)["stages"]["running"]
    assert running["median"] == pytest.approx(1.0, rel=0.1)


def test_chunks_that_come_among_hidden_ones_take_their_own_share_of_the_time(
    tmp_path: Path,
) -> None:
    """`processing` is seen by itself in half the streams, amid `running` in the others."""
    rng = random.Random(9)
    streams = []
    for number in range(200):
        gaps = [rng.lognormvariate(0.0, 0.3) for _ in range(5)]
        other = rng.lognormvariate(1.5, 0.3)
        amid = number % 2 == 0
        last = 0.1 + sum(gaps) + (other if amid else 0.0)
        at = 0.1 + gaps[0] + other if amid else last + other
        streams.append(
            {
                "validated": (0.1, 0.1, 1),
                "running": (0.1 + gaps[0], last, 5),
                "processing": (at, at, 1),
            }
        )
    stages = course_of(tmp_path, "v6", streams)["stages"]
    assert stages["processing"]["median"] == pytest.approx(4.48, rel=0.1)
    assert stages["running"]["median"] == pytest.approx(1.0, rel=0.15)


@pytest.mark.parametrize("many", [10**9, 2**62, -3])
def test_numbers_of_chunks_that_nobody_sends_do_not_end_in_a_fault(
    tmp_path: Path, many: int
) -> None:
    odd = {"progress": (0.1, 80_000.0, many), "final": (86_400.0, 86_400.0, 1)}
    course_of(tmp_path, "v5", [odd, {"final": (86_400.0, 86_400.0, 1)}])


@pytest.mark.parametrize("time", [-1.0, 86_401.0, 1e300])
def test_times_that_cannot_be_are_left_out_and_counted(tmp_path: Path, time: float) -> None:
    good, bad, *_ = (row for row in rows(TRUE, CONTRACTS, 9, seed=1) if row["outcome"] == "ok")
    bad = {**bad, "stages": {**bad["stages"], "running": [time, time, 1]}}
    data = fit_profile.fitted_profile(bundle_of(tmp_path / "run", [good, bad]))
    assert data["fitted"]["left_out"] == {"of times that cannot be": 1}


def test_a_run_of_which_much_was_cut_is_said_to_be_too_short(
    recorded: Path, fitted: dict[str, Any], tmp_path: Path
) -> None:
    assert "delays are too short" in fit_profile.told(fitted)
    whole = bundle_of(tmp_path / "run", rows(TRUE, CONTRACTS, 20, seed=1))
    assert "too short" not in fit_profile.told(fit_profile.fitted_profile(whole))


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
    refused["verdict"] = "inconclusive"
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


def test_delays_without_any_spread_stay_so(tmp_path: Path) -> None:
    stream = {"progress": (0.5, 4.5, 9), "final": (5.0, 5.0, 1)}
    course = course_of(tmp_path, "v5", [stream] * 20)
    assert course["stages"] == {"final": {"constant": 0.5}, "progress": {"constant": 0.5}}
    data = {"description": "x", "default": {"median": 1.0}, "apis": {"v5": course}}
    made = from_data("constant", data, "test")
    steps = [Step("progress", None)] * 9 + [Step("final", None)]
    assert made.schedule("v5", steps, random.Random(1), 1.0)[-1] == pytest.approx(5.0)


def test_chunks_that_are_read_together_do_not_spoil_the_rest(tmp_path: Path) -> None:
    rng = random.Random(6)
    streams = []
    for _ in range(300):
        at = 0.1 + (0.0 if rng.random() < 0.1 else rng.lognormvariate(0.0, 0.3))
        streams.append({"progress": (0.1, 0.1, 1), "final": (at, at, 1)})
    delay = course_of(tmp_path, "v5", streams)["stages"]["final"]
    assert delay["median"] == pytest.approx(1.0, rel=0.15)
    assert delay["sigma"] < 0.7  # plain maximum likelihood gives 2.7


@pytest.mark.timing
@pytest.mark.timeout(400)
@pytest.mark.proof
def test_a_run_against_an_emulator_is_fitted_and_played_back_nearly_alike(tmp_path: Path) -> None:
    """The whole way over sockets: emulate, load, fit, emulate what was fitted, compare.

    Delays are long beside what a busy machine adds to them; a run that says of itself that its
    generator had no time is none to compare.
    """
    from soundstage.reports.compare import fidelity

    source = tmp_path / "source.json"
    quick = {
        **DATA,
        "default": {"median": 0.15, "sigma": 0.4},
        "stages": {
            "running": {"median": 0.12, "sigma": 0.5},
            "streaming_ready": {"median": 0.4, "sigma": 0.3},
        },
    }
    source.write_text(json.dumps(quick))

    def record(name: str, *arguments: str) -> Path:
        command = [sys.executable, "-m", "soundstage", "load", "--target", "emulator", "--api=v6"]
        command += ["--emulator-args", " ".join(arguments), "--rate=30", "--duration=4s"]
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
    assert fidelity.run(first, again, "text", shown) == 0, shown.getvalue()
