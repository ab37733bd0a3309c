"""The page of a comparison in a real Chromium, and what hostile strings may not do to a format."""

from __future__ import annotations

import io
import random
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest

from soundstage import cli

CHROMIUM = Path("/usr/bin/chromium")
needs_chromium = pytest.mark.skipif(
    not CHROMIUM.exists(), reason=f"needs {CHROMIUM} (apt-get install chromium)"
)
REQUIRED = "v6/stream/streaming_ready/field/version/required"


@pytest.fixture(scope="module")
def browser() -> Any:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        yield running
        running.close()


@pytest.fixture
def pair(tmp_path: Path, runs: ModuleType) -> list[Path]:
    """A base, and a candidate that is twice as slow and full of hostile strings."""
    paths = []
    for name, seed, slower in (("base", 1, 1.0), ("candidate", 2, 2.0)):
        rng = random.Random(seed)
        rows = [runs.exchange(n, rng, at=n / 5) for n in range(300)]
        for row in rows:
            row["milestones"] = {key: at * slower for key, at in row["milestones"].items()}
            if name == "candidate":
                row["stages"][runs.HOSTILE[:60].replace("\ud800", "")] = [9.0, 9.5, 2]
        rules = runs.contract_rules()
        violations = []
        if name == "candidate":
            rules = [
                runs.broken(REQUIRED, runs.HOSTILE) if each["rule"] == REQUIRED else each
                for each in rules
            ]
            violations = [runs.violation(REQUIRED, "field.missing", runs.HOSTILE)]
        path = runs.write(tmp_path / name, rows, kind="load", rules=rules, violations=violations)
        facts = orjson.loads((path / "run.json").read_bytes())
        facts["command"] = runs.HOSTILE.replace("\ud800", "")
        facts["parameters"] = {"rate": 5, runs.HOSTILE.replace("\ud800", ""): name}
        (path / "run.json").write_bytes(orjson.dumps(facts))
        paths.append(path)
    return paths


def rendered(pair: list[Path], form: str) -> str:
    out, err = io.StringIO(), io.StringIO()
    words = [*map(str, pair), "--force", "--format", form]
    assert cli.run("compare", words, out, err) == 1, err.getvalue()
    return out.getvalue()


@needs_chromium
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_without_complaint_or_request(
    browser: Any, pair: list[Path], tmp_path: Path, scheme: str, width: int
) -> None:
    place = tmp_path / "compare.html"
    place.write_text(rendered(pair, "html"), encoding="utf-8")
    page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(f"dialog {dialog.message}"))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(place.as_uri())
    assert complaints == []
    assert requests == [place.as_uri()]
    assert page.locator("h2").all_inner_texts() == [
        "What weakens this comparison",
        "Gates",
        "Stages",
        "Contract",
        "Times of both arms",
        "About these runs",
    ]
    assert page.locator("script").count() == 0
    assert page.locator("figure svg").count() == page.locator("figure details table").count() == 5
    box = page.locator("body").bounding_box()
    assert box is not None
    assert box["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@pytest.mark.parametrize("form", ["text", "markdown", "html", "json"])
def test_hostile_strings_arrive_harmless_in_every_format(pair: list[Path], form: str):
    said = rendered(pair, form)
    for bad in ("\x1b", "\u202e", "\x00"):
        assert bad not in said
    if form in ("html", "markdown"):
        assert "<script>" not in said
        assert "<img" not in said
    if form == "markdown":
        assert "@everyone" not in said
    assert len(said) < 400_000


@pytest.mark.proof
def test_a_message_of_ten_megabytes_is_cut(tmp_path: Path, runs: ModuleType):
    rows = [runs.exchange(n, random.Random(n), at=n / 5) for n in range(20)]
    rules = [
        runs.broken(REQUIRED, "x" * 10_000_000) if each["rule"] == REQUIRED else each
        for each in runs.contract_rules()
    ]
    a = runs.write(tmp_path / "a", rows, kind="load", rules=runs.contract_rules())
    b = runs.write(tmp_path / "b", rows, kind="load", rules=rules)
    for form in ("text", "markdown", "html"):
        assert len(rendered([a, b], form)) < 300_000
