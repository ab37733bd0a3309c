"""The documentation as a site: built as `make docs` builds it, then read in Chromium from disk."""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromium
import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.proof  # all of them, so that the site is built once
WIDE, NARROW = 1280, 390
#: All that a page shows is as wide as the page, or moves within a box of its own.
_OUT_OF_SIGHT = """() => {
  const wide = document.documentElement.clientWidth;
  const moves = node => node && node !== document.body &&
    (/auto|scroll/.test(getComputedStyle(node).overflowX) || moves(node.parentElement));
  return [...document.querySelectorAll("article *")]
    .filter(node => node.getBoundingClientRect().right > wide + 1 && !moves(node))
    .map(node => node.outerHTML.slice(0, 200));
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site's folder, by the command of the Makefile: a warning fails it."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # one site for all of them
    folder = root / "site"
    with (root / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            built = root / "site-begun"
            build(built)
            built.rename(folder)
    return folder / "html"


def build(folder: Path) -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\ndocs: setup\n")[2].splitlines()[0]
    words = shlex.split(recipe.removeprefix("\t@"))
    assert words[0] == "$(BIN)/sphinx-build"
    words = [word.replace("docs/_build", str(folder)) for word in words[1:]]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def pages_of(site: Path) -> list[Path]:
    return [each for each in sorted(site.rglob("*.html")) if "_static" not in each.parts]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium.started() as started:
        yield started


@pytest.fixture
def look(browser: Any) -> Iterator[Any]:
    """Opens a page; what the browser complains of, and each request that leaves the disk, fails."""
    wrong: list[str] = []
    contexts: list[Any] = []

    def page(width: int, scheme: str) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
        )
        contexts.append(context)
        opened = context.new_page()
        opened.on("console", lambda message: wrong.append(f"{opened.url}: {message.text}"))
        opened.on("pageerror", lambda error: wrong.append(f"{opened.url}: {error}"))
        opened.on(
            "request",
            lambda asked: asked.url.startswith(("file:", "data:")) or wrong.append(asked.url),
        )
        return opened

    yield page
    for context in contexts:
        context.close()
    assert not wrong


def test_what_is_made_is_there_and_every_option_has_a_place(site: Path) -> None:
    check = (site / "reference/commands/check.html").read_text()
    assert 'id="cmdoption-soundstage-check-budget"' in check
    # An option is found by its name in the search, with its command.
    index = (site / "searchindex.js").read_text()
    assert "soundstage check.--budget" in index or '"--budget"' in index
    left = [page.name for page in pages_of(site) if "<!-- made" in page.read_text()]
    assert not left


def test_nothing_is_asked_of_a_network(site: Path) -> None:
    """Scripts, styles and pictures of all pages; links are for readers."""
    for page in pages_of(site):
        text = page.read_text()
        asked = re.findall(r'<(?:script|img|iframe)[^>]+src="(.*?)"', text)
        asked += re.findall(r'<link[^>]+rel="(?:stylesheet|icon|preload)"[^>]+href="(.*?)"', text)
        assert not [each for each in asked if re.match(r"(https?:)?//", each)], page


@chromium.needs_chromium
def test_a_search_finds_options_and_pages(site: Path, look: Any) -> None:
    page = look(WIDE, "light")
    page.goto((site / "index.html").as_uri())
    page.fill('input[name="q"]', "--budget")
    page.press('input[name="q"]', "Enter")
    page.wait_for_selector("#search-results ul.search li a")
    page.wait_for_function(
        "() => /finished|complete/i.test(document.querySelector('#search-results').textContent)"
    )
    found = page.eval_on_selector_all(
        "#search-results ul.search li a", "links => links.map(link => link.href)"
    )
    assert any("reference/commands/check.html" in each for each in found), found
    assert any("reference/commands/load.html" in each for each in found), found
    page.click("#search-results ul.search li a >> nth=0")
    page.wait_for_selector("article h1")


@chromium.needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_wider_than_a_phone(scheme: str, site: Path, look: Any) -> None:
    page = look(NARROW, scheme)
    # Half of the pages in each scheme: what is wide is so in both.
    for each in pages_of(site)[scheme == "dark" :: 2]:
        page.goto(each.as_uri(), wait_until="domcontentloaded")
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW, each
        assert page.evaluate(_OUT_OF_SIGHT) == [], each


@chromium.needs_chromium
def test_the_site_is_light_or_dark_as_its_reader_is(site: Path, look: Any) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        page = look(WIDE, scheme)
        page.goto((site / "reference/commands/load.html").as_uri())
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert page.evaluate("document.documentElement.scrollWidth") <= WIDE
    light, dark = (sum(map(int, re.findall(r"\d+", ground)[:3])) for ground in grounds)
    assert light > 600 > 200 > dark
