"""What README and indexes show is true: targets, links, the picture, a line for every page."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from soundstage.cli import COMMANDS, usage

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
INDEXES = sorted((ROOT / "docs").glob("*/index.md"))


def test_the_first_screen_shows_two_commands() -> None:
    block = re.search(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert block
    assert [line.split()[:2] for line in block[1].splitlines()] == [
        ["make", "demo"],
        ["make", "test"],
    ]


def test_targets_that_pages_name_are_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in ("setup", "demo", "test", "proofs", "check", "docs", "wheel", "bench"):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_readme_is_read_in_three_minutes() -> None:
    assert len(README.split()) <= 600


def test_the_picture_is_small_sharp_and_said_in_words() -> None:
    ((words, place),) = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", README)
    assert len(words) > 80
    assert (ROOT / place).stat().st_size < 150_000
    with Image.open(ROOT / place) as picture:
        assert picture.width >= 1600
    assert place.removeprefix("docs/") in (ROOT / "docs/index.md").read_text("utf-8")


@pytest.mark.proof
def test_every_command_is_in_the_help_and_has_an_example_of_its_own() -> None:
    for name in COMMANDS:
        assert f"  {name}" in usage()
        command = [sys.executable, "-m", "soundstage", name, "--help"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert f"soundstage {name}" in done.stdout.partition("example")[2], name


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)#]+)", README))
def test_a_link_of_the_readme_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


@pytest.mark.parametrize("index", INDEXES, ids=lambda index: index.parent.name)
def test_every_page_stands_in_the_index_of_its_folder_with_a_sentence(index: Path) -> None:
    text = index.read_text("utf-8")
    said = set(re.findall(r"^- \[[^\]]+\]\(([^)]+\.md)\): \S", text, re.MULTILINE))
    # Of a folder with an index of its own only that.
    pages = {
        page.relative_to(index.parent).as_posix()
        for page in index.parent.rglob("*.md")
        if page != index
        and (
            page.parent == index.parent
            or (page.name == "index.md") == (page.parent / "index.md").exists()
        )
    }
    assert said == pages
