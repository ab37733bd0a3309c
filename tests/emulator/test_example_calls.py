"""Every command line that the emulator prints makes a song, exactly as it is printed."""

from __future__ import annotations

import html
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from soundstage.contract import Contract, load, load_all
from soundstage.emulator import Emulator, Options, Running, running

EXAMPLES = Path("examples/contracts")
CONTRACTS: dict[str, Contract] = {
    **load_all(),
    **{each.name: load(each.name, EXAMPLES) for each in sorted(EXAMPLES.iterdir())},
}
PAGES = [
    *Path("docs").glob("**/emulator*.md"),
    *Path("docs").glob("**/adding-an-api.md"),
    *Path("docs").glob("**/contracts/*.md"),
]
pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def commands(page: Path) -> Iterator[tuple[str, str | None]]:
    """The lines of a page that call an emulator, each to its end (the quotes in it are closed), and
    the refusal that is printed under it, if there is one.
    """
    command, lines = "", page.read_text().splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if command or re.match(r"(\$ )?curl .*127\.0\.0\.1:8000", line):
            command += line.removeprefix("$ ") + "\n"
            with suppress(ValueError):
                if not line.endswith("\\") and shlex.split(command):
                    yield command, following if following.startswith('{"detail"') else None
                    command = ""


@pytest.fixture
def run(tmp_path: Path) -> object:
    """Runs a line as it is printed, and holds the status, which a file of settings has curl say."""
    settings = 'silent\nwrite-out = "%{stderr}%{http_code}"\nnoproxy = "*"\n'
    (tmp_path / ".curlrc").write_text(settings)

    def run(line: str, status: str = "2..") -> str:
        environ = {**os.environ, "CURL_HOME": str(tmp_path), "KEY": "any-key"}
        done = subprocess.run(
            ["bash", "-c", line], capture_output=True, text=True, timeout=60, env=environ
        )
        assert re.fullmatch(status, done.stderr), (line, done.stderr)
        return done.stdout

    return run


@pytest.fixture(params=CONTRACTS)
def emulator(request: pytest.FixtureRequest) -> Iterator[tuple[Running, Emulator]]:
    options = Options(profile="instant", seed=1)
    served = {request.param: CONTRACTS[request.param]}
    with running(options, contracts=served) as started:
        yield started, Emulator(options, served)


def test_each_line_makes_a_song(emulator: tuple[Running, Emulator], run) -> None:  # type: ignore[no-untyped-def]
    started, same = emulator
    page = httpx.get(started.url).text
    shown = [html.unescape(each) for each in re.findall("<pre[^>]*><code>(.*?)</code>", page, re.S)]
    calls = same.calls(started.url)
    assert shown == [call.command for call in calls]
    for call in calls:
        run(call.command)
        run(call.on_one_line)  # which is what a terminal shows
    # Of each endpoint that makes something, as what it is.
    (contract,) = same.contracts.values()
    assert len(calls) == sum(each.makes_songs for each in contract.endpoints.values())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_line_of_a_page_is_answered(page: Path, run) -> None:  # type: ignore[no-untyped-def]
    """Against an emulator that begins as theirs does, but for its port."""
    for line, refused in commands(page):
        path = re.search(r"127\.0\.0\.1:8000(/[^ '?]*)", line)
        assert path is not None, line
        if "…" in line:
            continue
        options = Options(profile="instant", seed=1)
        mine = next(
            (
                {name: each}
                for name, each in CONTRACTS.items()
                for endpoint in each.endpoints.values()
                if endpoint.path == path[1] and name not in load_all()
            ),
            None,
        )
        with running(options, contracts=mine) as started:
            asked = line.replace("http://127.0.0.1:8000", started.url)
            if refused is not None:
                assert run(asked, "4..") == refused
            elif re.search("job_[0-9a-f]+", line) is None:  # that is made anew each time
                run(asked)


def test_a_key_that_was_made_for_somebody_is_not_printed() -> None:
    calls = Emulator(Options(keys=("a-key-of-mine",))).calls("http://e")
    assert all("YOUR-KEY" in call.command and "a-key-of-mine" not in call.command for call in calls)
    beyond = Emulator(Options(host="0.0.0.0")).calls("http://e")
    assert all("soundstage-emulator-key" in call.command for call in beyond)
