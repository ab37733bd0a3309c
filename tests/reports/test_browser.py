"""The page in a real Chromium: no request, no complaint, all parts there, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from soundstage.reports import cli, html
from soundstage.results.bundle import Bundle

CHROMIUM = Path("/usr/bin/chromium")

pytestmark = pytest.mark.skipif(
    not CHROMIUM.exists(), reason=f"needs {CHROMIUM} (apt-get install chromium)"
)


@pytest.fixture(scope="module")
def browser() -> Any:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        yield running
        running.close()


def opened(browser: Any, place: Path, scheme: str, width: int) -> tuple[Any, list[str], list[str]]:
    page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(f"dialog {dialog.message}"))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(place.as_uri())
    return page, complaints, requests


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_without_complaint_or_request(
    browser: Any, check_bundle: Path, scheme: str, width: int
) -> None:
    place = check_bundle / "report.html"
    place.write_text(html.render(cli.read(Bundle.open(check_bundle))), encoding="utf-8")
    page, complaints, requests = opened(browser, place, scheme, width)
    assert complaints == []
    assert requests == [place.as_uri()]
    assert page.locator("h1").inner_text().strip().endswith("Contract broken")
    assert page.locator("h2").all_inner_texts() == [
        "Findings",
        "Times",
        "Charts",
        "Contract",
        "Not judged",
        "About this run",
    ]
    assert page.locator("svg[role=img]").count() == 7
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(251, 251, 250)", "dark": "rgb(16, 18, 20)"}[scheme]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_no_script_of_the_api_runs(browser: Any, bundle: Any, runs: Any) -> None:
    path = bundle(
        rules=[runs.broken(runs.REQUIRED, runs.HOSTILE, text=runs.HOSTILE)],
        finish={"verdict": "fail", "exit_code": 1, "reason": runs.HOSTILE},
    )
    report = path / "report.html"
    report.write_text(html.render(cli.read(Bundle.open(path))), encoding="utf-8")
    page, complaints, requests = opened(browser, report, "light", 1280)
    assert complaints == []
    assert requests == [report.as_uri()]
    assert page.locator("script, img").count() == 0
    assert "<script>alert(1)</script>" in page.locator(".evidence").inner_text()
    page.close()
