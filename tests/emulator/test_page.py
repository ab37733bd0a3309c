"""The page at `/`: what it says, to whom, and how it looks in a real Chromium."""

from __future__ import annotations

import asyncio
import html
import json
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support import small_contract

from made_up_api import SHAPES, folder
from soundstage.contract import Contract, load, load_all
from soundstage.emulator import Emulator, Options, Running, running
from soundstage.emulator.service.page import curl_call
from soundstage.generation.faults.legality import stage_of

CONTRACTS = load_all()
CHROMIUM = Path("/usr/bin/chromium")
HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"
TRACKED = next(contract for contract in CONTRACTS.values() if contract.protocol.tracks)


@pytest.fixture(scope="module")
def emulator() -> Iterator[Running]:
    with running(Options(profile="instant", seed=2)) as started:
        yield started


def post(url: str, contract: Contract, kind: str = "stream", **fields: Any) -> httpx.Response:
    endpoint = contract.endpoint_of_kind(kind)
    assert endpoint is not None
    body = dict(next(each.payload for each in contract.examples if each.of == "request"))
    headers = {"Authorization": "Bearer k"}
    return httpx.post(url + endpoint.path, json=body | fields, headers=headers, timeout=60)


def inside(options: Options, **headers: str) -> httpx.Response:
    """The page of an emulator that listens where the options say, as far as it knows."""

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(Emulator(options))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get("/", headers=headers)

    return asyncio.run(get())


# --- what it says ---------------------------------------------------------------------------------


def commands(page: str) -> list[str]:
    return [
        html.unescape(part.partition("</code>")[0])
        for part in page.split('<pre tabindex="0"><code>')[1:]
    ]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_each_command_line_of_the_page_makes_a_song(emulator: Running) -> None:
    lines = commands(httpx.get(emulator.url).text)
    wanted = [e for c in CONTRACTS.values() for e in c.endpoints.values() if e.kind != "status"]
    assert len(lines) == len(wanted)
    for line, endpoint in zip(lines, wanted, strict=True):
        assert endpoint.path in line
        done = subprocess.run(
            shlex.split(line.replace("\\\n", " ")), capture_output=True, timeout=60, check=True
        )
        assert b"http" in done.stdout, line


def test_a_command_line_names_the_method_where_nothing_else_tells_it(tmp_path: Path) -> None:
    """curl takes what has no body for a GET."""
    bare = {word: each for word, each in small_contract.STREAM.items() if word != "request"}
    got = {**bare, "name": "got", "method": "GET", "path": "/tales/got"}
    small_contract.write(tmp_path, [bare, got])
    contract = load("tales", tmp_path)
    lines = [curl_call(contract, each, "http://e", "k") for each in contract.endpoints.values()]
    assert ["-X POST" in line for line in lines] == [True, False]
    assert not any("-d " in line for line in lines)


def test_a_made_up_api_has_a_page_from_its_data_alone(tmp_path: Path) -> None:
    for shape in SHAPES:
        place = tmp_path / shape
        place.mkdir()
        contract = load(shape, folder(place, shape))
        framing = contract.endpoint_of_kind("stream").framings[0]
        with running(Options(framing=framing), contracts={shape: contract}) as made_up:
            page = httpx.get(made_up.url).text
        assert f"{made_up.url}/tune" in page
        assert "{&#34;words&#34;:" in page


def test_it_forbids_the_browser_all_but_itself(emulator: Running) -> None:
    answer = httpx.get(emulator.url)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert httpx.head(emulator.url).status_code == 200
    assert httpx.post(emulator.url).status_code == 405


def test_it_is_light(emulator: Running) -> None:
    assert len(httpx.get(emulator.url).content) < 20_000


@pytest.mark.parametrize("host", [HOSTILE, '"><script>', "a b", "[::1"])
def test_a_host_that_makes_no_url_is_not_repeated(emulator: Running, host: str) -> None:
    page = httpx.get(emulator.url, headers={"Host": host}).text
    assert host not in page
    assert "<script>alert" not in page
    assert page.count("<script>") == 1


def test_songs_are_shown_only_where_the_admin_api_may_be_used() -> None:
    assert 'id="songs"' in inside(Options()).text
    assert 'id="songs"' not in inside(Options(host="0.0.0.0")).text
    assert 'id="songs"' not in inside(Options(), Host="evil.example").text
    assert "how to call it" in inside(Options(host="0.0.0.0")).text.lower()


def test_keys_that_were_given_to_somebody_are_not_shown() -> None:
    page = inside(Options(keys=("a-key-of-mine",))).text
    assert "a-key-of-mine" not in page
    assert "Bearer YOUR-KEY" in page


# --- how it looks ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip(f"needs {CHROMIUM} (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        yield started
        started.close()


class Looked:
    """A page that is open, with what it complained of and what it asked for."""

    def __init__(self, browser: Any, url: str, scheme: str = "light", width: int = 1200) -> None:
        self.page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog {dialog.message}"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(url)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 390)])
@pytest.mark.proof
def test_it_shows_songs_with_stages_and_players(
    browser: Any, emulator: Running, scheme: str, width: int
) -> None:
    answers = {api: post(emulator.url, contract) for api, contract in CONTRACTS.items()}
    assert all(answer.status_code == 200 for answer in answers.values())
    looked = Looked(browser, emulator.url, scheme, width)
    page = looked.page
    page.wait_for_selector(".song audio")
    first = page.locator(".song").first
    last_asked = list(CONTRACTS.values())[-1]
    assert f"{last_asked.api}, " in first.locator("p").inner_text()
    tracks = last_asked.protocol.tracks
    assert first.locator("audio").count() == (len(tracks.values) if tracks else 1)
    assert first.locator("li.done").count() == first.locator("li").count() > 1
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(251, 251, 250)", "dark": "rgb(16, 18, 20)"}[scheme]
    assert looked.complaints == []
    assert all(url.startswith(emulator.url) for url in looked.requests)
    assert not any("/assets/" in url for url in looked.requests), "players fetch unasked"
    page.close()


@pytest.mark.proof
def test_a_player_plays(browser: Any, emulator: Running) -> None:
    """Not from the same name of the host as the song was asked for under."""
    post(emulator.url, TRACKED)
    looked = Looked(browser, emulator.url.replace("127.0.0.1", "localhost"))
    looked.page.wait_for_selector(".song audio")
    seconds = looked.page.evaluate(
        """async () => {
            const audio = document.querySelector(".song audio");
            const known = new Promise((yes, no) => {
                audio.onloadedmetadata = () => yes(audio.duration);
                audio.onerror = () => no(new Error(audio.error.message));
            });
            audio.preload = "metadata";
            audio.load();
            return await known;
        }"""
    )
    assert seconds > 1
    assert looked.complaints == []
    looked.page.close()


@pytest.mark.proof
def test_hostile_prompts_are_only_text(browser: Any, emulator: Running) -> None:
    post(emulator.url, TRACKED, prompt=HOSTILE)
    looked = Looked(browser, emulator.url)
    looked.page.wait_for_selector(".song")
    assert HOSTILE in looked.page.locator(".song").first.inner_text()
    assert looked.page.locator("img").count() == 0
    assert looked.page.locator("script").count() == 1
    assert looked.complaints == []
    looked.page.close()


@pytest.mark.proof
def test_stages_go_on_while_one_looks(browser: Any) -> None:
    with running(Options(profile="realistic", speed=20, seed=3)) as own:
        looked = Looked(browser, own.url)
        page = looked.page
        page.locator("#state", has_text="None yet.").wait_for()
        asking = threading.Thread(target=post, args=(own.url, TRACKED))
        asking.start()
        page.wait_for_selector("li.now[aria-current=step]", timeout=30_000)
        page.wait_for_selector(".song progress[hidden]", state="attached", timeout=60_000)
        asking.join()
        assert page.locator("li.now").count() == 0
        assert page.locator(".song audio").count() == len(TRACKED.protocol.tracks.values)
        assert looked.complaints == []
        page.close()


@pytest.mark.proof
def test_a_failed_song_shows_how_far_it_came(browser: Any, emulator: Running) -> None:
    answer = post(emulator.url, TRACKED, prompt="a song with the failing-test-word")
    said = [json.loads(line[6:]) for line in answer.text.splitlines() if line]
    stages = [stage.name for stage in (stage_of(TRACKED, chunk) for chunk in said) if stage]
    looked = Looked(browser, emulator.url)
    looked.page.wait_for_selector(".song li.bad")
    first = looked.page.locator(".song").first
    assert sorted(first.locator("li").all_inner_texts()) == sorted(set(stages))
    assert first.locator("li.bad").inner_text() == stages[-1]
    assert first.locator("li.done").count() == len(set(stages)) - 1
    looked.page.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 390)])
@pytest.mark.proof
def test_refused_requests_are_shown_with_the_field_and_the_reason(
    browser: Any, scheme: str, width: int
) -> None:
    with running(Options(profile="instant", seed=4)) as own:
        for _ in range(25):
            httpx.get(f"{own.url}/v6/{HOSTILE}/{'x' * 500}")
        path = TRACKED.endpoint_of_kind("stream").path  # type: ignore[union-attr]
        refused = post(own.url, TRACKED, prompt=7, lyrics=[HOSTILE])
        assert refused.status_code == 422
        looked = Looked(browser, own.url, scheme, width)
        page = looked.page
        page.wait_for_selector(".refusals > li")
        assert page.locator(".refusals > li").count() == 20
        first = page.locator(".refusals > li").first.inner_text()
        assert f"422 POST {path}" in first
        assert "prompt: expected a text, got the number 7" in first
        assert "lyrics: expected a text, got an array of 1 item" in first
        assert HOSTILE not in first
        assert "no such path" in page.locator(".refusals > li").nth(1).inner_text()
        assert page.locator("img").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert looked.complaints == []
        page.close()


@pytest.mark.proof
def test_a_page_of_another_origin_reads_why_it_was_refused(browser: Any, emulator: Running) -> None:
    """What it does wrong it is told by the emulator, not by the browser."""
    other = emulator.url.replace("127.0.0.1", "localhost")
    looked = Looked(browser, other + "/status/generation/x")
    told = looked.page.evaluate(
        """async (url) => {
            const found = [];
            for (const [path, method, body] of [
                ["/v6/generate/sing", "POST", "{}"], ["/v6/generate/song", "PUT", "{}"],
                ["/v6/generate/song", "POST", "{}"], ["/v6/generate/song", "POST", "no json"],
            ]) {
                const headers = {"Authorization": "Bearer k", "Content-Type": "application/json"};
                const answer = await fetch(url + path, { method, headers, body });
                found.push([answer.status, answer.headers.get("soundstage-refused")]);
            }
            return found;
        }""",
        emulator.url,
    )
    assert [status for status, _ in told] == [404, 405, 400, 400]
    assert "did you mean POST /v6/generate/song" in told[0][1]
    assert told[1][1] == "PUT is not answered here; there is POST"
    assert told[2][1].startswith("prompt: missing")
    assert "line 1, column 1" in told[3][1]
    looked.page.close()
