"""Every link of every page leads somewhere, also where the runs were moved as a whole: to another
folder, to an artifact of a build.
"""

from __future__ import annotations

import io
import random
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

from soundstage import cli

_LINKS = ("href", "xlink:href", "src", "aria-labelledby", "aria-describedby", "for")


class _Page(HTMLParser):
    """The ids of a page, and what its links lead to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name in _LINKS and value is not None:
                self.links.append((name, value))


def command(*words: str) -> None:
    out, err = io.StringIO(), io.StringIO()
    assert cli.run(words[0], list(words[1:]), out, err) in (0, 1, 3, 4), err.getvalue()


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every kind of page, made at one place and moved to another."""
    from tests.reports import conftest as made

    home = tmp_path_factory.mktemp("home")
    folder = home / "runs"
    folder.mkdir()
    names = [
        "2026-11-20T10-00-00-check-a",
        "2026-11-21T10-00-00-load-b",
        "2026-11-22 & load #c",
        "warm",
    ]
    made.check_run(folder / names[0])
    for number, name in enumerate(names[1:]):
        # The last has nothing but its warm-up: no times, and no charts.
        made.load_run(folder / name, 400 if number < 2 else 100, seed=number)
    found = made.capacity()
    rows = [made.exchange(n + 1, random.Random(n), at=n * 0.1) for n in range(40)]
    made.write(folder / "capacity", rows, kind="load", finish={"capacity": found})
    with pytest.MonkeyPatch.context() as process:
        process.chdir(home)
        for name in (*names, "capacity"):
            command("report", f"runs/{name}")
        command("compare", f"runs/{names[1]}", f"runs/{names[2]}")
        command("runs", "trend")
        command("runs", "index")
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "another name"
    home.rename(elsewhere)
    return elsewhere / "runs"


@pytest.mark.proof
def test_there_is_a_page_of_every_kind(moved: Path) -> None:
    names = {path.name.partition("-")[0] for path in moved.rglob("*.html")}
    assert names == {"report.html", "compare", "trend.html", "index.html"}
    assert len(list(moved.rglob("report.html"))) == 5


@pytest.mark.proof
def test_every_link_of_every_page_leads_somewhere(moved: Path) -> None:
    pages = {path: _Page(path.read_text("utf-8")) for path in moved.rglob("*.html")}
    wrong: list[Any] = []
    many = 0
    for path, page in pages.items():
        wrong += [(path.name, f"twice: {each}") for each in page.ids if page.ids.count(each) > 1]
        for name, link in page.links:
            many += 1
            if name in ("aria-labelledby", "aria-describedby", "for"):
                wrong += [(path.name, link) for each in link.split() if each not in page.ids]
                continue
            parts = urlsplit(link)
            if parts.scheme in ("http", "https", "data"):
                continue  # to what the contract documents; and pictures that are in the page
            place, anchor = urldefrag(link)
            there = path if not place else (path.parent / unquote(place)).resolve()
            if (
                not there.exists()
                or not there.is_relative_to(moved.resolve())
                or (anchor and there in pages and unquote(anchor) not in pages[there].ids)
            ):
                wrong.append((path.name, link))
    assert wrong == []
    assert many > 100
