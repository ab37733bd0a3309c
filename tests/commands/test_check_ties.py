"""`check` puts to the test what a stream and its status endpoint say of one song."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_run import run_here

ROOT = Path(__file__).parents[2]
TIES = ("status/known", "status/not_behind", "result/same", "charged/once")
#: The fault, and the rule that it breaks.
BROKEN = {
    "tie/stream/unknown_id": "songs/stream/status/known",
    "tie/stream/behind": "songs/stream/status/not_behind",
    "tie/stream/other_url": "songs/stream/result/same",
    "tie/stream/charged_twice": "songs/stream/charged/once",
    "tie/job/unknown_id": "songs/job/status/known",
    "tie/job/charged_twice": "songs/job/charged/once",
}


def checked(folder: Path, *words: str) -> tuple[int, dict[str, str]]:
    """The exit code, and the outcome of each rule."""
    chosen = " or ".join(TIES)
    done = run_here(
        "check", "--target", "emulator", "--api", "songs", "--explore", "0", "-k", chosen,
        "--out", "run", *words,
        folder=folder, env={"SOUNDSTAGE_SCHEMAS": str(ROOT / "examples/contracts")},
    )  # fmt: skip
    lines = (folder / "run/rules.ndjson").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return done.returncode, {row["rule"]: row["outcome"] for row in rows}


def test_all_that_two_endpoints_say_of_one_song_is_put_to_the_test(tmp_path):
    code, outcomes = checked(tmp_path)
    assert code == 0
    tied = {f"songs/stream/{rule}" for rule in TIES}
    tied |= {"songs/job/status/known", "songs/job/charged/once"}
    assert {rule: outcomes[rule] for rule in tied} == dict.fromkeys(tied, "passed")


@pytest.mark.proof
@pytest.mark.parametrize(("fault", "rule"), BROKEN.items(), ids=BROKEN)
def test_a_song_that_is_told_of_in_two_ways_is_found(tmp_path, fault, rule):
    code, outcomes = checked(tmp_path, "--fault", fault)
    assert code == 1
    assert outcomes[rule] == "failed"
