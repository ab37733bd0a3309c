"""The emulator's streams, byte for byte, through `soundstage lint`: 200 seeds of each version."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator

import httpx
import pytest
from emulated import served

from soundstage.commands.lint import lint
from soundstage.conformance.judge import Caps
from soundstage.contract import load, load_all
from soundstage.emulator.options import Options
from soundstage.emulator.service.app import Emulator

BODIES = {
    api: next(example.payload for example in contract.examples if example.of == "request")
    for api, contract in load_all().items()
}


async def _bodies(api: str, seeds: range) -> AsyncIterator[tuple[int, bytes]]:
    path = load(api).endpoints["stream"].path
    for seed in seeds:
        emulator = Emulator(Options(profile="instant", seed=seed))
        transport = httpx.ASGITransport(app=emulator)
        headers = {"Authorization": "Bearer key"}
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            response = await client.post(path, json=BODIES[api], headers=headers)
        yield seed, response.content


@pytest.mark.parametrize("api", sorted(BODIES))
@pytest.mark.proof
def test_200_seeds_conform_and_are_recognised(api: str) -> None:
    async def run() -> None:
        contracts = list(load_all().values())
        async for seed, body in _bodies(api, range(200)):
            linted = lint(body, f"seed {seed}", contracts, None, Caps())
            found = [v for v in linted.judge.violations if v.severity != "info"]
            assert (linted.contract.api, linted.endpoint, found) == (api, "stream", []), seed
            assert linted.verdict(strict=True) == "conforms"

    asyncio.run(run())


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_piped_into_lint_conforms() -> None:
    with served(Options(profile="instant")) as url:
        command = [
            *("curl", "-sN", f"{url}{load('v6').endpoints['stream'].path}"),
            *("-H", "Authorization: Bearer key", "-H", "Content-Type: application/json"),
            *("-d", '{"prompt": "A slow waltz"}'),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as curl:
            done = subprocess.run(
                [sys.executable, "-m", "soundstage", "lint", "-"],
                stdin=curl.stdout,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
    assert done.returncode == 0, done.stdout
    assert "-: conforms: took it for v6 stream, sse" in done.stdout
