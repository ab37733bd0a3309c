"""Clients that leave, do not read, or send too much cost the emulator nothing for long."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import select
import socket
import sys
import time
from typing import Any

import httpx
import pytest
from crowd import crowd, leave, request
from emulated import running

from soundstage.contract import load_all
from soundstage.emulator.generations.generations import Generation
from soundstage.emulator.options import Options
from soundstage.emulator.service.app import Emulator

CONTRACT = load_all()["v6"]
STREAM = next(e.path for e in CONTRACT.endpoints.values() if e.kind == "stream")
SYNC = next(e.path for e in CONTRACT.endpoints.values() if e.kind == "sync")
BODY = {"prompt": "a song", "lyrics": "la la la\n" * 100}
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")


def scope_of(path: str) -> dict[str, Any]:
    headers = {"host": "h", "authorization": "Bearer k", "content-type": "application/json"}
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }


@pytest.mark.parametrize("path", [STREAM, SYNC])
def test_a_client_that_leaves_frees_its_generator_at_once(path: str) -> None:
    async def leave_early() -> float:
        app = Emulator(Options(speed=0.1))
        begun, left = asyncio.Event(), asyncio.Event()
        messages = [{"type": "http.request", "body": json.dumps(BODY).encode()}]

        async def receive() -> dict[str, Any]:
            if messages:
                begun.set()
                return messages.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            pass

        task = asyncio.ensure_future(app(scope_of(path), receive, send))
        await begun.wait()
        await asyncio.sleep(0.05)
        assert not task.done()
        left.set()
        began = time.monotonic()
        await task
        took = time.monotonic() - began
        del task
        gc.collect()
        left = [each for each in gc.get_objects() if isinstance(each, Generation)]
        assert not any(each.chunks for each in left), "it can be asked about, not be told"
        return took

    assert asyncio.run(leave_early()) < 0.5


@LINUX
def test_connections_of_clients_that_left_are_closed_and_their_memory_is_used_again() -> None:
    with running(Options(speed=0.05, seed=1)) as emulator:

        async def come_and_go() -> None:
            answers = await crowd(emulator.url, [request(STREAM, BODY, "k")] * 300, keep=True)
            assert {answer.status for answer in answers} == {200}
            assert emulator.open_files() > before + 250
            await leave(answers)

        before = emulator.open_files()
        sizes = []
        for _ in range(4):
            asyncio.run(come_and_go())
            deadline = time.monotonic() + 10
            while emulator.open_files() > before + 5:
                assert time.monotonic() < deadline, "connections stay open"
                time.sleep(0.02)
            sizes.append(emulator.resident())
        # A connection that stays has buffers of 64 KB; a song that goes on without its client
        # leaves some KB.
        assert sizes[-1] - sizes[0] < 16 * 2**20
        running_now = httpx.get(f"{emulator.url}/_emulator/state").json()["generations"]["running"]
        assert sum(running_now.values()) == 1200, "they run on without their clients"


@LINUX
def test_a_client_that_does_not_read_cannot_grow_memory() -> None:
    with running(Options(profile="instant", seed=1)) as emulator:
        host, port = emulator.url.removeprefix("http://").split(":")
        asked = request(STREAM, BODY, "k")
        httpx.post(emulator.url + STREAM, json=BODY, headers={"Authorization": "Bearer k"})
        before = emulator.resident()
        sent = 0
        with socket.create_connection((host, int(port))) as deaf:
            deaf.settimeout(1.0)
            # Each is answered with many times as much; nothing of it is read.
            with contextlib.suppress(TimeoutError):
                while sent < 100 * 2**20:
                    sent += deaf.send(asked * 100)
            assert sent < 100 * 2**20, "it takes whatever it is sent"
            assert emulator.resident() - before < 32 * 2**20
            # Others are served meanwhile.
            others = httpx.post(
                emulator.url + SYNC, json=BODY, headers={"Authorization": "Bearer k"}
            )
            assert others.status_code == 200


@LINUX
def test_bodies_that_are_never_whole_take_no_more_memory_than_there_is_for_all() -> None:
    head = (
        f"POST {STREAM} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer k\r\n"
        "Content-Type: application/json\r\nContent-Length: 1048576\r\n\r\n"
    ).encode()
    with running(Options(profile="instant", seed=1)) as emulator, contextlib.ExitStack() as stack:
        host, port = emulator.url.removeprefix("http://").split(":")
        before = emulator.resident()
        held = []
        for _ in range(200):
            client = stack.enter_context(socket.create_connection((host, int(port)), timeout=60))
            client.sendall(head + b" " * 1_000_000)
            held.append(client)
        # Those for which there was no room were told so, and others are answered still.
        told, _, _ = select.select(held, [], [], 60)
        assert told[0].recv(4096).startswith(b"HTTP/1.1 503 ")
        answer = httpx.post(emulator.url + STREAM, json=BODY, headers={"Authorization": "Bearer k"})
        assert answer.status_code == 200
        assert emulator.resident() - before < 100 * 2**20


def test_a_body_that_does_not_come_to_its_end_is_answered_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def ask() -> list[dict[str, Any]]:
        sent = []

        async def receive() -> dict[str, Any]:
            if not sent_part:
                sent_part.append(True)
                return {"type": "http.request", "body": b"{", "more_body": True}
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: Any) -> None:
            sent.append(message)

        sent_part: list[bool] = []
        await Emulator(Options())(scope_of(STREAM), receive, send)
        return sent

    monkeypatch.setattr("soundstage.emulator.http.asgi.BODY_S", 0.05)
    start, _ = asyncio.run(ask())
    assert start["status"] == 408
    assert (b"connection", b"close") in start["headers"]
