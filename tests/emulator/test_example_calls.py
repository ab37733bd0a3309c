"""Every command line that the emulator prints makes a song, exactly as it is printed."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
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
pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture
def run(tmp_path: Path) -> object:
    """Runs a line as it is printed; its file of settings has curl fail for what is not 2xx, and say
    the status.
    """
    settings = 'fail\nsilent\nwrite-out = "%{stderr}%{http_code}"\nnoproxy = "*"\n'
    (tmp_path / ".curlrc").write_text(settings)

    def run(line: str) -> str:
        environ = {**os.environ, "CURL_HOME": str(tmp_path), "KEY": "any-key"}
        done = subprocess.run(
            ["bash", "-c", line], capture_output=True, text=True, timeout=60, env=environ
        )
        assert done.returncode == 0, (line, done.stderr)
        assert re.fullmatch("2[0-9][0-9]", done.stderr), (line, done.stderr)
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


def test_a_key_that_was_made_for_somebody_is_not_printed() -> None:
    calls = Emulator(Options(keys=("a-key-of-mine",))).calls("http://e")
    assert all("YOUR-KEY" in call.command and "a-key-of-mine" not in call.command for call in calls)
    beyond = Emulator(Options(host="0.0.0.0")).calls("http://e")
    assert all("soundstage-emulator-key" in call.command for call in beyond)
