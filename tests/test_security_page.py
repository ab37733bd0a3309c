"""SECURITY.md: each promise names tests that there are, and nothing on the page leads nowhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "SECURITY.md").read_text()
PROMISES = {
    re.sub(r"\W+", "-", row.split("**")[1]).strip("-"): row
    for row in re.findall(r"^\| (\*\*.*)\|$", PAGE, re.MULTILINE)
}


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_names_tests_that_there_are(promise: str) -> None:
    _, _, held_by = PROMISES[promise].rpartition(" | ")
    named = re.findall(r"`([^`]+)`", held_by)
    assert named
    for test in named:
        assert (ROOT / test).is_file(), test
        assert re.search(r"^(?:async )?def test_", (ROOT / test).read_text(), re.MULTILINE), test


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)]+)\)", PAGE))))
def test_a_link_of_the_page_leads_somewhere(link: str) -> None:
    assert (ROOT / link).is_file()


def test_the_page_says_how_to_report_without_an_address_that_nobody_reads() -> None:
    assert "private\nvulnerability reporting" in PAGE
    assert not re.search(r"[\w.]+@[\w-]+\.\w+", PAGE)
    assert "## Out of scope" in PAGE
    assert len(PROMISES) >= 10


def test_the_page_goes_along_with_the_sources() -> None:
    assert "SECURITY.md" in (ROOT / "MANIFEST.in").read_text()
