"""Known findings, severities and live runs, through the real command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_run import CommandRun, run_here
from emulated import served

from soundstage.config import read_config
from soundstage.emulator.options import Options
from soundstage.errors import UsageError

FAULTY = Options(profile="instant", faults=("field/streaming_ready/stream_url/missing",))
RULE = "v6/stream/streaming_ready/field/stream_url/required"


@pytest.fixture(scope="module")
def faulty():
    """An emulator whose v6 lacks a required field."""
    with served(FAULTY) as url:
        yield url


def check(folder: Path, *arguments: str) -> CommandRun:
    explore = [] if "--explore" in arguments else ["--explore", "0"]
    words = ["check", "--api", "v6", *explore, *arguments]
    return run_here(*words, folder=folder, env={"SOUNDVERSE_API_KEY": ""})


def waiver(until: str, rule: str = RULE, code: str = "field.missing") -> str:
    return f'[[waiver]]\nrule = "{rule}"\ncode = "{code}"\nreason = "ticket 7"\nuntil = {until}\n'


def outcome(folder: Path, bundle: str, rule: str = RULE) -> dict:
    lines = (folder / bundle / "rules.ndjson").read_text().splitlines()
    return next(row for row in map(json.loads, lines) if row["rule"] == rule)


@pytest.mark.proof
def test_a_waived_finding_does_not_fail_the_check(faulty: str, tmp_path: Path) -> None:
    (tmp_path / "soundstage.toml").write_text(waiver("2999-01-01"))
    done = check(tmp_path, "--target", faulty, "--out", "run")
    assert done.returncode == 0, done.stdout
    found = outcome(tmp_path, "run")
    assert found["outcome"] == "known"
    assert "ticket 7" in found["reason"]


@pytest.mark.proof
def test_an_expired_waiver_fails_again_and_says_so(faulty: str, tmp_path: Path) -> None:
    (tmp_path / "soundstage.toml").write_text(waiver("2020-01-01"))
    done = check(tmp_path, "--target", faulty, "--out", "run")
    assert done.returncode == 1
    assert "expired" in outcome(tmp_path, "run")["reason"]


@pytest.mark.proof
def test_an_unused_waiver_is_reported(faulty: str, tmp_path: Path) -> None:
    unused = waiver("2999-01-01", rule="v6/stream/index/start", code="index.start")
    of_drift = '[[waiver]]\ndrift = "0123456789ab"\nreason = "x"\nuntil = 2999-01-01\n'
    (tmp_path / "soundstage.toml").write_text(waiver("2999-01-01") + unused + of_drift)
    done = check(tmp_path, "--target", faulty, "--out", "run")
    assert "unused waiver: index.start v6/stream/index/start" in done.stdout
    # It speaks of two runs: `compare` will know.
    assert "drift" not in done.stdout


@pytest.mark.proof
def test_drafted_waivers_waive_what_failed(faulty: str, tmp_path: Path) -> None:
    done = check(tmp_path, "--target", faulty, "--out", "one", "--write-waivers", "soundstage.toml")
    assert done.returncode == 1
    assert "TODO" in (tmp_path / "soundstage.toml").read_text()
    done = check(tmp_path, "--target", faulty, "--out", "two")
    assert done.returncode == 0, done.stdout


@pytest.mark.proof
def test_a_severity_can_be_set_per_rule(faulty: str, tmp_path: Path) -> None:
    (tmp_path / "soundstage.toml").write_text(f'[severity]\n"{RULE}" = "warning"\n')
    done = check(tmp_path, "--target", faulty, "--out", "run")
    assert done.returncode == 0, done.stdout
    assert outcome(tmp_path, "run")["outcome"] == "warned"
    strict = check(tmp_path, "--target", faulty, "--out", "strict", "--strict")
    assert strict.returncode == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[waiver]]\nrule = 'x'\n", "waiver"),
        ("[severity]\na = 'fatal'\n", "severity"),
        ("[targets]\n", "targets"),
        ("[target]\nkey = 'sk-1'\n", "key"),
        ("[[waiver]]\nrule='r'\ncode='c'\nreason='x'\nuntil='2026-13-01'\n", "until"),
        ("not toml", "not TOML"),
    ],
)
def test_a_configuration_that_is_not_understood_is_refused(
    text: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "soundstage.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=said) as refused:
        read_config(file)
    assert str(file) in str(refused.value)


def test_a_dry_run_sends_nothing(tmp_path: Path) -> None:
    done = check(tmp_path, "--target", "https://api.example.invalid", "--dry-run", "--budget", "2")
    assert done.returncode == 0
    assert "POST /v6/generate/song" in done.stdout
    assert "2 of them billable, a budget of 2" in done.stdout


def spent(url: str) -> int:
    """Charges in the emulator's own books."""
    import httpx

    return httpx.get(f"{url}/_emulator/health").json()["charges"]


@pytest.mark.proof
def test_a_live_run_without_budget_sends_nothing_billable(tmp_path: Path) -> None:
    with served(Options(profile="instant")) as url:
        done = check(tmp_path, "--target", url, "--treat-as-live", "--out", "run")
        assert done.returncode == 6, "there is no key"
        key = tmp_path / "key"
        key.write_text("some-key")
        done = check(
            *(tmp_path, "--target", url, "--treat-as-live", "--out", "run2", "--yes"),
            *("--key-file", str(key)),
        )
        assert done.returncode == 6, done.stdout
        assert "no budget" in done.stdout
        assert spent(url) == 0


@pytest.mark.proof
def test_a_live_run_spends_exactly_its_budget(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("some-key")
    with served(Options(profile="instant")) as url:
        asked = check(
            *(tmp_path, "--target", url, "--treat-as-live", "--out", "no"),
            *("--key-file", str(key), "--budget", "2"),
        )
        assert (asked.returncode, spent(url)) == (2, 0), "nobody could say yes"
        done = check(
            *(tmp_path, "--target", url, "--treat-as-live", "--out", "run", "--yes"),
            *("--key-file", str(key), "--budget", "2"),
        )
        assert done.returncode == 0, done.stdout
        assert spent(url) == 2
    assert json.loads((tmp_path / "run" / "run.json").read_bytes())["budget"]["spent"] == 2


@pytest.mark.proof
def test_live_exploration_is_paid_from_a_budget_of_its_own(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("some-key")
    with served(Options(profile="instant")) as url:
        live = (tmp_path, "--target", url, "--treat-as-live", "--yes", "--key-file", str(key))
        done = check(*live, "--budget", "2", "--explore", "3", "--out", "none")
        assert done.returncode in (0, 6), done.stdout
        assert spent(url) == 2, "no budget, no exploration"
        done = check(
            *(*live, "--budget", "2", "--explore", "3", "--explore-budget", "5", "--out", "five")
        )
        assert spent(url) <= 2 + 2 + 5
    budget = json.loads((tmp_path / "five" / "run.json").read_bytes())["budget"]
    assert budget == {"limit": 7, "spent": 7}
