"""What plans say of costs: no plan for this machine says that anything may be billed."""

from __future__ import annotations

import pytest
from tests.support.command_run import run_here

_LOAD = ("load", "--api", "v6", "--rate", "2", "--duration", "2s", "--dry-run")
_PLANS = [
    _LOAD,
    (*_LOAD, "--find-capacity", "--slo", "complete.p95<2m"),
    ("record", "--api", "v6", "--out", "never", "--dry-run"),
    ("check", "--api", "v6", "--explore", "0", "-k", "framing", "--dry-run"),
]


@pytest.mark.parametrize("words", _PLANS, ids=["load", "capacity", "record", "check"])
@pytest.mark.parametrize("target", ["emulator", "http://127.0.0.1:9", "http://localhost:9"])
def test_a_plan_for_this_machine_says_that_nothing_is_billed(
    words: tuple[str, ...], target: str
) -> None:
    ran = run_here(*words, "--target", target)
    assert ran.returncode == 0, ran.stderr
    assert "may be billable" not in ran.stdout
    assert "none is billed here" in ran.stdout or "and none here" in ran.stdout


@pytest.mark.parametrize("words", _PLANS, ids=["load", "capacity", "record", "check"])
def test_a_plan_for_another_machine_says_what_may_be_billed(words: tuple[str, ...]) -> None:
    ran = run_here(*words, "--target", "https://api.example.invalid")
    assert ran.returncode == 0, ran.stderr
    assert "billable" in ran.stdout
    assert "here" not in ran.stdout
