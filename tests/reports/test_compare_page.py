"""The page of a comparison in a real Chromium, and what hostile strings may not do to a format."""

from __future__ import annotations

import io
import random
import re
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote

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
        "Changes and stages",
        "Gates",
        "Contract",
        "Times of both arms",
        "About these runs",
    ]
    assert page.locator("script").count() == 0
    assert page.locator("figure svg:visible").count() == page.locator("figure").count() == 8
    assert page.locator("figure details table").count() == 8
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


# --- the page that is left by default, and its links ----------------------------------------------


def compare(*words: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = cli.run("compare", [str(word) for word in words], out, err)
    return code, out.getvalue(), err.getvalue()


def test_a_page_is_left_beside_the_candidate_and_its_path_is_said(
    pair: list[Path], tmp_path: Path
) -> None:
    code, out, _ = compare(*pair, "--force")
    place = tmp_path / "candidate" / "compare-base.html"
    assert code == 1
    assert out.splitlines()[-1] == f"page: {place}"
    assert "Soundstage comparison" in place.read_text(encoding="utf-8")
    assert [each.name for each in tmp_path.glob("*/*.html")] == ["compare-base.html"]


def test_comparing_again_replaces_its_own_page_and_no_other(pair: list[Path]) -> None:
    other = pair[1] / "compare-another.html"
    other.write_text("mine")
    place = pair[1] / "compare-base.html"
    compare(*pair, "--force")
    first = place.read_text(encoding="utf-8")
    compare(*pair, "--force", "--margin", "20%")
    assert place.read_text(encoding="utf-8") != first
    assert other.read_text() == "mine"


def test_a_link_in_a_folder_that_others_prepared_leads_the_page_nowhere(
    pair: list[Path], tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere.txt"
    elsewhere.write_text("mine")
    (pair[1] / "compare-base.html").symlink_to(elsewhere)
    compare(*pair, "--force")
    assert elsewhere.read_text() == "mine"
    assert not (pair[1] / "compare-base.html").is_symlink()


def test_a_document_on_standard_output_stays_alone_there(pair: list[Path]) -> None:
    _, out, err = compare(*pair, "--force", "--format", "json")
    assert orjson.loads(out)["verdict"] == "contract broken"
    assert err == f"page: {pair[1] / 'compare-base.html'}\n"


@pytest.mark.parametrize("words", [["--no-page"], ["--format", "html"]])
def test_no_page_is_left_where_none_is_wanted_or_it_is_printed(
    pair: list[Path], words: list[str]
) -> None:
    compare(*pair, "--force", *words)
    assert not list(pair[1].glob("*.html"))


def test_a_page_goes_where_it_is_asked_for(pair: list[Path], tmp_path: Path) -> None:
    place = tmp_path / "mine.html"
    _, out, _ = compare(*pair, "--force", "--html", place)
    assert out.splitlines()[-1] == f"page: {place}"
    assert place.is_file()
    assert not list(pair[1].glob("*.html"))


def test_a_place_that_takes_no_page_is_one_line_and_the_code_stays(pair: list[Path]) -> None:
    (pair[1] / "compare-base.html").mkdir()
    code, out, err = compare(*pair, "--force")
    assert code == 1
    assert "page: " not in out
    (line,) = err.splitlines()
    assert "no page: " in line
    assert "--html FILE puts it elsewhere" in line


def test_a_page_that_was_asked_for_and_cannot_be_is_an_error(pair: list[Path]) -> None:
    code, _, err = compare(*pair, "--force", "--html", "/nowhere/x.html")
    assert code == 2
    assert "--html /nowhere/x.html: cannot write" in err


def test_a_page_links_to_the_reports_that_are_there_and_names_the_command_for_others(
    pair: list[Path], tmp_path: Path
) -> None:
    (pair[0] / "report.html").write_text("a report")
    compare(*pair, "--force")
    said = (pair[1] / "compare-base.html").read_text(encoding="utf-8")
    assert 'href="../base/report.html"' in said
    assert f"soundstage report {pair[1]}" in said
    compare(*pair, "--force", "--html", tmp_path / "x.html")
    assert 'href="./base/report.html"' in (tmp_path / "x.html").read_text(encoding="utf-8")


def test_no_folder_can_turn_a_link_into_another_address(tmp_path: Path, runs: ModuleType) -> None:
    strange = tmp_path / 'javascript:alert(1)//"onclick=x #?%2e'
    strange.mkdir(parents=True)
    paths = []
    for name, seed in (("a", 1), ("b", 2)):
        rows = [runs.exchange(n, random.Random(seed * n), at=n / 5) for n in range(30)]
        paths.append(runs.write(strange / name, rows, kind="load", rules=runs.contract_rules()))
        (paths[-1] / "report.html").write_text("a report")
    compare(*paths, "--html", tmp_path / "x.html")
    said = (tmp_path / "x.html").read_text(encoding="utf-8")
    links = re.findall(r'href="([^#][^"]*)"', said)
    assert links
    assert all(re.fullmatch(r"\./[A-Za-z0-9/%._-]+/report\.html", each) for each in links)
    assert (tmp_path / unquote(links[0])).is_file()


def test_an_id_that_is_no_name_of_a_file_makes_one(pair: list[Path], tmp_path: Path) -> None:
    facts = orjson.loads((pair[0] / "run.json").read_bytes())
    (pair[0] / "run.json").write_bytes(orjson.dumps({**facts, "id": "../../etc/pass wd\n<b>"}))
    _, out, _ = compare(*pair, "--force")
    place = pair[1] / "compare-etc-pass-wd-b.html"
    assert out.splitlines()[-1] == f"page: {place}"
    assert place.is_file()


def test_a_page_of_runs_that_do_not_compare_says_why_once(tmp_path: Path, runs: ModuleType) -> None:
    paths = [
        runs.write(
            tmp_path / name,
            [runs.exchange(n, random.Random(n), at=n / 5) for n in range(30)],
            kind="load",
            rules=runs.contract_rules(),
            parameters={"rate": rate},
        )
        for name, rate in (("a", 5), ("b", 9))
    ]
    assert compare(*paths)[0] == 6
    said = (paths[1] / "compare-a.html").read_text(encoding="utf-8")
    body = said[said.index("<body>") :]
    assert body.count("rate: 5 against 9") == 1
    assert "--allow rate" in body
    assert "What weakens" not in body
