"""The pages in a real Chromium: no request, no complaint, all parts there, light and dark, narrow,
under a policy that forbids their style sheet. For whom they have to be legible says
`test_accessible_pages`.
"""

from __future__ import annotations

import http.server
import io
import random
import threading
import unicodedata
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
from worst_bundle import make_worst

pytestmark = [
    chromium.needs_chromium,
    pytest.mark.proof,  # all of them, so that the browser is started once
]
GROUND = {"light": "rgb(251, 251, 250)", "dark": "rgb(16, 18, 20)"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium.started() as browser:
        yield browser


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., tuple[Any, list[str], list[str]]]]:
    """Opens a URL: the page, what the browser complained of, what was asked of a network."""
    pages: list[Any] = []

    def open_(url: str, **how: Any) -> tuple[Any, list[str], list[str]]:
        page = browser.new_page(viewport={"width": 1280, "height": 900}, **how)
        pages.append(page)
        complaints: list[str] = []
        requests: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog {dialog.message}"))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(url)
        return page, complaints, requests

    yield open_
    for page in pages:
        page.close()


def written(path: Path) -> Path:
    place = path / "report.html"
    place.write_text(html.render(read_report(Bundle.open(path))), encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory, runs: ModuleType) -> Path:
    """The report of a load run in which there is something for each chart to show."""
    place = runs.every_chart(
        tmp_path_factory.mktemp("everything") / "run",
        runs.rule("v5/stream/index/consecutive", "warned", violations=1),
        capacity=runs.capacity(),
    )
    return written(place)


def test_the_page_opens_without_complaint_or_request(opened: Any, check_bundle: Path) -> None:
    place = written(check_bundle)
    page, complaints, requests = opened(place.as_uri())
    assert complaints == []
    assert requests == [place.as_uri()]
    assert page.locator("h1").inner_text().strip().endswith("Contract broken")
    assert page.locator("h2").all_text_contents() == [
        "Findings",
        "Failures 1 exchange of 7",
        "Contract",
        "Not judged",
        "Times",
        "Charts",
        "About this run",
    ]
    folded = page.locator("details.fold")
    assert folded.locator("h2").first.is_hidden(), "those of an emulator prove nothing"
    folded.locator("summary").first.click()
    assert folded.locator("h2").first.is_visible()
    assert page.locator("svg[role=img]:visible").count() == page.locator("figure").count() > 6
    for scheme, width in (("light", 1280), ("dark", 1280), ("dark", 390), ("light", 390)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == GROUND[scheme]
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_each_chart_of_a_load_run_has_a_name_words_and_its_table(
    opened: Any, everything: Path
) -> None:
    page, complaints, requests = opened(everything.as_uri())
    assert complaints == []
    assert requests == [everything.as_uri()]
    drawn = page.locator("figure svg:visible").evaluate_all("all => all.map(one => one.id)")
    assert set(drawn) == {
        "capacity-chart",
        "ecdf-v6-stream",
        "waterfall-v6-stream",
        "timeline",
        "course-v6-stream",
        "generator",
        "survival-v6-stream",
        "matrix",
    }
    for chart in drawn:
        figure = page.locator(f"figure:has(> div > svg#{chart})")
        assert figure.locator(f"svg#{chart} > title").text_content().strip()
        assert len(figure.locator(f"svg#{chart} > desc").text_content()) > 10
        assert figure.locator("details table tbody tr").count() > 0
        box = figure.locator(f"svg#{chart}").bounding_box()
        assert box["width"] > 300
        assert box["height"] > 40
    # What voids the answer stands above all else.
    assert (
        page.locator(".voids").bounding_box()["y"] < page.locator("table").first.bounding_box()["y"]
    )


def test_findings_narrow_to_an_endpoint_without_a_script(opened: Any, everything: Path) -> None:
    page, _, _ = opened(everything.as_uri(), java_script_enabled=False)
    findings = page.locator("details.finding")
    assert [each.is_visible() for each in findings.all()] == [True, True]
    page.get_by_label("v5 stream").check()
    assert [each.is_visible() for each in findings.all()] == [False, True]
    page.get_by_label("all", exact=True).check()
    assert [each.is_visible() for each in findings.all()] == [True, True]


class _Strict(http.server.SimpleHTTPRequestHandler):
    """Serves a folder as Jenkins serves artifacts: no style of the page's own, no script."""

    def end_headers(self) -> None:
        policy = "sandbox; default-src 'none'; img-src 'self'; style-src 'self'"
        self.send_header("Content-Security-Policy", policy)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def strict(everything: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *given: _Strict(*given, directory=str(everything.parent))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/report.html"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_under_a_strict_policy_the_charts_still_show(opened: Any, strict: str, scheme: str) -> None:
    page, _, requests = opened(strict, color_scheme=scheme)
    assert [each for each in requests if not each.endswith("favicon.ico")] == [strict]
    assert page.evaluate("getComputedStyle(document.body).marginTop") == "8px", "a style applied"
    svgs = page.locator("figure svg:visible")
    assert svgs.count() == 8
    for each in svgs.all():
        box = each.bounding_box()
        assert box["width"] > 300
        assert box["height"] > 40
    assert not page.locator(".filter").is_visible(), "it could narrow nothing"
    # Marks keep their colours, and words are not painted in the colour of the ground.
    paint = "all => [...new Set(all.map(one => getComputedStyle(one).fill))]"
    assert "rgb(63, 131, 240)" in page.locator("svg rect").evaluate_all(paint)
    ink = {"light": "rgb(0, 0, 0)", "dark": "rgb(255, 255, 255)"}[scheme]
    assert ink in page.locator("svg text").evaluate_all(paint)
    table = page.locator("figure details").first
    table.locator("summary").click()
    assert table.locator("table").is_visible()


def test_no_script_of_the_api_runs(opened: Any, bundle: Any, runs: Any) -> None:
    hostile = runs.HOSTILE.replace("\ud800", "")
    row = runs.exchange(1, random.Random(1), at=0.1)
    row["stages"][hostile] = [0.1, 0.1, 1]
    row["codes"][hostile] = 1
    path = bundle(
        [row, runs.exchange(2, random.Random(2), outcome="timeout", reason=hostile)],
        kind="load",
        rules=[
            runs.broken(runs.REQUIRED, runs.HOSTILE, text=runs.HOSTILE, source=hostile),
            runs.broken(f"v6/stream/{hostile}/field/x", "x" * 10_000_000),
        ],
        violations=[runs.violation(runs.REQUIRED, hostile, hostile)],
        finish={
            "verdict": "fail",
            "exit_code": 1,
            "reason": runs.HOSTILE,
            "voids": [{"kind": "target", "message": hostile}],
            "slos": [{**runs.slo("streaming_ready.p95<9s"), "slo": hostile, "reason": hostile}],
            "capacity": {**runs.capacity(), "slos": [hostile]},
            "totals": {hostile: hostile},
        },
        command=hostile,
        parameters={hostile: hostile},
    )
    report = written(path)
    assert report.stat().st_size < 300_000
    page, complaints, requests = opened(report.as_uri())
    for each in page.locator("details").all():
        each.evaluate("one => one.open = true")
    assert complaints == []
    assert requests == [report.as_uri()]
    assert page.locator("script, img, iframe, object, link").count() == 0
    assert "<script>alert(1)</script>" in page.locator(".evidence").first.inner_text()
    shown = page.locator("body").inner_text()
    assert not {"\u202e", "\x1b", "\x00"} & set(shown)


#: What no page of ours has, whatever was written into it.
FOREIGN = (
    "script, img, image, iframe, object, embed, link, base, form, video, audio, math, animate, "
    "foreignObject, meta[http-equiv=refresh], [href^='javascript:'], [href^='data:'], [ping]"
)
#: Attributes that run something, wherever they stand.
HANDLERS = """() => [...document.querySelectorAll('*')].flatMap(
    one => one.getAttributeNames().filter(name => name.startsWith('on')))"""


@pytest.fixture(scope="module")
def worst(tmp_path_factory: pytest.TempPathFactory, runs: ModuleType) -> dict[str, Path]:
    """A report, two comparisons and a trend of the worst runs that the schemas let through."""
    folder = tmp_path_factory.mktemp("worst") / "runs"
    for name, day, slow in (("a", 1, 1.0), ("b", 2, 3.0), ("void", 3, 2.0)):
        rng = random.Random(day)
        rows = [
            runs.exchange(n + 1, rng, at=n / 5, outcome="timeout" if n % 20 == 9 else "ok")
            for n in range(80)
        ]
        for row in rows:
            row["milestones"] = {key: at * slow for key, at in row["milestones"].items()}
        rules = [
            runs.broken(each["rule"], "x") if number % 40 == 0 else each
            for number, each in enumerate(runs.contract_rules())
        ]
        made = runs.write(
            folder / name,
            rows,
            kind="load",
            created=f"2026-02-{day:02d}T00:00:00.000Z",
            rules=rules,
            violations=[runs.violation(runs.REQUIRED, "field.missing", "x") for _ in range(6)],
            finish={
                "verdict": "fail",
                "exit_code": 1,
                "reason": "x",
                "voids": [{"kind": "target", "message": "x"}] if name == "void" else [],
                "slos": [runs.slo("streaming_ready.p95<9s"), runs.slo("complete.p95<1s", "pass")],
                "capacity": runs.capacity(),
                "totals": {"x": "x"},
            },
            health=[runs.health(second) for second in range(14)],
        )
        make_worst(made)
    found = {"report": written(folder / "void")}
    for name, arms in (("slower", ("a", "b")), ("faster", ("b", "a"))):
        out, err = io.StringIO(), io.StringIO()
        asked = [*(str(folder / arm) for arm in arms), "--format", "html"]
        assert commands.run("compare", asked, out, err) in (0, 1, 3, 4, 6), err.getvalue()
        found[name] = folder.parent / f"{name}.html"
        found[name].write_text(out.getvalue(), encoding="utf-8")
    out, err = io.StringIO(), io.StringIO()
    trend = ["trend", "--runs", str(folder), "--milestone", "complete"]
    assert commands.run("runs", trend, out, err) == 0, err.getvalue()
    found["trend"] = folder / "trend.html"
    return found


@pytest.mark.parametrize("name", ["report", "slower", "faster", "trend"])
def test_the_worst_run_is_only_text(opened: Any, worst: dict[str, Path], name: str) -> None:
    place = worst[name]
    assert place.stat().st_size < 2_000_000
    page, complaints, requests = opened(place.as_uri())
    for each in page.locator("details").all():
        each.evaluate("one => one.open = true")
    for scheme, width in (("light", 1280), ("dark", 1280), ("dark", 390)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        page.mouse.move(200, 300)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (scheme, width)
        # A narrow table is folded: there a name stands above its figures.
        share = page.locator("tbody th:not([colspan])").evaluate_all(
            "all => Math.max(0, ...all.map(one => one.offsetWidth / one.offsetParent.offsetWidth))"
        )
        assert width < 720 or share < 0.55, "a long name leaves room for the figures beside it"
    assert page.evaluate("window.hit") is None
    assert complaints == []
    assert requests == [place.as_uri()]
    assert page.url == place.as_uri()
    assert page.locator(FOREIGN).count() == 0
    assert page.evaluate(HANDLERS) == []
    assert page.locator("style").count() == 1
    assert page.locator("head title").count() == 1
    shown = page.locator("body").inner_text() + page.title()
    assert "evil.example" in shown or name == "trend", "they are there, as text"
    assert not [
        each
        for each in shown
        if unicodedata.category(each) in ("Cc", "Cf", "Co", "Cs") and each not in "\n\t"
    ]
    assert "49" not in page.title()
