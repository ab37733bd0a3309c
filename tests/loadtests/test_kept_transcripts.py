"""Which transcripts a load run keeps."""

from __future__ import annotations

from pathlib import Path
from shlex import split

import pytest

from soundstage.exchange.spawn import spawned_emulator
from soundstage.reports.run.findings import read_report

from .conftest import load


@pytest.mark.proof
def test_a_load_with_mixed_faults_says_of_each_kind_why_and_has_one_to_look_at(
    tmp_path: Path,
) -> None:
    faults = ["wire/html_502:0.15", "wire/reset:0.15", "wire/reset_early:0.1"]
    options = ["--speed", "200", "--seed", "3", "--profile", "instant"]
    options += ["--rate-limit", "8/second"]
    for fault in faults:
        options += ["--fault", fault]
    with spawned_emulator(options) as url:
        ran = load(tmp_path, "--target", url, *split("--api v6 --rate 20 --duration 6s --seed 2"))
    failed = read_report(ran.bundle).summary.failures
    assert failed is not None
    kinds = {one.reason: one for one in failed.kinds}
    assert set(kinds) >= {"http.502", "api.rate_limit", "http.reset", "environment.reset"}
    kept = set(ran.bundle.transcripts())
    for one in kinds.values():
        assert one.transcript in kept, one
        assert 0 <= one.first <= one.last < 30
    assert f"of {len(ran.rows)} exchanges" in ran.out
    for words in ("502 Bad Gateway", "429 Too Many Requests", "connection reset"):
        assert words in ran.out
