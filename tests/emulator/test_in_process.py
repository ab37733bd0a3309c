"""The emulator inside other programs: as an ASGI application, in a thread, in a process, and as the
fixture of somebody's test suite.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from soundstage.contract import Contract, load_all
from soundstage.emulator import Emulator, Options, running
from soundstage.errors import TargetError, UsageError

ROOT = Path(__file__).parents[2]
CONTRACTS = load_all()
TRACKED = next(contract for contract in CONTRACTS.values() if contract.protocol.tracks)
INSTANT = Options(profile="instant", seed=5)


def payload(contract: Contract) -> dict[str, Any]:
    return dict(next(each.payload for each in contract.examples if each.of == "request"))


def path(contract: Contract, kind: str) -> str:
    endpoint = contract.endpoint_of_kind(kind)
    assert endpoint is not None
    return endpoint.path


def post(url: str, contract: Contract = TRACKED, kind: str = "stream") -> httpx.Response:
    headers = {"Authorization": "Bearer k"}
    return httpx.post(url + path(contract, kind), json=payload(contract), headers=headers)


# --- as an application ----------------------------------------------------------------------------


@pytest.mark.parametrize("api", CONTRACTS)
def test_httpx_calls_it_without_a_server_and_without_a_lifespan(api: str) -> None:
    contract = CONTRACTS[api]

    async def exchange() -> tuple[httpx.Response, httpx.Response, httpx.Response]:
        transport = httpx.ASGITransport(Emulator(INSTANT))
        async with httpx.AsyncClient(transport=transport, base_url="http://emulator") as client:
            client.headers["Authorization"] = "Bearer k"
            stream = await client.post(path(contract, "stream"), json=payload(contract))
            result = await client.post(path(contract, "sync"), json=payload(contract))
            (song,) = re.findall(r'"(http://emulator[^"]*song-1[^"]*)"', result.text)[:1]
            return stream, result, await client.get(song)

    stream, result, song = asyncio.run(exchange())
    assert stream.status_code == result.status_code == song.status_code == 200
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert json.loads(stream.text.strip().rpartition("data: ")[2])
    assert song.headers["content-type"] == "audio/mpeg"


def test_it_may_be_made_in_one_event_loop_and_used_in_others() -> None:
    app = Emulator(INSTANT)

    async def once() -> int:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://emulator") as client:
            headers = {"Authorization": "Bearer k"}
            answer = await client.post(
                path(TRACKED, "sync"), json=payload(TRACKED), headers=headers
            )
            return answer.status_code

    assert [asyncio.run(once()) for _ in range(3)] == [200] * 3
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(asyncio.run(once())))
    thread.start()
    thread.join()
    assert found == [200]


def test_schemathesis_finds_what_the_description_promises() -> None:
    import schemathesis
    from schemathesis.specs.openapi.checks import status_code_conformance

    from soundstage.contract.openapi import document

    described = schemathesis.openapi.from_dict(document(TRACKED), config=schemathesis.Config())
    described.app = Emulator(INSTANT)
    operation = described[path(TRACKED, "sync")]["POST"]
    for key, status in (("Bearer k", 200), ("Basic k", 401)):
        case = operation.Case(body=payload(TRACKED), media_type="application/json")
        case.headers["Authorization"] = key
        answer = case.call()
        case.validate_response(answer, checks=[status_code_conformance])
        assert answer.status_code == status


# --- on a port ------------------------------------------------------------------------------------


@pytest.mark.parametrize("process", [False, True])
def test_it_runs_on_a_free_port_until_it_is_left(process: bool) -> None:
    with running(INSTANT, process=process) as first, running(INSTANT, process=process) as second:
        assert first.url != second.url
        # The URLs in payloads follow the host; the rest does not.
        texts = [re.sub(r"127\.0\.0\.1:\d+", "host", post(e.url).text) for e in (first, second)]
        assert texts[0] == texts[1]
        assert texts[0].endswith("\n\n")
        assert str(first) == first.url
    with pytest.raises(httpx.ConnectError):
        post(first.url)


def test_leaving_cuts_what_is_under_way_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    slow = Options(profile="realistic", seed=1)
    with running(slow) as emulator:
        client = httpx.Client(timeout=10)
        headers = {"Authorization": "Bearer k"}
        body = payload(TRACKED)
        url = emulator.url + path(TRACKED, "stream")
        with client.stream("POST", url, json=body, headers=headers) as answer:
            assert answer.status_code == 200
            inside = threading.enumerate()
            assert {thread.name for thread in set(inside) - before} >= {"soundstage emulator"}
        client.close()
    assert {thread.name for thread in set(threading.enumerate()) - before} <= set()
    gc.collect()


def test_it_touches_neither_signals_nor_the_collector_of_its_host() -> None:
    import signal

    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    thresholds, frozen = gc.get_threshold(), gc.get_freeze_count()
    with running(INSTANT):
        inside = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
        assert inside == handlers
        assert (gc.get_threshold(), gc.get_freeze_count()) == (thresholds, frozen)


def test_what_cannot_be_had_is_one_clear_error() -> None:
    with running(INSTANT) as first:
        port = int(first.url.rpartition(":")[2])
        taken = Options(port=port, profile="instant")
        with pytest.raises(TargetError, match=f"port {port}"), running(taken):
            pass
        with pytest.raises(TargetError, match=f"port {port}"), running(taken, process=True):
            pass
    with pytest.raises(UsageError, match="no profile is called"), running(Options(profile="x")):
        pass
    with (
        pytest.raises(UsageError, match="installed contracts"),
        running(INSTANT, process=True, contracts=CONTRACTS),
    ):
        pass


def test_a_package_import_costs_nothing() -> None:
    script = (
        "import sys, soundstage.emulator.options as o\n"
        "heavy = {'starlette', 'uvicorn', 'numpy', 'asyncio', 'jsonschema_rs'} & set(sys.modules)\n"
        "from soundstage import emulator\n"
        "assert set(emulator.__all__) <= set(dir(emulator))\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    with pytest.raises(ImportError):
        from soundstage.emulator import nonsense  # noqa: F401


# --- in somebody's test suite ---------------------------------------------------------------------


def suite(folder: Path, *arguments: str, bare: bool = False) -> subprocess.CompletedProcess[str]:
    """Somebody's `pytest`, in a folder that knows nothing of this repository; `bare` without the
    plugins that other packages bring, which are slow to load.
    """
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} if bare else None
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_the_fixture_may_be_loaded_beside_the_plugin_of_the_gate(tmp_path: Path) -> None:
    plugins = ["soundstage.pytest_plugin", "soundstage.emulator.pytest_fixture"]
    (tmp_path / "conftest.py").write_text(f"pytest_plugins = {plugins!r}\n")
    (tmp_path / "test_it.py").write_text("def test_it(emulator):\n    assert emulator.url\n")
    done = suite(tmp_path, "--strict-markers", bare=True)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_a_mark_with_a_misspelt_option_says_which_there_are(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        'pytest_plugins = ["soundstage.emulator.pytest_fixture"]\n'
    )
    (tmp_path / "test_it.py").write_text(
        "import pytest\n\n@pytest.mark.emulator(sped=3)\ndef test_it(emulator): pass\n"
    )
    done = suite(tmp_path, bare=True)
    assert done.returncode != 0
    assert "no option sped: there are" in done.stdout
