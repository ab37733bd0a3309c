"""Every kind of page for those who do not use a mouse or a screen, or one of 390 px: axe-core finds
nothing, light and dark, wide and narrow; nothing is out of sight, and no word too small to read.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import chromium
import pytest

from soundstage import cli as commands
from soundstage.reports.formats import html
from soundstage.reports.run.findings import read_report
from soundstage.results.bundle import Bundle

AXE = Path(__file__).parents[1] / "published" / "node_modules" / "axe-core" / "axe.min.js"
OUT_OF_SIGHT = Path(chromium.__file__).with_name("out_of_sight.js")

pytestmark = [chromium.needs_chromium, pytest.mark.proof]

KINDS = [
    "red check",
    "green check",
    "load",
    "capacity",
    "slower",
    "not comparable",
    "trend",
    "too few",
    "index",
]
#: Each scheme and each width once: the rules take seconds a view.
VIEWS = [("light", 1280), ("dark", 390)]
DRAWINGS_TAKEN_OUT = """document.querySelectorAll("svg[role=img] > *").forEach(one => {
    if (!["title", "desc"].includes(one.localName)) one.remove()
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium.started() as browser:
        yield browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, runs: ModuleType) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("kinds")
    root = folder / "runs"
    found = {
        "red check": reported(runs.check_run(root / "red")),
        "green check": reported(
            runs.write(
                root / "green",
                [runs.exchange(n, random.Random(n), at=n) for n in range(3)],
                rules=runs.contract_rules(),
            )
        ),
        "load": reported(runs.every_chart(root / "load")),
        "capacity": reported(runs.every_chart(root / "capacity", capacity=runs.capacity())),
    }
    for day in range(12):
        songs(runs, root / f"night-{day:02d}", day, slow=2.0 if day >= 7 else 1.0)
    for name, arms in (("slower", ("night-00", "night-10")), ("not comparable", ("red", "load"))):
        found[name] = folder / f"{name}.html"
        both = [str(root / arm) for arm in arms]
        found[name].write_text(called("compare", *both, "--format", "html"), encoding="utf-8")
    called("runs", "trend", "--runs", str(root))
    called("runs", "trend", "--runs", str(root), "--limit", "3", "--output", f"{folder}/few.html")
    (root / "damaged").mkdir()
    (root / "damaged" / "run.json").write_text("{}")
    called("runs", "index", "--runs", str(root))
    found["trend"], found["too few"] = root / "trend.html", folder / "few.html"
    found["index"] = root / "index.html"
    assert list(found) == KINDS
    return found


def called(name: str, *arguments: str) -> str:
    out, err = io.StringIO(), io.StringIO()
    commands.run(name, list(arguments), out, err)
    assert "Traceback" not in err.getvalue()
    return out.getvalue()


def reported(path: Path) -> Path:
    place = path / "report.html"
    place.write_text(html.render(read_report(Bundle.open(path))), encoding="utf-8")
    return place


def songs(runs: ModuleType, path: Path, day: int, slow: float) -> None:
    rng = random.Random(day)
    rows = [runs.exchange(n + 1, rng, at=n / 5) for n in range(60)]
    for row in rows:
        row["milestones"] = {key: at and at * slow for key, at in row["milestones"].items()}
    created = f"2026-02-{day + 1:02d}T00:00:00.000Z"
    runs.write(path, rows, kind="load", created=created, rules=runs.contract_rules())


@pytest.fixture(scope="module")
def seen(browser: Any, pages: dict[str, Path]) -> Callable[[str, str, int], Any]:
    """Opens a kind of page, in a colour scheme and a width, with all that is folded unfolded. In
    one tab: each new one takes a quarter of a second of CPU.
    """
    page = browser.new_page(reduced_motion="reduce")

    def see(kind: str, scheme: str, width: int) -> Any:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.goto(pages[kind].as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        return page

    return see


@pytest.mark.skipif(not AXE.exists(), reason="needs npm: make test installs axe-core")
@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_nothing(seen: Any, kind: str) -> None:
    axe = AXE.read_text("utf-8")
    for scheme, width in VIEWS:
        page = seen(kind, scheme, width)
        # A picture is one thing to those who hear it: its title and description.
        page.evaluate(DRAWINGS_TAKEN_OUT)
        page.evaluate(axe)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        bad = [
            (each["id"], each["impact"], each["nodes"][0]["html"][:200])
            for each in found["violations"]
        ]
        assert bad == [], f"{kind}, {scheme}, {width} px"
        assert {"color-contrast", "heading-order", "html-has-lang", "region"} <= {
            each["id"] for each in found["passes"]
        }, "it looked"


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_out_of_sight_or_too_small_to_read(seen: Any, kind: str) -> None:
    for width in (390, 320, 1280):
        page = seen(kind, "light", width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if width != 320:  # there charts shrink by a fifth, and nothing else does
            assert page.evaluate(OUT_OF_SIGHT.read_text("utf-8")) == [], f"{kind}, {width} px"


@pytest.mark.parametrize("kind", KINDS)
def test_on_a_narrow_screen_every_cell_says_its_column(seen: Any, kind: str) -> None:
    page = seen(kind, "light", 390)
    unsaid = page.locator("table:has(thead) tbody td:visible").evaluate_all(
        "all => all.filter(one => !one.dataset.label).map(one => one.outerHTML.slice(0, 200))"
    )
    assert unsaid == []
    beside = page.locator("tbody tr:visible").evaluate_all(
        """all => all.filter(row => [...row.children].some((one, n) => n && one.offsetWidth
            && one.offsetTop === row.children[n - 1].offsetTop)).length"""
    )
    assert beside == 0, "cells stand one beneath the other"


@pytest.mark.parametrize("kind", KINDS)
def test_what_can_be_reached_by_keyboard_shows_that_it_is(seen: Any, kind: str) -> None:
    page = seen(kind, "dark", 1280)
    for _ in range(12):
        page.keyboard.press("Tab")
        shown = page.evaluate(
            """() => {
                const one = document.activeElement, how = getComputedStyle(one);
                return one === document.body
                    || (how.outlineStyle !== 'none' && parseFloat(how.outlineWidth) >= 1);
            }"""
        )
        assert shown, page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
