"""Clients that people use read a whole song from the emulator: curl, Node, a browser, httpx-sse.

Of every version, with what its data says; the programs that the pages print are in tests/samples.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import connect_sse

from soundstage.conformance.engine import StreamCheck
from soundstage.contract import Contract, load_all
from soundstage.emulator import Options, Running, running

CONTRACTS = load_all()
CHROMIUM = Path("/usr/bin/chromium")
each_contract = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)

#: What a page or a Node program does: reads pieces, cuts events at blank lines.
FETCH = """
async (url, body) => {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "Authorization": "Bearer my-key", "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const found = [];
  let pieces = 0;
  let buffer = "";
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    pieces += 1;
    buffer += value;
    const events = buffer.split("\\n\\n");
    buffer = events.pop();
    for (const event of events) {
      if (event.startsWith("data: ")) found.push(JSON.parse(event.slice(6)));
    }
  }
  return { chunks: found, pieces, rest: buffer };
}
"""


@pytest.fixture(scope="module")
def emulator() -> Iterator[Running]:
    # A pace at which chunks come one by one.
    with running(Options(profile="realistic", speed=60, seed=8), process=True) as started:
        yield started


def request_of(contract: Contract) -> dict[str, Any]:
    return dict(next(each.payload for each in contract.examples if each.of == "request"))


def url_of(emulator: Running, contract: Contract) -> str:
    endpoint = contract.endpoint_of_kind("stream")
    assert endpoint is not None
    return emulator.url + endpoint.path


def is_a_whole_song(contract: Contract, chunks: list[dict[str, Any]]) -> None:
    """What the reader got breaks no rule and comes to its end."""
    endpoint = contract.endpoint_of_kind("stream")
    assert endpoint is not None
    check = StreamCheck(contract, endpoint.name)
    for chunk in chunks:
        check.event(json.dumps(chunk).encode())
    check.close()
    assert [v.message for v in check.violations if v.severity == "error"] == []
    assert check.ended
    assert check.reason is None


@each_contract
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_reads_a_whole_song_as_it_comes(emulator: Running, contract: Contract) -> None:
    command = [
        *("curl", "-sSN", "--fail", url_of(emulator, contract)),
        *("-H", "Authorization: Bearer my-key", "-H", "Content-Type: application/json"),
        *("-d", json.dumps(request_of(contract))),
    ]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    lines = [line for line in done.stdout.split(b"\n") if line]
    assert all(line.startswith(b"data: ") for line in lines)
    assert done.stdout.endswith(b"\n\n")
    is_a_whole_song(contract, [json.loads(line[6:]) for line in lines])


@each_contract
@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_fetch_in_node_reads_a_whole_song(
    emulator: Running, contract: Contract, tmp_path: Path
) -> None:
    arguments = f"{json.dumps(url_of(emulator, contract))}, {json.dumps(request_of(contract))}"
    program = tmp_path / "reader.mjs"
    program.write_text(f"console.log(JSON.stringify(await ({FETCH})({arguments})));\n")
    done = subprocess.run(
        ["node", str(program)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)
    is_a_whole_song(contract, read["chunks"])
    assert read["rest"] == ""
    assert read["pieces"] > 3, "the chunks did not come one by one"


@each_contract
def test_httpx_sse_reads_a_whole_song(emulator: Running, contract: Contract) -> None:
    with (
        httpx.Client(headers={"Authorization": "Bearer my-key"}, timeout=60) as client,
        connect_sse(
            client, "POST", url_of(emulator, contract), json=request_of(contract)
        ) as source,
    ):
        chunks = [event.json() for event in source.iter_sse()]
    is_a_whole_song(contract, chunks)


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


@each_contract
@pytest.mark.parametrize("origin", ["the same origin", "another origin"])
@pytest.mark.proof
def test_fetch_in_a_browser_reads_a_whole_song(
    browser: Any, emulator: Running, contract: Contract, origin: str
) -> None:
    page = browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
    # A developer's own page is on this machine too, and of another origin than the emulator.
    host = "127.0.0.1" if origin == "the same origin" else "localhost"
    page.goto(emulator.url.replace("127.0.0.1", host) + "/_emulator/health")
    body = request_of(contract)
    read = page.evaluate(
        f"([url, body]) => ({FETCH})(url, body)", [url_of(emulator, contract), body]
    )
    page.close()
    is_a_whole_song(contract, read["chunks"])
    assert read["rest"] == ""
    assert read["pieces"] > 3, "the chunks did not come one by one"
    assert complaints == []


@each_contract
@pytest.mark.proof
def test_a_character_in_two_segments_reaches_a_browser_whole(
    browser: Any, emulator: Running, contract: Contract
) -> None:
    page = browser.new_page()
    page.goto(emulator.url + "/_emulator/health")
    fault = '"Soundstage-Fault": "wire/split_character", "Content-Type"'
    reader = FETCH.replace('"Content-Type"', fault)
    read = page.evaluate(
        f"([url, body]) => ({reader})(url, body)",
        [url_of(emulator, contract), request_of(contract)],
    )
    page.close()
    is_a_whole_song(contract, read["chunks"])
    text = json.dumps(read["chunks"], ensure_ascii=False)
    assert not text.isascii()
    assert "\N{REPLACEMENT CHARACTER}" not in text
