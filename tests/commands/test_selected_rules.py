"""`soundstage check -k`: only what was asked about counts."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from tests.support.command_run import run_here


@pytest.mark.proof
def test_a_note_about_a_rule_that_was_not_selected_is_no_rule_that_passed(tmp_path: Path) -> None:
    (tmp_path / "soundstage.toml").write_text(
        '[severity]\n"v6/stream/index/consecutive" = "info"\n'
    )
    words = ["--target", "emulator", "--api", "v6", "--explore", "0", "--fault", "index/gap"]
    ran = run_here("check", *words, "-k", "framing", "--out", "run", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "rules: 1 passed" in ran.stdout
    assert "chunkIndex skips a number: 1 of 1 stream" in ran.stdout
    summary = (tmp_path / "run/summary.md").read_text()
    assert "**1 rule**: ✓ 1 passed" in summary
    assert "chunkIndex skips a number" in summary
    page = (tmp_path / "run/report.html").read_text()
    assert "chunkIndex skips a number" in page
    cases = [each.get("name") for each in ET.parse(tmp_path / "run/junit.xml").iter("testcase")]
    assert not any("index/consecutive" in str(each) for each in cases)
    rows = [json.loads(line) for line in (tmp_path / "run/rules.ndjson").read_text().splitlines()]
    selected = {row["rule"]: row.get("selected", True) for row in rows}
    assert [rule for rule, asked in selected.items() if asked] == ["v6/stream/framing"]
    assert selected["v6/stream/index/consecutive"] is False
