"""Chunks that timers tell, whatever the client does meanwhile."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest
from emulated import served

from soundstage.contract import load
from soundstage.emulator.generations.factory import Factory, GenerationRequest, SongEndpoint
from soundstage.emulator.http.asgi import FarEnd
from soundstage.emulator.options import Options
from soundstage.emulator.pace.profiles import profile
from soundstage.emulator.service.shared_timer import SharedTimer
from soundstage.emulator.service.telling import Telling

MANY = 200


def asked(port: int, *more: str) -> bytes:
    endpoint = load("v6").endpoint_of_kind("stream")
    assert endpoint is not None
    body = json.dumps({"prompt": "A slow waltz"})
    head = [f"POST {endpoint.path} HTTP/1.1", f"host: 127.0.0.1:{port}"]
    head += ["authorization: Bearer any-key", "content-type: application/json"]
    head += [f"content-length: {len(body)}", *more, "", body]
    return "\r\n".join(head).encode()


def chunks_of(answer: bytes) -> list[bytes]:
    """The chunks of a body with the chunked coding, the last, empty one included."""
    body, chunks = answer.partition(b"\r\n\r\n")[2], []
    while body:
        size, _, rest = body.partition(b"\r\n")
        chunks.append(rest[: int(size, 16)])
        assert rest[int(size, 16) :].startswith(b"\r\n")
        body = rest[int(size, 16) + 2 :]
    return chunks


def read_to_the_end(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65_536), b""))


@pytest.fixture
def long(tmp_path: Path) -> Options:
    """A song of more bytes than buffers take, told over some milliseconds, the same each time."""
    stages = [stage.name for stage in load("v6").protocol.stages if stage.times[1] is None]
    data = {"description": "Long.", "default": {"median": 0.0001}, "stages": {}}
    data["chunks"] = {name: {str(MANY): 1} for name in stages}
    file = tmp_path / "long.json"
    file.write_text(json.dumps(data))
    return Options(profile=str(file), seed=1)


def test_a_chunk_that_has_to_wait_is_left_to_who_can_wait():
    """And what is due is not told twice, nor left out."""
    contract = load("v6")
    endpoint = contract.endpoint_of_kind("stream")
    assert endpoint is not None
    place = SongEndpoint.of(contract, endpoint, "sse")
    request = GenerationRequest("A slow waltz", None, {"prompt": "A slow waltz"})

    async def tell() -> tuple[list[bytes], list[int], list[bytes]]:
        loop = asyncio.get_running_loop()
        factory = Factory(1, profile("fast"), 1_000.0)
        song = factory.make(place, request, b"course", "http://h", loop.time(), fails=False)
        listener, pushed, stops = FarEnd(asyncio.Event().wait), [], []

        def push(chunk: bytes) -> bool:
            if len(pushed) % 3 == 2 and len(pushed) not in stops:
                stops.append(len(pushed))
                return False
            pushed.append(chunk)
            return True

        telling = Telling(song, listener, push, SharedTimer(), stamp=False)
        while song.sent < len(song.chunks):
            await telling.go_on()
            assert song.sent == len(pushed)
            assert song.sent == len(song.chunks) or stops[-1] == song.sent
        listener.close()
        return pushed, stops, list(song.chunks)

    pushed, stops, chunks = asyncio.run(tell())
    assert pushed == chunks
    assert stops == list(range(2, len(chunks), 3))


def test_a_client_that_goes_away_ends_the_telling(long):
    with served(long) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as hasty:
            hasty.sendall(asked(port))
            assert hasty.recv(1)
        with socket.create_connection(("127.0.0.1", port)) as next_one:
            next_one.sendall(asked(port, "connection: close"))
            assert chunks_of(read_to_the_end(next_one))[-1] == b""


def test_requests_that_come_behind_one_another_are_answered_whole_and_in_turn(long):
    with served(long) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as eager:
            eager.sendall(asked(port) + asked(port, "connection: close"))
            both = read_to_the_end(eager)
    assert both.count(b"HTTP/1.1 200 ") == 2
    first, _, second = both.partition(b"\r\n0\r\n\r\n")
    for answer in (first + b"\r\n0\r\n\r\n", second):
        told = chunks_of(answer)
        assert len(told) > 2 * MANY
        assert told[-1] == b""
